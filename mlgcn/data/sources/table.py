"""Any CSV or Parquet file with one column a label."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mlgcn.data.images import PHANTOM
from mlgcn.data.sources.columns import check_filled
from mlgcn.data.sources.files import read_table
from mlgcn.data.sources.prepared import without_unreadable
from mlgcn.data.sources.row_place import row_place
from mlgcn.data.sources.values import label_values, meaning
from mlgcn.data.views import VIEW_OF, views
from mlgcn.labels import IMAGE_COLUMNS, SPLITS, VIEWS, LabelTable

IDENTIFIERS = ("image_id", "patient_id", "study_id")
# What others call the splits, in lower case: told in an error, never guessed.
SPLIT_NAMES = {
    "training": "train", "valid": "val", "validate": "val", "validation": "val", "dev": "val", "development": "val",
    "testing": "test",
}  # fmt: skip


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
    path is the identifier. Spaces around identifiers do not count. A view is frontal, lateral, unknown, blank, or a
    code such as PA.

    Args:
        root: the file, or the folder that holds it.
        csv: the file's name in the folder; it may be gz, or Parquet.
        labels: the label columns in their order; by default all columns that are none of the above.
        path_column: the column with the paths, relative to the folder of the images.
        images: the folder of the images; by default that of the file.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
        soft: whether label columns may hold any number from 0 to 1, as `mlgcn predict --pseudo-labels` writes them.
    Raises: FileNotFoundError without the file; ValueError on missing columns, on other values in a label column, on a
        blank path or identifier, an image that repeats, another view or split (line and column named), on an unknown
        policy, or as LabelTable does.
    """
    meaning("uncertain", uncertain), meaning("blank", blank)  # so that the hint below follows labels alone
    file = table_file(root, csv)
    rows = read_table(file, columns=[path_column, *(labels or [])])
    rows = rows.assign(**{name: rows[name].str.strip() for name in IDENTIFIERS if name in rows})
    folder = file.parent if images is None else Path(images)
    others = [*IMAGE_COLUMNS, path_column]
    chosen = list(labels) if labels else [str(column) for column in rows if column not in others]
    if not chosen:
        raise ValueError(f"{file}: has no label column beside {list(rows)}")
    try:
        values, soft = label_values(file, rows, chosen, uncertain=uncertain, blank=blank, soft=soft)
    except ValueError as error:
        hints = {
            "where other columns than labels are in the file, name the labels (--data.options.labels)": not labels,
            "where labels are soft, from 0 to 1, --data.options.soft true": not soft,
        }
        raise ValueError("; ".join([str(error), *(hint for hint, helps in hints.items() if helps)])) from error
    name_column = "image_id" if "image_id" in rows else path_column
    _check_images(file, rows, path_column, name_column)
    columns: dict[str, Sequence[str]] = {
        name: rows[name].tolist() for name in ("patient_id", "study_id", "split") if name in rows
    }
    if "view" in rows:
        columns["view"] = views(rows["view"])
    try:
        table = LabelTable(
            values,
            chosen,
            image_id=rows[name_column],
            path=[path if path.startswith(PHANTOM) else str(folder / path) for path in rows[path_column]],
            **columns,
            soft=soft,
        )
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return without_unreadable(table, file.parent)


def table_file(root: Path, csv: str) -> Path:
    """The file that is read: the root, where that is one, or the one of that name in it."""
    return root if root.is_file() else root / csv


def _check_images(file: Path, rows: pd.DataFrame, path_column: str, name_column: str) -> None:
    """Raises ValueError that names file, line and column of what cannot describe an image."""
    check_filled(file, rows, [path_column, *IDENTIFIERS])
    names = rows[name_column]
    if (repeated := names.duplicated().to_numpy()).any():
        again = int(repeated.argmax())
        first = int((names == names.iloc[again]).to_numpy().argmax())
        raise ValueError(
            f"{file}: image ids repeat: {names.iloc[again]!r} stands in {row_place(file, first)} and "
            f"{row_place(file, again)}"
        )
    if "view" in rows and (wrong := ~rows["view"].str.strip().str.lower().isin(list(VIEW_OF)).to_numpy()).any():
        raise ValueError(
            f"{file}: column 'view' holds {rows['view'][wrong].iloc[0]!r} in {row_place(file, wrong.argmax())}, "
            f"expected one of {list(VIEWS)}, blank or a view code such as PA, AP or LL"
        )
    if "split" in rows and (wrong := ~rows["split"].isin(["", *SPLITS]).to_numpy()).any():
        split = rows["split"][wrong].iloc[0]
        name = split.strip().lower()
        meant = name if name in SPLITS else SPLIT_NAMES.get(name)
        raise ValueError(
            f"{file}: column 'split' holds {split!r} in {row_place(file, wrong.argmax())}, "
            f"expected one of {list(SPLITS)} or blank{f'; did you mean {meant!r}?' if meant else ''}"
        )


def write_label_csv(table: LabelTable, file: Path) -> None:
    """Writes a table as read_label_csv reads it, values and all; soft labels need its option soft."""
    values = pd.DataFrame(table.values, columns=list(table.names))
    paths = [path if path.startswith(PHANTOM) else str(Path(path).resolve()) for path in table.images.path]
    pd.concat([table.images.assign(path=paths), values], axis=1).to_csv(file, index=False)
