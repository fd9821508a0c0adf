"""Which labels a reader gives, told by its name and options alone."""

from collections.abc import Sequence
from typing import Any

from mlgcn.data.ontology import label_space
from mlgcn.data.sources import OPTIONAL_LABELS, reader_options

# Their labels are those of whatever file or data set they are given.
OPEN = ("table", "torchxrayvision")


def published_labels(name: str, **options: Any) -> tuple[str, ...] | None:
    """The labels of a data set as published, or none if only its tables tell them.

    Args:
        name: one of SOURCES.
        options: of the reader, by keyword.
    Raises: ValueError on an unknown name or option, or on a task or release that there is not.
    """
    chosen = reader_options(name, options)
    if name in OPEN or (name == "mimic_cxr_jpg" and chosen["labels"] is not None):
        return None
    if name == "padchest":
        return _of_padchest(chosen["labels"], bool(chosen["leave_out"]) or chosen["least"] > 1)
    if name == "cxr_lt_2024" and chosen["task"] is not None:
        return label_space(f"cxr_lt_2024_task{chosen['task']}")
    if name == "vindr" and chosen["release"] not in (None, "vindr_cxr"):
        return label_space(chosen["release"])
    optional = OPTIONAL_LABELS.get(name, {})
    return tuple(label for label in label_space(name) if label not in optional or chosen[optional[label]])


def _of_padchest(given: Sequence[str] | None, fewer: bool) -> tuple[str, ...] | None:
    """Those given, or all; which of them images are left for, only the table tells."""
    if given:
        return tuple(given)
    return None if fewer else label_space("padchest")
