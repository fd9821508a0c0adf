"""mlgcn predict: scores image files, or fills in the labels that a data set does not have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from mlgcn.commands.console import check_out, command, say
from mlgcn.commands.scorers import add_ensemble_options, load_scorer, make_ready
from mlgcn.config import parse_command
from mlgcn.data.sources import read_source
from mlgcn.data.sources.table import write_label_csv
from mlgcn.prediction import Scorer, pseudo_labels

DESCRIPTION = (
    "Scores image files with a trained model: one row an image, one column a label, probabilities. Or, with "
    "--pseudo-labels, writes the labels of a data set with the model's probabilities where they are unknown; "
    "--data.pseudo_labels FILE trains with them, whatever the reader."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn predict`."""
    options = parse_command(_parser(), arguments, free=["data.options"])
    with command("mlgcn predict"):
        _sort_out(options)
        _check(options)
        if options.pseudo_labels:
            _write_pseudo_labels(options)
        else:
            scores = _scorer(options).predict(options.images, options.batch_size, options.num_workers)
            scores.to_csv(Path(options.out), index=False)
            say(f"{len(scores)} images scored: {options.out}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn predict", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("images", type=str, nargs="*", help="PNG, JPEG or DICOM files")
    parser.add_argument("--run", type=str, required=True, nargs="+",
                        help="folder of a run, or a checkpoint; several are an ensemble")  # fmt: skip
    parser.add_argument("--out", type=str, required=True, help="CSV file to write")
    add_ensemble_options(parser)
    parser.add_argument("--batch_size", type=int, default=32, help="images at a time")
    parser.add_argument("--num_workers", type=int, default=0, help="processes that read images")
    parser.add_argument("--pseudo-labels", "--pseudo_labels", action="store_true", help="fill in a data set's labels")
    parser.add_argument("--data.source", type=str | None, default=None, help="of pseudo-labels: reader of the data set")
    parser.add_argument("--data.root", type=str | None, default=None, help="of pseudo-labels: folder of its tables")
    parser.add_argument(
        "--data.options", type=dict[str, Any] | None, default=None, help="of pseudo-labels: of the reader"
    )
    parser.add_argument("--confidence", type=float, default=0.0,
                        help="of pseudo-labels: fill in p only where p or 1 - p is at least this")  # fmt: skip
    parser.add_argument("--data.unreadable", choices=["error", "skip"], default="error",
                        help="of pseudo-labels: what unreadable images do")  # fmt: skip
    parser.add_argument("--data.leaks", choices=["error", "warn"], default="error",
                        help="of several runs: what validation images that one was trained on do")  # fmt: skip
    return parser


def _sort_out(options: Namespace) -> None:
    """Takes what follows --run RUN, but is neither a folder nor a checkpoint, for the images that it will be."""
    first, *others = options.run
    runs = [other for other in others if Path(other).is_dir() or Path(other).suffix == ".ckpt"]
    options.images = [*options.images, *(other for other in others if other not in runs)]
    options.run = [first, *runs]


def _check(options: Namespace) -> None:
    check_out(options.out)
    if options.pseudo_labels and (options.images or options.data.source is None):
        raise ValueError("--pseudo-labels takes a data set (--data.source, --data.root) in place of image files")
    if not options.pseudo_labels and (options.data.source or options.data.root or not options.images):
        raise ValueError("name image files, or a data set with --pseudo-labels")
    if not options.pseudo_labels and (options.confidence or options.data.unreadable != "error"):
        raise ValueError("--confidence and --data.unreadable have no effect without --pseudo-labels")


def _scorer(options: Namespace) -> Scorer:
    scorer = load_scorer(options.run, options)
    make_ready(scorer, options, options.batch_size, options.num_workers, options.data.leaks)
    return scorer


def _write_pseudo_labels(options: Namespace) -> None:
    table = read_source(options.data.source, options.data.root, **(options.data.options or {}))
    scorer = _scorer(options)
    filled, number = pseudo_labels(
        scorer, table, options.confidence, options.batch_size, options.num_workers, options.data.unreadable == "skip"
    )
    write_label_csv(filled, Path(options.out))
    for message in scorer.unreadable:
        say(f"left out: {message}")
    values = filled.values.size
    say(f"{len(filled)} images, {number} of {values} values filled in ({number / values:.1%}): {options.out}")
