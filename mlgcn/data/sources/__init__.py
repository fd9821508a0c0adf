"""Readers: from the files of a data set, as they were downloaded, to a LabelTable."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlgcn.data.sources.chexpert import read_chexpert
from mlgcn.data.sources.cxr_lt_2023 import read_cxr_lt_2023
from mlgcn.data.sources.cxr_lt_2024 import read_cxr_lt_2024
from mlgcn.data.sources.cxr_lt_2026 import read_cxr_lt_2026
from mlgcn.data.sources.ltml_mimic_cxr import read_ltml_mimic_cxr
from mlgcn.data.sources.mimic_cxr_jpg import read_mimic_cxr_jpg
from mlgcn.data.sources.nih import read_nih
from mlgcn.data.sources.options import taken_options
from mlgcn.data.sources.padchest import read_padchest
from mlgcn.data.sources.phantom import read_phantom
from mlgcn.data.sources.table import read_label_csv
from mlgcn.data.sources.torchxrayvision import read_torchxrayvision
from mlgcn.data.sources.vindr import read_vindr
from mlgcn.labels import LabelTable
from mlgcn.suggestions import check_options, unknown_name

SOURCES: dict[str, Callable[..., LabelTable]] = {
    "chexpert": read_chexpert,
    "cxr_lt_2023": read_cxr_lt_2023,
    "cxr_lt_2024": read_cxr_lt_2024,
    "cxr_lt_2026": read_cxr_lt_2026,
    "ltml_mimic_cxr": read_ltml_mimic_cxr,
    "mimic_cxr_jpg": read_mimic_cxr_jpg,
    "nih": read_nih,
    "padchest": read_padchest,
    "phantom": read_phantom,
    "table": read_label_csv,
    "torchxrayvision": read_torchxrayvision,
    "vindr": read_vindr,
}

# Labels of a data set's label space that its reader gives only where an option is true.
OPTIONAL_LABELS = {"nih": {"No Finding": "no_finding"}}


def read_source(name: str, root: str | Path | None = None, **options: Any) -> LabelTable:
    """The labels of a data set. Touches no image.

    Args:
        name: one of SOURCES.
        root: the folder with the data set's tables; phantoms need none.
        options: of the reader, by keyword.
    Raises: ValueError on an unknown name or option, naming the nearest known one, on an option whose value the reader
        does not take, or where root is missing; FileNotFoundError if root does not exist; as the reader does.
    """
    options = _taken(name, options)
    reader = SOURCES[name]
    if name == "phantom":
        return reader(root, **options)
    if root is None:
        raise ValueError(f"the data source {name!r} needs the folder of its tables: --data.root FOLDER")
    if not Path(root).exists():
        where = "" if Path(root).is_absolute() else f" in {Path.cwd()}"
        raise FileNotFoundError(f"data.root: there is no {root}{where}")
    return reader(Path(root), **options)


def reader_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a reader: those given, as it takes them, and the defaults of the others, policy included.

    Raises: ValueError as read_source does.
    """
    options = _taken(name, options)
    parameters = inspect.signature(SOURCES[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | options


def _taken(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    if name not in SOURCES:
        raise ValueError(unknown_name("data source", name, SOURCES))
    if name != "torchxrayvision":  # takes the arguments of any of its classes, and checks them itself
        check_options(SOURCES[name], options, f"option of the data source {name!r}:")
    return taken_options(SOURCES[name], options, name)


__all__ = ["OPTIONAL_LABELS", "SOURCES", "read_source", "reader_options"]
