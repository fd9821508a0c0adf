"""mlgcn graph: which findings stand together, and what a label graph makes of it."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from mlgcn.build import build_table
from mlgcn.commands.console import command, say
from mlgcn.config import load_config, parse_command
from mlgcn.data.label_counts import base_name, graph_options, read_counts
from mlgcn.data.simulation import simulate
from mlgcn.graph import cooccurrence
from mlgcn.graph.inspect import compare_graphs
from mlgcn.labels import LabelTable
from mlgcn.reporting.graph_report import GraphReport
from mlgcn.run_directory import RunDirectory

DESCRIPTION = (
    "Counts which labels stand together, builds the label graph, prints what it is like and writes figures, an "
    "interactive page and files for other tools. Pictures show at most the 200 most frequent labels."
)
WHAT = (
    "a data source by name (see --data.root), a CSV file of labels, the folder of a run, a label graph (.json), "
    "or a pickle with adj and nums"
)
GRAPH = ("threshold", "reweight", "variant", "shrinkage", "significance", "symmetric")


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn graph`."""
    options = parse_command(_parser(), arguments, free=["data.options"])
    with command("mlgcn graph"):
        folder = _folder(options)
        names = Path(options.names).read_text(encoding="utf-8").splitlines() if options.names else None
        cooc, table = read_counts(
            options.what, options.data.root, split=options.split, options=options.data.options, names=names,
            images=options.images,
        )  # fmt: skip
        made = graph_options(options.what)
        if made is None:
            warnings.warn(
                f"{options.what} holds no label graph; this is the one that its counts would give", stacklevel=1
            )
        graph = (made or {}) | {name: options[name] for name in GRAPH if options[name] is not None}
        report = GraphReport.of(cooc, options.groups, **graph)
        if options.against or options.against_root or options.against_split:
            report = _against(report, options)
        if options.sampler:
            report = replace(report, simulations=_simulations(table, options), draws=options.draws)
        say(report.tables(options.top))
        report.write(folder, title=Path(options.what).name)
        say(f"figures, files and the interactive page: {folder / 'graph.html'}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn graph", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("what", type=str, help=WHAT)
    parser.add_argument("--out", type=str | None, default=None, help="folder to write to; by default graphs/WHAT")
    parser.add_argument("--data.root", type=str | None, default=None, help="folder of the data source's tables")
    parser.add_argument("--data.options", type=dict[str, Any] | None, default=None, help="options of the reader")
    parser.add_argument("--split", choices=["train", "val", "test", "all"], default=None,
                        help="which images; by default train where the data have that split, else all")  # fmt: skip
    parser.add_argument("--names", type=str | None, default=None, help="of a pickle: file of label names, one a line")
    parser.add_argument(
        "--images", type=PositiveInt | None, default=None, help="of a pickle: how many images were counted"
    )
    # None: as the graph of a run was made, else label_graph's defaults.
    parser.add_argument("--threshold", type=float | None, default=None,
                        help="tau: an edge stands where P(j|i) is at least this (0.4)")  # fmt: skip
    parser.add_argument("--reweight", type=float | None, default=None, help="p: the share of the neighbours (0.2)")
    parser.add_argument("--variant", type=str | None, default=None, help="paper (default), released or identity")
    parser.add_argument("--shrinkage", type=float | None, default=None,
                        help="pulls P(j|i) to the prevalence of j, in images (0)")  # fmt: skip
    parser.add_argument("--significance", type=float | None, default=None,
                        help="false discovery rate of the edges (none is tested)")  # fmt: skip
    parser.add_argument("--symmetric", type=bool | None, default=None, help="edges in both directions (false)")
    parser.add_argument("--groups", choices=["prevalence", "rank"], default="prevalence", help="head, medium, tail")
    parser.add_argument("--top", type=PositiveInt, default=15, help="rows of the longer tables")
    parser.add_argument("--against", type=str | None, default=None, help="a second graph to compare with, as WHAT")
    parser.add_argument("--against_root", type=str | None, default=None, help="its --data.root")
    parser.add_argument("--against_split", type=str | None, default=None,
                        help="its --split; without --against, of the same data or run")  # fmt: skip
    parser.add_argument("--sampler", type=str, default=[], nargs="+",
                        help="samplers to try out: cycle, least_sampled, class_aware, random, ...")  # fmt: skip
    parser.add_argument("--draws", type=PositiveInt, default=512, help="images that each sampler draws")
    return parser


def _folder(options: Namespace) -> Path:
    """Where to write to. Raises: ValueError if it is a run, whose label graph would be lost."""
    folder = Path(options.out or f"graphs/{base_name(options.what)}")
    if RunDirectory(folder).config.is_file():
        raise ValueError(f"--out: {folder} is a run, whose {RunDirectory(folder).label_graph.name} would be lost")
    return folder


def _against(report: GraphReport, options: Namespace) -> GraphReport:
    """The report with what changes towards a second graph."""
    if options.against_root and not options.against:
        raise ValueError("--against_root has no effect without --against")
    if options.against:
        other, _ = read_counts(options.against, options.against_root, split=options.against_split)
    elif run := _run_table(options.what):
        part = run.split(options.against_split)
        other = cooccurrence(part.certain, part.names)
    else:
        other, _ = read_counts(
            options.what, options.data.root, split=options.against_split, options=options.data.options
        )
    asked = {name: report.graph.options[name] for name in ("threshold", "shrinkage", "significance", "symmetric")}
    called = " ".join(filter(None, [options.against and Path(options.against).name, options.against_split]))
    changes = compare_graphs(report.cooc, other, **asked)
    here, there = ([n for n in a.names if n not in b.names] for a, b in ((report.cooc, other), (other, report.cooc)))
    return replace(report, changes=changes, against=called, lone=(here, there))


def _simulations(table: LabelTable | None, options: Namespace) -> dict[str, Any]:
    if table is None:
        run = _run_table(options.what)
        if run is None:
            raise ValueError(f"--sampler draws images, but {options.what} holds counts alone; name the data or a run")
        table = run.split("train")
    return {name: simulate(table.certain, name, options.draws, names=table.names) for name in options.sampler}


def _run_table(what: str) -> LabelTable | None:
    """The labels of a run's data with its recorded split, read again from where they are; none if it is no run."""
    run = RunDirectory(Path(what))
    return build_table(load_config(run.config), run.split).table if run.config.is_file() else None
