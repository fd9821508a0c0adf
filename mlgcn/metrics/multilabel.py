"""Metrics over all labels at once: pooled ones, and the overall and per-class ones that ML-GCN reports."""

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.calibration import brier_score, expected_calibration_error
from mlgcn.metrics.means import mean_defined
from mlgcn.metrics.ranking import average_precision, check_scores, roc_auc
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD, Counts, count_decided, count_decisions, decide

MULTILABEL = ("OP", "OR", "OF1", "CP", "CR", "CF1")


def multilabel_scores(
    scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD
) -> dict[str, float]:
    """Overall precision, recall and F1 (OP, OR, OF1) and per-class ones (CP, CR, CF1), NaN where undefined.

    Overall pools the decisions on all labels; per class averages precision and recall over the labels with a positive.
    OF1 and CF1 are the harmonic means of the two, so that CF1 is not the mean of the labels' F1.
    Source: Chen et al. 2019 (ML-GCN), section 4.2. Shapes and errors as in f1_score.
    """
    counts = count_decisions(*check_scores(scores, targets), thresholds)
    return {name: float(value) for name, value in overall_and_per_class(counts).items()}


def top_k_scores(
    scores: ArrayLike, targets: ArrayLike, k: int = 3, thresholds: ArrayLike | None = None
) -> dict[str, float]:
    """The same six where each image gets its k labels of the highest score; of equal scores the first columns.

    Labels that are unknown for an image take up places, but are not counted.

    Args:
        thresholds: if given, [C] or one for all, a label must reach its threshold too: ML-GCN's paper does not say so,
            but its code, and so its numbers, do.
    Raises: ValueError as in f1_score, and unless 1 <= k <= C.
    """
    scores, targets = check_scores(scores, targets)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k must be between 1 and {scores.shape[1]} labels, got {k}")
    decided = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(decided, np.argsort(-scores, axis=1, kind="stable")[:, :k], True, axis=1)
    if thresholds is not None:
        decided &= decide(scores, thresholds)
    return {name: float(value) for name, value in overall_and_per_class(count_decided(decided, targets)).items()}


def overall_and_per_class(counts: Counts) -> dict[str, np.ndarray]:
    """The six of multilabel_scores from the counts of every label: [C] or [C, R] -> each without the first axis."""
    pooled = counts.pooled()
    overall, per_class = (pooled.precision(), pooled.sensitivity()), (counts.precision(), counts.sensitivity())
    return {
        **dict(zip(("OP", "OR", "OF1"), _with_f1(*overall), strict=True)),
        **dict(zip(("CP", "CR", "CF1"), _with_f1(*(mean_defined(part) for part in per_class)), strict=True)),
    }


def micro_scores(
    scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD
) -> dict[str, float]:
    """The metrics of all labels pooled, as if every known target were an image of one label; NaN where undefined.

    AP, AUC, F1, BACC (balanced accuracy), sensitivity, specificity, precision, Brier and ECE.
    Shapes and errors as in f1_score and brier_score.
    """
    scores, targets = check_scores(scores, targets)
    column, target = scores.reshape(-1, 1), targets.reshape(-1, 1)
    counts = count_decisions(scores, targets, thresholds).pooled()
    values = {
        "AP": average_precision(column, target)[0],
        "AUC": roc_auc(column, target)[0],
        "F1": counts.f1(),
        "BACC": counts.balanced_accuracy(),
        "sensitivity": counts.sensitivity(),
        "specificity": counts.specificity(),
        "precision": counts.precision(),
        "Brier": brier_score(column, target)[0],
        "ECE": expected_calibration_error(column, target)[0],
    }
    return {name: float(value) for name, value in values.items()}


def _with_f1(precision: np.ndarray, recall: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    total = precision + recall
    return precision, recall, 2 * precision * recall / np.where(total == 0, 1.0, total)
