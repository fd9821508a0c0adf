"""Whether probabilities can be taken at their word: Brier score, calibration error, reliability curves.

Everywhere scores and targets are [N, C], targets 0, 1 or NaN (unknown: left out); errors are those of
average_precision, and ValueError on scores outside [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.means import nan_for_0
from mlgcn.metrics.ranking import check_probabilities, check_scores

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Sums over the images in bins of equal width of the score, as (a, b], the first with 0 in it: float64 [C, bins].

    Under several weights the arrays are [C, bins, R].

    Attributes:
        images: how many.
        scores: the sum of their scores.
        positives: how many of them are positive.
    """

    images: np.ndarray
    scores: np.ndarray
    positives: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The mean score of each bin, NaN where it is empty."""
        return self.scores / nan_for_0(self.images)

    @property
    def observed(self) -> np.ndarray:
        """The share of positives in each bin, NaN where it is empty."""
        return self.positives / nan_for_0(self.images)

    def error(self) -> np.ndarray:
        """Expected calibration error of each label: |predicted - observed| averaged over images, NaN without any."""
        images = self.images.sum(axis=1)
        return np.abs(self.scores - self.positives).sum(axis=1) / nan_for_0(images)

    def pooled(self) -> "Reliability":
        """That of all labels together, as if they were one: [1, bins]."""
        return Reliability(*(part.sum(axis=0)[None] for part in (self.images, self.scores, self.positives)))


def brier_score(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """Mean squared difference of score and target: float64 [C], 0 at best, NaN for a label that is never known.

    Source: Brier 1950, for two classes halved as is usual.
    """
    errors = squared_errors(*check_scores(scores, targets))
    known = (~np.isnan(errors)).sum(axis=0)
    return np.nansum(errors, axis=0) / nan_for_0(known)


def expected_calibration_error(scores: ArrayLike, targets: ArrayLike, bins: int = BINS) -> np.ndarray:
    """The mean distance of score and share of positives over bins: float64 [C], NaN for a label that is never known.

    Source: Naeini et al. 2015; of a label's probability, not of the larger of both classes'.
    """
    return reliability_curves(scores, targets, bins).error()


def reliability_curves(scores: ArrayLike, targets: ArrayLike, bins: int = BINS) -> Reliability:
    """Sums by label and bin, [C, bins], from which the curve of each label is drawn.

    The bins are those of scikit-learn's calibration_curve. Raises: also ValueError unless bins >= 1.
    """
    scores, targets = check_scores(scores, targets)
    cells, known = bin_cells(scores, targets, bins), ~np.isnan(targets)
    shape = (scores.shape[1], bins)
    sums = [None, scores[known].astype(np.float64), targets[known]]
    return Reliability(
        *(np.bincount(cells, weights, minlength=shape[0] * bins).reshape(shape).astype(np.float64) for weights in sums)
    )


def bin_cells(scores: np.ndarray, targets: np.ndarray, bins: int) -> np.ndarray:
    """Of every known target, row by row, label * bins + bin: int64 [known].

    Raises: ValueError on scores outside [0, 1] or unless bins >= 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be >= 1, got {bins}")
    check_probabilities(scores)
    _, labels = np.nonzero(~np.isnan(targets))
    # In double precision, as the edges are.
    values, cells = scores[~np.isnan(targets)].astype(np.float64), labels * bins
    for edge in np.linspace(0, 1, bins + 1)[1:-1]:  # a few comparisons are faster than a search
        cells += values > edge
    return cells


def squared_errors(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(score - target)²: float64 [N, C], NaN where the target is unknown. Raises: ValueError as above."""
    check_probabilities(scores)
    return (scores.astype(np.float64) - targets) ** 2
