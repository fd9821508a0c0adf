"""Which experts of a model are worth keeping, as a table for the terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mlgcn.reporting.tables import number


def expert_rows(chosen: Sequence[tuple[tuple[int, ...], float, int]]) -> Table:
    """One line a choice: which experts are kept, their mAP on validation, and how many weights the network then has.

    Args:
        chosen: those three of each choice, the first with all experts.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("experts")
    for column in ("val mAP", "less all", "parameters"):
        table.add_column(column, justify="right")
    for experts, precision, parameters in chosen:
        change = f"{precision - chosen[0][1]:+.3f}"
        table.add_row(" ".join(map(str, experts)), number(precision), change, f"{parameters:,}")
    return table
