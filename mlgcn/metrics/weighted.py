"""The metrics of one model when every image counts a whole number of times, for many such weightings at once.

A bootstrap asks for nothing else: a resample is the number of times that it holds each image. Scores are sorted once;
each weighting then costs sums over segments of images between the scores of positives.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from mlgcn.metrics.calibration import BINS, Reliability, bin_cells, squared_errors
from mlgcn.metrics.means import mean_defined, nan_for_0
from mlgcn.metrics.multilabel import MULTILABEL, overall_and_per_class
from mlgcn.metrics.ranking import check_scores
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD, Counts, check_thresholds, decide
from mlgcn.suggestions import check_known

# Up to here single precision holds every whole number, so that sums of weights are exact.
EXACT = 2**24


class WeightedModel:
    """Scores and targets of one model, made ready to be weighed.

    Args:
        scores, targets, thresholds: as in f1_score.
    Raises: ValueError as f1_score does.
    """

    def __init__(self, scores: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = UNDEFINED_THRESHOLD) -> None:
        self.scores, self.targets = check_scores(scores, targets)
        self.thresholds = check_thresholds(thresholds, self.scores.shape[1])

    def weigh(self, weights: ArrayLike) -> "Weighing":
        """The metrics under R weightings: weights [N, R], whole numbers >= 0.

        Raises: ValueError on another number of images, or weights that are negative or no whole numbers.
        """
        weights = np.asarray(weights)
        if weights.ndim != 2 or len(weights) != len(self.scores):
            raise ValueError(f"weights have shape {weights.shape}, expected ({len(self.scores)} images, weightings)")
        if not ((weights >= 0) & (weights == np.floor(weights))).all():
            raise ValueError("weights are numbers of times, expected whole numbers >= 0")
        return Weighing(self, weights)

    @cached_property
    def ranks(self) -> list["WeightedRanks"]:
        """One for each label."""
        rows = np.arange(len(self.scores))
        return [WeightedRanks(*column, rows, len(rows)) for column in zip(self.scores.T, self.targets.T, strict=True)]

    @cached_property
    def pooled_ranks(self) -> "WeightedRanks":
        """All labels as if they were one."""
        rows = np.repeat(np.arange(len(self.scores)), self.scores.shape[1])
        return WeightedRanks(self.scores.ravel(), self.targets.ravel(), rows, len(self.scores))

    @cached_property
    def indicators(self) -> np.ndarray:
        """float32 [4 C, N]: which images are hits, decided as positive, positive, known."""
        decided, positive, known = decide(self.scores, self.thresholds), self.targets == 1, ~np.isnan(self.targets)
        parts = (decided & positive, decided & known, positive, known)
        return np.concatenate(parts, axis=1).T.astype(np.float32)

    @cached_property
    def errors(self) -> np.ndarray:
        """float64 [C, N]: squared errors, 0 where the target is unknown."""
        return np.nan_to_num(squared_errors(self.scores, self.targets).T)

    @cached_property
    def bins(self) -> tuple[csr_array, csr_array, csr_array]:
        """float64 [C * bins, N]: for each label and bin 1, the score and the target of the images in it."""
        known = ~np.isnan(self.targets)
        cells, (images, _) = bin_cells(self.scores, self.targets, BINS), np.nonzero(known)
        shape = (self.scores.shape[1] * BINS, len(self.scores))
        values = (np.ones(len(cells)), self.scores[known].astype(np.float64), self.targets[known].astype(np.float64))
        ones, scores, targets = (csr_array((value, (cells, images)), shape=shape) for value in values)
        return ones, scores, targets


class WeightedRanks:
    """Average precision and AUC of one label under weights.

    Of all thresholds only the scores of positives matter: a segment is the images from one of them up to the next.

    Args:
        scores, targets: [n], of the images numbered in rows [n], which may repeat.
        images: how many images the weights are of.
    """

    def __init__(self, scores: np.ndarray, targets: np.ndarray, rows: np.ndarray, images: int) -> None:
        thresholds = np.unique(scores[targets == 1])
        # Segment 0 begins at the highest threshold; what lies below all of them comes last.
        segment = len(thresholds) - np.searchsorted(thresholds, scores, side="right")
        tied = (targets == 0) & np.isin(scores, thresholds)
        self.positives, self.negatives, self.ties = (
            _sums(segment[part], rows[part], len(thresholds) + 1, images) for part in (targets == 1, targets == 0, tied)
        )

    def weigh(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average precision and AUC under each weighting: weights [N, R] -> both float64 [R], NaN where undefined."""
        hits, alarms = self.positives @ weights, np.cumsum(self.negatives @ weights, axis=0)
        found = np.cumsum(hits, axis=0)
        positives, negatives = (nan_for_0(part[-1].astype(np.float64)) for part in (found, alarms))
        hits, alarms = hits.astype(np.float64), alarms.astype(np.float64)
        precision = np.divide(found, found + alarms, out=np.zeros(hits.shape), where=hits > 0)
        average = np.einsum("kr,kr->r", hits, precision) / positives
        ahead = np.einsum("kr,kr->r", hits, alarms)
        if self.ties.nnz:
            ahead -= np.einsum("kr,kr->r", hits, self.ties @ weights) / 2
        return average, 1 - ahead / positives / negatives


