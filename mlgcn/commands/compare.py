"""mlgcn compare: which of several models is better on the same images."""

import json
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, OpenUnitInterval, PositiveInt

from mlgcn.commands.console import check_out, command, say
from mlgcn.config import parse_command
from mlgcn.metrics.bootstrap import METHODS
from mlgcn.metrics.intervals import MICRO
from mlgcn.metrics.multilabel import MULTILABEL
from mlgcn.reporting.compare import CLUSTERS, METRICS, RESAMPLES, compare
from mlgcn.reporting.compare_tables import comparison_rows
from mlgcn.reporting.figures import check_figure_file, save_figure
from mlgcn.reporting.grouping import RULES
from mlgcn.reporting.increments import NOTHING_TO_DRAW, increments_figure

DESCRIPTION = (
    "Compares the first model with each other one on the same images: differences A - B of each metric, for groups and "
    "labels too, with intervals and p values from resamples of the patients that both share, corrected after Holm for "
    "the labels, groups and comparisons. docs/comparing.md says how, and what it means."
)
SIDES = (
    "two or more; each the folder of a run, a predictions file (.parquet, .csv, .npz), whoever wrote it, or in quotes "
    "a pattern that fits several seeds of one model, such as 'runs/seo-*', whose metrics are averaged"
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn compare`."""
    options = parse_command(_parser(), arguments)
    with command("mlgcn compare"):
        if options.out:
            check_out(options.out)
        if options.figure:
            check_figure_file(Path(options.figure), "--figure")
            if all(metric in (*MULTILABEL, *MICRO) for metric in options.metrics):
                raise ValueError(f"--figure: --metrics {' '.join(options.metrics)} has {NOTHING_TO_DRAW}")
        result = compare(
            options.sides,
            options.cluster,
            options.resamples,
            options.seed,
            options.level,
            options.metrics,
            options.groups,
            options.threshold,
            options.method,
        )
        say(comparison_rows(result, options.all))
        if options.out:
            Path(options.out).write_text(json.dumps(result, indent=2, allow_nan=False))
            say(f"written: {options.out}")
        if options.figure:
            save_figure(increments_figure(result), Path(options.figure))
            say(f"written: {options.figure}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn compare", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("sides", type=str, nargs="+", metavar="SIDE", help=SIDES)
    parser.add_argument("--cluster", choices=list(CLUSTERS), default="patient",
                        help="what is drawn with all its images")  # fmt: skip
    parser.add_argument("--resamples", type=PositiveInt, default=RESAMPLES, help="p is never below 2 / (resamples + 1)")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="another one draws other resamples")
    parser.add_argument("--level", type=OpenUnitInterval, default=0.95, help="of the intervals")
    parser.add_argument("--method", choices=list(METHODS), default="percentile", help="of the intervals")
    parser.add_argument("--metrics", type=str, nargs="+", default=list(METRICS),
                        help="over the labels: mAP, mAUC, mF1, mBACC, mBrier, ..., microAP, ..., CF1, OF1")  # fmt: skip
    parser.add_argument("--groups", choices=list(RULES), default=None,
                        help="by what labels are grouped; by default as the first run has it, or else "
                        "by prevalence")  # fmt: skip
    parser.add_argument("--threshold", type=ClosedUnitInterval | str | None, default=None,
                        help="score from which an image counts as positive, or own: those that each run chose; by "
                        "default own if all are runs, else 0.5")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="print every label, not 10 of each metric")
    parser.add_argument("--out", type=str | None, default=None, help="JSON file to write")
    parser.add_argument("--figure", type=str | None, default=None,
                        help="draw A - B of each label with its interval into this .png, .svg or .pdf")  # fmt: skip
    return parser
