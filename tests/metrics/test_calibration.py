import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from mlgcn.metrics import brier_score, expected_calibration_error, reliability_curves

# Edges of bins among them, 0 and 1 too.
SCORES = st.sampled_from([0.0, 0.1, 0.2, 0.30000000000000004, 0.7, 0.9, 1.0]) | st.floats(0, 1, width=32)


@st.composite
def predictions(draw):
    shape = draw(st.tuples(st.integers(1, 25), st.integers(1, 4)))
    scores = draw(arrays.arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=SCORES))
    return scores, draw(arrays.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, np.nan])))


def known_columns(scores, targets):
    for score, target in zip(scores.T, targets.T, strict=True):
        known = ~np.isnan(target)
        yield score[known].astype(np.float64), target[known]


@given(predictions())
def test_the_brier_score_equals_scikit_learn(data):
    expected = [brier_score_loss(t, s, labels=[0, 1]) if len(t) else np.nan for s, t in known_columns(*data)]
    np.testing.assert_allclose(brier_score(*data), expected, rtol=0, atol=1e-12)


@given(predictions(), st.integers(1, 12))
def test_the_reliability_curves_are_those_of_scikit_learn(data, bins):
    curves, error = reliability_curves(*data, bins), expected_calibration_error(*data, bins)
    for label, (score, target) in enumerate(known_columns(*data)):
        filled = curves.images[label] > 0
        assert curves.images[label].sum() == len(score)
        np.testing.assert_array_equal(np.isnan(curves.predicted[label]), ~filled)
        if not len(score):
            assert np.isnan(error[label])
            continue
        observed, predicted = calibration_curve(target, score, n_bins=bins)
        np.testing.assert_allclose(curves.observed[label][filled], observed, rtol=0, atol=1e-12)
        np.testing.assert_allclose(curves.predicted[label][filled], predicted, rtol=0, atol=1e-12)
        gap = np.abs(observed - predicted) @ curves.images[label][filled] / len(score)
        np.testing.assert_allclose(error[label], gap, rtol=0, atol=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_the_calibration_error_equals_torchmetrics_off_the_edges_of_bins(seed, images):
    rng = np.random.default_rng(seed)
    scores, targets = (rng.integers(0, 40, size=(images, 1)) + 0.5) / 40, rng.integers(0, 2, size=(images, 1))
    expected = binary_calibration_error(torch.tensor(scores[:, 0]), torch.tensor(targets[:, 0]), n_bins=10)
    np.testing.assert_allclose(expected_calibration_error(scores, targets), float(expected), atol=1e-6)


def test_a_calibration_error_worked_out_by_hand():
    # (0.2, 0.3] holds two scores of mean 0.25 and no positive, (0.8, 0.9] one of 0.85 that is positive.
    scores, targets = np.array([[0.22], [0.28], [0.85], [0.5]]), np.array([[0], [0], [1], [np.nan]])
    assert expected_calibration_error(scores, targets) == pytest.approx([(2 * 0.25 + 0.15) / 3])
    assert brier_score(scores, targets) == pytest.approx([(0.22**2 + 0.28**2 + 0.15**2) / 3])


def test_pooled_curves_are_those_of_all_labels_as_one():
    rng = np.random.default_rng(0)
    scores, targets = rng.uniform(size=(50, 3)), rng.choice([0, 1, np.nan], size=(50, 3))
    pooled, flat = reliability_curves(scores, targets).pooled(), (scores.reshape(-1, 1), targets.reshape(-1, 1))
    np.testing.assert_allclose(pooled.error(), expected_calibration_error(*flat), atol=1e-12)


@pytest.mark.parametrize("metric", [brier_score, expected_calibration_error, reliability_curves])
@pytest.mark.parametrize("wrong", [-0.01, 1.5])
def test_scores_that_are_no_probabilities_are_refused_with_their_place(metric, wrong):
    scores = np.full((3, 2), 0.5)
    scores[2, 1] = wrong
    with pytest.raises(ValueError, match=rf"scores\[2, 1\] \(row, column\) is {wrong}, expected a probability in"):
        metric(scores, np.zeros((3, 2)))


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="bins must be >= 1, got 0"):
        expected_calibration_error(np.full((3, 2), 0.5), np.zeros((3, 2)), 0)
