"""Which model is better: paired differences from what they predicted for the same images, whoever wrote it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn.labels import check_same_labels, describe_rule, group_labels
from mlgcn.metrics.compare import correct_together, entries_of, paired_differences
from mlgcn.metrics.intervals import nest
from mlgcn.metrics.means import mean_defined, nan_for_0
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD
from mlgcn.reporting.grouping import RULES
from mlgcn.reporting.paired import Paired, read_paired
from mlgcn.run_directory import EvaluationFiles, RunDirectory
from mlgcn.suggestions import check_known

METRICS = ("mAP", "mAUC", "mF1", "mBACC")
CLUSTERS = {"patient": "patient_id", "study": "study_id", "image": "image_id"}
OWN = "own"
RESAMPLES = 2000
ENTRY = ("delta", "low", "high", "p", "p_holm", "a", "b")


def compare(
    sides: Sequence[str],
    cluster: str = "patient",
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
    metrics: Sequence[str] = METRICS,
    rule: str | None = None,
    threshold: float | str | None = None,
    method: str = "percentile",
) -> dict[str, Any]:
    """The first side less each other side: delta, low, high, p, p_holm, a and b by metric, for groups and labels too.

    Intervals and p are those of mlgcn.metrics.paired_differences. p_holm is corrected (Holm 1979) for the labels of a
    metric and, apart from them, for its groups; with several comparisons for their number too, in the overall metrics,
    groups and labels alike.

    Args:
        sides: two or more; each the folder of a run or of one of its evaluations, a predictions file, or a pattern
            (glob) of several seeds, whose metric is averaged inside each resample.
        cluster: what is drawn with all its images: patient, study or image.
        rule: groups by prevalence or rank, counted in the training split of the first side's run, or where it is none,
            in the images compared. None: as that run has them, else by prevalence.
        threshold: from which score on an image counts as positive; "own": those that each run chose. None: own if every
            side has them, else 0.5.
        method: of the intervals: percentile, shifted or bca; p is the same.
    Returns: of two sides {metric: entry, "groups": {group: {metric: entry}}, "per_label": {label: {metric: entry}},
        "a", "b", "images", "patients", "cluster", "resamples", "level", "rule", "settings"}, ready for JSON; of more
        {"comparisons": [the same for each other side]}.
    Raises: FileNotFoundError, and ValueError as Predictions.read and paired_differences do, on fewer than two sides,
        unknown names, and files that do not have the same images, patients, labels and targets.
    """
    check_known(CLUSTERS, [cluster], "cluster")
    check_known(RULES, [] if rule is None else [rule], "rule")
    paired = read_paired(sides, [CLUSTERS["patient"], CLUSTERS[cluster]])
    groups, rule_in_words = _groups(paired, rule)
    chosen, thresholds = _thresholds(paired, threshold)
    first, *others = paired.sides
    found = [
        paired_differences(
            metrics,
            first.scores,
            other.scores,
            paired.targets,
            paired.names,
            groups,
            None if cluster == "image" else paired.images[CLUSTERS[cluster]],
            resamples,
            seed,
            level,
            method=method,
            thresholds_a=thresholds[0],
            thresholds_b=theirs,
        )
        for other, theirs in zip(others, thresholds[1:], strict=True)
    ]
    correct_together(found)
    about = {
        "images": len(paired.images),
        "patients": paired.images.patient_id.nunique(),
        "cluster": cluster,
        "resamples": resamples,
        "level": level,
        "rule": rule_in_words,
    }
    settings = {"thresholds": chosen, "comparisons": len(found), "labels": _label_settings(paired, groups)}
    comparisons = [
        _plain(comparison, settings, {"a": first.name, "b": other.name, **about})
        for comparison, other in zip(found, others, strict=True)
    ]
    return comparisons[0] if len(comparisons) == 1 else {"comparisons": comparisons}


def _groups(paired: Paired, rule: str | None) -> tuple[dict[str, list[str]], str]:
    """Labels by group, and the rule in words with what was counted for it."""
    folder = paired.sides[0].files[0]
    report = _metrics_file(folder)
    if report is not None:
        held = _json(report)
        own, groups = _entry(report, held, "rule"), _entry(report, held, "groups")
        if rule is None or own == describe_rule(rule):
            group_of = _labels_of(report, paired.names, "group")
            return {group: [name for name in paired.names if group_of[name] == group] for group in groups}, own
    rule = rule or "prevalence"
    splits = RunDirectory(folder).splits
    if not splits.is_file():
        counted = describe_rule(rule, "the images compared")
        return group_labels(paired.names, mean_defined(paired.targets), rule), counted
    train = _entry(splits, _entry(splits, _json(splits), "parts"), "train")
    positives, known = (
        np.array([_entry(splits, _entry(splits, train, count), name) for name in paired.names], dtype=np.float64)
        for count in ("positives", "known")
    )
    return group_labels(paired.names, positives / nan_for_0(known), rule), describe_rule(rule)


def _label_settings(paired: Paired, groups: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The group of each label, and how many of the images compared have it."""
    positives = dict(zip(paired.names, (paired.targets == 1).sum(axis=0).tolist(), strict=True))
    group_of = {name: group for group, members in groups.items() for name in members}
    return {name: {"group": group_of[name], "positives": positives[name]} for name in paired.names}


