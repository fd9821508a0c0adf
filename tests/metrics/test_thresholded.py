import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import balanced_accuracy_score, precision_score, recall_score
from sklearn.metrics import f1_score as sklearn_f1
from torchmetrics.functional.classification import (
    multilabel_f1_score,
    multilabel_precision,
    multilabel_recall,
    multilabel_specificity,
)

from mlgcn.metrics import (
    balanced_accuracy,
    best_f1_thresholds,
    f1_score,
    precision,
    sensitivity,
    specificity,
    youden_thresholds,
)

SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]) | st.floats(0, 1, width=32)


@st.composite
def predictions(draw, values=(0.0, 1.0, np.nan)):
    shape = draw(st.tuples(st.integers(1, 20), st.integers(2, 4)))
    scores = draw(arrays.arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=SCORES))
    return scores, draw(arrays.arrays(np.float64, shape, elements=st.sampled_from(values)))


def precision_or_0(target, decided):
    return precision_score(target, decided, zero_division=0)


def recall_of_negatives(target, decided):
    return recall_score(target, decided, pos_label=0)


@pytest.mark.parametrize(
    ("metric", "reference", "needs"),
    [
        (f1_score, sklearn_f1, {1.0}),
        (sensitivity, recall_score, {1.0}),
        (specificity, recall_of_negatives, {0.0}),
        (precision, precision_or_0, {1.0}),
        (balanced_accuracy, balanced_accuracy_score, {0.0, 1.0}),
    ],
)
@given(data=predictions(), thresholds=st.lists(SCORES, min_size=4, max_size=4))
def test_decisions_score_as_in_scikit_learn(metric, reference, needs, data, thresholds):
    scores, targets = data
    thresholds = np.array(thresholds[: scores.shape[1]])
    expected = []
    for score, target, threshold in zip(scores.T, targets.T, thresholds, strict=True):
        known = ~np.isnan(target)
        decided = score[known].astype(np.float64) >= threshold
        expected.append(reference(target[known], decided) if needs <= set(target[known]) else np.nan)
    np.testing.assert_allclose(metric(scores, targets, thresholds), expected, rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(predictions(values=(0.0, 1.0)))
def test_decisions_score_as_in_torchmetrics(data):
    scores, targets = data
    # torchmetrics decides by >, and scores what is undefined 0.
    decided = torch.tensor(scores >= 0.5).long()
    for metric, reference in (
        (f1_score, multilabel_f1_score),
        (sensitivity, multilabel_recall),
        (precision, multilabel_precision),
        (specificity, multilabel_specificity),
    ):
        expected = reference(decided, torch.tensor(targets).long(), scores.shape[1], average="none").double()
        defined = ((targets == 0) if metric is specificity else (targets == 1)).any(axis=0)
        np.testing.assert_allclose(metric(scores, targets)[defined], expected[defined], atol=1e-6)


@given(predictions())
def test_no_threshold_does_better_than_the_best_one(data):
    scores, targets = data
    reached = f1_score(scores, targets, best_f1_thresholds(scores, targets))
    every = np.append(np.unique(scores.astype(np.float64)), 2.0)
    possible = np.array([f1_score(scores, targets, threshold) for threshold in every]).max(axis=0)
    np.testing.assert_array_equal(reached, possible)


@given(predictions())
def test_no_threshold_separates_better_than_youdens(data):
    scores, targets = data
    chosen = youden_thresholds(scores, targets)
    every = np.append(np.unique(scores.astype(np.float64)), 2.0)
    index = np.array([sensitivity(*data, value) + specificity(*data, value) - 1 for value in every])
    both = (targets == 1).any(axis=0) & (targets == 0).any(axis=0)
    np.testing.assert_array_equal(chosen[~both], 0.5)
    reached = sensitivity(*data, chosen) + specificity(*data, chosen) - 1
    np.testing.assert_allclose(reached[both], index.max(axis=0)[both], rtol=0, atol=1e-12)


def test_of_thresholds_that_youden_finds_equal_the_highest_is_taken():
    # At 0.9: 1 of 3 positives, no negative. At 0.7: 2 of 3, 1 of 3 negatives. Both 1/3, though not in floats.
    scores = np.array([[0.9], [0.8], [0.7], [0.3], [0.2], [0.1]])
    targets = np.array([[1], [0], [1], [0], [0], [1]])
    np.testing.assert_array_equal(youden_thresholds(scores, targets), [0.9])


def test_a_label_without_a_positive_has_no_f1_and_the_default_threshold():
    scores, targets = np.array([[0.2, 0.9], [0.3, 0.1]]), np.array([[0, 1], [np.nan, 0]])
    np.testing.assert_array_equal(f1_score(scores, targets), [np.nan, 1])
    np.testing.assert_array_equal(best_f1_thresholds(scores, targets), [0.5, 0.9])


def test_of_equally_good_thresholds_the_highest_is_taken():
    # At 0.9: hits 1 of 1, F1 2/3. At 0.2: hits 2 of 4, F1 2/3.
    scores, targets = np.array([[0.9], [0.8], [0.7], [0.2]]), np.array([[1], [0], [0], [1]])
    assert f1_score(scores, targets, 0.9) == pytest.approx(f1_score(scores, targets, 0.2))
    np.testing.assert_array_equal(best_f1_thresholds(scores, targets), [0.9])


def test_a_label_of_one_class_keeps_the_default_threshold_of_youden():
    scores, targets = np.array([[0.2, 0.9], [0.3, 0.1]]), np.array([[0, 1], [0, np.nan]])
    np.testing.assert_array_equal(youden_thresholds(scores, targets), [0.5, 0.5])


def test_what_nothing_is_decided_for_has_precision_0():
    np.testing.assert_array_equal(precision([[0.1, 0.2], [0.3, 0.4]], [[1, 0], [0, 0]]), [0, np.nan])


@pytest.mark.parametrize("thresholds", [[0.5], [0.5, 0.5, 0.5], [[0.5, 0.5]], np.nan, [0.5, np.inf]])
def test_wrong_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds"):
        f1_score(np.zeros((3, 2)), np.zeros((3, 2)), thresholds)