class Weighing:
    """The metrics of a model under R weightings, each worked out when it is first asked for."""

    def __init__(self, model: WeightedModel, weights: np.ndarray) -> None:
        largest = weights.sum(axis=0, dtype=np.float64).max(initial=0) * max(model.scores.shape[1], 1)
        self.model = model
        self.weights = weights.astype(np.float32 if largest < EXACT else np.float64, copy=False)

    def value(self, metric: str) -> np.ndarray:
        """A metric by name (check_metrics): [C, R] of a label's metric, else [R]; NaN where undefined."""
        if metric in LABEL_METRICS:
            return LABEL_METRICS[metric](self)
        if metric in MACRO:
            return mean_defined(self.value(MACRO[metric]))
        return MICRO[metric](self) if metric in MICRO else self.multilabel[metric]

    @cached_property
    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """AP and AUC of every label, both [C, R]."""
        pairs = [rank.weigh(self.weights) for rank in self.model.ranks]
        both = np.array(pairs).reshape(len(pairs), 2, self.weights.shape[1])
        return both[:, 0], both[:, 1]

    @cached_property
    def pooled_ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """AP and AUC of all labels pooled, both [R]."""
        return self.model.pooled_ranks.weigh(self.weights)

    @cached_property
    def counts(self) -> Counts:
        """Of every label, [C, R]."""
        sums = self.model.indicators.astype(self.weights.dtype, copy=False) @ self.weights
        return Counts(*sums.astype(np.float64).reshape(4, -1, self.weights.shape[1]))

    @cached_property
    def squared(self) -> np.ndarray:
        """Sums of squared errors, [C, R]."""
        return self.model.errors @ self.weights.astype(np.float64)

    @cached_property
    def reliability(self) -> Reliability:
        """Sums by label and bin, [C, bins, R]."""
        weights = self.weights.astype(np.float64)
        return Reliability(*((part @ weights).reshape(-1, BINS, weights.shape[1]) for part in self.model.bins))

    @cached_property
    def multilabel(self) -> dict[str, np.ndarray]:
        """OP, OR, OF1, CP, CR and CF1, each [R]."""
        return overall_and_per_class(self.counts)


def make_models(
    seeds: Sequence[np.ndarray], targets: np.ndarray, thresholds: ArrayLike, order: np.ndarray
) -> list[WeightedModel]:
    """One for each seed, its rows in the order given; thresholds are the same for all, or [S, C]."""
    values = np.asarray(thresholds, dtype=np.float64)
    by_seed = values if values.ndim == 2 else [values] * len(seeds)
    if len(by_seed) != len(seeds):
        raise ValueError(f"thresholds have shape {values.shape}, expected a row for each of {len(seeds)} seeds")
    return [
        WeightedModel(scores[order], targets[order], threshold)
        for scores, threshold in zip(seeds, by_seed, strict=True)
    ]


