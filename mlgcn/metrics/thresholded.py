"""Metrics of yes-or-no decisions at given thresholds, and the thresholds that make them largest.

An image counts as positive for a label where score >= threshold. Everywhere scores and targets are [N, C], targets 0, 1
or NaN (unknown: left out), thresholds [C] or one for all; errors are those of average_precision, and ValueError on
thresholds of another shape or not finite.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.means import nan_for_0
from mlgcn.metrics.ranking import PositiveRanks, check_scores, rank_positives

UNDEFINED_THRESHOLD = 0.5


@dataclass(frozen=True)
class Counts:
    """How decisions turned out, in numbers of images: arrays of one shape, [C] or, under several weights, [C, R].

    Attributes:
        hits: positives decided as positive.
        decided: known images decided as positive.
        positives, known: images that are positive, and whose value is known.
    """

    hits: np.ndarray
    decided: np.ndarray
    positives: np.ndarray
    known: np.ndarray

    def f1(self) -> np.ndarray:
        """2 hits / (positives + decided), NaN without a positive."""
        return 2 * self.hits / (nan_for_0(self.positives) + self.decided)

    def sensitivity(self) -> np.ndarray:
        """The share of the positives that is found (recall), NaN without a positive."""
        return self.hits / nan_for_0(self.positives)

    def specificity(self) -> np.ndarray:
        """The share of the negatives that is left alone, NaN without a negative."""
        negatives = self.known - self.positives
        return (negatives - self.decided + self.hits) / nan_for_0(negatives)

    def balanced_accuracy(self) -> np.ndarray:
        """The mean of sensitivity and specificity, NaN where one is."""
        return (self.sensitivity() + self.specificity()) / 2

    def precision(self) -> np.ndarray:
        """The share of the decided that is positive: NaN without a positive, 0 where nothing is decided.

        0 as in scikit-learn and in ML-GCN's code, so that precision is undefined where recall and F1 are.
        """
        return self.hits / np.where(self.positives > 0, np.maximum(self.decided, 1), np.nan)

    def pooled(self) -> "Counts":
        """Those of all labels together."""
        return Counts(*(part.sum(axis=0) for part in (self.hits, self.decided, self.positives, self.known)))


def count_decisions(scores: np.ndarray, targets: np.ndarray, thresholds: ArrayLike) -> Counts:
    """The counts of each label, [C]."""
    return count_decided(decide(scores, thresholds), targets)


def count_decided(decided: np.ndarray, targets: np.ndarray) -> Counts:
    """The counts of each label, [C], for decisions that are already taken: bool [N, C]."""
    positive, known = targets == 1, ~np.isnan(targets)
    return Counts(*(part.sum(axis=0) for part in (decided & positive, decided & known, positive, known)))


def decide(scores: np.ndarray, thresholds: ArrayLike) -> np.ndarray:
    """Which images count as positive: bool [N, C]."""
    # Not in single precision: a threshold taken from a score must still equal it, and 0.7 must not become 0.69999999.
    return scores >= check_thresholds(thresholds, scores.shape[1])


def f1_score(scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD) -> np.ndarray:
    """F1 of each label: float64 [C], NaN without a positive."""
    return count_decisions(*check_scores(scores, targets), thresholds).f1()


def sensitivity(scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD) -> np.ndarray:
    """The share of each label's positives that is found, also called recall: float64 [C], NaN without a positive."""
    return count_decisions(*check_scores(scores, targets), thresholds).sensitivity()


def specificity(scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD) -> np.ndarray:
    """The share of each label's negatives below the threshold: float64 [C], NaN without a negative."""
    return count_decisions(*check_scores(scores, targets), thresholds).specificity()


def balanced_accuracy(scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD) -> np.ndarray:
    """The mean of sensitivity and specificity: float64 [C], NaN without a positive or without a negative."""
    return count_decisions(*check_scores(scores, targets), thresholds).balanced_accuracy()


def precision(scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD) -> np.ndarray:
    """The share of positives among what is decided: float64 [C], NaN without a positive, 0 where nothing is decided."""
    return count_decisions(*check_scores(scores, targets), thresholds).precision()


def best_f1_thresholds(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """The threshold of each label with the largest F1: float64 [C], 0.5 for a label without a positive.

    Choose them on the validation split, never on the split that is reported. Of equally good ones the highest.
    """
    return _best_thresholds(scores, targets, _f1)


def youden_thresholds(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """The threshold of each label with the largest sensitivity + specificity - 1: float64 [C].

    0.5 for a label without a positive or without a negative. Choose them on the validation split, never on the split
    that is reported. Of equally good ones the highest.
    Source: Youden 1950, "Index for rating diagnostic tests".
    """
    return _best_thresholds(scores, targets, _youden)


def check_thresholds(thresholds: ArrayLike, labels: int) -> np.ndarray:
    """The thresholds as float64 [C]. Raises: ValueError on another shape or a value that is not finite."""
    values = np.asarray(thresholds, dtype=np.float64)
    if values.shape not in {(), (labels,)}:
        raise ValueError(f"thresholds have shape {values.shape}, expected one number or ({labels},)")
    if not np.isfinite(values).all():
        raise ValueError(f"thresholds hold {values[~np.isfinite(values)][0]}, expected finite numbers")
    return np.broadcast_to(values, (labels,))


def _best_thresholds(scores: ArrayLike, targets: ArrayLike, gain: Callable[[PositiveRanks], np.ndarray]) -> np.ndarray:
    """The score of the positive at which the gain is largest; with none, or without a gain, 0.5.

    The maximum lies at a positive: moving below it only adds negatives until the next positive.
    """
    best = []
    for rank in rank_positives(scores, targets):
        gains = gain(rank)
        best.append(float(rank.scores[np.flatnonzero(gains == gains.max())[-1]]) if len(gains) else UNDEFINED_THRESHOLD)
    return np.array(best, dtype=np.float64)


def _f1(rank: PositiveRanks) -> np.ndarray:
    return 2 * rank.hits / (rank.hits + rank.false_alarms + len(rank.scores))


def _youden(rank: PositiveRanks) -> np.ndarray:
    """The index times positives times negatives: whole numbers, in which equally good ones are equal."""
    return (rank.hits * rank.negatives - rank.false_alarms * len(rank.scores))[: None if rank.negatives else 0]
