"""evaluate.py: scores a run on any split of its own data, or of other data of the kind."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt

from mlgcn.build import build_table
from mlgcn.commands.console import command, say
from mlgcn.config import Config, config_from_dict, config_to_dict, parse_command
from mlgcn.data.sources.files import read_table
from mlgcn.data.splits import recorded_split, told_parts
from mlgcn.labels import LabelTable, describe_rule
from mlgcn.metrics import zero_shot_summary
from mlgcn.prediction import Predictor, with_labels
from mlgcn.prediction.zero_shot import read_texts
from mlgcn.predictions import Predictions
from mlgcn.reporting.evaluation import CLUSTERS, evaluation_report, groups_of
from mlgcn.reporting.page import write_page
from mlgcn.reporting.tables import summary_table
from mlgcn.run_directory import EvaluationFiles, RunDirectory

SCORING = ("tta", "tta_merge", "merge_views", "normal_gating")
INTERVALS = ("bootstrap", "cluster")
DESCRIPTION = "Scores a run and writes metrics, predictions, figures and a report."


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of evaluate.py."""
    options = parse_command(_parser(), sys.argv[1:] if arguments is None else arguments, free=["data.options"])
    with command("evaluate.py"):
        if options.out and not Path(options.out).parent.is_dir():
            raise FileNotFoundError(f"--out: there is no folder {Path(options.out).parent}")
        if (options.run is None) == (options.predictions is None):
            raise ValueError("name a run (--run) or a file of predictions (--predictions), one of them")
        if options.predictions:
            report = measure_file(options)
            if options.out:
                Path(options.out).write_text(json.dumps(report, indent=2))
            return
        run = RunDirectory(Path(options.run))
        if not run.config.is_file():
            raise FileNotFoundError(f"--run: {run.path} is no run, it has no {run.config.name}")
        predictor = Predictor.load(run.path)
        given = {name: options[name] for name in INTERVALS if options[name] is not None}
        if options.merge_views and predictor.description.study_views is not None:
            raise ValueError("--merge_views merges scores of images; this run's network joins views itself")
        predictor.settings = replace(predictor.settings, **_scoring(options), **given)
        if _scoring(options):
            say("thresholds are those that the run chose with its own scoring; F1 and other decisions rest on them")
        if options.labels:
            predictor = _with_labels(predictor, options)
        config = _with_data(config_from_dict(predictor.description.config), options.data, predictor.names)
        files = _files(run, options)
        table = _table(config, options, run)
        _check_told(table, predictor)
        report = evaluate(predictor, table, files, run, options.split, config)
        if options.out:
            Path(options.out).write_text(json.dumps(report, indent=2))


def evaluate(
    predictor: Predictor, table: LabelTable, files: EvaluationFiles, run: RunDirectory, split: str, config: Config
) -> dict[str, Any]:
    """Scores the table's images, writes predictions and metrics, and unless there are unseen labels, figures and page.

    Returns: the metrics.
    """
    predictions = predictor.predict_table(
        table, config.data.batch_size, config.data.num_workers, config.data.unreadable == "skip"
    )
    predictions.write(files.predictions)
    report = measure(predictor, predictions, files.metrics, run, split)
    say(summary_table(report))
    shown = table if config.evaluation.image_sheet else None
    # The page's figures tell head, medium and tail apart.
    say(f"metrics: {files.metrics}" if "harmonic" in report else f"report: {write_page(files, run, shown)}")
    return report


def measure_file(options: Namespace) -> dict[str, Any]:
    """The metrics of a file of predictions, whoever wrote it."""
    predictions = Predictions.read(Path(options.predictions))
    report = evaluation_report(
        predictions,
        groups_of(predictions, options.groups),
        describe_rule(options.groups, "the file"),
        options.threshold,
        options.bootstrap or 0,
        options.cluster or "patient",
    )
    report["predictions"] = Path(options.predictions).name
    say(summary_table(report))
    return report


