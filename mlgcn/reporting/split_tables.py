"""How the parts of the data are divided, and what they share, as tables for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlgcn.data.leakage import EXAMPLES, Leakage
from mlgcn.reporting.tables import MISSING

SIDE_BY_SIDE = 3  # parts in one table; more would not fit on a line


def part_rows(report: Mapping[str, Any]) -> Group:
    """One line a label, from frequent to rare, of the report of split_report: positives and their share of the known.

    First come the images and patients of each part, and at the end the warnings.
    """
    names = list(report["parts"])
    tables: list[RenderableType] = [
        _part_table({name: report["parts"][name] for name in names[at : at + SIDE_BY_SIDE]}, _by_frequency(report))
        for at in range(0, len(names), SIDE_BY_SIDE)
    ]
    return Group(*tables, *(Text(line, style="yellow") for line in report["warnings"]))


def leak_rows(leak: Leakage) -> Group:
    """What the parts share, one line a kind and pair of parts, and examples."""
    table = _table("in more than one part", "parts", "how many", left=2)
    examples = []
    for kind, shared in leak.findings().items():
        if not shared.count:
            table.add_row(kind, MISSING, "none")
        for pair, count in shared.pairs.items():
            table.add_row(kind, Text(" and ".join(pair)), f"{count:,}")
        if shared.count:
            shown = "; ".join(f"{what} ({', '.join(place)})" for what, place in shared.examples)
            rest = f" and {shared.count - len(shared.examples):,} more" if shared.count > len(shared.examples) else ""
            examples.append(Text(f"{kind}: {shown}{rest}", style="yellow"))
    if leak.images is None:
        table.add_row("identical images", MISSING, "not compared")
    if leak.unreadable:
        count, more = len(leak.unreadable), ", ..." if len(leak.unreadable) > EXAMPLES else ""
        named = ", ".join(leak.unreadable[:EXAMPLES])
        examples.append(Text(f"not compared, for they cannot be read: {count:,} images: {named}{more}", style="yellow"))
    return Group(table, *examples)


def _part_table(parts: Mapping[str, Any], labels: list[str]) -> Table:
    table = _table("label", *(f"{name}\n{what}" for name in parts for what in ("positives", "of known")))
    for what in ("images", "patients"):
        counts = ((f"{part[what]:,}", "") for part in parts.values())
        table.add_row(what, *(text for pair in counts for text in pair), style="bold")
    table.add_section()
    for label in labels:
        cells = []
        for part in parts.values():
            positives, known = part["positives"][label], part["known"][label]
            cells += [f"{positives:,}", f"{100 * positives / known:.2f} %" if known else MISSING]
        table.add_row(Text(label), *cells)
    return table


def _by_frequency(report: Mapping[str, Any]) -> list[str]:
    """Label names from frequent to rare over all parts; of equals the first stays first."""
    parts = list(report["parts"].values())
    return sorted(parts[0]["positives"], key=lambda label: -sum(part["positives"][label] for part in parts))


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, column in enumerate(columns):
        # A name breaks anywhere, so that none is cut; a number never does.
        table.add_column(Text(column), justify="left" if at < left else "right", overflow="fold", no_wrap=at >= left)
    return table
