"""CSV files: columns by name, everything as text, no row cut short."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd


def read_csv(path: Path) -> pd.DataFrame:
    """The rows of a CSV file, plain or gz, with every cell as text: pandas would turn the id 007 into 7, "NA" into NaN.

    Columns without a name are left out.
    Raises: ValueError, before which the caller puts the file's name, on a file that cannot be read, has a row longer or
        shorter than its header, which is named by its line, or repeats a column name.
    """
    try:
        # The header is read as a row, since pandas renames repeated columns, and shifts all of them by one where every
        # row is longer than the header.
        rows = pd.read_csv(
            path, header=None, dtype=object, na_filter=False, compression="gzip" if path.suffix == ".gz" else None
        )
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        OSError,
        EOFError,
        zlib.error,
    ) as error:
        if "Expected" in str(error):  # pandas counts no lines within cells
            _expect_no_longer_rows(path)
        raise ValueError(f"not readable as CSV: {str(error).strip()}") from error
    names = rows.iloc[0]
    if repeated := names[names.duplicated() & (names != "")].tolist():
        raise ValueError(f"columns repeat: {repeated}")
    named = (names != "").to_numpy()
    cells = rows.iloc[1:].reset_index(drop=True).set_axis(names.tolist(), axis=1).loc[:, named]
    if named.any() and (cells.iloc[:, -1] == "").any():  # pandas fills up a row that is short
        _expect_whole_rows(path, int(named.nonzero()[0][-1]) + 1)
    return cells


def line_of(path: Path, row: int) -> int:
    """The line of the file at which a row begins that read_csv counts from 0."""
    return next(islice(_records(path), row + 1, None))[0]


def _expect_whole_rows(path: Path, cells: int) -> None:
    """Raises ValueError that names the first line with fewer cells than these."""
    for line, row in _records(path):
        if len(row) < cells:
            raise ValueError(f"line {line} has {len(row)} of {cells} cells")


def _expect_no_longer_rows(path: Path) -> None:
    """Raises ValueError that names the first line with more cells than the header."""
    records = _records(path)
    _, header = next(records)
    for line, row in records:
        if len(row) > len(header):
            raise ValueError(f"line {line} has {len(row)} cells, but the header {len(header)}")


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of the header and of each row, with the line at which they begin: a cell may hold line breaks."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        begin = 1
        try:
            for cells in lines:
                # A blank line is no row to pandas either, but a quoted blank is one.
                if len(cells) > 1 or cells == [""] or "".join(cells).strip():
                    yield begin, cells
                begin = lines.line_num + 1
        except csv.Error as error:
            raise ValueError(f"not readable as CSV in line {lines.line_num}: {error}") from error
