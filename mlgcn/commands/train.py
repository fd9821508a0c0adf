"""train.py: trains, evaluates, reports."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from mlgcn.commands.console import command, say
from mlgcn.commands.measuring import check_scoring, evaluate, measure
from mlgcn.config import Config, config_to_dict, parse_arguments
from mlgcn.graph import load_graph
from mlgcn.labels import LabelTable
from mlgcn.prediction import Predictor, diagnose
from mlgcn.prediction.thresholds import choose_thresholds
from mlgcn.reporting.increments import increments_frame
from mlgcn.run_directory import RunDirectory
from mlgcn.stopping import Interrupted, is_main_process
from mlgcn.training import Tracking, fit

# Lightning starts the other processes of a run with the same command line, which need not name the folder.
RUN_FOLDER = "MLGCN_RUN_FOLDER"
DESCRIPTION = "Trains a model on chest X-rays, evaluates it on held-out patients and writes a report."


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of train.py."""
    config, name = parse_arguments(sys.argv[1:] if arguments is None else arguments, "train.py", DESCRIPTION)
    with command("train.py"):
        run = run_directory(config, name)
        say(f"run: {run.path}")
        try:
            train(config, run)
        except (Interrupted, KeyboardInterrupt) as error:
            again = f"python train.py --run.dir {shlex.quote(str(run.path))} --run.resume auto"
            raise Interrupted(f"{error or 'stopped'}; to go on: {again}") from None


def train(config: Config, run: RunDirectory) -> None:
    """A whole run: training, thresholds, diagnostics, evaluation on the test split, report."""
    tracking = Tracking(run, config)
    try:
        against = config.evaluation.against
        table = fit(config, run, tracking, partial(_check_parts, config))
        if not is_main_process():
            return
        # A run may go on with other settings of evaluation than the checkpoint was written with.
        predictor = Predictor.load(run.best, settings=config_to_dict(config)["evaluation"])
        reading = config.data.batch_size, config.data.num_workers, config.data.unreadable == "skip"
        validation = predictor.predict_table(table.split("val"), *reading)
        predictor.set_thresholds(choose_thresholds(config.evaluation, validation))
        predictor.save(run.model)
        measure(predictor, validation, run.validation_metrics, run, "val")
        if config.model.head == "gcn":
            diagnostics = diagnose(predictor, table.split("val"), load_graph(run.label_graph)[0], *reading)
            diagnostics.save(run.diagnostics)
            tracking.diagnostics(diagnostics.summary())
        report = evaluate(predictor, table.split("test"), run.test, run, "test", config, against)
        increments = increments_frame(json.loads(run.test.comparison.read_text())) if against else None
        tracking.evaluation(report, {path.stem: path for path in sorted(run.test.figures.glob("*.png"))}, increments)
    finally:
        tracking.finish()


def _check_parts(config: Config, table: LabelTable) -> None:
    """Whether the images that are held out can be scored as configured in the end, see check_scoring."""
    check_scoring(table.split("val"), config, config.evaluation)
    check_scoring(table.split("test"), config, config.evaluation, config.evaluation.against)


def run_directory(config: Config, name: str) -> RunDirectory:
    """The run's folder: as configured, or named after the preset and the time.

    Raises: ValueError if it holds a run already that this one is not to go on with.
    """
    if not is_main_process():
        folder = os.environ.get(RUN_FOLDER) or config.run.dir
        if folder is None:
            raise ValueError("processes that were started from outside share a folder only if it is given: --run.dir")
        return RunDirectory(Path(folder))
    stem = Path(name).stem if name.endswith((".yaml", ".yml")) else name.replace("/", "-")
    run = RunDirectory(Path(config.run.dir or f"runs/{stem}-{datetime.now():%Y%m%d-%H%M%S}"))
    if config.run.resume == "no" and run.config.is_file():
        raise ValueError(f"{run.path} holds a run already; go on with it (--run.resume auto) or name another folder")
    os.environ[RUN_FOLDER] = str(run.path)
    return run
