"""Reading a data set's tables: columns by name, everything as text, nothing guessed."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV file, plain or gz, with every value as text and blanks as ""; columns without a name are left out.

    Args:
        columns: those that must be there; others stay in.
    Raises: FileNotFoundError, or ValueError on a file that is no CSV, has a row longer than its header, lacks a
        column, or repeats a column name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        # The header is read as a row, since pandas renames repeated columns, and shifts all of them by one where every
        # row is longer than the header.
        rows = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
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
    rows = rows.iloc[1:].reset_index(drop=True).set_axis(names.tolist(), axis=1).loc[:, (names != "").to_numpy()]
    if missing := [column for column in columns if column not in rows]:
        raise ValueError(f"{path}: lacks the columns {missing}; it has {list(rows)}")
    return rows


def find_file(root: Path, *patterns: str) -> Path:
    """The one file in a folder that matches one of the patterns.

    Raises: FileNotFoundError if none does, ValueError if several do.
    """
    found = sorted({path for pattern in patterns for path in root.glob(pattern)})
    if not found:
        raise FileNotFoundError(f"{root}: no file matches {' or '.join(patterns)}")
    if len(found) > 1:
        raise ValueError(f"{root}: several files match {' or '.join(patterns)}: {[path.name for path in found]}")
    return found[0]
