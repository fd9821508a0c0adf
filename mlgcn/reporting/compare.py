"""Which model is better: paired differences from what they predicted for the same images, whoever wrote it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlgcn.labels import check_same_labels, describe_rule, group_labels
from mlgcn.metrics.compare import correct_together, entries_of, paired_differences
from mlgcn.metrics.intervals import nest
from mlgcn.metrics.means import mean_defined
from mlgcn.metrics.thresholded import UNDEFINED_THRESHOLD
from mlgcn.predictions import Predictions
from mlgcn.run_directory import EvaluationFiles, RunDirectory
from mlgcn.suggestions import check_known

METRICS = ("mAP", "mAUC", "mF1")
CLUSTERS = {"patient": "patient_id", "study": "study_id", "image": "image_id"}
RULES = ("prevalence", "rank")
OWN = "own"
ENTRY = ("delta", "low", "high", "p", "p_holm", "a", "b")


@dataclass(frozen=True)
class Side:
    """What one model predicted, once for each seed.

    Attributes:
        name: as it was asked for.
        files: of each seed: the predictions file, or the folder of a run or of one of its evaluations.
        scores: float32 [S, N, C].
    """

    name: str
    files: tuple[Path, ...]
    scores: np.ndarray


@dataclass(frozen=True)
class Paired:
    """Models on the same images and labels, in the order of the first file.

    Attributes:
        images: as in Predictions.
        names: of the labels.
        targets: float32 [N, C]; what any file knows.
    """

    images: pd.DataFrame
    names: tuple[str, ...]
    targets: np.ndarray
    sides: tuple[Side, ...]


def compare(
    sides: Sequence[str],
    cluster: str = "patient",
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    metrics: Sequence[str] = METRICS,
    rule: str | None = None,
    threshold: float | str | None = None,
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
    Returns: of two sides {metric: entry, "groups": {group: {metric: entry}}, "per_label": {label: {metric: entry}}, "a",
        "b", "images", "patients", "cluster", "resamples", "level", "rule", "settings"}, ready for JSON; of more
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
    settings = {"thresholds": chosen, "comparisons": len(found)}
    comparisons = [
        _plain(comparison, settings, {"a": first.name, "b": other.name, **about})
        for comparison, other in zip(found, others, strict=True)
    ]
    return comparisons[0] if len(comparisons) == 1 else {"comparisons": comparisons}


def read_paired(sides: Sequence[str], ids: Sequence[str] = ("patient_id",)) -> Paired:
    """The predictions of all sides, labels by name and images by image_id, in the order of the first file.

    Args:
        ids: columns in which all files must agree.
    Raises: FileNotFoundError; ValueError that names the files and what only one has, on other labels or images, ids or
        targets.
    """
    if len(sides) < 2:
        raise ValueError(f"{len(sides)} sides to compare ({', '.join(sides)}), expected at least 2")
    files = [_files(side) for side in sides]
    first_path = files[0][0]
    first, told_by = _read(first_path), first_path
    targets, known = first.targets.copy(), {}
    read = {first_path: first.scores}
    for path in (path for of_side in files for path in of_side):
        if path in read:
            continue
        predictions = _aligned(_read(path), path, first, first_path, ids)
        differ = (predictions.targets != targets) & ~np.isnan(predictions.targets) & ~np.isnan(targets)
        if differ.any():
            row, label = np.argwhere(differ)[0]
            raise ValueError(
                f"{path}: image {first.images.image_id[row]!r}, label {first.names[label]!r}: target "
                f"{predictions.targets[row, label]:g}, but {targets[row, label]:g} in the files before it"
            )
        targets = np.where(np.isnan(targets), predictions.targets, targets)
        read[path] = predictions.scores
    made = (
        Side(side, of_side, np.stack([read[path] for path in of_side]))
        for side, of_side in zip(sides, files, strict=True)
    )
    return Paired(first.images, first.names, targets, tuple(made))


def _files(side: str) -> tuple[Path, ...]:
    """What a side names: itself, or all that its pattern fits, in order."""
    if Path(side).exists() or not has_magic(side):
        return (Path(side),)
    found = tuple(Path(path) for path in sorted(glob(side, recursive=True)))
    if not found:
        raise FileNotFoundError(f"no run or predictions file is named like {side!r}")
    return found


def _read(path: Path) -> Predictions:
    if not path.exists():
        raise FileNotFoundError(f"there is no run or predictions file {path}")
    if not path.is_dir():
        return Predictions.read(path)
    file = RunDirectory(path).test.predictions
    if not file.is_file():
        raise FileNotFoundError(f"{path} is no run with predictions, it has no {file.name}; evaluate.py writes it")
    return Predictions.read(file)


def _aligned(
    predictions: Predictions, path: Path, first: Predictions, first_path: Path, ids: Sequence[str]
) -> Predictions:
    """The predictions with labels and images in the order of the first file's."""
    try:
        predictions = predictions.aligned(first.names)
    except ValueError as error:
        raise ValueError(f"{path} beside {first_path}: {error}") from None
    here, there = pd.Index(predictions.images.image_id), pd.Index(first.images.image_id)
    order = here.get_indexer(there)
    if (order < 0).any() or len(here) != len(there):
        lone = "; ".join(
            f"{len(only):,} are only in {where}" + (f": {', '.join(only[:3])}" if len(only) else "")
            for where, only in (
                (first_path, there[~there.isin(here)]),
                (path, here[~here.isin(there)]),
            )
        )
        raise ValueError(f"{first_path} and {path} hold other images, expected the same: {lone}")
    images = predictions.images.iloc[order].reset_index(drop=True)
    for column in ids:
        if (differs := images[column] != first.images[column]).any():
            row = int(differs.to_numpy().argmax())
            raise ValueError(
                f"{path}: image {first.images.image_id[row]!r} has {column} {images[column][row]!r}, but "
                f"{first.images[column][row]!r} in {first_path} (an .npz file without {column} takes its image ids)"
            )
    return Predictions(images, first.names, predictions.scores[order], predictions.targets[order])


