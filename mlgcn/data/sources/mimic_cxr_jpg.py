"""MIMIC-CXR-JPG with the labels of CheXpert's or NegBio's labeller, or of a radiologist."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns
from mlgcn.data.sources.files import csv_names, expect_columns, find_file, read_table
from mlgcn.data.sources.mimic import ID_COLUMNS, VIEW_COLUMNS, bare, mimic_images
from mlgcn.data.sources.values import label_values
from mlgcn.labels import LabelTable

logger = logging.getLogger(__name__)

LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
DETAILS = (
    "PerformedProcedureStepDescription", "Rows", "Columns", "StudyDate", "StudyTime",
    "ProcedureCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
# The table of each labeller; that of the radiologist came with version 2.1.0, which left the other names as they were.
LABELERS = {"chexpert": "chexpert", "negbio": "negbio", "radiologist": "test-set-labeled"}
DEFAULT = "chexpert"
VERSIONS = ("2.0.0", "2.1.0")
SPELLING = {"Airspace Opacity": "Lung Opacity"}  # the radiologist's, and the labellers'
SPLIT_OF = {"train": "train", "validate": "val", "test": "test"}


def read_mimic_cxr_jpg(
    root: Path,
    *,
    labeler: str | None = None,
    labels: str | None = None,
    images: str | None = None,
    uncertain: str | float = "unknown",
    blank: str | float = "unknown",
) -> LabelTable:
    """MIMIC-CXR-JPG (Johnson et al. 2019): 377,110 images with the 14 labels of their study, and the official split.

    Reads `mimic-cxr-2.0.0-metadata.csv`, `-split.csv` and the table of one labeller, plain or gz (or those named
    2.1.0); validate becomes the split val. A blank means that the report does not mention the finding. The labels of an
    image whose study is not in the labeller's table are unknown; a warning counts such studies. Patients and studies
    are bare digits.

    Args:
        labeler: whose labels: chexpert (by default; where there are tables of others, the log says so), negbio, or
            radiologist for `mimic-cxr-2.1.0-test-set-labeled.csv`, which has some studies of the test set only; the
            tables of the others are not read.
        labels: a CSV file with a row a study and a column a label in place of a labeller's table, such as
            `mlgcn annotate` writes of the reports.
        images: the folder with `files`, by default that of the tables.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
    Raises: FileNotFoundError without one of the three tables; ValueError on another labeller, or one beside labels, on
        missing or unexpected columns, on other label values (line and column named), on images or studies that repeat,
        on images that the split does not cover, or on labels of none of the studies.
    """
    if labeler is not None and labels is not None:
        raise ValueError(f"labels {labels!r} stand in place of the labeler's, which is {labeler!r}: give either")
    if labeler is not None and labeler not in LABELERS:
        raise ValueError(f"labeler is {labeler!r}, expected one of {list(LABELERS)}")
    file, rows = _table(root, "metadata", [*ID_COLUMNS, *VIEW_COLUMNS], DETAILS)
    table = mimic_images(file, rows, Path(images) if images else root)
    if labels is None:
        source, rows = _labelled(root, labeler or DEFAULT)
        if labeler is None:
            _tell_choice(root)
        names = list(LABELS)
    else:
        source, rows = Path(labels), read_table(Path(labels), columns=["study_id"])
        names = [str(name) for name in rows if name not in ("study_id", "subject_id", "patient_id")]
        if not names:
            raise ValueError(f"{source}: has no label column beside {list(rows)}")
    values, soft = label_values(source, rows, names, uncertain=uncertain, blank=blank)
    studies = _index(source, bare(rows["study_id"], "s"), "study_id")
    place = studies.get_indexer(pd.Index(table["study_id"]))
    _expect_studies(source, studies, table["study_id"], place < 0)
    if "subject_id" in rows:
        _expect_subjects(source, rows["subject_id"], table, place)
    values = np.where(place[:, None] >= 0, values[place], np.float32(np.nan))
    split = _splits(root, table)
    try:
        columns = {str(name): table[name] for name in table}
        return LabelTable(values, names, **columns, split=split, soft=soft)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _table(root: Path, kind: str, columns: Sequence[str], others: Sequence[str] = ()) -> tuple[Path, pd.DataFrame]:
    """One of the tables, and where it stands; it must have the columns and may have the others."""
    file = _file(root, kind)
    rows = read_table(file, columns=columns)
    check_columns(file, rows, [*columns, *others])
    return file, rows


def _file(root: Path, kind: str) -> Path:
    return find_file(root, *_names(kind))


def _is_there(root: Path, kind: str) -> bool:
    return any((root / name).is_file() for name in _names(kind))


def _names(kind: str) -> list[str]:
    return [name for version in VERSIONS for name in csv_names(f"mimic-cxr-{version}-{kind}")]


def _tell_choice(root: Path) -> None:
    """Logs that the default labeller was taken, where the tables of others are there too."""
    others = [name for name, kind in LABELERS.items() if name != DEFAULT and _is_there(root, kind)]
    if others:
        named = " or ".join(others)
        logger.info("%s: the labels are those of %s; for others, --data.options.labeler %s", root, DEFAULT, named)


def _labelled(root: Path, labeler: str) -> tuple[Path, pd.DataFrame]:
    """The table of a labeller, and where it stands."""
    if labeler != "radiologist":
        return _table(root, LABELERS[labeler], ["subject_id", "study_id", *LABELS])
    file = _file(root, LABELERS[labeler])
    rows = read_table(file, columns=["study_id"])
    rows = rows.rename(columns={other: label for other, label in SPELLING.items() if label not in rows})
    expect_columns(file, rows, LABELS)
    check_columns(file, rows, ["subject_id", "study_id", *LABELS])
    return file, rows


def _expect_studies(file: Path, labelled: pd.Index, studies: pd.Series, lacking: np.ndarray) -> None:
    """Logs how many studies have no labels. Raises: ValueError if none has."""
    if lacking.all():
        raise ValueError(
            f"{file}: has no study of the metadata; its own are such as {labelled[:3].tolist()}, theirs such as "
            f"{studies.drop_duplicates()[:3].tolist()}"
        )
    if count := studies[lacking].nunique():
        logger.warning("%s: lacks %d of %d studies, whose labels are unknown", file, count, studies.nunique())


def _expect_subjects(file: Path, subjects: pd.Series, table: pd.DataFrame, place: np.ndarray) -> None:
    """Raises ValueError where a file has an image or its study, in the row at its place, of another subject."""
    given = np.array(bare(subjects, "p"), dtype=object)[place]
    if (differs := (place >= 0) & (given != table["patient_id"].to_numpy())).any():
        image = table.iloc[int(differs.argmax())]
        raise ValueError(
            f"{file}: subject_id of study {image['study_id']!r} (image {image['image_id']!r}) is "
            f"{given[differs][0]!r}, but {image['patient_id']!r} in the metadata"
        )


def _splits(root: Path, table: pd.DataFrame) -> list[str]:
    names = table["image_id"]
    file, rows = _table(root, "split", [*ID_COLUMNS, "split"])
    if unexpected := sorted(set(rows["split"]) - set(SPLIT_OF)):
        raise ValueError(f"{file}: column 'split' holds {unexpected}, expected {list(SPLIT_OF)}")
    place = _index(file, rows["dicom_id"], "dicom_id").get_indexer(pd.Index(names))
    if missing := names[place < 0].tolist():
        raise ValueError(f"{file}: lacks {len(missing)} images of the metadata, the first {missing[:3]}")
    _expect_subjects(file, rows["subject_id"], table, place)
    return rows["split"].iloc[place].map(SPLIT_OF).tolist()


def _index(file: Path, names: Iterable[str], column: str) -> pd.Index:
    """Raises ValueError if names repeat."""
    index = pd.Index(list(names), dtype=object)
    if not index.is_unique:
        raise ValueError(f"{file}: column {column!r} repeats {index[index.duplicated()][:5].tolist()}")
    return index
