"""Reading a data set's tables: columns by name, everything as text, nothing guessed."""

import csv
import gzip
import zlib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa


def read_table(path: Path, columns: Sequence[str] = (), *, may_be_empty: bool = False) -> pd.DataFrame:
    """A CSV file, plain or gz, or a Parquet file, with every value as text and blanks as "".

    Columns without a name are left out. Booleans, which Parquet knows, are "1" and "0".

    Args:
        columns: those that must be there; others stay in.
        may_be_empty: whether there may be a header alone.
    Raises: FileNotFoundError, or ValueError on a file that cannot be read, has a row longer or shorter than its header
        or no row, lacks a column, or repeats a column name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    expect_columns(path, rows, columns)
    if rows.empty and not may_be_empty:
        raise ValueError(f"{path}: has no rows")
    return rows


def _parquet(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not readable as Parquet: {str(error).strip()}") from error
    rows = rows.reset_index(drop=True).rename(columns=str)
    return rows.astype(object).where(rows.notna(), "").map(_text)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, (bool, np.bool_)) else str(value)


def _csv(path: Path) -> pd.DataFrame:
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
        raise ValueError(f"{path}: not readable as CSV: {str(error).strip()}") from error
    names = rows.iloc[0]
    if repeated := names[names.duplicated() & (names != "")].tolist():
        raise ValueError(f"{path}: columns repeat: {repeated}")
    named = (names != "").to_numpy()
    cells = rows.iloc[1:].reset_index(drop=True).set_axis(names.tolist(), axis=1).loc[:, named]
    if named.any() and (cells.iloc[:, -1] == "").any():  # pandas fills up a row that is short
        _expect_whole_rows(path, int(named.nonzero()[0][-1]) + 1)
    return cells


def _expect_whole_rows(path: Path, cells: int) -> None:
    """Raises ValueError that names the first line with fewer cells than these."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        try:
            for row in lines:
                # A blank line is no row to pandas either.
                if len(row) < cells and (len(row) > 1 or "".join(row).strip()):
                    raise ValueError(f"{path}: line {lines.line_num} has {len(row)} of {cells} cells")
        except csv.Error as error:
            raise ValueError(f"{path}: not readable as CSV in line {lines.line_num}: {error}") from error


def find_file(root: Path, *patterns: str) -> Path:
    """The one file in a folder that matches one of the patterns.

    Raises: FileNotFoundError if none does, ValueError if several do.
    """
    found = optional_file(root, *patterns)
    if found is None:
        raise FileNotFoundError(f"{root}: no file matches {' or '.join(patterns)}")
    return found


def optional_file(root: Path, *patterns: str, without: str = "") -> Path | None:
    """The one file in a folder that matches one of the patterns, or None; names that match `without` do not count.

    Raises: ValueError if several do.
    """
    found = sorted({path for pattern in patterns for path in root.glob(pattern) if not fnmatch(path.name, without)})
    if len(found) > 1:
        raise ValueError(f"{root}: several files match {' or '.join(patterns)}: {[path.name for path in found]}")
    return found[0] if found else None


def csv_names(stem: str) -> tuple[str, str]:
    """The names that a table may have on disk: plain and gz."""
    return f"{stem}.csv", f"{stem}.csv.gz"


def expect_columns(path: Path, rows: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raises ValueError that names the columns that a table lacks."""
    if missing := [column for column in columns if column not in rows]:
        raise ValueError(f"{path}: lacks the columns {missing}; it has {list(rows)}")
