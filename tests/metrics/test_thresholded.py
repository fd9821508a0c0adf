import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import f1_score as sklearn_f1
from torchmetrics.functional.classification import multilabel_f1_score

from mlgcn.metrics import best_f1_thresholds, f1_score

SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]) | st.floats(0, 1, width=32)


@st.composite
def predictions(draw, values=(0.0, 1.0, np.nan)):
    shape = draw(st.tuples(st.integers(1, 20), st.integers(2, 4)))
    scores = draw(arrays.arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=SCORES))
    return scores, draw(arrays.arrays(np.float64, shape, elements=st.sampled_from(values)))


@given(predictions(), st.lists(SCORES, min_size=4, max_size=4))
def test_f1_equals_scikit_learn(data, thresholds):
    scores, targets = data
    thresholds = np.array(thresholds[: scores.shape[1]])
    expected = []
    for score, target, threshold in zip(scores.T, targets.T, thresholds, strict=True):
        known = ~np.isnan(target)
        decided = score[known].astype(np.float64) >= threshold
        expected.append(sklearn_f1(target[known], decided) if (target == 1).any() else np.nan)
    np.testing.assert_allclose(f1_score(scores, targets, thresholds), expected, rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(predictions(values=(0.0, 1.0)))
def test_f1_equals_torchmetrics(data):
    scores, targets = data
    # torchmetrics decides by >, and scores a label without positives 0.
    decided = torch.tensor(scores >= 0.5).long()
    expected = multilabel_f1_score(decided, torch.tensor(targets).long(), scores.shape[1], average="none").double()
    defined = (targets == 1).any(axis=0)
    np.testing.assert_allclose(f1_score(scores, targets)[defined], expected[defined], atol=1e-6)


@given(predictions())
def test_no_threshold_does_better_than_the_best_one(data):
    scores, targets = data
    reached = f1_score(scores, targets, best_f1_thresholds(scores, targets))
    every = np.append(np.unique(scores.astype(np.float64)), 2.0)
    possible = np.array([f1_score(scores, targets, threshold) for threshold in every]).max(axis=0)
    np.testing.assert_array_equal(reached, possible)


def test_a_label_without_a_positive_has_no_f1_and_the_default_threshold():
    scores, targets = np.array([[0.2, 0.9], [0.3, 0.1]]), np.array([[0, 1], [np.nan, 0]])
    np.testing.assert_array_equal(f1_score(scores, targets), [np.nan, 1])
    np.testing.assert_array_equal(best_f1_thresholds(scores, targets), [0.5, 0.9])


def test_of_equally_good_thresholds_the_highest_is_taken():
    # At 0.9: hits 1 of 1, F1 2/3. At 0.2: hits 2 of 4, F1 2/3.
    scores, targets = np.array([[0.9], [0.8], [0.7], [0.2]]), np.array([[1], [0], [0], [1]])
    assert f1_score(scores, targets, 0.9) == pytest.approx(f1_score(scores, targets, 0.2))
    np.testing.assert_array_equal(best_f1_thresholds(scores, targets), [0.9])


@pytest.mark.parametrize("thresholds", [[0.5], [0.5, 0.5, 0.5], [[0.5, 0.5]], np.nan, [0.5, np.inf]])
def test_wrong_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds"):
        f1_score(np.zeros((3, 2)), np.zeros((3, 2)), thresholds)