LABEL_METRICS: dict[str, Callable[[Weighing], np.ndarray]] = {
    "AP": lambda weighing: weighing.ranked[0],
    "AUC": lambda weighing: weighing.ranked[1],
    "F1": lambda weighing: weighing.counts.f1(),
    "BACC": lambda weighing: weighing.counts.balanced_accuracy(),
    "sensitivity": lambda weighing: weighing.counts.sensitivity(),
    "specificity": lambda weighing: weighing.counts.specificity(),
    "precision": lambda weighing: weighing.counts.precision(),
    "Brier": lambda weighing: weighing.squared / nan_for_0(weighing.counts.known),
    "ECE": lambda weighing: weighing.reliability.error(),
}
# By the name of the mean over labels, or over their pooled images, that of the label's metric.
MACRO = {f"m{name[0].upper()}{name[1:]}": name for name in LABEL_METRICS}
MICRO_NAMES = {f"micro{name[0].upper()}{name[1:]}": name for name in LABEL_METRICS}
MICRO: dict[str, Callable[[Weighing], np.ndarray]] = {
    "microAP": lambda weighing: weighing.pooled_ranked[0],
    "microAUC": lambda weighing: weighing.pooled_ranked[1],
    "microF1": lambda weighing: weighing.counts.pooled().f1(),
    "microBACC": lambda weighing: weighing.counts.pooled().balanced_accuracy(),
    "microSensitivity": lambda weighing: weighing.counts.pooled().sensitivity(),
    "microSpecificity": lambda weighing: weighing.counts.pooled().specificity(),
    "microPrecision": lambda weighing: weighing.counts.pooled().precision(),
    "microBrier": lambda weighing: weighing.squared.sum(axis=0) / nan_for_0(weighing.counts.pooled().known),
    "microECE": lambda weighing: weighing.reliability.pooled().error()[0],
}


def check_metrics(metrics: Iterable[str]) -> None:
    """Raises ValueError at the first name that is no metric: AP, mAP, microAP and so on, OP, OR, OF1, CP, CR, CF1."""
    check_known([*LABEL_METRICS, *MACRO, *MICRO, *MULTILABEL], metrics, "metric")


def overall_metrics(metrics: Sequence[str]) -> list[str]:
    """The same names in order, once each. Raises: ValueError on a name that is no metric over the labels."""
    check_known([*MACRO, *MICRO, *MULTILABEL], metrics, "metric over the labels")
    return list(dict.fromkeys(metrics))


def by_place(
    weighing: Weighing, metrics: Iterable[str], names: Sequence[str], columns: Mapping[str, Sequence[int]]
) -> dict[tuple[str, ...], np.ndarray]:
    """Values [R] by where they stand in a report; of a mean over labels also those of the groups and of the labels.

    Args:
        metrics: as overall_metrics returns them.
        names: of the labels.
        columns: of each group.
    """
    values: dict[tuple[str, ...], np.ndarray] = {}
    for metric in metrics:
        value = weighing.value(metric)
        if metric not in MACRO:
            values["multilabel" if metric in MULTILABEL else "micro", MICRO_NAMES.get(metric, metric)] = value
            continue
        values[(metric,)] = value
        labels = weighing.value(MACRO[metric])
        values |= {("groups", group, metric): mean_defined(labels[members]) for group, members in columns.items()}
        values |= {("per_label", name, MACRO[metric]): labels[column] for column, name in enumerate(names)}
    return values


def _sums(segments: np.ndarray, rows: np.ndarray, count: int, images: int) -> csr_array:
    """float32 [count, images]: multiplied with weights, the sum over each segment's images."""
    return csr_array((np.ones(len(rows), dtype=np.float32), (segments, rows)), shape=(count, images))
