"""mlgcn annotate: makes labels of radiology reports."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveInt
from rich.console import Console
from rich.progress import track

from mlgcn.commands.console import command, say
from mlgcn.config import parse_command
from mlgcn.data.annotation import annotate_reports, label_set, read_annotation_reports, score, score_table

DESCRIPTION = (
    "Finds findings in the text of radiology reports and writes, one row a study, 1 where the report affirms a label, "
    "0 where it denies it, -1 where it leaves it open, and a blank where it does not speak of it. With --score it says "
    "how well that agrees with the MeSH headings of Open-i's reports."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn annotate`."""
    options = parse_command(_parser(), arguments)
    with command("mlgcn annotate"):
        if options.out is not None and Path(options.out).is_dir():
            raise ValueError(f"--out: {options.out} is a folder, expected a file to write")
        if options.out is None and not options.score:
            raise ValueError("name a file to write with --out, or ask for --score")
        labels = label_set(options.labels)
        reports = read_annotation_reports(options.reports, options.column, options.study_column)
        values = annotate_reports(
            [(report.study_id, report.text) for report in reports],
            workers=options.workers,
            progress=lambda found: track(
                found, "reports", len(reports), console=Console(stderr=True), disable=not sys.stderr.isatty()
            ),
        )
        empty = sum(not report.text for report in reports)
        say(f"{options.reports}: {len(reports):,} reports, {empty:,} of them without text")
        if options.score:
            say(score_table(score(reports, values[list(dict.fromkeys(labels.values()))])).rstrip())
        if options.out is not None:
            rows = values[list(labels.values())].set_axis(list(labels), axis=1)
            if any(report.patient_id for report in reports):
                rows.insert(0, "patient_id", pd.Series([report.patient_id for report in reports], index=rows.index))
            Path(options.out).parent.mkdir(parents=True, exist_ok=True)
            rows.to_csv(options.out)
            say(f"{len(labels)} labels: {options.out}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn annotate", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("reports", type=str, help="folder or archive of MIMIC-CXR's or Open-i's reports, or a CSV file "
                        "(--column)")  # fmt: skip
    parser.add_argument("--out", type=str | None, default=None, help="CSV file to write")
    parser.add_argument("--labels", type=str | None, default=None,
                        help="a label space (ltml, cxr_lt_2024, ...) or a text file with a label on each line; by "
                        "default all that have phrases")  # fmt: skip
    parser.add_argument("--column", type=str, nargs="*", default=None, help="text columns of a CSV file")
    parser.add_argument("--study_column", type=str, default="study_id", help="identifiers of a CSV file")
    parser.add_argument("--score", action="store_true", help="print agreement with Open-i's MeSH headings")
    parser.add_argument("--workers", type=PositiveInt, default=1, help="processes")
    return parser
