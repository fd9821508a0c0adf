"""Which columns the table of a data set may have."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd


def check_columns(file: Path, rows: pd.DataFrame, known: Iterable[str], hint: str = "") -> None:
    """Raises ValueError that names the columns that are not known, lest a label among them go unread.

    Args:
        hint: what to do about them, as the end of the message.
    """
    known = list(known)
    if extra := [column for column in rows if column not in known]:
        raise ValueError(f"{file}: has the unexpected columns {extra}; expected {known}{hint}")
