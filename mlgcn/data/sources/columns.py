"""Which columns the table of a data set may have, and which must be filled."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mlgcn.data.sources.row_place import row_place


def check_columns(file: Path, rows: pd.DataFrame, known: Iterable[str], hint: str = "") -> None:
    """Raises ValueError that names the columns that are not known, lest a label among them go unread.

    Args:
        hint: what to do about them, as the end of the message.
    """
    known = list(known)
    if extra := [column for column in rows if column not in known]:
        raise ValueError(f"{file}: has the unexpected columns {extra}; expected {known}{hint}")


def check_filled(file: Path, rows: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raises ValueError that names line and column of the first blank in those of these columns that are there.

    Args:
        rows: all that the file has, so that the line is right.
    """
    for column in columns:
        if column in rows and (blank := (rows[column].str.strip() == "").to_numpy()).any():
            raise ValueError(f"{file}: column {column!r} is blank in {row_place(file, blank.argmax())}")
