"""Confidence intervals of everything that a report holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.bootstrap import check_seeds, check_settings, draw
from mlgcn.metrics.groups import check_names, group_columns
from mlgcn.metrics.multilabel import MULTILABEL
from mlgcn.metrics.resampling import Resampling
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD
from mlgcn.metrics.weighted import WeightedModel, by_place, make_models, overall_metrics

Place = tuple[str, ...]
MICRO = ("microAP", "microAUC", "microF1", "microBACC", "microBrier", "microECE")
REPORTED = (
    *("mAP", "mAUC", "mF1", "mBACC", "mSensitivity", "mSpecificity", "mPrecision", "mBrier", "mECE"),
    *MICRO,
    *MULTILABEL,
)


def report_intervals(
    scores: ArrayLike,
    targets: ArrayLike,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    thresholds: ArrayLike = UNDEFINED_THRESHOLD,
    clusters: Any = None,
    resamples: int = 1000,
    seed: int = 0,
    method: str = "percentile",
    level: float = 0.95,
    metrics: Sequence[str] = REPORTED,
) -> dict[str, Any]:
    """[low, high] of what multilabel_report holds of the metrics, at the same place; None where no resample defines it.

    A label without a positive in a resample is left out of that resample's means. "undefined_resamples" holds, by
    label and metric, in how many resamples it was undefined, where in any; "settings" how the intervals were made.
    The calibration error of a resample tends to be larger than that of all images, as is the AP of a label with few
    positives, so that percentile intervals of the means lie higher than they should: shifted corrects for that, bca in
    part.

    Args:
        scores: [N, C], or [S, N, C] of several seeds of one model: metrics are averaged inside each resample.
        targets, names, groups: as in multilabel_report.
        thresholds: [C] or one for all; of several seeds also [S, C].
        clusters, resamples, seed, method, level: as in bootstrap.
        metrics: over the labels, as bootstrap names them; those of groups and labels come along.
    Raises: ValueError as bootstrap and multilabel_report do.
    """
    check_settings(resamples, level, method)
    seeds, targets = check_seeds(scores, targets)
    names = check_names(names, targets.shape[1])
    columns = group_columns(names, groups)
    resampling = Resampling([*seeds, targets], clusters)
    reader = Reader(make_models(seeds, targets, thresholds, resampling.order), metrics, names, columns)
    drawn = draw(resampling, reader, resamples, seed, method)
    low, high = drawn.interval(level, method, share=True)
    undefined = np.isnan(drawn.samples).sum(axis=0).tolist()
    return {
        **nest({place: pair(*ends) for place, *ends in zip(reader.places, low, high, strict=True)}),
        "undefined_resamples": nest(
            {
                place[1:]: count
                for place, count in zip(reader.places, undefined, strict=True)
                if place[0] == "per_label" and count
            }
        ),
        "settings": {
            "resamples": resamples,
            "seed": seed,
            "method": method,
            "level": level,
            "seeds": len(seeds),
            "clusters": resampling.clusters,
        },
    }


class Reader:
    """Reads every value of a report from the models that are the seeds of one, averaged over them.

    Attributes:
        places: where the K values stand.

    Args:
        metrics: over the labels.
        columns: of each group.
    Raises: ValueError on an unknown metric.
    """

    def __init__(
        self,
        models: Sequence[WeightedModel],
        metrics: Sequence[str],
        names: Sequence[str],
        columns: Mapping[str, Sequence[int]],
    ) -> None:
        self._models, self._arguments = models, (overall_metrics(metrics), names, columns)
        self.places: list[Place] = list(self._read(models[0], np.ones((len(models[0].scores), 1))))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Weights [N, R] -> values [K, R]."""
        return np.mean([np.stack(list(self._read(model, weights).values())) for model in self._models], axis=0)

    def _read(self, model: WeightedModel, weights: np.ndarray) -> dict[Place, np.ndarray]:
        return by_place(model.weigh(weights), *self._arguments)


def nest(values: Mapping[Place, Any]) -> dict[str, Any]:
    """Dictionaries in dictionaries, one level for each part of a place."""
    nested: dict[str, Any] = {}
    for (*path, last), value in values.items():
        level = nested
        for part in path:
            level = level.setdefault(part, {})
        level[last] = value
    return nested


def pair(low: float, high: float) -> list[float] | None:
    """Both ends as JSON has them, None where they are undefined."""
    return None if np.isnan(low) else [float(low), float(high)]
