"""All numbers of one evaluation in one dictionary, ready for JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.labels import check_same_labels
from mlgcn.metrics.ranking import check_scores, rank_positives
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD, check_thresholds, f1_score

METRICS = ("AP", "AUC", "F1")


def multilabel_report(
    scores: ArrayLike,
    targets: ArrayLike,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    rule: str,
    thresholds: ArrayLike = UNDEFINED_THRESHOLD,
) -> dict[str, Any]:
    """AP, AUC and F1 of every label, every group and overall; None stands for undefined.

    Means leave undefined labels out; "undefined" lists them. no_skill_mAP is what a model that knows nothing reaches:
    the mean prevalence over the labels whose AP is defined.

    Args:
        scores, targets: [N, C], columns in the order of names; targets 0, 1 or NaN (unknown).
        groups: as mlgcn.labels.label_groups returns them; every label in exactly one.
        rule: the grouping rule in words, for the tables that print it.
        thresholds: from which score on an image counts as positive for F1; [C] or one for all.
    Raises: ValueError as in average_precision and f1_score, or if names or groups do not fit the columns.
    """
    scores, targets = check_scores(scores, targets)
    names = list(names)
    if len(names) != scores.shape[1]:
        raise ValueError(f"{len(names)} names for {scores.shape[1]} columns of scores")
    group_of = _group_of(names, groups)
    thresholds = check_thresholds(thresholds, len(names))

    per_label = _per_label(scores, targets, names, group_of, thresholds)
    return {
        "images": len(scores),
        **_means(per_label.values()),
        "groups": {
            group: _group_summary([label for label in per_label.values() if label["group"] == group])
            for group in groups
        },
        "rule": rule,
        "undefined": {metric: [name for name in names if per_label[name][metric] is None] for metric in METRICS},
        "per_label": per_label,
    }


def _per_label(
    scores: np.ndarray, targets: np.ndarray, names: list[str], group_of: dict[str, str], thresholds: np.ndarray
) -> dict[str, dict[str, Any]]:
    f1, known = f1_score(scores, targets, thresholds), (~np.isnan(targets)).sum(axis=0)
    return {
        name: {
            "AP": _defined(rank.average_precision()),
            "AUC": _defined(rank.roc_auc()),
            "F1": _defined(f1[column]),
            "positives": len(rank.scores),
            "known": int(known[column]),
            "prevalence": len(rank.scores) / int(known[column]) if known[column] else None,
            "group": group_of[name],
            "threshold": float(thresholds[column]),
        }
        for column, (name, rank) in enumerate(zip(names, rank_positives(scores, targets), strict=True))
    }


def _group_summary(labels: list[dict[str, Any]]) -> dict[str, Any]:
    return {**_means(labels), "labels": len(labels), "positives": sum(label["positives"] for label in labels)}


def _means(labels: Any) -> dict[str, float | None]:
    """Macro means over the labels that are defined."""
    labels = list(labels)
    return {
        **{f"m{metric}": _mean(label[metric] for label in labels) for metric in METRICS},
        "no_skill_mAP": _mean(label["prevalence"] for label in labels if label["AP"] is not None),
    }


def _mean(values: Any) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _group_of(names: list[str], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    listed = [name for members in groups.values() for name in members]
    if len(set(names)) != len(names) or len(set(listed)) != len(listed):
        raise ValueError(f"label names repeat in names {names} or in groups {dict(groups)}")
    try:
        check_same_labels(listed, names)
    except ValueError as error:
        raise ValueError(f"groups do not hold every label once: {error}") from None
    return {name: group for group, members in groups.items() for name in members}
