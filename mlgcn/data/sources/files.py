"""Reading a data set's tables: columns by name, everything as text, nothing guessed."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV file, plain or gz, with every value as text and blanks as "".

    Args:
        columns: those that must be there; others stay in.
    Raises: FileNotFoundError, or ValueError on a file that is no CSV, lacks a column, or repeats a column name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        # The header is read as a row, since pandas renames repeated columns.
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as CSV: {error}") from error
    names = pd.Series(header, dtype=object)
    if repeated := names[names.duplicated() & (names != "")].tolist():
        raise ValueError(f"{path}: columns repeat: {repeated}")
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
