"""Confidence intervals of metrics from resampled images or patients."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from mlgcn.metrics.calibration import brier_score, expected_calibration_error
from mlgcn.metrics.ranking import average_precision, check_scores, roc_auc
from mlgcn.metrics.resampling import Resampling
from mlgcn.metrics.thresholded import (
    UNDEFINED_THRESHOLD,
    balanced_accuracy,
    f1_score,
    precision,
    sensitivity,
    specificity,
)
from mlgcn.metrics.weighted import WeightedModel, check_metrics, make_models
from mlgcn.suggestions import check_known

Metric = Callable[[np.ndarray, np.ndarray], Any]
METHODS = ("percentile", "shifted", "bca")
# The functions whose resamples need no repeated rows.
NAMED: dict[Any, str] = {
    average_precision: "AP",
    roc_auc: "AUC",
    f1_score: "F1",
    balanced_accuracy: "BACC",
    sensitivity: "sensitivity",
    specificity: "specificity",
    precision: "precision",
    brier_score: "Brier",
    expected_calibration_error: "ECE",
}


@dataclass(frozen=True)
class Bootstrap:
    """A metric with its interval; each a number, or an array of the metric's shape.

    Attributes:
        estimate: the metric of all images.
        low, high: ends of the interval, NaN where no resample defines the metric.
        samples: the metric of every resample, [resamples, ...]; NaN where undefined, and then left out of the interval.
        undefined: resamples that leave it undefined.
        level, method: of the interval.
        clusters: how many images or clusters were drawn from.
    """

    estimate: Any
    low: Any
    high: Any
    samples: np.ndarray
    undefined: Any
    level: float
    method: str
    clusters: int


@dataclass(frozen=True)
class Drawn:
    """K values of all images [K], of every resample [R, K], and for BCa of the jackknife's parts [J, K]."""

    estimate: np.ndarray
    samples: np.ndarray
    left_out: np.ndarray | None

    def interval(self, level: float, method: str, share: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Both ends [K]: quantiles of the defined resamples, shifted by twice their bias, or for BCa at other shares.

        What a mean over labels gains in a resample, whose images repeat, all labels gain together, while their noise
        cancels: of a mean average precision the bias can be as large as the spread. A resample adds to the estimate
        what the estimate has itself over the truth, so that the interval has to move by both.

        Args:
            share: whether the values lie between 0 and 1, so that the ends do too.
        Source: Efron 1987, "Better bootstrap confidence intervals", for BCa; with normal resamples of one width the
        shift is its correction of bias, without its need of resamples far out in the tail.
        """
        ends = np.full((2, len(self.estimate)), np.nan)
        for k, estimate in enumerate(self.estimate):
            values = self.samples[~np.isnan(self.samples[:, k]), k]
            if len(values) and not np.isnan(estimate):
                shares = np.array([(1 - level) / 2, (1 + level) / 2])
                if self.left_out is not None and method == "bca":
                    shares = _corrected(shares, values, estimate, self.left_out[:, k])
                ends[:, k] = np.quantile(values, shares)
                if method == "shifted":
                    ends[:, k] -= 2 * (values.mean() - estimate)
        low, high = np.clip(ends, 0, 1) if share else ends
        return low, high


def bootstrap(
    metric: str | Metric,
    scores: ArrayLike,
    targets: ArrayLike,
    clusters: Any = None,
    resamples: int = 1000,
    seed: int = 0,
    *,
    level: float = 0.95,
    method: str = "percentile",
    thresholds: ArrayLike = UNDEFINED_THRESHOLD,
) -> Bootstrap:
    """A metric with its confidence interval over resamples of the images, or of clusters of them.

    Args:
        metric: a name (AP, AUC, F1, BACC, sensitivity, specificity, precision, Brier, ECE of every label; mAP and so
            on for their means, microAP and so on for the pooled labels; OP, OR, OF1, CP, CR, CF1), the function of
            this room that gives the same, or any function of (scores [N, C], targets [N, C]), which gets the rows of a
            resample as often as they are drawn: much slower.
        scores: [N, C], or [S, N, C] of several seeds of one model: the metric is averaged inside each resample.
        targets: [N, C] of 0, 1 or NaN.
        clusters: [N], which images are drawn together: of one patient or study. Without, each on its own.
        method: percentile; shifted, the same without the bias of the resamples, for means of AP above all; or bca
            (bias-corrected and accelerated).
        thresholds: of the named metrics that decide: [C] or one for all; of several seeds also [S, C].
    Raises: ValueError on wrong scores, targets, thresholds, clusters, unknown names, fewer than two clusters.
    """
    check_settings(resamples, level, method)
    seeds, targets = check_seeds(scores, targets)
    resampling = Resampling([*seeds, targets], clusters)
    shape: tuple[int, ...]
    if isinstance(metric, str) or metric in NAMED:
        name = metric if isinstance(metric, str) else NAMED[metric]
        check_metrics([name])
        models = make_models(seeds, targets, thresholds, resampling.order)
        shape = np.shape(models[0].weigh(resampling.everything()).value(name))[:-1]
        drawn = draw(resampling, lambda weights: _named(models, name, weights), resamples, seed, method)
    else:
        ordered, truth = [part[resampling.order] for part in seeds], targets[resampling.order]
        shape = np.shape(metric(ordered[0], truth))
        drawn = draw(resampling, lambda weights: _called(metric, ordered, truth, weights), resamples, seed, method)
    low, high = drawn.interval(level, method, share=isinstance(metric, str) or metric in NAMED)
    return Bootstrap(
        estimate=drawn.estimate.reshape(shape)[()],
        low=low.reshape(shape)[()],
        high=high.reshape(shape)[()],
        samples=drawn.samples.reshape(resamples, *shape),
        undefined=np.isnan(drawn.samples).sum(axis=0).reshape(shape)[()],
        level=level,
        method=method,
        clusters=resampling.clusters,
    )


def draw(
    resampling: Resampling, read: Callable[[np.ndarray], np.ndarray], resamples: int, seed: int, method: str
) -> Drawn:
    """What read, from weights [N, R] in the resampling's order to values [K, R], gives for all images and resamples."""
    return Drawn(
        read(resampling.everything())[:, 0],
        _collect(read, resampling.draws(resamples, seed)),
        _collect(read, resampling.left_out(seed)) if method == "bca" else None,
    )


def check_settings(resamples: int, level: float, method: str) -> None:
    """Raises ValueError unless there is a resample, 0 < level < 1 and the method is known."""
    if resamples < 1:
        raise ValueError(f"resamples must be >= 1, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    check_known(METHODS, [method], "method")


def check_seeds(scores: ArrayLike, targets: ArrayLike) -> tuple[list[np.ndarray], np.ndarray]:
    """The scores of each seed, [N, C] each, from [N, C] or [S, N, C], and the targets.

    Raises: ValueError as average_precision does, and on another shape.
    """
    array = np.asarray(scores)
    if array.ndim not in (2, 3) or not len(array):
        raise ValueError(f"scores have shape {array.shape}, expected [N, C] or [seeds, N, C], not empty")
    checked = [check_scores(part, targets) for part in (array if array.ndim == 3 else [array])]
    return [part for part, _ in checked], checked[0][1]


def _collect(read: Callable[[np.ndarray], np.ndarray], blocks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate([read(weights) for weights in blocks], axis=1).T


def _named(models: list[WeightedModel], name: str, weights: np.ndarray) -> np.ndarray:
    """[K, R], averaged over the seeds."""
    values = np.mean([model.weigh(weights).value(name) for model in models], axis=0)
    return values.reshape(-1, weights.shape[1])


def _called(metric: Metric, seeds: list[np.ndarray], targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[K, R] of any function, averaged over the seeds."""
    columns = []
    for counts in weights.T.astype(np.int64):
        rows = np.repeat(np.arange(len(counts)), counts)
        values = [np.asarray(metric(scores[rows], targets[rows]), dtype=np.float64) for scores in seeds]
        columns.append(np.mean(values, axis=0).ravel())
    return np.stack(columns, axis=1)


def _corrected(shares: np.ndarray, values: np.ndarray, estimate: float, left_out: np.ndarray) -> np.ndarray:
    """At which shares of the resamples the ends lie, so that bias and skewness are made up for."""
    below = np.mean(values < estimate) + np.mean(values == estimate) / 2
    half = 0.5 / len(values)  # with no resample on one side the bias would be infinite
    bias = ndtri(np.clip(below, half, 1 - half))
    left_out = left_out[~np.isnan(left_out)]
    influence = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = (influence**2).sum() ** 1.5
    skewness = (influence**3).sum() / (6 * spread) if spread > 0 else 0.0
    moved = bias + ndtri(shares)
    return ndtr(bias + moved / (1 - skewness * moved))
