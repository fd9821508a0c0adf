"""Which images a model is measured on, as the command line names them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from mlgcn.build import build_table
from mlgcn.config import Config, config_from_dict, config_to_dict
from mlgcn.data.sources.files import read_table
from mlgcn.data.splits import recorded_split, told_parts
from mlgcn.labels import LabelTable


def add_data_options(parser: ArgumentParser) -> None:
    """Adds the options that name other data than a run's own, and how they are read."""
    parser.add_argument("--data.source", type=str | None, default=None, help="reader of other data")
    parser.add_argument(
        "--data.root",
        type=str | None,
        default=None,
        help="folder of other data of the same kind; of a run on several data sets, the folder they stand in",
    )
    parser.add_argument("--data.options", type=dict[str, Any] | None, default=None, help="options of the reader")
    parser.add_argument("--data.labels", type=str | None, default=None,
                        help="label space that other data are mapped onto, or model: its labels")  # fmt: skip
    parser.add_argument("--data.split", type=str | None, default=None,
                        help="file with the split of every image, of `mlgcn split` or a run")  # fmt: skip
    parser.add_argument("--data.batch_size", type=int | None, default=None, help="images at a time")
    parser.add_argument("--data.num_workers", type=int | None, default=None, help="processes that read images")
    parser.add_argument("--data.unreadable", choices=["error", "skip"], default=None, help="what unreadable images do")
    parser.add_argument("--data.leaks", choices=["error", "warn"], default=None,
                        help="what images and patients that a run was trained on do; by default warn, of several runs "
                        "error")  # fmt: skip


def is_other(data: Namespace) -> bool:
    """Whether the options name other data, or the run's own in another place or split."""
    return bool(data.root or data.source or data.options or data.split)


def with_data(config: Config, data: Namespace, names: list[str]) -> Config:
    """The run's configuration with the data that the command line names."""
    settings = config_to_dict(config)
    # A split is for images_to_score.
    changes: dict[str, Any] = {name: value for name, value in vars(data).items() if value is not None}
    changes.pop("split", None)
    if {"source", "options"} & changes.keys() or (data.root and not config.data.sources):
        changes |= {"sources": [], "split": None, "pseudo_labels": None}  # they belong to the run's own data
    if data.labels == "model":
        changes["labels"] = names
    if data.source not in (None, config.data.source):
        changes.setdefault("root", None)
    same = data.source in (None, config.data.source) and not config.data.sources
    # Of the same reader, the label policy stays unless it is changed.
    changes["options"] = (config.data.options if same else {}) | (data.options or {})
    settings["data"] |= changes
    return config_from_dict(settings)


def images_to_score(config: Config, split: str, record: Path | None, data: Namespace) -> LabelTable:
    """The images of a split, or all there are.

    The split is that of a file that is named, else as a run has recorded it, else other data's own.

    Args:
        record: the split that the run has recorded, or none: of a checkpoint alone.
        data: as add_data_options has them.
    Raises: ValueError where other data have no split of their own, or a file is named and all are to be scored;
        as recorded_split.
    """
    if split == "all":
        if data.split is not None:
            raise ValueError("--data.split has no effect with --split all")
        return _undivided(config)
    if data.split is not None:
        return recorded_split(told_parts(_undivided(config))[0], Path(data.split), surplus=True).split(split)
    if record is not None and not is_other(data):
        return build_table(config, record).table.split(split)
    table = build_table(config, divide=False).table if record is None else _undivided(config)
    if record is not None and (own := _own(table, record)) is not None:
        return own.split(split)
    if (table.images.split == "").all():
        raise ValueError("these data have no split of their own; to score all of them, use --split all")
    return table.split(split)


def validation_images(config: Config, trained: Config, record: Path) -> LabelTable:
    """The validation images that a run has recorded, from these data if they are its own, else from where it had them.

    Args:
        config: names the data at hand. trained: the run's own configuration.
    """
    own = _own(_undivided(config), record)
    return (build_table(trained, record).table if own is None else own).split("val")


def _undivided(config: Config) -> LabelTable:
    """The images with the split that the data have themselves, if any: a file of the run's may be gone."""
    return build_table(replace(config, data=replace(config.data, split=None)), divide=False).table


def _own(table: LabelTable, record: Path) -> LabelTable | None:
    """The table with the recorded split, if its images are those of the record."""
    own = told_parts(table)[0]
    if set(own.images.image_id) != set(read_table(record, columns=["image_id"])["image_id"]):
        return None
    return recorded_split(own, record)
