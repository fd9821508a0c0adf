"""evaluate.py: scores a run, a checkpoint or an ensemble on any images of the kind, or measures predictions."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt

from mlgcn.commands.console import check_out, command, say
from mlgcn.commands.evaluation_data import add_data_options, images_to_score, is_other, validation_images, with_data
from mlgcn.commands.measuring import evaluate, model_groups
from mlgcn.commands.scorers import (
    add_ensemble_options,
    check_new,
    choose_on_validation,
    load_scorer,
    with_unseen,
)
from mlgcn.config import Config, config_from_dict, parse_command
from mlgcn.data.leakage import check_unseen
from mlgcn.labels import LabelTable
from mlgcn.metrics.bootstrap import METHODS
from mlgcn.metrics.means import mean_defined
from mlgcn.prediction import Ensemble, Predictor, Scorer, with_experts
from mlgcn.predictions import ID_COLUMNS, VIEW_WEIGHTS, Predictions
from mlgcn.reporting.evaluation import CLUSTERS, evaluation_report
from mlgcn.reporting.grouping import RULES, group_by
from mlgcn.reporting.tables import ensemble_line, summary_table
from mlgcn.run_directory import EvaluationFiles, RunDirectory

SCORING = ("tta", "tta_merge", "merge_views", "view_weights", "normal_gating")
MEASURING = ("bootstrap", "cluster", "image_sheet")
OF_FILES = {
    "predictions", "groups", "by", "threshold", "bootstrap", "cluster", "method", "seed", "out", "merge_views",
    "view_weights",
}  # fmt: skip
DESCRIPTION = "Scores a run and writes metrics, predictions, figures and a report; or measures a file of predictions."


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of evaluate.py."""
    options = parse_command(
        _parser(), sys.argv[1:] if arguments is None else arguments, free=["data.options", "view_weights"]
    )
    with command("evaluate.py"):
        _check(options)
        report = measure_file(options) if options.predictions else _score(options)
        if options.out:
            Path(options.out).write_text(json.dumps(report, indent=2))


def measure_file(options: Namespace) -> dict[str, Any]:
    """The metrics of a file of predictions, whoever wrote it."""
    predictions = Predictions.read(Path(options.predictions))
    if options.merge_views:
        predictions = predictions.by_study(options.view_weights or VIEW_WEIGHTS)
    prevalence = mean_defined(predictions.targets)
    grouping = group_by(predictions.names, prevalence, options.groups or RULES[0], "the file")
    report = evaluation_report(
        predictions,
        grouping.groups,
        grouping.rule,
        0.5 if options.threshold is None else options.threshold,
        options.bootstrap or 0,
        options.cluster or "patient",
        others=grouping.others,
        **_measuring(options),
    )
    report["predictions"] = Path(options.predictions).name
    say(summary_table(report))
    return report


def _score(options: Namespace) -> dict[str, Any]:
    """The metrics of a run, a checkpoint or an ensemble."""
    home = Path(options.run[0])
    run = RunDirectory(home) if len(options.run) == 1 and home.is_dir() else None
    if run and not run.config.is_file():
        raise FileNotFoundError(f"--run: {run.path} is no run, it has no {run.config.name}")
    scoring = {name: options[name] for name in SCORING if options[name] is not None}
    given = {name: options[name] for name in MEASURING if options[name] is not None}
    scorer = load_scorer(options.run, options, scoring | given)
    if isinstance(scorer, Predictor):
        if scoring or options.experts:
            say("thresholds are those that the run chose with its own scoring; F1 and other decisions rest on them")
        scorer = with_experts(scorer, options.experts) if options.experts else scorer
        scorer = with_unseen(scorer, options) if options.labels else scorer
    grouping = model_groups(scorer.description, options.groups)  # before hours of scoring
    trained = config_from_dict(scorer.description.config)
    config = with_data(trained, options.data, scorer.names)
    record = RunDirectory(home).split if home.is_dir() else None
    table = images_to_score(config, options.split, record, options.data)
    _check_told(table, scorer)
    about: dict[str, Any] = {} if run else {"checkpoint": home.name}
    if isinstance(scorer, Ensemble):
        _choose(scorer, options, table, config, partial(validation_images, config, trained))
        about = {"ensemble": scorer.to_dict()}
    elif record is not None and record.is_file() and options.split != "train":
        check_unseen(table, {str(home): record}, "images to score", options.data.leaks or "warn")
    if options.threshold is not None:
        scorer.set_thresholds([options.threshold] * len(scorer.names))
    files = _files(run, options, scoring)
    how = {"grouping": grouping, "about": about, **_measuring(options)}
    # Only its own evaluation is of the images that the run was compared on.
    own = config.evaluation.against if run and files == run.test else []
    against = _present(own) if options.against is None else options.against
    return evaluate(scorer, table, files, run, options.split, config, against, **how)


