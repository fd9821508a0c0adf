"""mlgcn split: divides a data set by patient, or looks at how one is divided."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from mlgcn.build import build_table
from mlgcn.commands.console import command, say
from mlgcn.config import load_config, parse_command
from mlgcn.data.combine import of_views
from mlgcn.data.label_counts import base_name
from mlgcn.data.leakage import Leakage, image_hashes, leakage
from mlgcn.data.sources import SOURCES, read_source
from mlgcn.data.splits import fold_split, folds, recorded_split, save_split, shares, split_by_patient, split_report
from mlgcn.labels import VIEWS, LabelTable
from mlgcn.reporting.split_tables import leak_rows, part_rows
from mlgcn.run_directory import RunDirectory
from mlgcn.suggestions import unknown_name

DESCRIPTION = (
    "Divides a data set by patient, label frequencies kept alike, and writes split.csv for --data.split, or one such "
    "file a fold; or reports with --check on the split that there is. Prints how frequent every label is in each part, "
    "and what parts share: patients, studies and, with --hash, identical images."
)
RATIOS = [7.0, 1.0, 2.0]


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn split`."""
    options = parse_command(_parser(), arguments, free=["data.options"])
    with command("mlgcn split"):
        _check(options)
        files = [] if options.check is not None else _files(options)
        table = _read(options)
        tables, parts, method = _checked(table, options) if options.check is not None else _divided(table, options)
        hashes = image_hashes(table.images.path.tolist(), options.hash, options.workers) if options.hash else None
        report, leak = split_report(table, method, parts), leakage(table, hashes, parts)
        say(f"{options.what}: {len(table):,} images; {method}")
        say(part_rows(report))
        say(leak_rows(leak))
        if options.strict and (wrong := _faults(report, leak)):
            raise ValueError(f"--strict: {'; '.join(wrong)}")
        for file, divided in zip(files, tables, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            save_split(divided, file)
            say(f"written: {file}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn split", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("what", type=str, help="a data source by name (see --data.root), a CSV or Parquet file of "
                        "labels, or to be checked, the folder of a run")  # fmt: skip
    parser.add_argument("--data.root", type=str | None, default=None, help="folder of the data source's tables")
    parser.add_argument("--data.options", type=dict[str, Any] | None, default=None, help="options of the reader")
    parser.add_argument("--views", choices=VIEWS, nargs="+", default=list(VIEWS), help="images of these views alone")
    parser.add_argument("--ratios", type=float, nargs=3, default=None, metavar=("TRAIN", "VAL", "TEST"),
                        help="numbers of patients to one another, by default 7 1 2")  # fmt: skip
    parser.add_argument("--folds", type=PositiveInt | None, default=None,
                        help="instead: folds, each test once, the next one val, the others train")  # fmt: skip
    parser.add_argument("--by_view", action="store_true", help="keep the views alike as well as the labels")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="another one divides otherwise")
    parser.add_argument("--out", type=str | None, default=None,
                        help="file to write (.csv), or folder, by default splits/WHAT")  # fmt: skip
    parser.add_argument("--check", type=str, nargs="?", const="", default=None, metavar="FILE",
                        help="divide nothing, report on this file's split, or by default the data's own")  # fmt: skip
    parser.add_argument("--hash", choices=["bytes", "pixels"], nargs="?", const="bytes", default=None,
                        help="look for identical images too: files (bytes) or what they show (pixels)")  # fmt: skip
    parser.add_argument("--workers", type=PositiveInt, default=4, help="threads that read images for --hash")
    parser.add_argument("--strict", action="store_true",
                        help="exit with 2 and write nothing if parts share anything or may, if a part lacks a label or "
                        "an image its part")  # fmt: skip
    return parser


def _check(options: Namespace) -> None:
    """Raises ValueError if an option has no effect."""
    dividing = [f"--{name}" for name in ("ratios", "folds", "by_view", "out") if options[name]]
    if options.check is not None and dividing:
        raise ValueError(f"{dividing} have no effect with --check, which divides nothing")
    if options.ratios and options.folds:
        raise ValueError("--ratios and --folds divide in two ways; give one of them")


def _files(options: Namespace) -> list[Path]:
    """The files to write. Raises: ValueError, or FileExistsError if one is there, for a run may depend on it."""
    out = Path(options.out or f"splits/{base_name(options.what)}")
    if out.suffix == ".csv" and options.folds:
        raise ValueError(f"--out: {out} is one file, expected a folder for {options.folds} folds")
    if options.folds:
        files = [out / f"fold-{number}.csv" for number in range(options.folds)]
    else:
        files = [out if out.suffix == ".csv" else out / "split.csv"]
    for file in files:
        if file.exists():
            raise FileExistsError(f"--out: {file} is there already; remove it or name another place")
    return files


def _read(options: Namespace) -> LabelTable:
    """The images of the wanted views.

    Raises: ValueError if what is named is neither source, file nor run, or a run that is to be divided anew.
    """
    run = RunDirectory(Path(options.what))
    if options.what not in SOURCES and run.config.is_file():
        if options.check is None or options.data.root or options.data.options:
            raise ValueError(f"{options.what} is a run, which takes --check and no --data: its data are divided")
        table = build_table(load_config(run.config), run.split).table
    elif options.what in SOURCES:
        table = read_source(options.what, options.data.root, **(options.data.options or {}))
    elif not Path(options.what).is_file():
        raise ValueError(unknown_name("data source, file or run", options.what, SOURCES))
    elif options.data.root:
        raise ValueError("--data.root has no effect where a file of labels is named")
    else:
        table = read_source("table", options.what, **(options.data.options or {}))
    return of_views(table, options.views)


def _checked(table: LabelTable, options: Namespace) -> tuple[list[LabelTable], np.ndarray, str]:
    """No table to write, the part of every image as a file or the data have it, and whose division that is."""
    if options.check:
        return [], recorded_split(table, Path(options.check)).images.split.to_numpy(), f"split as in {options.check}"
    if (table.images.split == "").all():
        raise ValueError(f"{options.what} has no split of its own: name a file that has one, --check FILE.csv")
    return [], table.images.split.to_numpy(), "its own split"


def _divided(table: LabelTable, options: Namespace) -> tuple[list[LabelTable], np.ndarray, str]:
    """The tables to write, the part of every image, and in words how it came there."""
    how = f"seed {options.seed}" + (", views alike" if options.by_view else "")
    if (table.images.split != "").any():
        how += "; its own split is set aside"
    if options.folds:
        fold = folds(table, options.folds, options.seed, options.by_view)
        width = len(str(options.folds - 1))
        parts = np.array([f"fold {number:0{width}}" for number in range(options.folds)], dtype=object)[fold]
        tables = [fold_split(table, fold, number) for number in range(options.folds)]
        return tables, parts, f"patients in {options.folds} folds, {how}"
    ratios = options.ratios or RATIOS
    divided = split_by_patient(table, shares(ratios), options.seed, options.by_view)
    return [divided], divided.images.split.to_numpy(), f"patients {':'.join(f'{r:g}' for r in ratios)}, {how}"


def _faults(report: Mapping[str, Any], leak: Leakage) -> list[str]:
    """What --strict refuses, in words."""
    faults = [
        f"{shared.count} {kind} in more than one part" for kind, shared in leak.findings().items() if shared.count
    ]
    faults += report["warnings"]
    if leak.unreadable:
        faults.append(f"{len(leak.unreadable)} images cannot be read to compare them")
    return faults
