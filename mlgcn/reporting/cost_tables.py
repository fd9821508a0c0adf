"""What a network costs, as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from mlgcn.reporting.tables import MISSING

COLUMNS = ("part", "parameters (M)", "share", "GFLOPs an image", "share")


def cost_rows(parts: Mapping[str, Mapping[str, Any]]) -> Table:
    """One line a part, the last for the total; parts without weights are empty.

    Args:
        parts: by name, as Cost.to_dict of mlgcn.nn.cost gives them.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if at else "left", no_wrap=True)
    for name, part in parts.items():
        if name == "total":
            table.add_section()
        cells = [
            f"{part['parameters'] / 1e6:,.3f}", _percent(part["parameter_share"]),
            f"{part['flops'] / 1e9:,.3f}", _percent(part["flops_share"]),
        ] if part["parameters"] else [MISSING] * 4  # fmt: skip
        table.add_row(name, *cells, style="bold" if name == "total" else "")
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
