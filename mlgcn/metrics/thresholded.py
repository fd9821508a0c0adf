"""Metrics of yes-or-no decisions: F1 at given thresholds, and the thresholds that make it largest."""

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.ranking import PositiveRanks, check_scores, rank_positives

UNDEFINED_THRESHOLD = 0.5


def f1_score(scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD) -> np.ndarray:
    """F1 of each label, an image counting as positive where score >= threshold: float64 [C], NaN without a positive.

    Shapes: scores and targets [N, C], targets 0, 1 or NaN (unknown: left out); thresholds [C] or one for all.
    Raises: ValueError as in average_precision, and on thresholds of another shape or not finite.
    """
    scores, targets = check_scores(scores, targets)
    # Not in single precision: a threshold taken from a score must still equal it, and 0.7 must not become 0.69999999.
    decided = scores >= check_thresholds(thresholds, scores.shape[1])
    positives, known = (targets == 1).sum(axis=0), ~np.isnan(targets)
    hits, alarms = (decided & (targets == 1)).sum(axis=0), (decided & known).sum(axis=0)
    return 2 * hits / np.where(positives > 0, positives + alarms, np.nan)


def best_f1_thresholds(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """The threshold of each label with the largest F1: float64 [C], 0.5 for a label without a positive.

    Choose them on the validation split, never on the split that is reported. Of equally good ones the highest.
    Shapes, unknown targets and errors as in average_precision.
    """
    return np.array([_best_threshold(rank) for rank in rank_positives(scores, targets)], dtype=np.float64)


def check_thresholds(thresholds: ArrayLike, labels: int) -> np.ndarray:
    """The thresholds as float64 [C]. Raises: ValueError on another shape or a value that is not finite."""
    values = np.asarray(thresholds, dtype=np.float64)
    if values.shape not in {(), (labels,)}:
        raise ValueError(f"thresholds have shape {values.shape}, expected one number or ({labels},)")
    if not np.isfinite(values).all():
        raise ValueError(f"thresholds hold {values[~np.isfinite(values)][0]}, expected finite numbers")
    return np.broadcast_to(values, (labels,))


def _best_threshold(rank: PositiveRanks) -> float:
    """The maximum lies at the score of a positive: moving below it only adds negatives until the next positive."""
    if not len(rank.scores):
        return UNDEFINED_THRESHOLD
    f1 = 2 * rank.hits / (rank.hits + rank.false_alarms + len(rank.scores))
    return float(rank.scores[np.flatnonzero(f1 == f1.max())[-1]])
