"""What was prepared from which file: CSV files, one for each part of the work."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mlgcn.data.sources.files import read_table


class Entry(NamedTuple):
    """An image that was prepared; all texts, as the file has them.

    Attributes:
        image_id: of the table.
        path: of the new file, relative to the folder.
        source, source_size, source_mtime_ns: the original, its bytes, and its time of change in nanoseconds; a phantom
            has neither.
        size, sha256: of the new file.
        range: what seems wrong with the original's grey values (mlgcn.data.range_check), or "".
    """

    image_id: str
    path: str
    source: str
    source_size: str
    source_mtime_ns: str
    size: str
    sha256: str
    range: str


class Unreadable(NamedTuple):
    """An image that could not be prepared, and why."""

    image_id: str
    source: str
    reason: str


class PartFiles(NamedTuple):
    """The files of part `number` of `parts`, each of which may be prepared by a machine of its own."""

    folder: Path
    number: int = 1
    parts: int = 1

    @property
    def manifest(self) -> Path:
        """The entries in the order of the table, written at the end."""
        return self.folder / f"manifest{self._suffix}.csv"

    @property
    def journal(self) -> Path:
        """The entries as they come, while the part is under way."""
        return self.folder / f"manifest{self._suffix}.partial.csv"

    @property
    def unreadable(self) -> Path:
        """The images that could not be read; absent where all could be."""
        return self.folder / f"unreadable{self._suffix}.csv"

    @property
    def _suffix(self) -> str:
        return "" if self.parts == 1 else f"-{self.number}-of-{self.parts}"

    def others(self) -> list[Path]:
        """Manifests and lists of other divisions of the work."""
        mine = {self.manifest, self.journal, self.unreadable}
        found = {*self.folder.glob("manifest*.csv"), *self.folder.glob("unreadable*.csv")}
        return sorted(found - mine)


def read_manifest(folder: Path) -> pd.DataFrame:
    """Every prepared image of a folder, from the manifests of all parts: the columns of Entry as text.

    Raises: FileNotFoundError without any; ValueError on a file that is no manifest.
    """
    files = [path for path in sorted(folder.glob("manifest*.csv")) if not path.name.endswith(".partial.csv")]
    if not files:
        raise FileNotFoundError(f"{folder}: no file matches manifest*.csv")
    # A part may have found no image readable.
    rows = pd.concat([read_table(path, Entry._fields, may_be_empty=True) for path in files], ignore_index=True)
    return rows.drop_duplicates("image_id", keep="last", ignore_index=True)


def read_entries(folder: Path) -> dict[str, Entry]:
    """Entries by image_id, from finished parts and from those that were interrupted, which are newer."""
    files = sorted(folder.glob("manifest*.csv"), key=lambda path: (path.name.endswith(".partial.csv"), path.name))
    return {entry.image_id: entry for path in files for entry in _complete_rows(path)}


def parts_to_do(folder: Path, parts: int) -> list[int]:
    """The parts whose manifest does not lie in the folder, by number."""
    return [number for number in range(1, parts + 1) if not PartFiles(folder, number, parts).manifest.is_file()]


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Writes a CSV file, as write_whole does."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_whole(path, file.getvalue())


def write_whole(path: Path, text: str) -> None:
    """Writes a file in one go: under another name first, so that half a file never stands there."""
    # Parts that work at the same time all write labels.csv.
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    half.write_text(text, encoding="utf-8", newline="")
    half.replace(path)


def _complete_rows(path: Path) -> list[Entry]:
    """Rows up to the last that is whole: a run that was killed may have left half of one."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.endswith("\n")]
    return [Entry(*row) for row in list(csv.reader(lines))[1:] if len(row) == len(Entry._fields)]
