"""All numbers of one evaluation in one dictionary, ready for JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlgcn.labels import VIEWS
from mlgcn.metrics.calibration import Reliability, brier_score, reliability_curves
from mlgcn.metrics.groups import check_column, check_names, group_columns
from mlgcn.metrics.means import or_none
from mlgcn.metrics.multilabel import micro_scores, multilabel_scores, top_k_scores
from mlgcn.metrics.ranking import check_probabilities, check_scores, rank_positives
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD, check_thresholds, count_decisions
from mlgcn.suggestions import check_known

METRICS = ("AP", "AUC", "F1", "BACC", "sensitivity", "specificity", "precision", "Brier", "ECE")
# Whatever else is undefined for a label is so where one of these is.
LISTED = ("AP", "AUC", "F1")
OPERATING_POINT = 0.8
TOP_K = 3


def multilabel_report(
    scores: ArrayLike,
    targets: ArrayLike,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    rule: str,
    thresholds: ArrayLike = UNDEFINED_THRESHOLD,
    *,
    other_groups: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    views: ArrayLike | None = None,
    columns: Mapping[str, ArrayLike] | None = None,
) -> dict[str, Any]:
    """The metrics of every label, every group and overall; None stands for undefined.

    Means leave undefined labels out: "undefined" lists the labels without AP, AUC or F1, "undefined_count" how many
    each metric leaves out. no_skill_mAP is what a model that knows nothing reaches: the mean prevalence over the labels
    whose AP is defined. precision_at_recall and recall_at_precision are at 0.8. "micro" pools all labels; "multilabel"
    has OP, OR, OF1, CP, CR, CF1 at the thresholds, in "top3" of the three highest labels that also reach their
    threshold (as ML-GCN's code), and in "top3_always" of the three highest. "reliability" holds each label's curve.

    Args:
        scores, targets: [N, C], columns in the order of names; scores in [0, 1], targets 0, 1 or NaN (unknown).
        groups: as mlgcn.labels.label_groups returns them; every label in exactly one.
        rule: the grouping rule in words, for the tables that print it.
        thresholds: from which score on an image counts as positive; [C] or one for all.
        other_groups: groups by other rules, which "other_groups" holds by the rule's words.
        views: of each image, frontal, lateral or unknown; "per_view" then has means over the images of each.
        columns: other columns, [N] each; "per_column" then has the same for each of their values.
    Raises: ValueError as in average_precision and f1_score, on scores outside [0, 1], or if names, groups, views or
        columns do not fit.
    """
    scores, targets = check_scores(scores, targets)
    check_probabilities(scores)
    names = check_names(names, scores.shape[1])
    members = group_columns(names, groups)
    group_of = {names[column]: group for group, held in members.items() for column in held}
    thresholds = check_thresholds(thresholds, len(names))
    reliability = reliability_curves(scores, targets)

    per_label = _per_label(scores, targets, names, thresholds, reliability)
    for name, label in per_label.items():
        label["group"] = group_of[name]
    labels = list(per_label.values())
    report = {
        "images": len(scores),
        **_means(labels),
        "groups": _group_summaries(labels, members),
        "rule": rule,
        "undefined": {metric: [name for name in names if per_label[name][metric] is None] for metric in LISTED},
        "undefined_count": _undefined(labels),
        "per_label": per_label,
        "micro": _plain(micro_scores(scores, targets, thresholds)),
        "multilabel": _multilabel(scores, targets, thresholds),
        "operating_points": {"recall": OPERATING_POINT, "precision": OPERATING_POINT},
        "reliability": _curves(names, reliability),
    }
    if other_groups is not None:
        report["other_groups"] = {
            other: _group_summaries(labels, group_columns(names, held)) for other, held in other_groups.items()
        }
    if views is not None:
        report["per_view"] = _per_view(scores, targets, thresholds, views)
    if columns is not None:
        report["per_column"] = {
            what: _per_value(scores, targets, thresholds, check_column(values, f"column {what!r}", len(scores)))
            for what, values in columns.items()
        }
    return report


def _per_label(
    scores: np.ndarray, targets: np.ndarray, names: Sequence[str], thresholds: np.ndarray, reliability: Reliability
) -> dict[str, dict[str, Any]]:
    counts = count_decisions(scores, targets, thresholds)
    decided = {
        "F1": counts.f1(),
        "BACC": counts.balanced_accuracy(),
        "sensitivity": counts.sensitivity(),
        "specificity": counts.specificity(),
        "precision": counts.precision(),
        "Brier": brier_score(scores, targets),
        "ECE": reliability.error(),
    }
    return {
        name: {
            "AP": or_none(rank.average_precision()),
            "AUC": or_none(rank.roc_auc()),
            **{metric: or_none(values[column]) for metric, values in decided.items()},
            "precision_at_recall": or_none(rank.precision_at_recall(OPERATING_POINT)),
            "recall_at_precision": or_none(rank.recall_at_precision(OPERATING_POINT)),
            "positives": len(rank.scores),
            "known": int(counts.known[column]),
            "prevalence": len(rank.scores) / int(counts.known[column]) if counts.known[column] else None,
            "threshold": float(thresholds[column]),
        }
        for column, (name, rank) in enumerate(zip(names, rank_positives(scores, targets), strict=True))
    }


def _group_summaries(labels: Sequence[dict[str, Any]], members: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    summaries = {}
    for group, held in members.items():
        chosen = [labels[column] for column in held]
        positives = sum(label["positives"] for label in chosen)
        summaries[group] = {**_means(chosen), "labels": len(chosen), "positives": positives}
    return summaries


def _per_view(scores: np.ndarray, targets: np.ndarray, thresholds: np.ndarray, views: ArrayLike) -> dict[str, Any]:
    """By view in their order, those without an image left out."""
    checked = check_column(views, "views", len(scores))
    check_known(VIEWS, np.unique(checked).tolist(), "view")
    parts = _per_value(scores, targets, thresholds, checked)
    return {view: parts[view] for view in VIEWS if view in parts}


def _per_value(
    scores: np.ndarray, targets: np.ndarray, thresholds: np.ndarray, column: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Means, pooled metrics, and how many labels each metric leaves out, over the images of each value."""
    parts = {}
    for value in np.unique(column).tolist():
        rows = column == value
        held = scores[rows], targets[rows]
        places = [str(place) for place in range(scores.shape[1])]
        labels = list(_per_label(*held, places, thresholds, reliability_curves(*held)).values())
        parts[value] = {
            "images": int(rows.sum()),
            "positives": sum(label["positives"] for label in labels),
            **_means(labels),
            "micro": _plain(micro_scores(*held, thresholds)),
            "undefined_count": _undefined(labels),
        }
    return parts


def _multilabel(scores: np.ndarray, targets: np.ndarray, thresholds: np.ndarray) -> dict[str, Any]:
    k = min(TOP_K, scores.shape[1])
    return {
        **_plain(multilabel_scores(scores, targets, thresholds)),
        "top3": _plain(top_k_scores(scores, targets, k, thresholds)),
        "top3_always": _plain(top_k_scores(scores, targets, k)),
    }


def _curves(names: Sequence[str], reliability: Reliability) -> dict[str, dict[str, list[Any]]]:
    """By label, of each bin the mean score, the share of positives (None where it is empty) and the images."""
    predicted, observed, images = reliability.predicted, reliability.observed, reliability.images.astype(np.int64)
    return {
        name: {
            "predicted": [or_none(value) for value in predicted[column]],
            "observed": [or_none(value) for value in observed[column]],
            "images": images[column].tolist(),
        }
        for column, name in enumerate(names)
    }


def _means(labels: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Macro means over the labels that are defined."""
    return {
        **{f"m{metric[0].upper()}{metric[1:]}": _mean(label[metric] for label in labels) for metric in METRICS},
        "no_skill_mAP": _mean(label["prevalence"] for label in labels if label["AP"] is not None),
    }


def _undefined(labels: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {metric: sum(label[metric] is None for label in labels) for metric in METRICS}


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: or_none(value) for name, value in values.items()}
