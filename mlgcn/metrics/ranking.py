"""Metrics of the order of the scores: average precision, the area under the ROC curve, points on both curves."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


def average_precision(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """Average precision of each label: float64 [C], NaN for a label without a positive.

    The step-wise sum over the distinct scores, as in scikit-learn: tied images count together, nothing is interpolated.
    Shapes: scores and targets [N, C]; targets are 0, 1 or NaN (unknown: the image is left out for that label).
    Raises: ValueError on other shapes, scores that are not finite, other target values.
    """
    return np.array([rank.average_precision() for rank in rank_positives(scores, targets)])


def roc_auc(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """Area under the ROC curve of each label: float64 [C], NaN for a label without a positive or without a negative.

    The probability that a positive scores higher than a negative, a tie counting half (Hanley and McNeil 1982).
    Shapes, unknown targets and errors as in average_precision.
    """
    return np.array([rank.roc_auc() for rank in rank_positives(scores, targets)])


def precision_at_recall(scores: ArrayLike, targets: ArrayLike, recall: float) -> np.ndarray:
    """The largest precision of each label at thresholds that reach the recall: float64 [C], NaN without a positive.

    Shapes, unknown targets and errors as in average_precision; ValueError unless 0 < recall <= 1.
    """
    _check_share("recall", recall)
    return np.array([rank.precision_at_recall(recall) for rank in rank_positives(scores, targets)])


def recall_at_precision(scores: ArrayLike, targets: ArrayLike, precision: float) -> np.ndarray:
    """The largest recall of each label at thresholds that reach the precision: float64 [C], NaN without a positive.

    0 where no threshold reaches it. Shapes, unknown targets and errors as in average_precision; ValueError unless
    0 < precision <= 1.
    """
    _check_share("precision", precision)
    return np.array([rank.recall_at_precision(precision) for rank in rank_positives(scores, targets)])


@dataclass(frozen=True)
class PositiveRanks:
    """Where the positives of one label stand among its images; every metric here needs no more than this.

    Attributes, one entry for each positive, from the lowest score to the highest:
        scores: its score.
        hits: positives that score at least as high, itself included.
        false_alarms: negatives that score at least as high.
        outranked: negatives that score higher.
    """

    scores: np.ndarray
    hits: np.ndarray
    false_alarms: np.ndarray
    outranked: np.ndarray
    negatives: int

    def average_precision(self) -> float:
        """The mean over the positives of the precision at their score, NaN without a positive."""
        return float(np.mean(self.precision)) if len(self.scores) else np.nan

    def roc_auc(self) -> float:
        """The share of pairs in the right order, NaN without a positive or a negative."""
        if not len(self.scores) or not self.negatives:
            return np.nan
        return float(1 - np.mean(self.false_alarms + self.outranked) / (2 * self.negatives))

    def precision_at_recall(self, recall: float) -> float:
        """The largest precision where that share of the positives is found, NaN without a positive."""
        if not len(self.scores):
            return np.nan
        return float(self.precision[self.hits / len(self.scores) >= recall].max())

    def recall_at_precision(self, precision: float) -> float:
        """The largest share of the positives found at that precision: 0 if never reached, NaN without a positive."""
        if not len(self.scores):
            return np.nan
        return float(self.hits[self.precision >= precision].max(initial=0) / len(self.scores))

    @property
    def precision(self) -> np.ndarray:
        """The precision of a threshold at each positive's score."""
        return self.hits / (self.hits + self.false_alarms)


def rank_positives(scores: ArrayLike, targets: ArrayLike) -> Iterator[PositiveRanks]:
    """The ranks of each label's positives, label by label.

    Sorting values and looking the positives up is several times faster than sorting indices, the more so the rarer
    the label. Shapes, unknown targets and errors as in average_precision.
    """
    scores, targets = check_scores(scores, targets)
    for column, target in zip(np.ascontiguousarray(scores.T), np.ascontiguousarray(targets.T), strict=True):
        positives, negatives = np.sort(column[target == 1]), np.sort(column[target == 0])
        yield PositiveRanks(
            scores=positives,
            hits=len(positives) - np.searchsorted(positives, positives, side="left"),
            false_alarms=len(negatives) - np.searchsorted(negatives, positives, side="left"),
            outranked=len(negatives) - np.searchsorted(negatives, positives, side="right"),
            negatives=len(negatives),
        )


def check_scores(scores: ArrayLike, targets: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as float arrays [N, C]; single precision stays, because other rounding would make other ties.

    Raises: ValueError that names the row and the column of the first wrong value.
    """
    scores, targets = _floating(scores, "scores"), _floating(targets, "targets")
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ValueError(f"scores have shape {scores.shape} and targets {targets.shape}, expected the same [N, C]")
    _refuse(~np.isfinite(scores), scores, "scores", "a finite number")
    _refuse(~((targets == 0) | (targets == 1) | np.isnan(targets)), targets, "targets", "0, 1 or NaN")
    return scores, targets


def check_probabilities(scores: np.ndarray) -> None:
    """Raises ValueError that names the row and the column of the first score outside [0, 1]."""
    _refuse(~((scores >= 0) & (scores <= 1)), scores, "scores", "a probability in [0, 1]")


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be > 0 and <= 1, got {value}")


def _floating(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiubO":
        raise ValueError(f"{name} are of type {array.dtype}, expected numbers")
    return array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64, copy=False)


def _refuse(wrong: np.ndarray, values: np.ndarray, name: str, expected: str) -> None:
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"{name}[{row}, {column}] (row, column) is {values[row, column]}, expected {expected}")
