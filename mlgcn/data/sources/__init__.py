"""Readers: from the files of a data set, as they were downloaded, to a LabelTable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlgcn.data.sources.nih import read_nih
from mlgcn.data.sources.phantom import read_phantom
from mlgcn.data.sources.table import read_label_csv
from mlgcn.labels import LabelTable
from mlgcn.suggestions import check_options, unknown_name

SOURCES: dict[str, Callable[..., LabelTable]] = {
    "nih": read_nih,
    "phantom": read_phantom,
    "table": read_label_csv,
}


def read_source(name: str, root: str | Path | None = None, **options: Any) -> LabelTable:
    """The labels of a data set. Touches no image.

    Args:
        name: one of SOURCES.
        root: the folder with the data set's tables; phantoms need none.
        options: of the reader, by keyword.
    Raises: ValueError on an unknown name or option, naming the nearest known one, or where root is missing;
        FileNotFoundError if root does not exist; as the reader does.
    """
    if name not in SOURCES:
        raise ValueError(unknown_name("data source", name, SOURCES))
    reader = SOURCES[name]
    check_options(reader, options, f"option of the data source {name!r}:")
    if name == "phantom":
        return reader(root, **options)
    if root is None:
        raise ValueError(f"the data source {name!r} needs the folder of its tables: --data.root FOLDER")
    if not Path(root).exists():
        raise FileNotFoundError(f"data.root: there is no {root}")
    return reader(Path(root), **options)


__all__ = ["SOURCES", "read_source"]
