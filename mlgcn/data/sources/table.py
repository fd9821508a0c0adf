"""Any CSV file with one column a label."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.files import read_table
from mlgcn.labels import IMAGE_COLUMNS, LabelTable

POLICIES = {"positive": 1.0, "negative": 0.0, "unknown": np.nan}
FIXED = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0}


def read_label_csv(
    root: Path,
    *,
    csv: str = "labels.csv",
    labels: Sequence[str] | None = None,
    path_column: str = "path",
    uncertain: str = "unknown",
    blank: str = "unknown",
) -> LabelTable:
    """Any CSV file with a column of image paths and one column a label, its values 1, 0, -1 (uncertain) or blank.

    Columns named image_id, patient_id, study_id, view and split are used where they are there. Without image_id the
    path is the identifier.

    Args:
        root: the CSV file, or the folder that holds it. Paths are relative to the folder.
        csv: the file's name in the folder.
        labels: the label columns in their order; by default all columns that are none of the above.
        path_column: the column with the paths.
        uncertain, blank: what -1 and blank mean: "positive", "negative" or "unknown".
    Raises: FileNotFoundError without the file; ValueError on missing columns, on other values in a label column
        (row and column named), on an unknown policy, or as LabelTable does.
    """
    meaning = FIXED | {text: _policy("uncertain", uncertain) for text in ("-1", "-1.0")} | {"": _policy("blank", blank)}
    file = root if root.is_file() else root / csv
    rows = read_table(file, columns=[path_column, *(labels or [])])
    others = [*IMAGE_COLUMNS, path_column]
    chosen = list(labels) if labels else [str(column) for column in rows if column not in others]
    if not chosen:
        raise ValueError(f"{file}: has no label column beside {list(rows)}")
    values = np.stack([_label_values(file, rows[column], meaning) for column in chosen], axis=1)
    columns = {name: rows[name] for name in ("patient_id", "study_id", "view", "split") if name in rows}
    if "view" in columns:
        columns["view"] = columns["view"].replace("", "unknown")
    try:
        return LabelTable(
            values,
            chosen,
            image_id=rows["image_id"] if "image_id" in rows else rows[path_column],
            path=[str(file.parent / path) for path in rows[path_column]],
            **columns,
        )
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _policy(name: str, policy: str) -> float:
    if policy not in POLICIES:
        raise ValueError(f"{name} is {policy!r}, expected one of {list(POLICIES)}")
    return POLICIES[policy]


def _label_values(file: Path, column: pd.Series, meaning: dict[str, float]) -> np.ndarray:
    """A label's values as numbers [N], found by their text."""
    text = column.str.strip()
    if (wrong := ~text.isin(list(meaning))).any():
        row = int(wrong.to_numpy().argmax())
        raise ValueError(
            f"{file}: column {column.name!r} holds {column.iloc[row]!r} in line {row + 2}, expected 0, 1, -1 or blank; "
            "where other columns than labels are in the file, name the labels (--data.options.labels)"
        )
    return text.map(meaning).to_numpy(dtype=np.float32)
