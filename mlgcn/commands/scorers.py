"""What scores images: the model of a run or a checkpoint, or several as an ensemble, as the command line names them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from mlgcn.build import build_table
from mlgcn.commands.console import say
from mlgcn.config import config_from_dict
from mlgcn.labels import LabelTable
from mlgcn.prediction import Ensemble, Predictor, Scorer, with_labels
from mlgcn.prediction.merging import MERGES
from mlgcn.prediction.zero_shot import read_texts
from mlgcn.reporting.tables import ensemble_line

FITTED = "fitted"


def add_ensemble_options(parser: ArgumentParser) -> None:
    """Adds the options that say how several runs are merged."""
    parser.add_argument("--ensemble_merge", choices=list(MERGES), default=None,
                        help="of several runs: how their probabilities are merged; by default their mean")  # fmt: skip
    parser.add_argument("--weights", type=str, default=None, nargs="+",
                        help="of several runs: one weight each, or fitted: those with the smallest cross-entropy on "
                        "the runs' validation images")  # fmt: skip


def load_scorer(runs: Sequence[str], options: Namespace, settings: dict[str, Any] | None = None) -> Scorer:
    """The model of a run or checkpoint, or the ensemble of several.

    Args:
        options: with those of add_ensemble_options.
        settings: of EvaluationConfig, for every model.
    Raises: ValueError on options of ensembles where one run is named; as Predictor.load and Ensemble.load.
    """
    if len(runs) == 1:
        if options.weights or options.ensemble_merge:
            raise ValueError("--weights and --ensemble_merge are for several runs, one was named")
        return Predictor.load(runs[0], settings=settings)
    weights = _weights(options.weights)
    return Ensemble.load(runs, options.ensemble_merge or MERGES[0], weights, settings=settings)


def with_unseen(predictor: Predictor, options: Namespace) -> Predictor:
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


def make_ready(scorer: Scorer, options: Namespace, batch_size: int, num_workers: int, leaks: str = "error") -> None:
    """Fits an ensemble's weights, if that is asked for, and says which it has; leaks as in Ensemble.choose."""
    if isinstance(scorer, Ensemble):
        skip_unreadable = config_from_dict(scorer.description.config).data.unreadable == "skip"
        choose_on_validation(scorer, options, (batch_size, num_workers, skip_unreadable), leaks=leaks)
        say(ensemble_line(scorer.to_dict()))


def check_new(scorer: Scorer, table: LabelTable, leaks: str) -> None:
    """Tells of images that an ensemble is to score and a member was trained on, and where that is not known."""
    if isinstance(scorer, Ensemble):
        scorer.check_unseen(table, "images to score", leaks)
        if unknown := not_recorded(scorer):
            say(f"what these were trained on is not recorded, and was not compared: {', '.join(unknown)}")


def choose_on_validation(
    ensemble: Ensemble,
    options: Namespace,
    reading: tuple[int, int, bool],
    validation: Callable[[Path], LabelTable] | None = None,
    thresholds: bool = False,
    leaks: str = "error",
) -> None:
    """Chooses weights and thresholds, as far as they are asked for and depend on validation images.

    Args:
        options: with those of add_ensemble_options.
        reading: batch size, worker processes, and whether unreadable images are skipped.
        validation: from the split that the first run has recorded to its validation images; by default they are taken
            from where that run had them.
        thresholds: whether they are asked for.
        leaks: see Ensemble.choose.
    Raises: ValueError if a member has recorded no split, since then its validation images are not known; as
        Ensemble.choose.
    """
    fit, rule = options.weights == [FITTED], ensemble.settings.threshold
    if thresholds and not isinstance(rule, str):
        ensemble.set_thresholds([rule] * len(ensemble.names))
    if not fit and not (thresholds and isinstance(rule, str)):
        return
    without = f"{'--weights 1 1' if fit else '--threshold 0.5'}, say, needs no validation images"
    if unrecorded := not_recorded(ensemble):
        raise ValueError(f"the validation images of {', '.join(unrecorded)} are not known; {without}")
    trained = config_from_dict(ensemble.description.config)
    record = next(iter(ensemble.recorded.values()))
    table = validation(record) if validation else build_table(trained, record).table.split("val")
    ensemble.choose(table, fit, leaks, *reading)
    chosen = "weights and thresholds" if fit else "thresholds"
    say(f"{chosen} of the ensemble: chosen on {len(table):,} validation images")


def not_recorded(ensemble: Ensemble) -> list[str]:
    """The members of which it is not known what they were trained on."""
    return [name for name in ensemble.members if name not in ensemble.recorded]


def _weights(given: list[str] | None) -> list[float] | None:
    if given is None or given == [FITTED]:
        return None
    try:
        return [float(weight) for weight in given]
    except ValueError:
        raise ValueError(f"--weights are {given}, expected a number for each run, or {FITTED}") from None
