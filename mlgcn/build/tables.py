"""From the configuration to the labels of a run's images, from one data set or several."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mlgcn.config import Config, DataConfig, SourceConfig
from mlgcn.data.combine import combine, fill_from, fill_unknown, of_views
from mlgcn.data.leakage import check_sources
from mlgcn.data.ontology import describe_mapping, map_labels
from mlgcn.data.sources import read_source, reader_options
from mlgcn.data.sources.prepared import original_reader, prepared_from
from mlgcn.data.sources.table import table_file
from mlgcn.data.sources.values import meaning
from mlgcn.data.splits import check_patients, complete_split, recorded_split, told_parts
from mlgcn.labels import LabelTable

# By label, the labels of the data set that it comes from, and how (mlgcn.data.ontology.Match).
Mapped: TypeAlias = dict[str, dict[str, str]]


@dataclass(frozen=True)
class BuiltTable:
    """The labels of a run's images, and how they came about.

    Attributes:
        table: every image in a split, unless they were left undivided.
        method: in words, how the images came into their splits.
        sources: one a data set, ready for JSON: reader, root, every option of the reader (the label policy among them),
            use, absent, weight, pseudo_labels, images, from which labels each label comes (null: as read), and of a
            table of `mlgcn prepare` what that read, and with which options (null: it is none).
    """

    table: LabelTable
    method: str
    sources: dict[str, dict[str, Any]]

    def save_sources(self, path: Path) -> None:
        """Writes where the labels come from."""
        path.write_text(json.dumps(self.sources, indent=2))


def build_table(config: Config, recorded: Path | None = None, divide: bool = True) -> BuiltTable:
    """The labels of the data sets that the configuration names.

    Args:
        recorded: the split that a run has recorded; where the file is there, it decides.
        divide: whether images are to be put into splits where the data set has none.
    Raises: ValueError and FileNotFoundError as the readers, map_labels, fill_from, of_views, complete_split and
        check_sources.
    """
    data = config.data
    saved = recorded if recorded is not None and recorded.is_file() else None
    onto = data.labels
    tables: dict[str, LabelTable] = {}
    methods, described = {}, {}
    for name, source in data.named_sources().items():
        table = read_source(source.source, source.root, **source.options)
        mapping = None if onto is None else _mapping(table, onto, name)
        images = len(table)
        if onto is not None:
            table = map_labels(table, onto)
        table = of_views(_filled(table, source, mapping), data.views)
        use = source.use if source.use != "auto" else "train" if tables else "split"
        split = None if tables else data.split  # of the first data set
        table, methods[name] = _divided(table, use, split, config, divide, saved is not None)
        tables[name] = table
        described[name] = _described(source, images, len(table), mapping)
        onto = onto or (list(table.names) if data.sources else None)
    if divide and not saved:  # else it was told when the run began
        readers = {name: original_reader(one.source, one.root) for name, one in data.named_sources().items()}
        check_sources(tables, readers, data.leaks)
    table = combine(tables) if data.sources else tables[data.source]
    if saved:
        return BuiltTable(recorded_split(table, saved), f"as recorded in {saved.name}", described)
    method = "; ".join(f"{name}: {how}" for name, how in methods.items()) if data.sources else methods[data.source]
    return BuiltTable(table, method, described)


def full_options(data: DataConfig) -> dict[str, Any]:
    """Every option of the reader of data.source, defaults written out."""
    return reader_options(data.source, data.options)


def _mapping(table: LabelTable, onto: str | list[str], name: str) -> Mapped:
    """From which of the table's labels each label comes. Raises: ValueError if none comes from any."""
    mapped: Mapped = {}
    for match in describe_mapping(table.names, onto):
        if match.target is not None:
            sources = mapped.setdefault(match.target, {})
            if match.source is not None:
                sources[match.source] = match.how
    if not any(mapped.values()):
        raise ValueError(f"no label of {name} is among those to map onto; see: mlgcn labels {name} --onto SPACE")
    return mapped


def _filled(table: LabelTable, source: SourceConfig, mapping: Mapped | None) -> LabelTable:
    """The table with what the data set's settings say of values that it does not have."""
    absent = meaning("absent", source.absent)
    if mapping is not None and not np.isnan(absent):
        lacking = np.where([not mapping[name] for name in table.names], absent, np.nan)
        table = fill_unknown(table, np.broadcast_to(lacking, table.values.shape))
    return table if source.pseudo_labels is None else fill_from(table, Path(source.pseudo_labels))


def _divided(
    table: LabelTable, use: str, split: str | None, config: Config, divide: bool, recorded: bool
) -> tuple[LabelTable, str]:
    """The images of a data set that a run uses, in splits, and in words how they came there."""
    data = config.data
    if use == "split":
        if recorded:  # of what complete_split leaves out, the record knows nothing
            return table if split is not None else told_parts(table)[0], "recorded"
        if split is not None:
            table = recorded_split(table, Path(split), surplus=True)
            check_patients(table, data.leaks)
            return table, f"as given in {split}"
        if not divide:
            return table, "undivided"
        return complete_split(table, data.fractions, config.run.seed, data.by_view, data.leaks)
    if use == "train" and (table.images.split != "").any():
        table = table.split("train")
        return table, "its training images, for training"
    return table.with_split(["train"] * len(table)), "all images, for training"


def _described(source: SourceConfig, read: int, used: int, mapping: Mapped | None) -> dict[str, Any]:
    options = reader_options(source.source, source.options)
    return {
        "reader": source.source,
        "root": source.root,
        "options": options,
        "prepared": _prepared(source, options),
        "use": source.use,
        "absent": source.absent,
        "weight": source.weight,
        "pseudo_labels": source.pseudo_labels,
        "images": {"read": read, "used": used},
        "labels": mapping,
    }


def _prepared(source: SourceConfig, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `mlgcn prepare` read, whose options already made the labels of its table what they are."""
    if source.source != "table" or source.root is None:
        return None
    return prepared_from(table_file(Path(source.root), options["csv"]).parent)
