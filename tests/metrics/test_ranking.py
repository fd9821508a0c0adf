import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import (
    multilabel_auroc,
    multilabel_average_precision,
    multilabel_precision_at_fixed_recall,
    multilabel_recall_at_fixed_precision,
)

from mlgcn.metrics import average_precision, precision_at_recall, recall_at_precision, roc_auc

# A coarse grid makes ties, and one value alone makes constant columns.
TIED = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])
SPREAD = st.floats(0, 1, width=32)
VALUES = st.sampled_from([0.0, 1.0, np.nan])


@st.composite
def predictions(draw, values=VALUES):
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 4)))
    scores = draw(arrays.arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=TIED | SPREAD))
    return scores, draw(arrays.arrays(np.float64, shape, elements=values))


def by_column(metric, scores, targets, needs):
    """scikit-learn on the known images of each label; NaN where not all the needed values occur."""
    result = []
    for score, target in zip(scores.T, targets.T, strict=True):
        known = ~np.isnan(target)
        defined = needs <= set(target[known])
        result.append(metric(target[known], score[known]) if defined else np.nan)
    return np.array(result)


@given(predictions())
def test_average_precision_equals_scikit_learn(data):
    expected = by_column(average_precision_score, *data, needs={1.0})
    np.testing.assert_allclose(average_precision(*data), expected, rtol=0, atol=1e-12)


