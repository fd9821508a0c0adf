"""How often labels stand together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

BLOCK_ROWS = 16_384  # keeps the memory small; float32 counts exactly up to 2 ** 24 rows
KNOWN = "known: "


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """Co-occurrence counts of C labels.

    Attributes:
        counts: int64 [C, C]; images positive for both labels, and on the diagonal for the one.
        known: int64 [C, C]; images positive for label i whose label j is known. Where no label is unknown, row i
            holds counts[i, i] throughout.
        names: the C label names.
    Raises: ValueError on counts that no set of images can have, and unless there are C different names.
    """

    counts: np.ndarray
    known: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        size = len(self.names)
        if not size or self.counts.shape != (size, size) or self.known.shape != (size, size):
            raise ValueError(
                f"counts have shape {self.counts.shape} and known {self.known.shape}, expected [C, C] for {size} names"
            )
        if len(set(self.names)) < size:
            raise ValueError(f"label names repeat: {sorted({n for n in self.names if self.names.count(n) > 1})[:5]}")
        possible = (self.counts == self.counts.T) & (self.counts >= 0) & (self.counts <= self.known)
        possible &= self.known <= self.totals[:, None]
        if not possible.all():
            i, j = np.argwhere(~possible)[0]
            raise ValueError(
                f"impossible counts of {self.names[i]!r} and {self.names[j]!r}: {self.counts[i, j]} and "
                f"{self.counts[j, i]} together, {self.known[i, j]} known, {self.totals[i]} of the first"
            )

    @property
    def totals(self) -> np.ndarray:
        """Images positive for each label: int64 [C]."""
        return self.counts.diagonal()

    def conditional(self) -> np.ndarray:
        """P(j|i) at [i, j]: float64 [C, C], NaN where no image tells.

        The share of images positive for j among those that are positive for i and whose j is known. It can't be told
        where no image is positive for i, or where j is unknown in all that are.
        """
        return self.counts / np.where(self.known > 0, self.known, np.nan)

    def to_frame(self) -> pd.DataFrame:
        """The counts with label names on both sides."""
        return pd.DataFrame(self.counts, index=list(self.names), columns=list(self.names))

    def save(self, path: str | Path) -> None:
        """Writes a CSV: the counts [C, C] with label names on both sides.

        Where some labels are unknown, C more columns named "known: LABEL" follow.
        """
        frame = self.to_frame()
        if (self.known != self.totals[:, None]).any():
            known = pd.DataFrame(self.known, index=frame.index, columns=[KNOWN + name for name in self.names])
            frame = pd.concat([frame, known], axis=1)
        frame.to_csv(path, index_label="label")

    @classmethod
    def load(cls, path: str | Path) -> "Cooccurrence":
        """The counts that save wrote. Raises: ValueError on a table of another form or with impossible counts."""
        # As plain strings, or pandas would read a label named "None" as missing and rename repeated ones.
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False).to_numpy()
        names, columns = cells[1:, 0].tolist(), cells[0, 1:].tolist()
        if columns not in (names, names + [KNOWN + name for name in names]):
            raise ValueError(
                f"{path}: the columns are {columns[:5]} ..., expected the labels of the rows {names[:5]} ..."
            )
        try:
            numbers = cells[1:, 1:].astype(np.int64)
        except ValueError as error:
            raise ValueError(f"{path}: {error}, expected whole numbers") from None
        counts, known = numbers[:, : len(names)], numbers[:, len(names) :]
        if not known.size:
            known = np.broadcast_to(counts.diagonal()[:, None], counts.shape)
        return cls(counts, known, tuple(names))


def cooccurrence(values: ArrayLike, names: Sequence[str] | None = None) -> Cooccurrence:
    """How often each pair of labels is positive in the same image.

    Give it the training split alone: the graph must not learn from the images that test it.

    Args:
        values: [N, C]; 1 positive, 0 negative, NaN unknown. An image whose label j is unknown counts in no pair with j.
        names: the C label names; default: the numbers from 0.
    Raises: ValueError if values are no [N, C] table of 0, 1 and NaN, or are empty, or if names do not fit them.
    """
    table = np.asarray(values)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"values have shape {table.shape}, expected [N, C] with at least one image and one label")
    names = tuple(str(name) for name in (range(table.shape[1]) if names is None else names))
    if len(names) != table.shape[1]:
        raise ValueError(f"got {len(names)} names for {table.shape[1]} columns of values")
    counts, gaps = np.zeros((2, len(names), len(names)))
    for start in range(0, len(table), BLOCK_ROWS):
        block = table[start : start + BLOCK_ROWS]
        positive, unknown = block == 1, block != block  # only NaN differs from itself
        if (wrong := ~(positive | unknown | (block == 0))).any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"label {names[column]!r} of row {start + row} is {block[row, column]}, expected 0, 1 or NaN"
            )
        ones = positive.astype(np.float32)  # matrix products of float32 go through BLAS, those of integers do not
        counts += ones.T @ ones
        if unknown.any():
            gaps += ones.T @ unknown.astype(np.float32)
    whole = counts.astype(np.int64)
    return Cooccurrence(whole, whole.diagonal()[:, None] - gaps.astype(np.int64), names)
