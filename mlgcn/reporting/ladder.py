"""What the runs of a ladder come to: each rung's metrics over its seeds, and what it gains, from files alone."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn.metrics import report_intervals
from mlgcn.metrics.compare import correct_together, paired_differences
from mlgcn.metrics.means import mean_defined, or_none
from mlgcn.reporting.compare import CLUSTERS, RESAMPLES
from mlgcn.reporting.paired import Paired, Side, pair
from mlgcn.run_directory import RunDirectory
from mlgcn.suggestions import check_known

# Those of ranking alone: the steps of a ladder are not told apart by their thresholds.
METRICS = ("mAP", "mAUC")
SHOWN = ("mAP", "mAUC", "mF1")
ENTRY = ("delta", "low", "high", "p", "p_holm")


def ladder_report(
    rungs: Mapping[str, Mapping[int, Path]],
    steps: Sequence[str] = (),
    baseline: str | None = None,
    cluster: str = "patient",
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Metrics of every rung over its seeds, with intervals, and its differences from the rung before and a baseline.

    A metric is the mean over the seeds; its interval is over other patients (report_intervals, shifted), the metric
    averaged over the seeds inside each resample; differences are those of paired_differences. p_holm is corrected (Holm
    1979) over all steps and, apart from those, over all that are compared with the baseline.

    Args:
        rungs: by name, in order, the folders of the finished runs by seed; a rung without any has no metrics.
        steps: the rungs that are compared with the step before them, in order, unless that has no run.
        baseline: the rung that all others are compared with.
        cluster: what is drawn with all its images: patient, study or image.
    Returns: {"rungs": {name: {"seeds", "metrics": {mAP: {mean, low, high, by_seed: {seed: mAP}}}, "groups": {group:
        mAP}, "previous": {"name", mAP: entry, mAUC: entry} or None, "baseline": likewise}}, "images", "patients",
        "rule", "baseline", "cluster", "resamples", "level"}, ready for JSON.
    Raises: ValueError on an unknown step, baseline or cluster, and, as compare does, on runs without the same test
        images; FileNotFoundError on a run without metrics or predictions.
    """
    check_known(CLUSTERS, [cluster], "cluster")
    check_known(rungs, steps, "step")
    check_known(rungs, [] if baseline is None else [baseline], "baseline")
    finished = {name: dict(folders) for name, folders in rungs.items() if folders}
    if not finished:
        raise ValueError("no rung of the ladder has a finished run")
    files = [tuple(folders.values()) for folders in finished.values()]
    paired = pair(list(finished), files, [CLUSTERS["patient"], CLUSTERS[cluster]])
    reports = {name: {seed: _metrics(folder) for seed, folder in folders.items()} for name, folders in finished.items()}
    first = next(iter(next(iter(reports.values())).values()))
    groups = _groups(first)
    drawn = {
        "clusters": None if cluster == "image" else paired.images[CLUSTERS[cluster]],
        "resamples": resamples,
        "seed": seed,
        "level": level,
    }
    sides = {side.name: side for side in paired.sides}
    held = {name: _rung(paired, sides[name], reports[name], groups, drawn) for name in finished}
    before = {name: other for other, name in pairwise(steps) if {name, other} <= finished.keys()}
    against = {} if baseline not in finished else {name: str(baseline) for name in finished if name != baseline}
    for key, others in (("previous", before), ("baseline", against)):
        found = _differences(paired, sides, groups, others, drawn)
        for name in finished:
            held[name][key] = found.get(name)
    nothing = {"seeds": 0, "metrics": None, "groups": None, "previous": None, "baseline": None}
    return {
        "rungs": {name: held.get(name, nothing) for name in rungs},
        "images": len(paired.images),
        "patients": int(paired.images.patient_id.nunique()),
        "rule": first["rule"],
        "baseline": baseline,
        "cluster": cluster,
        "resamples": resamples,
        "level": level,
    }


def _metrics(folder: Path) -> dict[str, Any]:
    return dict(json.loads(RunDirectory(folder).test.metrics.read_text(encoding="utf-8")))


def _groups(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Labels by group, the groups in the report's order."""
    labels = report["per_label"]
    return {group: [name for name, of in labels.items() if of["group"] == group] for group in report["groups"]}


def _rung(
    paired: Paired,
    side: Side,
    reports: Mapping[int, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    drawn: Mapping[str, Any],
) -> dict[str, Any]:
    labels = [report["per_label"] for report in reports.values()]
    thresholds = [[of[name]["threshold"] for name in paired.names] for of in labels]
    intervals = report_intervals(
        side.scores,
        paired.targets,
        paired.names,
        groups,
        np.array(thresholds),
        metrics=SHOWN,
        method="shifted",
        **drawn,
    )
    metrics = {}
    for metric in SHOWN:
        by_seed = {str(seed): report[metric] for seed, report in reports.items()}
        low, high = intervals[metric] or (None, None)
        metrics[metric] = {"mean": _mean(list(by_seed.values())), "low": low, "high": high, "by_seed": by_seed}
    of_groups = {
        group: _mean([_mean([of[name]["AP"] for name in names]) for of in labels]) for group, names in groups.items()
    }
    return {"seeds": len(reports), "metrics": metrics, "groups": of_groups}


def _differences(
    paired: Paired,
    sides: Mapping[str, Side],
    groups: Mapping[str, Sequence[str]],
    others: Mapping[str, str],
    drawn: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """What each rung has more than its other, corrected together."""
    found = {
        name: paired_differences(
            METRICS, sides[name].scores, sides[other].scores, paired.targets, paired.names, groups, **drawn
        )
        for name, other in others.items()
    }
    correct_together(list(found.values()))
    return {
        name: {"name": others[name], **{metric: {key: each[metric][key] for key in ENTRY} for metric in METRICS}}
        for name, each in found.items()
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Over the defined ones, None without any."""
    return or_none(mean_defined(np.array(values, dtype=np.float64)))
