"""Several sources as one table, and values that a source lacks from elsewhere."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.table import read_label_csv
from mlgcn.labels import IMAGE_COLUMNS, VIEWS, LabelTable
from mlgcn.suggestions import check_known

logger = logging.getLogger(__name__)

# A model's probability is never nearer to 0 or 1: as exactly 0 or 1 it would count as a label that is known.
LEAST_DOUBT = 1e-6
# Between a source's name and the identifier that an image has there.
SEPARATOR = ":"


def combine(tables: Mapping[str, LabelTable]) -> LabelTable:
    """The images of all sources in one table, in their order.

    Identifiers of images, patients and studies are preceded by the source's name and a colon, so that two patients 17
    stay two. A patient who is in two data sets cannot be told from two patients; check_sources (mlgcn.data.leakage)
    compares images.

    Args:
        tables: by name, each with the same labels in the same order.
    Raises: ValueError on other labels, on no table, or on a name that is empty or has a colon in it.
    """
    if not tables:
        raise ValueError("there is no table to combine")
    first = next(iter(tables.values()))
    for name, table in tables.items():
        if not name or SEPARATOR in name:
            raise ValueError(f"a source is named {name!r}, expected a name without {SEPARATOR!r}")
        if table.names != first.names:
            raise ValueError(f"the labels of {name} are not those of {next(iter(tables))}, in the same order")
    images = pd.concat([_prefixed(table.images, name + SEPARATOR) for name, table in tables.items()], ignore_index=True)
    return LabelTable(
        np.concatenate([table.values for table in tables.values()]),
        first.names,
        **{column: images[column].tolist() for column in IMAGE_COLUMNS},
        soft=any(table.soft for table in tables.values()),
    )


def source_of(table: LabelTable) -> np.ndarray:
    """The name of the source of every image of a combined table: [N] of str."""
    return table.images.image_id.str.partition(SEPARATOR)[0].to_numpy(dtype=str)


def fill_unknown(table: LabelTable, values: np.ndarray) -> LabelTable:
    """The table with the values [N, C] where its own are unknown, and nowhere else; soft, as they may be anything.

    Args:
        values: from 0 to 1; NaN leaves unknown what is.
    Raises: ValueError on another shape, or as LabelTable does.
    """
    if values.shape != table.values.shape:
        raise ValueError(f"values have shape {values.shape}, expected {table.values.shape}")
    filled = np.where(np.isnan(table.values), values, table.values)
    return table.with_values(filled, soft=True)


def soften(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities at least LEAST_DOUBT away from 0 and from 1, so that they stay soft labels; NaN stays NaN."""
    return np.clip(probabilities, LEAST_DOUBT, 1 - LEAST_DOUBT)


def fill_from(table: LabelTable, path: Path) -> LabelTable:
    """The table with its unknown values filled from a file that `mlgcn predict --pseudo-labels` wrote, image by image.

    What is filled in stays soft. Images that the file lacks, as it does those that could not be read, stay as they are;
    a warning counts them.
    Raises: FileNotFoundError; ValueError if the file lacks a label or every image of the table, or as read_label_csv.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    filled = read_label_csv(path, labels=None, soft=True)
    if missing := [name for name in table.names if name not in filled.names]:
        raise ValueError(f"{path}: lacks the labels {missing}")
    row_of = {image: row for row, image in enumerate(filled.images.image_id)}
    rows = np.array([row_of.get(image, -1) for image in table.images.image_id])
    if lacking := table.images.image_id[rows < 0].tolist():
        told = f"lacks {len(lacking)} of {len(table)} images, the first {lacking[:3]}"
        if len(lacking) == len(table):
            raise ValueError(f"{path}: {told}; its own are such as {filled.images.image_id[:3].tolist()}")
        logger.warning("%s: %s; what is unknown of them stays so", path, told)
    given = filled.values[rows][:, [filled.names.index(name) for name in table.names]]
    return fill_unknown(table, soften(np.where(rows[:, None] >= 0, given, np.nan)))


def of_views(table: LabelTable, wanted: Sequence[str]) -> LabelTable:
    """The images of some views: frontal, lateral, unknown.

    Raises: ValueError on another view, or if no image is left.
    """
    check_known(VIEWS, wanted, "view")
    kept = table.images.view.isin(list(wanted)).to_numpy()
    if not kept.any():
        raise ValueError(f"no image is {' or '.join(wanted)}; there are {table.images.view.value_counts().to_dict()}")
    return table if kept.all() else table.take(kept)


def _prefixed(images: pd.DataFrame, prefix: str) -> pd.DataFrame:
    return images.assign(**{column: prefix + images[column] for column in ("image_id", "patient_id", "study_id")})
