"""What `mlgcn prepare` leaves beside its labels.csv, as far as it concerns whoever reads that table."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlgcn.data.sources.files import read_table
from mlgcn.labels import LabelTable

logger = logging.getLogger(__name__)

PREPARED = "prepare.json"


def without_unreadable(table: LabelTable, folder: Path) -> LabelTable:
    """The table without the images that any part of `mlgcn prepare` could not read and none has prepared.

    Each part of the work lists its own, so that the parts' folders are merged by laying them together.

    Args:
        folder: where the table lies; what was not prepared is left as it is.
    """
    if not (folder / PREPARED).is_file() or not (listed := _image_ids(folder, "unreadable")):
        return table
    missing = table.images["image_id"].isin(listed - _image_ids(folder, "manifest")).to_numpy()
    if not missing.any():
        return table
    logger.info("%s: %d images left out that `mlgcn prepare` could not read (unreadable*.csv)", folder, missing.sum())
    return table.take(~missing)


def prepared_from(folder: Path) -> dict[str, Any] | None:
    """The source that `mlgcn prepare` read, and every option of its reader, as recorded; None where it made no record.

    Raises: ValueError where the record cannot be read.
    """
    if not (folder / PREPARED).is_file():
        return None
    record = preparing_record(folder)
    return {key: record[key] for key in ("source", "options") if key in record}


def preparing_record(folder: Path, needed: Iterable[str] = ()) -> dict[str, Any]:
    """All that `mlgcn prepare` recorded of what it prepared.

    Args:
        needed: what must be in it.
    Raises: ValueError that names the file where it cannot be read, is no mapping or lacks one of these.
    """
    file = folder / PREPARED
    try:
        record = json.loads(file.read_text())
        if not isinstance(record, dict):
            raise ValueError(f"holds {type(record).__name__}, expected a mapping")
        if lacking := [key for key in needed if key not in record]:
            raise ValueError(f"lacks {lacking}")
    except ValueError as error:
        raise ValueError(f"{file}: not as mlgcn prepare writes it: {error}") from error
    return record


def original_reader(reader: str, root: str | None) -> str:
    """The reader whose images these are: of a table that `mlgcn prepare` wrote, that of the originals.

    Raises: as prepared_from.
    """
    if reader != "table" or root is None:
        return reader
    record = prepared_from(Path(root) if Path(root).is_dir() else Path(root).parent) or {}
    return str(record.get("source", reader))


def _image_ids(folder: Path, stem: str) -> set[str]:
    files = [path for path in folder.glob(f"{stem}*.csv") if not path.name.endswith(".partial.csv")]
    return {name for path in files for name in read_table(path, ["image_id"], may_be_empty=True)["image_id"]}
