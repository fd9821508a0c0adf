"""mlgcn presets: what --config knows by name."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from rich import box
from rich.table import Table
from rich.text import Text

from mlgcn.commands.console import say
from mlgcn.config import (
    DataConfig,
    parse_command,
    preset_changes,
    preset_names,
    preset_published,
    preset_summary,
    read_preset,
)

MISSING = "–"
# Longer settings are named alone.
LONGEST = 60


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn presets`."""
    parser = ArgumentParser(
        prog="mlgcn presets", description="Lists the presets with source and published figure.", allow_abbrev=False
    )
    parser.add_argument("--markdown", action="store_true", help="as docs/presets.md has them, with data and settings")
    options = parse_command(parser, arguments)
    say(preset_markdown().rstrip() if options.markdown else _table())


def preset_markdown() -> str:
    """A table in Markdown for each folder: name, source, published figure, data, and what the preset changes."""
    lines = []
    for folder, names in _by_folder():
        lines += [f"### {folder or 'Without a folder'}", ""]
        lines += ["| preset | source | published | data | changes |", "|---|---|---|---|---|"]
        lines += [_row(name) for name in names]
        lines += [""]
    return "\n".join(lines)


def _table() -> Table:
    table = Table("preset", "source", "published", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[::2]:
        column.no_wrap = True
    for folder, names in _by_folder():
        if folder:
            table.add_row(Text(f"{folder}/"))
        for name in names:
            table.add_row(
                Text("  " * bool(folder) + name.removeprefix(f"{folder}/")),
                Text(preset_summary(name)),
                Text(preset_published(name) or MISSING),
            )
        table.add_section()
    return table


def _by_folder() -> list[tuple[str, list[str]]]:
    """Names by folder, those in none first; in a folder each after its base, then by the alphabet."""
    folders = groupby(sorted(preset_names(), key=lambda name: ("/" in name, name)), key=_folder)
    return [(folder, sorted(names, key=_lineage)) for folder, names in folders]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _lineage(name: str) -> list[str]:
    """The preset and its bases, the first of them first."""
    base, _ = preset_changes(name)
    return [*(_lineage(base) if base else []), name]


def _row(name: str) -> str:
    base, settings = preset_changes(name)
    changes = [
        f"{section}.{key} {_short(value)}" for section, values in settings.items() for key, value in values.items()
    ]
    cells = [
        f"`{name}`",
        preset_summary(name),
        preset_published(name) or MISSING,
        ", ".join(_data(name)),
        "; ".join([*([f"base `{base}`"] if base else []), *(f"`{change}`" for change in changes)]) or MISSING,
    ]
    return f"| {' | '.join(cells)} |"


def _data(name: str) -> list[str]:
    """The data sets that the preset trains on, by reader."""
    data = read_preset(name).get("data", {})
    if sources := data.get("sources"):
        return [one["source"] for one in sources]
    return [data.get("source", DataConfig.source)]


def _short(value: Any) -> str:
    """The value as YAML has it, cut where it is long."""
    text = " ".join(yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").split())
    return text if len(text) <= LONGEST else "…"