def _choose(
    ensemble: Ensemble, options: Namespace, table: LabelTable, config: Config, validation: Callable[[Path], LabelTable]
) -> None:
    """Weights and thresholds of an ensemble, and whether the images that it is to score are new to its members."""
    check_new(ensemble, table, config.data.leaks)
    reading = config.data.batch_size, config.data.num_workers, config.data.unreadable == "skip"
    choose_on_validation(ensemble, options, reading, validation, options.threshold is None, config.data.leaks)
    say(ensemble_line(ensemble.to_dict()))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="evaluate.py", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--run", type=str, default=None, nargs="+",
                        help="folder of a run, or a checkpoint; several are an ensemble")  # fmt: skip
    parser.add_argument("--predictions", type=str | None, default=None,
                        help="measure a file of predictions (Parquet, CSV, .npz) instead; no model needed")  # fmt: skip
    parser.add_argument("--groups", type=str | None, default=None,
                        help="prevalence, rank, a YAML or JSON file of GROUP: [LABEL, ...], or the same inline; by "
                        "default as the run has them, of --predictions by prevalence in the file")  # fmt: skip
    parser.add_argument("--by", type=str, default=[], nargs="+", help="metrics for each value of these columns too")
    parser.add_argument("--threshold", type=ClosedUnitInterval | None, default=None,
                        help="from which score on a label is found; by default those that the run chose, of "
                        "--predictions 0.5")  # fmt: skip
    parser.add_argument("--bootstrap", type=NonNegativeInt | None, default=None,
                        help="resamples for confidence intervals; 0 gives none")  # fmt: skip
    parser.add_argument(
        "--cluster", choices=CLUSTERS, default=None, help="what a resample draws together: patient (default)"
    )
    parser.add_argument("--method", choices=list(METHODS), default="shifted", help="of the intervals")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of the resamples")
    parser.add_argument("--against", type=str, default=None, nargs="*",
                        help="runs or predictions files of the same images: what the model gains over them; by default "
                        "those of the run, for its own test images")  # fmt: skip
    parser.add_argument("--split", choices=["train", "val", "test", "all"], default="test", help="which images")
    parser.add_argument("--out", type=str | None, default=None, help="also write the metrics to this JSON file")
    parser.add_argument("--dir", type=str | None, default=None,
                        help="folder of metrics, predictions, figures and report; by default the run's, of a "
                        "checkpoint or an ensemble one below runs/")  # fmt: skip
    add_ensemble_options(parser)
    parser.add_argument("--experts", type=PositiveInt, default=None, nargs="+",
                        help="score with these experts of the run only, numbered from 1")  # fmt: skip
    parser.add_argument("--labels", type=str, default=None, nargs="+",
                        help="score these labels too, which the run was not trained on: their names, or a YAML file of "
                        "names and descriptions (docs/zero_shot.md)")  # fmt: skip
    parser.add_argument("--neighbours", type=int, default=3,
                        help="of --labels: how many trained labels each takes from in the label graph")  # fmt: skip
    parser.add_argument("--tta", type=str, default=None, nargs="*",
                        help="score versions of each image too: hflip, shift, scale, crop, resolution")  # fmt: skip
    parser.add_argument(
        "--tta_merge", choices=["mean", "geometric", "logits"], default=None, help="how they are merged"
    )
    parser.add_argument("--merge_views", type=bool | None, default=None, help="score studies: images weighted by view")
    parser.add_argument("--view_weights", type=dict[str, float] | None, default=None,
                        help="of --merge_views: weights of frontal, lateral and unknown")  # fmt: skip
    parser.add_argument("--normal_gating", type=float | None, default=None, help="exponent of p * (1 - p_normal) ** g")
    parser.add_argument("--image_sheet", type=bool | None, default=None, help="the page shows patients' images")
    add_data_options(parser)
    return parser