def _groups(paired: Paired, rule: str | None) -> tuple[dict[str, list[str]], str]:
    """Labels by group, and the rule in words with what was counted for it."""
    folder = paired.sides[0].files[0]
    report = _metrics_file(folder)
    if report is not None:
        labels, own = _labels_of(report, paired.names, "group"), _entry(report, _json(report), "rule")
        if rule is None or own == describe_rule(rule):
            groups = list(_entry(report, _json(report), "groups"))
            return {group: [name for name in paired.names if labels[name] == group] for group in groups}, own
    rule = rule or "prevalence"
    splits = RunDirectory(folder).splits
    if not splits.is_file():
        counted = describe_rule(rule, "the images compared")
        return group_labels(paired.names, mean_defined(paired.targets), rule), counted
    parts = _entry(splits, _json(splits), "parts")
    train = _entry(splits, parts, "train")
    check_same_labels(list(train["positives"]), paired.names)
    known = np.array([train["known"][name] or np.nan for name in paired.names])
    positives = np.array([train["positives"][name] for name in paired.names])
    return group_labels(paired.names, positives / known, rule), describe_rule(rule)


def _thresholds(paired: Paired, threshold: float | str | None) -> tuple[float | str, list[Any]]:
    """What was chosen, and the thresholds of each side: one for all, or [S, C]."""
    if threshold is None:
        threshold = UNDEFINED_THRESHOLD
        if all(_metrics_file(file) is not None for side in paired.sides for file in side.files):
            threshold = OWN
    if not isinstance(threshold, str):
        return threshold, [threshold] * len(paired.sides)
    check_known([OWN], [threshold], "threshold")
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


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: no JSON: {error}") from None


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
