import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score
from torchmetrics.functional.classification import multilabel_precision, multilabel_recall

from mlgcn.metrics import f1_score, micro_scores, multilabel_scores, top_k_scores

SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def predictions(draw, values=(0.0, 1.0)):
    shape = draw(st.tuples(st.integers(1, 15), st.integers(2, 5)))
    scores = draw(arrays.arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=SCORES))
    return scores, draw(arrays.arrays(np.float64, shape, elements=st.sampled_from(values)))


def restated(decided, targets):
    """ML-GCN's definitions, label by label: M^c correct, M^p predicted, M^g true, over known targets."""
    correct, predicted, true = [], [], []
    for decision, target in zip(decided.T, targets.T, strict=True):
        known = ~np.isnan(target)
        correct.append(int(sum(decision[known] * target[known])))
        predicted.append(int(sum(decision[known])))
        true.append(int(sum(target[known])))
    labels = [label for label in range(len(true)) if true[label]]
    if not labels:
        return dict.fromkeys(("OP", "OR", "OF1", "CP", "CR", "CF1"), np.nan)
    overall = sum(correct) / max(sum(predicted), 1), sum(correct) / sum(true)
    classes = (
        np.mean([correct[label] / max(predicted[label], 1) for label in labels]),
        np.mean([correct[label] / true[label] for label in labels]),
    )
    harmonic = [2 * p * r / (p + r) if p + r else 0.0 for p, r in (overall, classes)]
    return dict(
        zip(("OP", "OR", "OF1", "CP", "CR", "CF1"), (*overall, harmonic[0], *classes, harmonic[1]), strict=True)
    )


def assert_same(found, expected):
    assert set(found) == set(expected)
    np.testing.assert_allclose([found[name] for name in expected], list(expected.values()), rtol=0, atol=1e-12)


@given(predictions(values=(0.0, 1.0, np.nan)), st.lists(SCORES, min_size=5, max_size=5))
def test_the_six_equal_their_definitions(data, thresholds):
    scores, targets = data
    thresholds = np.array(thresholds[: scores.shape[1]])
    assert_same(multilabel_scores(scores, targets, thresholds), restated(scores >= thresholds, targets))


@given(predictions())
def test_the_six_equal_scikit_learn_where_every_label_occurs(data):
    scores, targets = data
    assume((targets == 1).any(axis=0).all())
    found, decided = multilabel_scores(scores, targets), scores >= 0.5
    micro, macro = (
        precision_recall_fscore_support(targets, decided, average=average, zero_division=0)
        for average in ("micro", "macro")
    )
    np.testing.assert_allclose([found["OP"], found["OR"], found["OF1"]], micro[:3], rtol=0, atol=1e-12)
    np.testing.assert_allclose([found["CP"], found["CR"]], macro[:2], rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(predictions())
def test_precision_and_recall_equal_torchmetrics_where_every_label_occurs(data):
    scores, targets = data
    assume((targets == 1).any(axis=0).all())
    arguments, found = (torch.tensor(scores >= 0.5).long(), torch.tensor(targets).long()), multilabel_scores(*data)
    for average, precision, recall in (("micro", "OP", "OR"), ("macro", "CP", "CR")):
        expected = [
            float(metric(*arguments, scores.shape[1], average=average))
            for metric in (multilabel_precision, multilabel_recall)
        ]
        np.testing.assert_allclose([found[precision], found[recall]], expected, atol=1e-6)


@given(predictions(values=(0.0, 1.0, np.nan)), st.integers(1, 5), st.booleans())
def test_the_highest_labels_are_taken_and_of_equals_the_first(data, k, filtered):
    scores, targets = data
    k = min(k, scores.shape[1])
    decided = np.zeros(scores.shape, dtype=bool)
    for row, values in enumerate(scores):
        for label in sorted(range(len(values)), key=lambda label: (-values[label], label))[:k]:
            decided[row, label] = values[label] >= 0.5 or not filtered
    assert_same(top_k_scores(scores, targets, k, 0.5 if filtered else None), restated(decided, targets))


@pytest.mark.parametrize("k", [0, 4])
def test_more_labels_than_there_are_cannot_be_the_highest(k):
    with pytest.raises(ValueError, match=f"between 1 and 3 labels, got {k}"):
        top_k_scores(np.zeros((2, 3)), np.zeros((2, 3)), k)


@given(predictions(values=(0.0, 1.0, np.nan)))
def test_pooled_metrics_are_those_of_all_known_targets_as_one_label(data):
    scores, targets = data
    known = ~np.isnan(targets)
    score, target = scores[known].astype(np.float64), targets[known]
    assume(len(set(target)) == 2)
    found, decided = micro_scores(scores, targets), score >= 0.5
    expected = {
        "AP": average_precision_score(target, score),
        "AUC": roc_auc_score(target, score),
        "F1": f1_score(score[:, None], target[:, None])[0],
        "sensitivity": decided[target == 1].mean(),
        "specificity": 1 - decided[target == 0].mean(),
        "Brier": np.mean((score - target) ** 2),
    }
    assert_same({name: found[name] for name in expected}, expected)
    np.testing.assert_allclose(found["BACC"], (expected["sensitivity"] + expected["specificity"]) / 2, atol=1e-12)


def test_without_a_positive_nothing_is_defined_but_specificity_and_calibration():
    found = micro_scores(np.full((3, 2), 0.2), np.zeros((3, 2)))
    assert {name for name, value in found.items() if not np.isnan(value)} == {"specificity", "Brier", "ECE"}
    assert np.isnan(list(multilabel_scores(np.full((3, 2), 0.2), np.zeros((3, 2))).values())).all()