def measure(
    predictor: Predictor, predictions: Predictions, path: Path, run: RunDirectory, split: str
) -> dict[str, Any]:
    """The metrics of what the predictor has just predicted, which it also writes as JSON."""
    described, settings = predictor.description, predictor.settings
    report = evaluation_report(
        predictions, described.groups, described.rule, described.thresholds, settings.bootstrap, settings.cluster
    )
    if "unseen" in described.groups:
        report |= zero_shot_summary(report)
    report |= {"run": run.path.resolve().name, "split": split, "unreadable": predictor.unreadable}
    path.write_text(json.dumps(report, indent=2))
    return report


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="evaluate.py", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--run", type=str | None, default=None, help="folder of the run")
    parser.add_argument("--predictions", type=str | None, default=None,
                        help="measure a file of predictions (Parquet, CSV, .npz) instead; no model needed")  # fmt: skip
    parser.add_argument("--groups", choices=["prevalence", "rank"], default="prevalence",
                        help="of --predictions: rule of head, medium and tail, counted in the file")  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="of --predictions: from which score on a label is found"
    )
    parser.add_argument("--bootstrap", type=NonNegativeInt | None, default=None,
                        help="resamples for confidence intervals; 0 gives none")  # fmt: skip
    parser.add_argument(
        "--cluster", choices=CLUSTERS, default=None, help="what a resample draws together: patient (default)"
    )
    parser.add_argument("--split", choices=["train", "val", "test", "all"], default="test", help="which images")
    parser.add_argument("--out", type=str | None, default=None, help="also write the metrics to this JSON file")
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
    parser.add_argument("--normal_gating", type=float | None, default=None, help="exponent of p * (1 - p_normal) ** g")
    parser.add_argument("--data.source", type=str | None, default=None, help="reader of other data")
    parser.add_argument(
        "--data.root",
        type=str | None,
        default=None,
        help="folder of other data of the same kind; of a run on several data sets, the folder they stand in",
    )
    parser.add_argument("--data.options", type=dict[str, Any] | None, default=None, help="options of the reader")
    parser.add_argument("--data.labels", type=str | None, default=None,
                        help="label space that other data are mapped onto, or model: its labels")  # fmt: skip
    parser.add_argument("--data.batch_size", type=int | None, default=None, help="images at a time")
    parser.add_argument("--data.num_workers", type=int | None, default=None, help="processes that read images")
    parser.add_argument("--data.unreadable", choices=["error", "skip"], default=None, help="what unreadable images do")
    return parser


def _with_labels(predictor: Predictor, options: Namespace) -> Predictor:
    """The predictor with the labels of --labels; the data are then mapped onto all of them."""
    if options.data.labels is not None:
        raise ValueError("--data.labels has no effect beside --labels: data are mapped onto the labels that are scored")
    options.data.labels = "model"
    names = options.labels
    if len(names) == 1 and Path(names[0]).suffix in (".yaml", ".yml"):
        return with_labels(predictor, read_texts(Path(names[0])), options.neighbours)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"--labels: {repeated} repeat")
    return with_labels(predictor, dict.fromkeys(names), options.neighbours)


def _check_told(table: LabelTable, predictor: Predictor) -> None:
    """Raises ValueError that names the unseen labels of which the data tell nothing."""
    known = dict(zip(table.names, table.known, strict=True))
    if untold := [name for name in predictor.description.groups.get("unseen", []) if not known[name]]:
        raise ValueError(f"--labels: the data tell nothing of {untold}, so that there is nothing to score against")


def _scoring(options: Namespace) -> dict[str, Any]:
    """How images are to be scored otherwise than the run has it."""
    return {name: options[name] for name in SCORING if options[name] is not None}


def _with_data(config: Config, data: Namespace, names: list[str]) -> Config:
    """The run's configuration with the data that the command line names."""
    settings = config_to_dict(config)
    changes: dict[str, Any] = {name: value for name, value in vars(data).items() if value is not None}
    if {"source", "options"} & changes.keys() or (data.root and not config.data.sources):
        changes |= {"sources": [], "split": None, "pseudo_labels": None}  # they belong to the run's own data
    if data.labels == "model":
        changes["labels"] = names
    same = data.source in (None, config.data.source) and not config.data.sources
    # Of the same reader, the label policy stays unless it is changed.
    changes["options"] = (config.data.options if same else {}) | (data.options or {})
    settings["data"] |= changes
    return config_from_dict(settings)


def _table(config: Config, options: Namespace, run: RunDirectory) -> LabelTable:
    """The images to score: all there are, or a part, as the run has recorded it or as other data have it themselves.

    Raises: ValueError where other data have no split of their own.
    """
    if options.split != "all" and not _other_data(options):
        return build_table(config, run.split).table.split(options.split)
    table = build_table(config, divide=False).table
    if options.split == "all":
        return table
    own = told_parts(table)[0]
    if set(own.images.image_id) == set(read_table(run.split, columns=["image_id"])["image_id"]):
        return recorded_split(own, run.split).split(options.split)  # the run's own data, in another place
    if (table.images.split == "").all():
        raise ValueError("these data have no split of their own; to score all of them, use --split all")
    return table.split(options.split)


def _other_data(options: Namespace) -> bool:
    return bool(options.data.root or options.data.source or options.data.options)


def _files(run: RunDirectory, options: Namespace) -> EvaluationFiles:
    """The run's own test evaluation, or a folder named after data and split."""
    other = _other_data(options)
    scoring = [
        f"{name}_{'_'.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in _scoring(options).items()
    ]
    scoring += ["zero_shot"] if options.labels else []
    if not other and not scoring and options.split == "test":
        return run.test
    stem = Path(options.data.root).resolve().name if options.data.root else options.data.source or "data"
    return run.evaluation("-".join([stem, options.split, *scoring]))
