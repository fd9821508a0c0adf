"""Labels, what they mean and what they are mapped from, as tables for the terminal."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlgcn.data.ontology import Match, canonical
from mlgcn.labels import LabelTable, label_groups
from mlgcn.reporting.tables import MISSING, number

TEXTS = ("from", "how", "finding", "group", "first labels")  # columns set left, as labels are


def space_rows(spaces: Mapping[str, Sequence[str]]) -> RenderableType:
    """One line a label space: how many labels it has, and which come first."""
    table = _table("label space", "labels", "first labels")
    for name, labels in spaces.items():
        table.add_row(Text(name), f"{len(labels):,}", Text(", ".join(labels[:3]) + ", ..."))
    return table


def finding_rows(names: Sequence[str], counted: LabelTable | None) -> RenderableType:
    """One line a label with the finding that it means; where images were counted, from frequent to rare."""
    if counted is None:
        table = _table("label", "finding")
        for name in names:
            table.add_row(Text(name), _finding(name))
        return table
    table = _table("label", "finding", "positives", "known", "prevalence", "group")
    rows = zip(counted.positives, counted.known, counted.prevalence, strict=True)
    count = dict(zip(counted.names, rows, strict=True))
    for group, members in label_groups(counted).items():
        for name in members:
            positives, known, prevalence = count[name]
            share = number(float(prevalence) if known else None)
            table.add_row(Text(name), _finding(name), f"{positives:,}", f"{known:,}", share, group)
    return table


def match_rows(matches: Sequence[Match], before: LabelTable | None, after: LabelTable | None) -> RenderableType:
    """One line for each label and each source of it, and below which sources are of no use.

    Args:
        before, after: the images with the labels of the source and with those mapped, whose counts are then shown.
    """
    counts = ("positives\nbefore", "known\nbefore", "positives\nafter", "known\nafter")
    counted = before is not None and after is not None
    table = _table("label", "from", "how", *(counts if counted else ()))
    sources, targets = _counts(before), _counts(after)
    last = None
    for match in matches:
        if match.target is None:
            continue
        first, last = match.target != last, match.target
        cells = [match.target if first else "", match.source or MISSING, match.how]
        if counted:
            cells += sources.get(match.source, ("", "")) + (targets[match.target] if first else ("", ""))
        table.add_row(*map(Text, cells))
    unused = [match.source for match in matches if match.target is None and match.source is not None]
    return Group(table, Text(f"Of no use here: {', '.join(unused)}.")) if unused else table


def _counts(table: LabelTable | None) -> dict[str | None, tuple[str, str]]:
    """Positives and known images by label."""
    if table is None:
        return {}
    rows = zip(table.names, table.positives, table.known, strict=True)
    return {name: (f"{positives:,}", f"{known:,}") for name, positives, known in rows}


def _finding(name: str) -> Text:
    return Text(canonical(name) or MISSING)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, column in enumerate(columns):
        text = at == 0 or column in TEXTS
        # A name breaks anywhere, so that none is cut; a number never does.
        table.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return table
