"""mlgcn submit: a submission to a CXR-LT challenge, or what is wrong with one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser, Namespace

from mlgcn.commands.console import check_out, command, say
from mlgcn.commands.scorers import add_ensemble_options, check_new, load_scorer, make_ready
from mlgcn.config import parse_command
from mlgcn.data.sources import read_source
from mlgcn.labels import IMAGE_COLUMNS, LabelTable
from mlgcn.predictions import Predictions
from mlgcn.reporting.submission import (
    FORMATS,
    Submission,
    check_submission,
    image_rows,
    label_sources,
    per_image,
    read_sample,
    write_submission,
)
from mlgcn.run_directory import RunDirectory

DESCRIPTION = (
    "Writes a submission to a CXR-LT challenge: a zip with submission.csv at its root, probabilities, rows and columns "
    "those of the organisers' sample. They come from a run's predictions file, or with --data.source from the run's "
    "model, which then scores the sample's images; a run that scores studies gives each image the scores of its study. "
    "With --check, says all that is wrong with a submission, whoever wrote it."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn submit`."""
    options = parse_command(_parser(), arguments, free=["data.options"])
    with command("mlgcn submit"):
        _check(options)
        if options.check is not None:
            _say_checked(options)
            return
        predictions = _stored(options) if options.data.source is None else _scored(options)
        code = None if options.code is None else Path(options.code)
        written = write_submission(predictions, Path(options.sample), Path(options.out), options.format, code)
        for line in _told(written, options.out):
            say(line)
        for problem in check_submission(Path(options.out), None, options.format):
            say(f"the sample is not as {options.format} usually is: {problem}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn submit", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("run", type=str, nargs="*",
                        help="folder of a run, or a predictions file (.parquet, .csv); with --data.source, several "
                        "runs are an ensemble")  # fmt: skip
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="which challenge")
    parser.add_argument("--sample", type=str | None, default=None, help="the organisers' sample submission, CSV")
    parser.add_argument("--out", type=str | None, default=None, help="zip file to write")
    parser.add_argument("--code", type=str | None, default=None, help="folder whose files go into code/ of the zip")
    parser.add_argument("--predictions", type=str | None, default=None, help="take those of RUN/evaluations/NAME")
    parser.add_argument("--data.source", type=str | None, default=None, help="score images: reader of the data set")
    parser.add_argument("--data.root", type=str | None, default=None, help="of --data.source: folder of its tables")
    parser.add_argument(
        "--data.options", type=dict[str, Any] | None, default=None, help="of --data.source: its options"
    )
    parser.add_argument("--data.batch_size", type=int, default=32, help="of --data.source: images at a time")
    parser.add_argument("--data.num_workers", type=int, default=0, help="of --data.source: processes that read images")
    parser.add_argument("--data.leaks", choices=["error", "warn"], default="error",
                        help="of several runs: what images and patients that one was trained on do")  # fmt: skip
    add_ensemble_options(parser)
    parser.add_argument("--check", type=str | None, default=None, help="submission to look at, .zip or .csv")
    return parser


def _check(options: Namespace) -> None:
    if options.check is not None:
        if options.run or options.out or options.code or options.predictions or options.data.source:
            raise ValueError("--check FILE takes --format and --sample only")
        return
    if not options.run or not options.sample or not options.out:
        raise ValueError("name a run, --sample and --out; or --check FILE")
    check_out(options.out)
    if options.data.source is None and (options.data.root or options.data.options):
        raise ValueError("--data.root and --data.options need --data.source")
    if options.data.source is not None and options.predictions:
        raise ValueError("--predictions takes scores that are there, --data.source makes new ones: give one of them")
    if len(options.run) > 1 and options.data.source is None:
        raise ValueError(
            "several runs are an ensemble, which scores images: name them with --data.source, or submit the folder "
            "that evaluate.py --run RUN_A RUN_B --dir FOLDER writes"
        )
    for run in options.run if options.data.source is not None or options.predictions else []:
        if not Path(run).is_dir():
            raise FileNotFoundError(f"there is no folder of a run {run}")


def _say_checked(options: Namespace) -> None:
    problems = check_submission(Path(options.check), options.sample and Path(options.sample), options.format)
    if problems:
        found = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ValueError("\n  ".join([f"{options.check}: {found}", *problems]))
    say(f"{options.check}: no problem found" + ("" if options.sample else "; ids and order need --sample"))


def _stored(options: Namespace) -> Predictions:
    """The predictions of a file, or those that a run has."""
    path = Path(options.run[0])
    if not path.is_dir():
        return Predictions.read(path)
    run = RunDirectory(path)
    files = run.test if options.predictions is None else run.evaluation(options.predictions)
    if not files.predictions.is_file():
        others = sorted(file.parent.name for file in path.glob("evaluations/*/predictions.parquet"))
        raise FileNotFoundError(
            f"there is no file {files.predictions}; --predictions can take {others}, --data.source scores images"
        )
    return Predictions.read(files.predictions)


def _scored(options: Namespace) -> Predictions:
    """The model's scores of the sample's images, kept as one of the run's evaluations, an ensemble's beside the zip."""
    reading = options.data.batch_size, options.data.num_workers
    scorer, sample = load_scorer(options.run, options), read_sample(Path(options.sample), options.format)
    label_sources(scorer.names, sample)  # before hours of scoring
    table = read_source(options.data.source, options.data.root, **(options.data.options or {}))
    rows = image_rows(table.images["image_id"], sample)
    column = table.images["study_id" if scorer.scores_studies else "image_id"]
    table = _unlabelled(table.take(column.isin(column.iloc[rows]).to_numpy()), scorer.names)
    check_new(scorer, table, options.data.leaks)
    make_ready(scorer, options, *reading, options.data.leaks)
    predictions = scorer.predict_table(table, *reading)
    if scorer.scores_studies:
        predictions = per_image(predictions, table.images)
    kept = RunDirectory(Path(options.run[0])).evaluation(f"submission-{sample.path.stem}").predictions
    kept = kept if len(options.run) == 1 else Path(options.out).with_suffix(".parquet")
    predictions.write(kept)
    say(f"{len(table)} images scored: {kept}")
    return predictions


def _unlabelled(table: LabelTable, names: Sequence[str]) -> LabelTable:
    """The table's images with the model's labels, all unknown: test images have none, or others."""
    images: dict[str, Any] = {column: table.images[column].tolist() for column in IMAGE_COLUMNS}
    return LabelTable(np.full((len(table), len(names)), np.nan), names, **images)


def _told(written: Submission, out: str) -> list[str]:
    lines = [f"written: {out}, {written.images} images, {len(written.sources)} labels, {written.code} files of code"]
    if renamed := [f"{label} from {name}" for label, name in written.sources.items() if label != name]:
        lines.append(f"labels of another spelling: {', '.join(renamed)}")
    if written.moved:
        lines.append(f"{written.moved} scores of exactly 0 or 1 moved inside by half the smallest step")
    if written.unused_images:
        lines.append(f"left out: {written.unused_images} predicted images that the sample does not have")
    if written.unused_labels:
        lines.append(f"left out: the labels {', '.join(written.unused_labels)}")
    return lines
