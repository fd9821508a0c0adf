"""Reading a data set's tables: columns by name, everything as text, nothing guessed."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mlgcn.csv_table import read_csv

PARQUET = (".parquet", ".pq")


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
    try:
        rows = _parquet(path) if path.suffix in PARQUET else read_csv(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    expect_columns(path, rows, columns)
    if rows.empty and not may_be_empty:
        raise ValueError(f"{path}: has no rows")
    return rows


def _parquet(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not readable as Parquet: {str(error).strip()}") from error
    # What pandas wrote as an index is a column of the file; one without a name only counts rows.
    if named := [name for name in rows.index.names if name is not None and name not in rows]:
        rows = rows.reset_index(level=named)
    rows = rows.reset_index(drop=True).rename(columns=str)
    return rows.astype(object).where(rows.notna(), "").map(_text)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, (bool, np.bool_)) else str(value)


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
