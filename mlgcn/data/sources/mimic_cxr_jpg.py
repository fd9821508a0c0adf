"""MIMIC-CXR-JPG with the labels of CheXpert's or NegBio's labeller."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns
from mlgcn.data.sources.files import csv_names, find_file, read_table
from mlgcn.data.sources.mimic import ID_COLUMNS, VIEW_COLUMNS, bare, mimic_images
from mlgcn.data.sources.values import label_values
from mlgcn.labels import LabelTable

LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
DETAILS = (
    "PerformedProcedureStepDescription", "Rows", "Columns", "StudyDate", "StudyTime",
    "ProcedureCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
LABELERS = ("chexpert", "negbio")
SPLIT_OF = {"train": "train", "validate": "val", "test": "test"}


def read_mimic_cxr_jpg(
    root: Path,
    *,
    labeler: str = "chexpert",
    labels: str | None = None,
    images: str | None = None,
    uncertain: str | float = "unknown",
    blank: str | float = "unknown",
) -> LabelTable:
    """MIMIC-CXR-JPG (Johnson et al. 2019): 377,110 images with the 14 labels of their study, and the official split.

    Reads `mimic-cxr-2.0.0-metadata.csv`, `-split.csv` and the table of one labeller, plain or gz; validate becomes the
    split val. A blank means that the report does not mention the finding. The labels of an image whose study is not in
    the labeller's table are unknown. Patients and studies are bare digits.

    Args:
        labeler: whose labels: chexpert or negbio; the other's table is not read.
        labels: a CSV file with a row a study and a column a label in place of a labeller's table, such as
            `mlgcn annotate` writes of the reports.
        images: the folder with `files`, by default that of the tables.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
    Raises: FileNotFoundError without one of the three tables; ValueError on another labeller, on missing or unexpected
        columns, on other label values (line and column named), on images or studies that repeat, or on images that the
        split does not cover.
    """
    if labeler not in LABELERS:
        raise ValueError(f"labeler is {labeler!r}, expected one of {list(LABELERS)}")
    file, rows = _table(root, "metadata", [*ID_COLUMNS, *VIEW_COLUMNS], DETAILS)
    table = mimic_images(file, rows, Path(images) if images else root)
    if labels is None:
        source, rows = _table(root, labeler, ["subject_id", "study_id", *LABELS])
        names = list(LABELS)
    else:
        source, rows = Path(labels), read_table(Path(labels), columns=["study_id"])
        names = [str(name) for name in rows if name not in ("study_id", "subject_id", "patient_id")]
        if not names:
            raise ValueError(f"{source}: has no label column beside {list(rows)}")
    values, soft = label_values(source, rows, names, uncertain=uncertain, blank=blank)
    place = _index(source, bare(rows["study_id"], "s"), "study_id").get_indexer(pd.Index(table["study_id"]))
    values = np.where(place[:, None] >= 0, values[place], np.float32(np.nan))
    split = _splits(root, table["image_id"])
    try:
        columns = {str(name): table[name] for name in table}
        return LabelTable(values, names, **columns, split=split, soft=soft)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _table(root: Path, kind: str, columns: Sequence[str], others: Sequence[str] = ()) -> tuple[Path, pd.DataFrame]:
    """One of the tables, and where it stands; it must have the columns and may have the others."""
    file = find_file(root, *csv_names(f"mimic-cxr-2.0.0-{kind}"))
    rows = read_table(file, columns=columns)
    check_columns(file, rows, [*columns, *others])
    return file, rows


def _splits(root: Path, names: pd.Series) -> list[str]:
    file, rows = _table(root, "split", [*ID_COLUMNS, "split"])
    if unexpected := sorted(set(rows["split"]) - set(SPLIT_OF)):
        raise ValueError(f"{file}: column 'split' holds {unexpected}, expected {list(SPLIT_OF)}")
    place = _index(file, rows["dicom_id"], "dicom_id").get_indexer(pd.Index(names))
    if missing := names[place < 0].tolist():
        raise ValueError(f"{file}: lacks {len(missing)} images of the metadata, the first {missing[:3]}")
    return rows["split"].iloc[place].map(SPLIT_OF).tolist()


def _index(file: Path, names: Iterable[str], column: str) -> pd.Index:
    """Raises ValueError if names repeat."""
    index = pd.Index(list(names), dtype=object)
    if not index.is_unique:
        raise ValueError(f"{file}: column {column!r} repeats {index[index.duplicated()][:5].tolist()}")
    return index