@given(predictions())
def test_roc_auc_equals_scikit_learn(data):
    expected = by_column(roc_auc_score, *data, needs={0.0, 1.0})
    np.testing.assert_allclose(roc_auc(*data), expected, rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(predictions(values=st.sampled_from([0.0, 1.0])))
def test_both_equal_torchmetrics_in_double_precision(data):
    # An undefined AUC is 0 there, so that every label gets a negative and a positive; and one label alone is refused.
    scores, targets = (np.concatenate([part, added]) for part, added in zip(data, _one_of_each(data[0]), strict=True))
    assume(scores.shape[1] > 1)
    arguments = torch.tensor(scores, dtype=torch.float64), torch.tensor(targets).long(), scores.shape[1], "none"
    # torchmetrics keeps its counts in single precision.
    found = average_precision(scores, targets), roc_auc(scores, targets)
    np.testing.assert_allclose(found[0], multilabel_average_precision(*arguments), atol=1e-6)
    np.testing.assert_allclose(found[1], multilabel_auroc(*arguments), atol=1e-6)


def _one_of_each(scores):
    """Two more rows: scores of the first, and a negative and a positive of every label."""
    return scores[[0, 0]], np.repeat([[0.0], [1.0]], scores.shape[1], axis=1)


@given(predictions(), st.sampled_from([0.25, 0.5, 2 / 3, 1.0]))
def test_points_on_the_curves_are_the_best_over_every_threshold(data, fixed):
    scores, targets = data
    found = precision_at_recall(*data, fixed), recall_at_precision(*data, fixed)
    for label, (score, target) in enumerate(zip(scores.T, targets.T, strict=True)):
        best = [0.0, 0.0]
        for threshold in set(score):
            hits, alarms = ((score >= threshold) & (target == value) for value in (1, 0))
            precision = hits.sum() / max(hits.sum() + alarms.sum(), 1)
            recall = hits.sum() / max((target == 1).sum(), 1)
            best[0] = max(best[0], precision if recall >= fixed else 0.0)
            best[1] = max(best[1], recall if precision >= fixed else 0.0)
        expected = best if (target == 1).any() else [np.nan, np.nan]
        np.testing.assert_allclose([part[label] for part in found], expected, rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(predictions(values=st.sampled_from([0.0, 1.0])), st.sampled_from([0.25, 0.5, 0.75]))
def test_points_on_the_curves_equal_torchmetrics(data, fixed):
    scores, targets = data
    assume(scores.shape[1] > 1 and (targets == 1).any(axis=0).all())
    arguments = torch.tensor(scores, dtype=torch.float64), torch.tensor(targets).long(), scores.shape[1]
    for ours, theirs in (
        (precision_at_recall, multilabel_precision_at_fixed_recall),
        (recall_at_precision, multilabel_recall_at_fixed_precision),
    ):
        np.testing.assert_allclose(ours(*data, fixed), theirs(*arguments, fixed)[0], atol=1e-6)


def test_a_precision_that_no_threshold_reaches_leaves_recall_0():
    scores, targets = np.array([[0.9], [0.5], [0.4]]), np.array([[0], [0], [1]])
    np.testing.assert_array_equal(recall_at_precision(scores, targets, 0.5), [0])
    np.testing.assert_allclose(precision_at_recall(scores, targets, 1.0), [1 / 3])


@pytest.mark.parametrize("value", [0, 1.1, np.nan])
def test_shares_outside_0_to_1_are_refused(value):
    with pytest.raises(ValueError, match="recall must be > 0 and <= 1"):
        precision_at_recall(np.zeros((2, 1)), np.zeros((2, 1)), value)
    with pytest.raises(ValueError, match="precision must be > 0 and <= 1"):
        recall_at_precision(np.zeros((2, 1)), np.zeros((2, 1)), value)


@given(predictions(), st.randoms(use_true_random=False))
def test_neither_depends_on_the_order_of_the_images(data, random):
    scores, targets = data
    order = random.sample(range(len(scores)), len(scores))
    for metric in (average_precision, roc_auc):
        np.testing.assert_allclose(metric(scores[order], targets[order]), metric(scores, targets), atol=1e-12)


@given(predictions())
def test_neither_depends_on_a_monotone_change_of_the_scores(data):
    scores, targets = data
    # Ranks as scores: exact, where a logit or a square would merge neighbouring numbers.
    ranks = np.unique(scores, return_inverse=True)[1].reshape(scores.shape)
    for metric in (average_precision, roc_auc):
        np.testing.assert_array_equal(metric(ranks, targets), metric(scores, targets))


def test_values_worked_out_by_hand():
    scores, targets = np.array([[0.9], [0.8], [0.7], [0.6]]), np.array([[1], [0], [1], [0]])
    assert average_precision(scores, targets) == pytest.approx([(1 / 1 + 2 / 3) / 2])
    assert roc_auc(scores, targets) == pytest.approx([3 / 4])


def test_a_constant_score_reaches_the_prevalence_and_one_half():
    targets = np.array([[1], [0], [0], [0], [np.nan]])
    assert average_precision(np.full((5, 1), 0.3), targets) == pytest.approx([1 / 4])
    assert roc_auc(np.full((5, 1), 0.3), targets) == pytest.approx([1 / 2])


def test_undefined_labels_are_nan_and_the_others_are_not():
    scores = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]])
    targets = np.array([[0, 1, np.nan, 0], [0, 1, np.nan, 1]])
    np.testing.assert_array_equal(average_precision(scores, targets), [np.nan, 1, np.nan, 1])
    np.testing.assert_array_equal(roc_auc(scores, targets), [np.nan, np.nan, np.nan, 1])


def test_no_images_leave_every_label_undefined():
    assert np.isnan(average_precision(np.empty((0, 3)), np.empty((0, 3)))).all()


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), r"\(2, 3\) and targets \(3, 2\)"),
        (np.zeros(3), np.zeros(3), r"the same \[N, C\]"),
        ([[0.1, 0.2], [0.3, np.nan]], np.zeros((2, 2)), r"scores\[1, 1\].* is nan"),
        ([[0.1, np.inf], [0.3, 0.4]], np.zeros((2, 2)), r"scores\[0, 1\].* is inf"),
        (np.zeros((2, 2)), [[0, 1], [-1, 1]], r"targets\[1, 0\].* is -1.0, expected 0, 1 or NaN"),
        ([["a"]], [[1]], "scores are of type"),
    ],
)
@pytest.mark.parametrize("metric", [average_precision, roc_auc])
def test_wrong_input_is_refused_with_its_place(metric, scores, targets, message):
    with pytest.raises(ValueError, match=message):
        metric(scores, targets)
