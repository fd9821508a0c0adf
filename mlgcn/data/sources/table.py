"""Any CSV or Parquet file with one column a label."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mlgcn.data.images import PHANTOM
from mlgcn.data.sources.files import read_table
from mlgcn.data.sources.values import label_values
from mlgcn.labels import IMAGE_COLUMNS, LabelTable


def read_label_csv(
    root: Path,
    *,
    csv: str = "labels.csv",
    labels: Sequence[str] | None = None,
    path_column: str = "path",
    images: str | Path | None = None,
    uncertain: str | float = "unknown",
    blank: str | float = "unknown",
    soft: bool = False,
) -> LabelTable:
    """Any CSV or Parquet file with a column of image paths and one column a label: 1, 0, -1 (uncertain) or blank.

    Columns named image_id, patient_id, study_id, view and split are used where they are there. Without image_id the
    path is the identifier.

    Args:
        root: the file, or the folder that holds it.
        csv: the file's name in the folder; it may be gz, or Parquet.
        labels: the label columns in their order; by default all columns that are none of the above.
        path_column: the column with the paths, relative to the folder of the images.
        images: the folder of the images; by default that of the file.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
        soft: whether label columns may hold any number from 0 to 1, as `mlgcn predict --pseudo-labels` writes them.
    Raises: FileNotFoundError without the file; ValueError on missing columns, on other values in a label column
        (line and column named), on an unknown policy, or as LabelTable does.
    """
    file = root if root.is_file() else root / csv
    rows = read_table(file, columns=[path_column, *(labels or [])])
    folder = file.parent if images is None else Path(images)
    others = [*IMAGE_COLUMNS, path_column]
    chosen = list(labels) if labels else [str(column) for column in rows if column not in others]
    if not chosen:
        raise ValueError(f"{file}: has no label column beside {list(rows)}")
    try:
        values, soft = label_values(file, rows, chosen, uncertain=uncertain, blank=blank, soft=soft)
    except ValueError as error:
        hint = "; where other columns than labels are in the file, name the labels (--data.options.labels)"
        raise ValueError(f"{error}{'' if labels else hint}") from error
    columns = {name: rows[name] for name in ("patient_id", "study_id", "view", "split") if name in rows}
    if "view" in columns:
        columns["view"] = columns["view"].replace("", "unknown")
    try:
        return LabelTable(
            values,
            chosen,
            image_id=rows["image_id"] if "image_id" in rows else rows[path_column],
            path=[path if path.startswith(PHANTOM) else str(folder / path) for path in rows[path_column]],
            **columns,
            soft=soft,
        )
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def write_label_csv(table: LabelTable, file: Path) -> None:
    """Writes a table as read_label_csv reads it, values and all; soft labels need its option soft."""
    values = pd.DataFrame(table.values, columns=list(table.names))
    paths = [path if path.startswith(PHANTOM) else str(Path(path).resolve()) for path in table.images.path]
    pd.concat([table.images.assign(path=paths), values], axis=1).to_csv(file, index=False)