def _check(options: Namespace) -> None:
    if options.out:
        check_out(options.out)
    if (options.run is None) == (options.predictions is None):
        raise ValueError("name a run (--run) or a file of predictions (--predictions), one of them")
    if options.predictions:
        _check_of_files(options)
    if options.dir and RunDirectory(Path(options.dir)).config.is_file():
        raise ValueError(f"--dir: {options.dir} is a run, expected a folder of its own")
    if options.run and (further := [column for column in options.by if column not in ID_COLUMNS]):
        raise ValueError(
            f"--by {' '.join(further)}: what a run predicts has no such columns; join them to its predictions.parquet "
            "and measure that with --predictions"
        )
    several = options.run is not None and len(options.run) > 1
    if several and (options.labels or options.experts):
        raise ValueError("--labels and --experts are for one run, several were named")
    if options.labels and options.groups:
        raise ValueError("--groups has no effect beside --labels: groups are what was trained on and what was not")


def _check_of_files(options: Namespace) -> None:
    """Raises ValueError on options that only a model can heed."""
    defaults = _parser().get_defaults()
    given = sorted(name for name, value in options.items() if name not in OF_FILES and value != defaults[name])
    if given:
        told = {"against": "; `mlgcn compare` compares files", "dir": "; --out is where the metrics are written"}
        raise ValueError(f"--{' --'.join(given)}: for runs, without effect on --predictions{told.get(given[0], '')}")
    if options.view_weights and not options.merge_views:
        raise ValueError("--view_weights has no effect on --predictions without --merge_views true")


def _present(sides: Sequence[str]) -> Sequence[str]:
    """The sides that a run was trained to be compared with. Raises: FileNotFoundError if one is no longer there."""
    if gone := [side for side in sides if not Path(side).exists() and not glob(side, recursive=True)]:
        raise FileNotFoundError(
            f"the run was to be compared with {gone[0]} (evaluation.against), which is not there from here; --against "
            "names other sides, or with nothing after it none"
        )
    return sides


def _measuring(options: Namespace) -> dict[str, Any]:
    return {"seed": options.seed, "method": options.method, "by": options.by}


def _check_told(table: LabelTable, scorer: Scorer) -> None:
    """Raises ValueError that names the unseen labels of which the data tell nothing."""
    known = dict(zip(table.names, table.known, strict=True))
    if untold := [name for name in scorer.description.groups.get("unseen", []) if not known[name]]:
        raise ValueError(f"--labels: the data tell nothing of {untold}, so that there is nothing to score against")


def _files(run: RunDirectory | None, options: Namespace, scoring: Mapping[str, Any]) -> EvaluationFiles:
    """The folder that was named, else the run's own test evaluation or a folder named after data and split."""
    if options.dir or run is None:
        what = "ensemble" if len(options.run) > 1 else f"{Path(options.run[0]).stem}-evaluation"
        folder = Path(options.dir or f"runs/{what}-{datetime.now():%Y%m%d-%H%M%S}")
        return EvaluationFiles(folder, folder / "metrics.json")
    groups, split = options.groups, options.data.split
    if groups and groups not in RULES:
        groups = "given" if groups.lstrip().startswith("{") else f"given_{Path(groups).stem}"
    asked = {**scoring, "experts": options.experts, "threshold": options.threshold, "groups": groups}
    asked |= {"split": split and Path(split).stem}
    parts = [f"{name}_{_short(value)}" for name, value in asked.items() if value is not None]
    parts += ["zero_shot"] if options.labels else []
    other = is_other(options.data)
    if not other and not parts and options.split == "test":
        return run.test
    stem = Path(options.data.root).resolve().name if options.data.root else options.data.source or "data"
    return run.evaluation("-".join([stem, options.split, *parts]))


def _short(value: Any) -> str:
    """What was asked for, in the name of a folder."""
    parts = [f"{part:g}" for part in value.values()] if isinstance(value, dict) else value
    return "_".join(map(str, parts)) if isinstance(parts, list) else str(parts)
