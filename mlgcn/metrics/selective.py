"""Whether an uncertainty tells which predictions are wrong: risk by coverage, and the area under that curve.

The risk of an image and label is its squared error (score - target)², so that at full coverage the mean over labels is
the mBrier. Everywhere scores, targets and uncertainty are [N, C], targets 0, 1 or NaN (unknown: left out).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.calibration import squared_errors
from mlgcn.metrics.groups import check_names, group_columns
from mlgcn.metrics.means import mean_defined, nan_for_0, or_none
from mlgcn.metrics.ranking import check_scores

POINTS = 50


def risk_coverage(
    scores: ArrayLike, targets: ArrayLike, uncertainty: ArrayLike, points: int = POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Coverages 1/points to 1, float64 [points], and at each the risk of each label, [points, C], NaN if never known.

    Coverage c keeps the ceil(c n) of a label's n known images that are least uncertain; their mean risk counts. Of
    images that are equally uncertain each counts as their mean, which is what breaking ties at random gives on average.
    Source: El-Yaniv and Wiener 2010.
    Raises: ValueError as brier_score, on an uncertainty of another shape or not finite, and unless points >= 1.
    """
    if points < 1:
        raise ValueError(f"points must be >= 1, got {points}")
    running, known = _running_risk(scores, targets, uncertainty)
    kept = -(-np.arange(1, points + 1)[:, None] * known // points)  # [points, C]
    risk = np.take_along_axis(running, np.maximum(kept, 1) - 1, axis=0) if len(running) else np.zeros(kept.shape)
    return np.arange(1, points + 1) / points, np.where(known > 0, risk, np.nan)


def area_under_risk(scores: ArrayLike, targets: ArrayLike, uncertainty: ArrayLike) -> np.ndarray:
    """The mean of the risk over coverages 1/n, 2/n, ..., 1 (AURC): float64 [C], NaN for a label that is never known.

    0 at best. An uncertainty that says nothing gives the label's Brier score; the risk itself, as an oracle knows it,
    the least that is possible.
    Source: Geifman, Uziel and El-Yaniv 2019. Ties and errors as in risk_coverage.
    """
    running, known = _running_risk(scores, targets, uncertainty)
    counted = np.arange(len(running))[:, None] < known
    return np.where(counted, running, 0).sum(axis=0) / nan_for_0(known)


def selective_report(
    scores: ArrayLike,
    targets: ArrayLike,
    spreads: ArrayLike,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """How well each uncertainty tells the errors, ready for JSON; None stands for undefined.

    "AURC" has the area under the risk-coverage curve, "groups" the same by group and "per_label" by label, "curves" the
    points of the curves beside "coverage", all means over labels. Each by kind: "disagreement", the spread of the
    experts; "probability", p (1 - p), which needs no experts; "oracle", the squared error itself, the least that there
    can be; "random", no order at all, the Brier score.

    Args:
        spreads: standard deviation over experts of each probability, [N, C].
        names, groups: as in multilabel_report.
    Raises: ValueError as risk_coverage and multilabel_report.
    """
    scores, targets = check_scores(scores, targets)
    names = check_names(names, scores.shape[1])
    columns = group_columns(names, groups)
    kinds = {
        "disagreement": spreads,
        "probability": scores.astype(np.float64) * (1 - scores.astype(np.float64)),
        "oracle": np.nan_to_num(squared_errors(scores, targets)),
        "random": np.zeros(scores.shape),
    }
    areas = {kind: area_under_risk(scores, targets, of) for kind, of in kinds.items()}
    curves = {kind: risk_coverage(scores, targets, of) for kind, of in kinds.items()}

    def means(held: Sequence[int]) -> dict[str, float | None]:
        return {kind: or_none(mean_defined(area[list(held)])) for kind, area in areas.items()}

    return {
        "risk": "squared error",
        "labels": int((~np.isnan(areas["random"])).sum()),
        "AURC": means(range(len(names))),
        "groups": {group: means(held) for group, held in columns.items()},
        "per_label": {name: means([column]) for column, name in enumerate(names)},
        "coverage": curves["random"][0].tolist(),
        "curves": {kind: list(map(or_none, mean_defined(risk, axis=1))) for kind, (_, risk) in curves.items()},
    }


def _running_risk(scores: ArrayLike, targets: ArrayLike, uncertainty: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The mean risk of each label's k least uncertain images in row k - 1, [N, C]; and how many are known, int64 [C].

    Rows beyond the known images mean nothing.
    """
    scores, targets = check_scores(scores, targets)
    order, risk = np.asarray(uncertainty, dtype=np.float64), squared_errors(scores, targets)
    if order.shape != risk.shape:
        raise ValueError(f"uncertainty has shape {order.shape}, expected that of the scores {risk.shape}")
    if not np.isfinite(order).all():
        row, column = np.argwhere(~np.isfinite(order))[0]
        raise ValueError(f"uncertainty[{row}, {column}] (row, column) is {order[row, column]}, expected a number")
    order = np.where(np.isnan(risk), np.inf, order)  # the unknown to the end
    places = np.argsort(order, axis=0, kind="stable")
    order = np.take_along_axis(order, places, axis=0)
    risk = np.nan_to_num(np.take_along_axis(risk, places, axis=0))
    # Every run of equal uncertainties, column by column, has a number of its own.
    starts = np.ones(order.shape, dtype=bool)
    starts[1:] = order[1:] != order[:-1]
    tied = np.cumsum(starts.T).reshape(starts.T.shape).T - 1
    sums, sizes = (np.bincount(tied.ravel(), weights) for weights in (risk.ravel(), None))
    means = (sums / np.maximum(sizes, 1))[tied]
    running = np.cumsum(means, axis=0) / np.arange(1, len(means) + 1)[:, None]
    return running, (~np.isnan(targets)).sum(axis=0)
