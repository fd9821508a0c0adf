"""mlgcn prepare: resizes a data set once, so that training reads small files."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mlgcn.commands.console import command, say
from mlgcn.config import parse_command
from mlgcn.data.prepare import Report, Settings, prepare
from mlgcn.data.sources import read_source
from mlgcn.labels import LabelTable

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Resizes the images of a data set to squares (the aspect ratio is not kept) and writes them with labels.csv, which "
    "--data.source table reads, and a manifest. The originals are only read. Unreadable images are listed and left "
    "out. Run again after an interruption, it goes on."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn prepare`."""
    options = parse_command(_parser(), arguments, free=["options", "data.options"])
    with command("mlgcn prepare"):
        settings = Settings(options.size, options.resample, options.format)
        shard = _shard(options.shard)
        table = read_source(options.source, options.root, **(options.options or {}))
        folder, root = Path(options.out), Path(options.root) if options.root else None
        with _shown() as progress:
            report = prepare(
                table, folder, settings, root=root, workers=options.workers, shard=shard, progress=progress
            )
        _tell(report, table, options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn prepare", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("source", type=str, help="a data source by name (see --root)")
    parser.add_argument("--root", "--data.root", type=str | None, default=None,
                        help="folder of the data source's tables")  # fmt: skip
    parser.add_argument("--options", "--data.options", type=dict[str, Any] | None, default=None,
                        help="options of the reader")  # fmt: skip
    parser.add_argument("--out", type=str, required=True, help="folder to write to, apart from the originals")
    parser.add_argument("--size", type=PositiveInt, default=512, help="width and height in pixels")
    parser.add_argument("--resample", choices=["antialias", "area"], default="antialias",
                        help="bilinear with antialias, or the exact mean over a new pixel's area, slower")  # fmt: skip
    parser.add_argument("--format", choices=["jpeg", "png"], default="jpeg", help="grey JPEG of quality 95, or PNG")
    parser.add_argument("--workers", type=NonNegativeInt, default=os.cpu_count() or 1,
                        help="processes; 0 works in this one")  # fmt: skip
    parser.add_argument("--shard", type=str, default="1/1", metavar="I/N",
                        help="do part I of N; the parts, also of several machines, go into one folder")  # fmt: skip
    return parser


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


def _tell(report: Report, table: LabelTable, options: Namespace) -> None:
    say(f"{report.written} images written, {report.before} found finished, {len(report.unreadable)} unreadable")
    for unreadable in report.unreadable[:10]:
        say(f"  {unreadable.reason}")
    if report.unreadable:
        say(f"all of them: {options.out}/unreadable*.csv")
    if report.ranges:
        kinds = ", ".join(f"{kind} {count}" for kind, count in report.ranges.most_common())
        say(f"grey values look wrong in {report.ranges.total()} ({kinds}): column range of {options.out}/manifest*.csv")
    soft = " --data.options.soft true" if table.soft else ""
    say(f"to train: --data.source table --data.root {options.out} --data.image_size {options.size}{soft}")
