"""Whether one model is better than another on the same images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.metrics.bootstrap import check_seeds, check_settings, draw
from mlgcn.metrics.groups import check_names, group_columns
from mlgcn.metrics.intervals import Place, Reader, nest
from mlgcn.metrics.means import or_none
from mlgcn.metrics.resampling import Resampling
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD
from mlgcn.metrics.weighted import make_models


def paired_differences(
    metrics: Sequence[str],
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    targets: ArrayLike,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    clusters: Any = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    *,
    method: str = "percentile",
    thresholds_a: ArrayLike = UNDEFINED_THRESHOLD,
    thresholds_b: ArrayLike = UNDEFINED_THRESHOLD,
) -> dict[str, Any]:
    """What model a has more than model b, by metric, for groups and labels too, with both in the same resamples.

    Each entry holds a, b, delta = a - b, the interval's low and high, p, p_holm and undefined_resamples; all but the
    last are None where the metric is undefined. p is two-sided, from the share of resamples on the other side of 0, see
    two_sided_p; it is at least 2 / (R + 1), and 1 for a model and itself. p_holm is corrected for the number of labels
    of one metric, and, apart from them, for that of its groups (Holm 1979); an overall number is one comparison, so
    that its p_holm is its p. Of a model against several others, correct_together corrects for them too.

    Args:
        metrics: over the labels: mAP and so on, which come with groups and labels, microAP and so on, OP ... CF1.
        scores_a, scores_b: [N, C], or [S, N, C] of several seeds, which may be of another number for each side: a
            metric is averaged over the seeds inside each resample.
        targets: [N, C] of 0, 1 or NaN.
        names, groups: of the labels, as in multilabel_report.
        clusters, resamples, seed, level, method: as in bootstrap.
        thresholds_a, thresholds_b: [C], one for all, or [S, C].
    Returns: {"mAP": entry, "micro": {"AP": entry}, "multilabel": {"CF1": entry}, "groups": {group: {"mAP": entry}},
        "per_label": {label: {"AP": entry}}, "settings": ...}, ready for JSON.
    Raises: ValueError as bootstrap does, and if the models were not given the same images and labels.
    """
    check_settings(resamples, level, method)
    (seeds_a, truth), (seeds_b, _) = check_seeds(scores_a, targets), check_seeds(scores_b, targets)
    names = check_names(names, truth.shape[1])
    columns = group_columns(names, groups)
    resampling = Resampling([*seeds_a, *seeds_b, truth], clusters)
    read_a, read_b = (
        Reader(make_models(seeds, truth, thresholds, resampling.order), metrics, names, columns)
        for seeds, thresholds in ((seeds_a, thresholds_a), (seeds_b, thresholds_b))
    )
    drawn = draw(resampling, lambda weights: read_a(weights) - read_b(weights), resamples, seed, method)
    p = np.array([two_sided_p(column) for column in drawn.samples.T])
    values = {
        "a": read_a(resampling.everything())[:, 0],
        "b": read_b(resampling.everything())[:, 0],
        "delta": drawn.estimate,
        **dict(zip(("low", "high"), drawn.interval(level, method), strict=True)),
        "p": np.where(np.isnan(drawn.estimate), np.nan, p),
    }
    undefined = np.isnan(drawn.samples).sum(axis=0)
    entries = {
        place: {
            **{key: or_none(value[k]) for key, value in values.items()},
            "p_holm": None,
            "undefined_resamples": int(undefined[k]),
        }
        for k, place in enumerate(read_a.places)
    }
    comparison = nest(entries) | {
        "settings": {
            "resamples": resamples,
            "seed": seed,
            "method": method,
            "level": level,
            "seeds": [len(seeds_a), len(seeds_b)],
            "clusters": resampling.clusters,
        }
    }
    correct_together([comparison])
    return comparison


def correct_together(comparisons: Sequence[Mapping[str, Any]]) -> None:
    """Sets p_holm of comparisons that belong together, such as those of one model with several others.

    Those of one metric are corrected for their number, which is that of the comparisons; of the labels for labels times
    comparisons, and apart from them, of the groups for groups times comparisons.

    Args:
        comparisons: as paired_differences returns them.
    """
    families: dict[Place, list[dict[str, Any]]] = {}
    for comparison in comparisons:
        for place, entry in entries_of(comparison):
            families.setdefault((place[0], place[-1]), []).append(entry)
    for members in families.values():
        p = [np.nan if entry["p"] is None else entry["p"] for entry in members]
        for entry, corrected in zip(members, holm(p), strict=True):
            entry["p_holm"] = or_none(corrected)


def entries_of(comparison: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every entry of a comparison with its place: ("mAP",), ("micro", "AP"), ("per_label", "Hernia", "AP")."""
    for key, part in comparison.items():
        if key in ("groups", "per_label"):
            yield from (((key, name, metric), entry) for name, held in part.items() for metric, entry in held.items())
        elif key in ("micro", "multilabel"):
            yield from (((key, metric), entry) for metric, entry in part.items())
        elif key != "settings":
            yield (key,), part


def two_sided_p(differences: np.ndarray) -> float:
    """min(1, 2 (min(#(d <= 0), #(d >= 0)) + U + 1) / (R + 1)) over R differences, U of them NaN; NaN if all are.

    A resample that leaves the metric undefined may speak for either side, and so counts on both: of a label with the
    positives of one patient alone, more than a third of the resamples have none, and nothing can be told of it.
    Source: Davison and Hinkley 1997, section 4.2, for the ones.
    """
    undefined = int(np.isnan(differences).sum())
    if undefined == len(differences):
        return np.nan
    smaller = int(min((differences <= 0).sum(), (differences >= 0).sum()))
    return min(1.0, 2 * (smaller + undefined + 1) / (len(differences) + 1))


def holm(p: ArrayLike) -> np.ndarray:
    """p values corrected for their number: float64 [K]; NaN stays and does not count.

    The i-th smallest of K is multiplied with K - i + 1, and is no smaller than the one before it.
    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
    corrected = np.full(values.shape, np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected
