"""mlgcn prepare: resizes a data set once, so that training reads small files."""

import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mlgcn.commands.console import command, say
from mlgcn.config import parse_command
from mlgcn.data.prepare import Report, Settings, parts_to_do, prepare
from mlgcn.data.range_check import range_report
from mlgcn.data.sources import read_source, reader_options
from mlgcn.labels import LabelTable

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Resizes the images of a data set to squares (the aspect ratio is not kept) and writes them with labels.csv, which "
    "--data.source table reads, and a manifest. The originals are only read. Unreadable images are listed and left "
    "out. Run again after an interruption, it goes on. With --check it writes nothing and reports on a sample."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn prepare`."""
    options = parse_command(_parser(), arguments, free=["options", "data.options"])
    with command("mlgcn prepare"):
        _check_options(options)
        settings = Settings(options.size, options.resample, options.format)
        shard = _shard(options.shard)
        given = options.options or {}
        table = read_source(options.source, options.root, **given)
        if options.check is not None:
            _look(table, options)
            return
        folder = Path(options.out)
        places = (options.root, reader_options(options.source, given)["images"])
        originals = [Path(place) for place in places if isinstance(place, str)]
        origin = {"source": options.source, "options": _recorded(options.source, given)}
        with _shown() as progress:
            report = prepare(
                table,
                folder,
                settings,
                origin=origin,
                originals=originals,
                workers=options.workers,
                shard=shard,
                progress=progress,
            )
        _tell(report, options)
        _tell_next(table, origin["options"], options, parts_to_do(folder, shard[1]), shard[1])


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn prepare", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("source", type=str, help="a data source by name (see --root)")
    parser.add_argument("--root", "--data.root", type=str | None, default=None,
                        help="folder of the data source's tables")  # fmt: skip
    parser.add_argument("--options", "--data.options", type=dict[str, Any] | None, default=None,
                        help="options of the reader")  # fmt: skip
    parser.add_argument("--out", type=str | None, default=None,
                        help="folder to write to, apart from the originals")  # fmt: skip
    parser.add_argument("--size", type=PositiveInt, default=512, help="width and height in pixels")
    parser.add_argument("--resample", choices=["antialias", "area"], default="antialias",
                        help="bilinear with antialias, or the exact mean over a new pixel's area, slower")  # fmt: skip
    parser.add_argument("--format", choices=["jpeg", "png"], default="jpeg", help="grey JPEG of quality 95, or PNG")
    parser.add_argument("--workers", type=NonNegativeInt, default=os.cpu_count() or 1,
                        help="processes; 0 works in this one")  # fmt: skip
    parser.add_argument("--shard", type=str, default="1/1", metavar="I/N",
                        help="do part I of N; the parts, also of several machines, go into one folder")  # fmt: skip
    parser.add_argument("--check", type=PositiveInt | None, nargs="?", const=200, default=None, metavar="N",
                        help="instead: read N images, 200 if no number is given, and say what is wrong with "
                        "them")  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="with --check: exit with 2 if anything is")
    return parser


def _check_options(options: Namespace) -> None:
    """Raises: ValueError without --out, or where an option has no effect."""
    if options.check is None and options.out is None:
        raise ValueError("--out FOLDER is missing, where to write to; or look at a sample with --check")
    if options.check is not None and options.out is not None:
        raise ValueError("--out has no effect with --check, which writes nothing")
    if options.check is None and options.strict:
        raise ValueError("--strict has no effect without --check")


def _recorded(source: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the reader but the folder of the images, which another machine may have elsewhere."""
    every = reader_options(source, given)
    return {name: value for name, value in every.items() if name != "images" or isinstance(value, int)}


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--shard is {text!r}, expected I/N with I from 1 to N, such as 2/4")
    return int(found[1]), int(found[2])


@contextmanager
def _shown() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, elsewhere a line every tenth of the way."""
    if not sys.stdout.isatty():
        yield _log_tenths
        return
    columns = (TextColumn("images"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left:"), TimeRemainingColumn(elapsed_when_finished=False))  # fmt: skip
    with Progress(*columns) as bar:
        line = bar.add_task("", total=None)
        yield lambda done, total: bar.update(line, completed=done, total=total)


def _log_tenths(done: int, total: int) -> None:
    if done * 10 // total > (done - 1) * 10 // total:
        logger.info("%d of %d images", done, total)


def _look(table: LabelTable, options: Namespace) -> None:
    """Says which images of a sample are unreadable or look wrong. Raises: ValueError if any and --strict."""
    report = range_report(table, options.check)
    counts = f"{len(report)} of {min(options.check, len(table))} images are unreadable or look wrong"
    say(counts)
    for path, reason in zip(report["path"], report["reason"], strict=True):
        say(f"  {reason}" if reason.startswith(path) else f"  {path}: {reason}")
    if options.strict and len(report):
        raise ValueError(f"--strict: {counts}")


def _tell(report: Report, options: Namespace) -> None:
    say(f"{report.written} images written, {report.before} found finished, {len(report.unreadable)} unreadable")
    for unreadable in report.unreadable[:10]:
        say(f"  {unreadable.reason}")
    if report.unreadable:
        say(f"all of them: {options.out}/unreadable*.csv")
    if report.ranges:
        kinds = ", ".join(f"{kind} {count}" for kind, count in report.ranges.most_common())
        say(f"grey values look wrong in {report.ranges.total()} ({kinds}): column range of {options.out}/manifest*.csv")


def _tell_next(table: LabelTable, recorded: Mapping[str, Any], options: Namespace, left: list[int], parts: int) -> None:
    """Says what the labels mean, and how to train or what is to be done before."""
    policy = ", ".join(f"{name} {recorded[name]}" for name in ("uncertain", "blank") if name in recorded)
    say(f"labels.csv holds the labels as the reader's options made them{f' ({policy})' if policy else ''}; "
        "other options need another folder")  # fmt: skip
    soft = " --data.options.soft true" if table.soft else ""
    train = f"--data.source table --data.root {shlex.quote(str(options.out))} --data.image_size {options.size}{soft}"
    if left:
        say(f"still to do: --shard {', '.join(f'{number}/{parts}' for number in left)}")
        say(f"once all parts lie in one folder, here or elsewhere: {train}")
    else:
        say(f"to train: {train}")
