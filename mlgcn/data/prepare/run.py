"""All images of a table, resized and written by several processes."""

import csv
import hashlib
import io
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlgcn.data.images import PHANTOM
from mlgcn.data.prepare.manifest import Entry, PartFiles, Unreadable, read_entries, write_rows, write_whole
from mlgcn.data.prepare.one_image import Outcome, Settings, Task, new_path, prepare_image
from mlgcn.data.sources.prepared import PREPARED, preparing_record
from mlgcn.labels import IMAGE_COLUMNS, LabelTable

LABELS_FILE = "labels.csv"
_BATCH = 8  # images that a process is given at a time


@dataclass
class Report:
    """What a run did: images it wrote and those it found finished, what it could not read, and odd ranges by kind."""

    written: int = 0
    before: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    ranges: Counter[str] = field(default_factory=Counter)


def prepare(
    table: LabelTable,
    folder: Path,
    settings: Settings | None = None,
    *,
    origin: Mapping[str, Any] | None = None,
    originals: Collection[Path] = (),
    workers: int = 0,
    shard: tuple[int, int] = (1, 1),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Resizes the images of a table to squares, once, and writes what trains from them.

    The folder holds images/, named after image_id; prepare.json, which says what was prepared and how; manifest.csv
    (see Entry); labels.csv with the labels of the table as they are; unreadable.csv where images are unreadable, which
    the source "table" leaves out when it reads labels.csv. The originals are only read. What an earlier run has
    finished, and is unchanged, is not done again.

    Args:
        origin: what the table was read from, in plain values; recorded with the settings.
        originals: folders of the originals, which `folder` must stand apart from, as from that of any image.
        workers: processes beside this one; with 0 this one does the work.
        shard: (i, n) for part i of n, so that n machines share the work. Each part has a manifest of its own; the
            parts' folders laid into one are the same as prepared by one machine.
        progress: told how many images of how many are done.
    Raises: ValueError on a shard that is none, on a folder that overlaps the originals or was prepared with other
        settings, from another origin or with other labels; FileExistsError on one that holds something else; OSError
        where writing fails.
    """
    settings = settings or Settings()
    number, parts = shard
    if not 1 <= number <= parts:
        raise ValueError(f"shard is {number}/{parts}, expected i/n with i from 1 to n")
    if workers < 0:
        raise ValueError(f"workers must be >= 0, got {workers}")
    _check_apart(table, folder, originals)
    labels = _labels_csv(table, settings)
    digest = hashlib.sha256(labels.encode()).hexdigest()
    _claim(folder, {**settings.as_dict(), **(origin or {}), "labels_sha256": digest})
    files = PartFiles(folder, number, parts)
    known = read_entries(folder)
    images = table.images.iloc[number - 1 :: parts]
    tasks = [Task(*row, known.get(row[0])) for row in zip(images.image_id, images.path, strict=True)]
    report, results = Report(), {}
    for outcome in _journalled(_outcomes(tasks, folder, settings, workers), tasks, files):
        results[outcome.result.image_id] = outcome.result
        _count(outcome, report)
        if progress:
            progress(len(results), len(tasks))
    ordered = [results[task.image_id] for task in tasks]
    report.unreadable = [result for result in ordered if isinstance(result, Unreadable)]
    _finish(files, labels, [result for result in ordered if isinstance(result, Entry)], report.unreadable)
    return report


def _check_apart(table: LabelTable, folder: Path, originals: Iterable[Path]) -> None:
    """Raises: ValueError if the folder and the originals overlap."""
    target = folder.resolve()
    for given in originals:
        original = given.resolve()
        if given.is_dir() and (target.is_relative_to(original) or original.is_relative_to(target)):
            raise ValueError(f"{folder}: must stand apart from the originals in {given}, which are never written to")
    images = (path for path in table.images.path if not path.startswith(PHANTOM))
    for place, path in {os.path.dirname(path): path for path in images}.items():
        original = Path(place).resolve()
        if original.is_relative_to(target):
            raise ValueError(f"{folder}: holds the original {path}; choose a folder apart from the originals")
        if target.is_relative_to(original):
            raise ValueError(f"{folder}: stands beside the original {path}; choose a folder apart from the originals")


def _claim(folder: Path, what: Mapping[str, Any]) -> None:
    """Makes the folder, or makes sure that it is one of the same settings, origin and labels.

    Raises: ValueError where it is not, or where its record is damaged; FileExistsError where it has none.
    """
    file = folder / PREPARED
    # As JSON gives it back: a tuple as a list.
    expected = json.loads(json.dumps(what, default=str))
    folder.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        # Hidden files may be those of another part that claims the folder right now.
        if any(not path.name.startswith(".") for path in folder.iterdir() if path != file):
            raise FileExistsError(f"{folder} is not empty and was not made by mlgcn prepare; choose another folder")
        half = folder / f".{PREPARED}.{os.getpid()}"
        half.write_text(json.dumps(expected, indent=1) + "\n")
        half.replace(file)
    found = preparing_record(folder, needed=["labels_sha256"])
    if differ := [key for key in {**found, **expected} if found.get(key) != expected.get(key)]:
        then, now = ({key: one.get(key) for key in differ} for one in (found, expected))
        raise ValueError(f"{folder}: was prepared with {then}, not {now}; choose another folder")


def _outcomes(tasks: list[Task], folder: Path, settings: Settings, workers: int) -> Iterator[Outcome]:
    """What becomes of the tasks, in any order."""
    work = partial(_prepare_batch, folder=folder, settings=settings)
    batches = [tasks[start : start + _BATCH] for start in range(0, len(tasks), _BATCH)]
    if not workers:
        for batch in batches:
            yield from work(batch)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        waiting: set[Future[list[Outcome]]] = set()
        for batch in batches:
            waiting.add(pool.submit(work, batch))
            if len(waiting) > 3 * workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield from future.result()
    except BrokenProcessPool as error:
        raise OSError("a worker process was killed, perhaps for want of memory; run again to go on") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one stops them


def _prepare_batch(tasks: list[Task], folder: Path, settings: Settings) -> list[Outcome]:
    return [prepare_image(task, folder, settings) for task in tasks]


def _journalled(outcomes: Iterator[Outcome], tasks: list[Task], files: PartFiles) -> Iterator[Outcome]:
    """Hands on what comes, and writes each entry down at once: nothing is lost when the run is killed."""
    write_rows(files.journal, Entry._fields, [task.known for task in tasks if task.known])
    with files.journal.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for outcome in outcomes:
            if isinstance(outcome.result, Entry) and not outcome.before:
                writer.writerow(outcome.result)
                file.flush()
            yield outcome


def _count(outcome: Outcome, report: Report) -> None:
    if isinstance(outcome.result, Unreadable):
        return
    report.before += outcome.before
    report.written += not outcome.before
    if outcome.result.range:
        report.ranges[outcome.result.range.split(":")[0]] += 1


def _finish(files: PartFiles, labels: str, entries: list[Entry], unreadable: list[Unreadable]) -> None:
    """Writes manifest, list and labels, and removes what they replace."""
    write_rows(files.manifest, Entry._fields, entries)
    files.journal.unlink()
    if unreadable:
        write_rows(files.unreadable, Unreadable._fields, unreadable)
    else:
        files.unreadable.unlink(missing_ok=True)
    if files.parts == 1:
        for path in files.others():
            path.unlink()
    write_whole(files.folder / LABELS_FILE, labels)


def _labels_csv(table: LabelTable, settings: Settings) -> str:
    """The table as the source "table" reads it: unknown labels blank, soft ones with all their digits."""
    distinct, place = np.unique(table.values, return_inverse=True)
    texts = np.array([_label_text(value) for value in distinct], dtype=object)[place].reshape(table.values.shape)
    images = table.images.assign(path=[new_path(name, settings) for name in table.images.image_id])
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*IMAGE_COLUMNS, *table.names])
    for image, labels in zip(images[list(IMAGE_COLUMNS)].itertuples(index=False), texts, strict=True):
        writer.writerow([*image, *labels])
    return file.getvalue()


def _label_text(value: np.float32) -> str:
    return "" if np.isnan(value) else np.format_float_positional(value, trim="-")
