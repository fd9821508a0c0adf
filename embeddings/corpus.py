"""Sentences to train vectors on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def label_sentences(values: ArrayLike, names: Sequence[str]) -> list[list[str]]:
    """One sentence per image: the names of its positive labels, in the order of the columns.

    A name stays one token, spaces and all. An image without a positive label adds no sentence, because it would say
    nothing about which labels go together.

    Args:
        values: [N, C]; 1 positive, 0 negative, NaN unknown, which is not positive.
        names: the C label names.
    Source: Seo et al. 2023, section 3.1.
    Raises: ValueError if values are no [N, C] table of 0, 1 and NaN, or if names do not fit its columns.
    """
    table = np.asarray(values)
    if table.ndim != 2 or table.shape[1] != len(names):
        raise ValueError(f"values have shape {table.shape}, expected [N, {len(names)}] for {len(names)} names")
    positive = table == 1
    # Compared with itself only NaN differs, and integers and booleans pass as well.
    if (wrong := ~(positive | (table == 0) | (table != table))).any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"label {names[column]!r} of row {row} is {table[row, column]}, expected 0, 1 or NaN")
    tokens = np.array([str(name) for name in names], dtype=object)[np.nonzero(positive)[1]].tolist()
    ends = np.unique(np.cumsum(positive.sum(axis=1))).tolist()
    starts = [0, *ends]
    return [tokens[start:end] for start, end in zip(starts, ends, strict=False) if end > start]
