"""One table from several files that may tell of the same images."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.row_place import row_place
from mlgcn.data.sources.values import label_values
from mlgcn.labels import LabelTable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """What one file tells.

    Attributes:
        file: where it comes from, for the messages.
        images: one row an image: image_id, path, patient_id, study_id, view, split, all text.
        labels: the names of the columns of the values.
        values: float32 [N, C], NaN where unknown.
        soft: whether values between 0 and 1 may be among them.
        clash: what becomes of a label that an earlier file gives otherwise: "stop" the reading, "keep" the earlier
            value, or "replace" it.
    """

    file: Path
    images: pd.DataFrame
    labels: Sequence[str]
    values: np.ndarray
    soft: bool = False
    clash: str = "stop"


def part_of(
    file: Path,
    rows: pd.DataFrame,
    images: pd.DataFrame,
    labels: Sequence[str],
    *,
    uncertain: str | float,
    blank: str | float,
    clash: str = "stop",
) -> Part:
    """What a file tells whose rows have label columns, or none. Raises: ValueError as label_values does."""
    values, soft = label_values(file, rows, labels, uncertain=uncertain, blank=blank)
    return Part(file, images, labels, values, soft, clash)


def merge(parts: Sequence[Part], labels: Sequence[str]) -> LabelTable:
    """The images of all parts, each once, in order of appearance; what no part tells is unknown.

    Of an image in several parts the first tells path and view.
    Raises: ValueError that names file, image and column where an image stands twice in one file, or where two files
        give it another patient, study, split or label; as LabelTable does.
    """
    for part in parts:
        _expect_unique(part)
    images = pd.concat([part.images for part in parts]).drop_duplicates("image_id", ignore_index=True)
    index = pd.Index(images["image_id"])
    values = np.full((len(images), len(labels)), np.nan, dtype=np.float32)
    column = {label: place for place, label in enumerate(labels)}
    for place, part in enumerate(parts):
        rows = index.get_indexer(part.images["image_id"])
        _expect_same(parts[:place], part, images.iloc[rows])
        block = np.ix_(rows, [column[label] for label in part.labels])
        earlier, given = values[block], ~np.isnan(part.values)
        clashes = given & ~np.isnan(earlier) & (earlier != part.values)
        if clashes.any():
            _clash(parts[:place], part, clashes, earlier)
        values[block] = np.where(given if part.clash == "replace" else np.isnan(earlier), part.values, earlier)
    columns = {str(name): images[name] for name in images}
    return LabelTable(values, labels, **columns, soft=any(part.soft for part in parts))


def _expect_unique(part: Part) -> None:
    names = part.images["image_id"]
    repeated = names.duplicated().to_numpy()
    if repeated.any():
        again = int(repeated.argmax())
        first = int((names == names.iloc[again]).to_numpy().argmax())
        raise ValueError(
            f"{part.file}: image ids repeat: {names.iloc[again]!r} stands in "
            f"{row_place(part.file, first)} and {row_place(part.file, again)}"
        )


def _expect_same(earlier: Sequence[Part], part: Part, found: pd.DataFrame) -> None:
    """Raises ValueError where images, as found in earlier files, have another patient, study or split."""
    for column in ("patient_id", "study_id", "split"):
        differs = part.images[column].to_numpy() != found[column].to_numpy()
        if differs.any():
            row = int(differs.argmax())
            name, here, there = found["image_id"].iloc[row], part.images[column].iloc[row], found[column].iloc[row]
            other = next(before.file for before in earlier if name in set(before.images["image_id"]))
            raise ValueError(f"{part.file}: {column} of image {name!r} is {here!r}, but {there!r} in {other}")


def _clash(earlier: Sequence[Part], part: Part, clashes: np.ndarray, values: np.ndarray) -> None:
    """Raises ValueError, or logs a warning where clashes need not stop the reading.

    Args:
        clashes: which values of the part are not those of earlier files, bool [N, C].
        values: those of earlier files [N, C].
    """
    row, column = np.argwhere(clashes)[0]
    if part.clash == "stop":
        label, name = part.labels[column], part.images["image_id"].iloc[row]
        other = next(before.file for before in earlier if _gives(before, name, label))
        raise ValueError(
            f"{part.file}: label {label!r} of image {name!r} is {part.values[row, column]:g} in "
            f"{row_place(part.file, row)}, but {values[row, column]:g} in {other}; {clashes.sum()} labels of "
            f"{clashes.any(axis=1).sum()} images differ"
        )
    fate = "replaced" if part.clash == "replace" else "kept"
    counts = int(clashes.sum()), int(clashes.any(axis=1).sum())
    logger.warning(
        "%s: %d labels of %d images differ from those of other files, which are %s", part.file, *counts, fate
    )


def _gives(part: Part, name: str, label: str) -> bool:
    if label not in part.labels:
        return False
    rows = (part.images["image_id"] == name).to_numpy()
    return bool((~np.isnan(part.values[rows, list(part.labels).index(label)])).any())
