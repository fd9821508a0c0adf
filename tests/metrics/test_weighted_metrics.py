import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlgcn.metrics import (
    average_precision,
    balanced_accuracy,
    brier_score,
    expected_calibration_error,
    f1_score,
    micro_scores,
    multilabel_scores,
    precision,
    roc_auc,
    sensitivity,
    specificity,
)
from mlgcn.metrics.weighted import LABEL_METRICS, MACRO, MICRO, MICRO_NAMES, WeightedModel, check_metrics

BY_LABEL = {"AP": average_precision, "AUC": roc_auc, "Brier": brier_score, "ECE": expected_calibration_error}
DECIDED = {
    "F1": f1_score,
    "BACC": balanced_accuracy,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "precision": precision,
}
SCORES = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]) | st.floats(0, 1, width=32)


@st.composite
def weighted(draw):
    images, labels, weightings = draw(st.integers(1, 12)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    scores = draw(arrays.arrays(kind, (images, labels), elements=SCORES))
    targets = draw(arrays.arrays(np.float64, (images, labels), elements=st.sampled_from([0.0, 1.0, np.nan])))
    thresholds = draw(arrays.arrays(np.float64, labels, elements=SCORES))
    return scores, targets, thresholds, draw(arrays.arrays(np.int64, (images, weightings), elements=st.integers(0, 4)))


def restated(scores, targets, thresholds):
    """Every metric by name, of rows that stand there as often as they count."""
    labels = {name: metric(scores, targets) for name, metric in BY_LABEL.items()}
    labels |= {name: metric(scores, targets, thresholds) for name, metric in DECIDED.items()}
    means = {
        name: np.mean(values[~np.isnan(values)]) if (values := labels[label])[~np.isnan(values)].size else np.nan
        for name, label in MACRO.items()
    }
    micro = micro_scores(scores, targets, thresholds)
    pooled = {name: micro[label] for name, label in MICRO_NAMES.items()}
    return labels | means | pooled | multilabel_scores(scores, targets, thresholds)


@settings(max_examples=200)
@given(weighted())
def test_a_weight_is_a_row_that_is_there_so_many_times(data):
    scores, targets, thresholds, weights = data
    weighing = WeightedModel(scores, targets, thresholds).weigh(weights)
    for column, counts in enumerate(weights.T):
        rows = np.repeat(np.arange(len(scores)), counts)
        for name, expected in restated(scores[rows], targets[rows], thresholds).items():
            found = weighing.value(name)[..., column]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12, err_msg=name)


def test_every_name_is_restated_above():
    assert set(BY_LABEL) | set(DECIDED) == set(LABEL_METRICS)
    assert set(MICRO) == set(MICRO_NAMES) and len(MACRO) == len(LABEL_METRICS)


def test_sums_beyond_what_single_precision_holds_stay_exact():
    rng = np.random.default_rng(0)
    scores, targets = rng.uniform(size=(40, 3)).round(1), rng.integers(0, 2, size=(40, 3))
    weights = rng.integers(0, 4, size=(40, 2))
    model = WeightedModel(scores, targets)
    for name in (*LABEL_METRICS, *MICRO):
        # Times an odd number, so that the sums are no multiples of a power of 2.
        many, few = model.weigh(weights * 9_999_999).value(name), model.weigh(weights).value(name)
        np.testing.assert_allclose(many, few, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((3, 1)), r"weights have shape \(3, 1\), expected \(2 images, weightings\)"),
        (np.ones(2), "weights have shape"),
        ([[0.5], [1]], "whole numbers >= 0"),
        ([[-1], [1]], "whole numbers >= 0"),
        ([[np.nan], [1]], "whole numbers >= 0"),
    ],
)
def test_weights_that_are_no_numbers_of_times_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        WeightedModel(np.zeros((2, 1)), np.zeros((2, 1))).weigh(weights)


def test_an_unknown_metric_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="unknown metric 'mAUCC'; did you mean 'mAUC'"):
        check_metrics(["mAP", "mAUCC"])
