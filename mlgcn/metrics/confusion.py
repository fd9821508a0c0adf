"""Which finding is taken for which other."""

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.means import nan_for_0
from mlgcn.metrics.ranking import check_scores
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD, decide


def label_confusion(
    scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often label j is called where only label i is, and where neither is: two rates and a number, each [C, C].

    Of the images that have i but not j, the share that counts as positive for j, float64; the same share of the images
    that have neither; and how many images have i but not j, int64. The difference of the two rates is what i adds to
    the false alarms of j. NaN on the diagonal and where no image tells.

    Args:
        scores, targets: [N, C], targets 0, 1 or NaN (unknown: left out).
        thresholds: from which score on an image counts as positive, [C] or one for all.
    Raises: ValueError as f1_score.
    """
    scores, targets = check_scores(scores, targets)
    present, absent = ((targets == value).astype(np.float64) for value in (1, 0))
    alarms = absent * decide(scores, thresholds)
    images = present.T @ absent
    with_it = (present.T @ alarms) / nan_for_0(images)
    without = (absent.T @ alarms) / nan_for_0(absent.T @ absent)
    for rate in (with_it, without):
        np.fill_diagonal(rate, np.nan)
    return with_it, without, images.astype(np.int64)