def _thresholds(paired: Paired, threshold: float | str | None) -> tuple[float | str, list[Any]]:
    """What was chosen, and the thresholds of each side: one for all, or [S, C]."""
    if threshold is None:
        threshold = UNDEFINED_THRESHOLD
        if all(_metrics_file(file) is not None for side in paired.sides for file in side.files):
            threshold = OWN
    if threshold != OWN:
        if isinstance(threshold, str) or not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold!r}, expected a number in [0, 1] or {OWN!r}")
        return threshold, [threshold] * len(paired.sides)
    return threshold, [np.array([_own(file, paired.names) for file in side.files]) for side in paired.sides]


def _own(file: Path, names: Sequence[str]) -> list[float]:
    report = _metrics_file(file)
    if report is None:
        raise ValueError(f"threshold {OWN!r}: {file} is no run with metrics, which would hold its own; name a number")
    labels = _labels_of(report, names, "threshold")
    return [labels[name] for name in names]


def _metrics_file(file: Path) -> Path | None:
    """The metrics of a run or of one of its evaluations; None of a predictions file, or where there are none."""
    candidates = (RunDirectory(file).test.metrics, EvaluationFiles(file, file / "metrics.json").metrics)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _labels_of(report: Path, names: Sequence[str], key: str) -> dict[str, Any]:
    """One entry of each label of a metrics file."""
    labels = _entry(report, _json(report), "per_label")
    try:
        check_same_labels(list(labels), names)
    except ValueError as error:
        raise ValueError(f"{report} beside its predictions: {error}") from None
    return {name: _entry(report, labels[name], key) for name in names}


def _json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: no JSON: {error}") from None
    if not isinstance(held, dict):
        raise ValueError(f"{path}: holds {type(held).__name__}, expected an object with keys")
    return held


def _entry(path: Path, held: Mapping[str, Any], key: str) -> Any:
    if key not in held:
        raise ValueError(f"{path}: key {key!r} is missing")
    return held[key]


def _plain(comparison: Mapping[str, Any], settings: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as its file has it; in how many resamples a label was undefined, stands in the settings."""
    entries = dict(entries_of(comparison))
    undefined = {
        place[1:]: entry["undefined_resamples"]
        for place, entry in entries.items()
        if place[0] == "per_label" and entry["undefined_resamples"]
    }
    return {
        **nest({place: {key: entry[key] for key in ENTRY} for place, entry in entries.items()}),
        **about,
        "settings": comparison["settings"] | settings | {"undefined_resamples": nest(undefined)},
    }
