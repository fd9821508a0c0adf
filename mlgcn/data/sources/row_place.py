"""Where in its file a row of a table stands."""

from pathlib import Path
from typing import SupportsInt

from mlgcn.csv_table import line_of
from mlgcn.data.sources.files import PARQUET


def row_place(file: Path, row: SupportsInt) -> str:
    """In words: the line at which a row begins that read_table counts from 0; Parquet has no lines, its first row is 1.

    Args:
        file: as read_table reads it; it is read again, to be done for a message only.
    """
    return f"row {int(row) + 1}" if file.suffix in PARQUET else f"line {line_of(file, int(row))}"
