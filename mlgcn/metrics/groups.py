"""Which label belongs to which group, and which image to which value of a column."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlgcn.labels import check_same_labels


def check_names(names: Sequence[str], labels: int) -> list[str]:
    """The label names as a list. Raises: ValueError unless there is one for each of the labels, or if they repeat."""
    names = list(names)
    if len(names) != labels:
        raise ValueError(f"{len(names)} names for {labels} columns of scores")
    if len(set(names)) != len(names):
        raise ValueError(f"label names repeat in names {names}")
    return names


def group_columns(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """The columns of each group's labels, in the order of the columns.

    Raises: ValueError unless every label is in exactly one group.
    """
    listed = [name for members in groups.values() for name in members]
    if repeated := sorted({name for name in listed if listed.count(name) > 1}):
        raise ValueError(f"groups have the labels {repeated} more than once")
    try:
        check_same_labels(listed, names)
    except ValueError as error:
        raise ValueError(f"groups do not hold every label once: {error}") from None
    return {
        group: [column for column, name in enumerate(names) if name in set(members)]
        for group, members in groups.items()
    }


def check_column(values: Any, what: str, images: int) -> np.ndarray:
    """A column of identifiers or categories as text [N].

    Raises: ValueError unless there is one for each image, or that names the first row without one (None, NaN, "").
    """
    cells = np.asarray(values).astype(object)
    if cells.shape != (images,):
        raise ValueError(f"{what} has shape {cells.shape}, expected one value for each of {images} images")
    # Only NaN differs from itself.
    for row, cell in enumerate(cells):
        if cell is None or cell == "" or cell != cell:
            raise ValueError(f"{what}, row {row}: {cell!r}, expected a value that is not empty")
    return cells.astype(str)
