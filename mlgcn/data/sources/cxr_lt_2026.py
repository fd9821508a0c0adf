"""CXR-LT 2026: PadChest and NIH with 30 classes, and six unseen ones."""

import logging
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pandas as pd

from mlgcn.data.sources.columns import check_columns, check_filled
from mlgcn.data.sources.files import csv_names, optional_file, read_table
from mlgcn.data.sources.image_paths import image_paths
from mlgcn.data.sources.merge import Part, merge, part_of
from mlgcn.data.sources.row_place import row_place
from mlgcn.labels import LabelTable

logger = logging.getLogger(__name__)

SEEN = (
    "Normal", "aortic elongation", "cardiomegaly", "pleural effusion", "Nodule", "atelectasis", "pleural thickening",
    "aortic atheromatosis", "Support Devices", "alveolar pattern", "fracture", "Hernia", "Emphysema", "azygos lobe",
    "Hydropneumothorax", "Kyphosis", "Mass", "Pneumothorax", "Subcutaneous Emphysema", "pneumoperitoneo",
    "vascular hilar enlargement", "vertebral degenerative changes", "hyperinflated lung", "interstitial pattern",
    "central venous catheter", "hypoexpansion", "bronchiectasis", "hemidiaphragm elevation", "sternotomy",
    "calcified densities",
)  # fmt: skip
UNSEEN = ("Scoliosis", "Osteopenia", "Bulla", "Infarction", "Adenopathy", "goiter")
ID_COLUMNS = ("ImageID", "StudyDate_DICOM", "PatientID")
WORDS = {"train": "train|training", "val": "dev|development|val|validation", "test": "test"}
NUMBER = re.compile(r"\d+(\.\d*)?([eE]\+?\d+)?")
# Images that the organisers took back, and such as cannot be read.
WITHDRAWN = ("Removal", "corrupted_images")


def read_cxr_lt_2026(
    root: Path,
    *,
    images: str | None = None,
    uncertain: str | float = "unknown",
    blank: str | float = "unknown",
    extra: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> LabelTable:
    """CXR-LT 2026 (Dong et al. 2026): images of PadChest and NIH, 30 classes and six unseen ones.

    Reads every table, plain or gz, whose name has the word train or training, dev, development or val, or test in it,
    such as `CXRLT_2026_training.csv` and `CXRLT_2026_TEST_ALL_TASK1.csv`: ImageID, in training also StudyDate_DICOM,
    PatientID and all 30 classes; elsewhere and beside these any classes. An image in several files is one row, with the
    patient and date that any of them tells; a class that none of them gives is unknown. Images listed in `Removal.csv`
    and `corrupted_images.csv` are left out. The others stand side by side, or one or two folders down, as PadChest and
    NIH are downloaded.

    A PatientID or date written as a float, 12345.0 or 1.2345e+04, is the whole number. One that lost digits, 3.2e+38,
    is the patient whose full number it rounds, if there is one, and stays text otherwise, with a warning. A study is
    what a patient has of one date. An image without a patient is its own, with a warning, and one without a date is
    its own study.

    File and class names are those of public solutions of the challenge: no official description was at hand.

    Args:
        images: the folder of the images, by default `images` beside the tables.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
        extra: other columns that are classes; they follow the known ones.
        ignore: other columns that are none.
    Raises: FileNotFoundError without a training table; ValueError on missing or other columns, on other label values
        (line and column named), on a number that is not whole, on an image that stands twice in a file or in two
        folders, or on files that disagree about an image.
    """
    _check_others(extra, ignore)
    folder = Path(images) if images else root / "images"
    splits = _files(root)
    tables = {file: _table(file, split, extra, ignore) for file, split in splits.items()}
    if absent := [name for name in (*extra, *ignore) if not any(name in rows for rows in tables.values())]:
        raise ValueError(f"{root}: no table has the columns {absent}, which the options extra and ignore name")
    tables = _completed(tables)
    patients = _patients([rows["PatientID"] for rows in tables.values()])
    parts = []
    for file, rows in tables.items():
        classes = [str(column) for column in rows if column not in (*ID_COLUMNS, *ignore)]
        if splits[file] == "train" and (lone := rows["PatientID"] == "").any():
            logger.warning("%s: %d images have no PatientID, and become patients of their own", file, lone.sum())
        table = _images(rows, folder, patients).assign(split=splits[file])
        parts.append(part_of(file, rows, table, classes, uncertain=uncertain, blank=blank))
    merged = merge(parts, _classes(parts, extra))
    withdrawn = merged.images["image_id"].isin(_withdrawn(root)).to_numpy()
    return merged.take(~withdrawn) if withdrawn.any() else merged


def _check_others(extra: Sequence[str], ignore: Sequence[str]) -> None:
    """Raises: ValueError where they name a column that the challenge has, or both name one."""
    for option, names, taken in (("extra", extra, ignore), ("ignore", ignore, ())):
        if wrong := [name for name in names if name in (*ID_COLUMNS, *SEEN, *UNSEEN, *taken)]:
            raise ValueError(f"option {option} names {wrong}, expected columns that nothing else stands for")


def _files(root: Path) -> dict[Path, str]:
    """Every table that a word in its name assigns to a split, with that split."""
    if not root.is_dir():
        raise ValueError(f"{root}: is a file, expected the folder of the tables")
    splits: dict[Path, str] = {}
    for split, words in WORDS.items():
        name = re.compile(rf"(.*[^a-z])?({words})([^a-z].*)?\.csv(\.gz)?", re.IGNORECASE)
        splits |= {file: split for file in sorted(root.iterdir()) if name.fullmatch(file.name) and file not in splits}
    if "train" not in splits.values():
        raise FileNotFoundError(f"{root}: no CSV file, plain or gz, has the word train or training in its name")
    return splits


def _table(file: Path, split: str, extra: Sequence[str], ignore: Sequence[str]) -> pd.DataFrame:
    """The rows of a file, with whole numbers for patient and date, "" where there is none."""
    rows = read_table(file, columns=[*ID_COLUMNS, *SEEN] if split == "train" else ID_COLUMNS[:1])
    hint = "; of others name those that are classes as option extra, and those that are none as option ignore"
    check_columns(file, rows, [*ID_COLUMNS, *SEEN, *UNSEEN, *extra, *ignore], hint)
    check_filled(file, rows, ID_COLUMNS[:1])
    rows = rows.assign(**{name: _whole(file, rows[name]) if name in rows else "" for name in ID_COLUMNS[1:]})
    return rows


def _completed(tables: Mapping[Path, pd.DataFrame]) -> dict[Path, pd.DataFrame]:
    """The tables, each with what the first of the others tells of its images' patient and date where it does not."""
    told = {}
    for column in ID_COLUMNS[1:]:
        cells = pd.concat([rows.set_index("ImageID")[column] for rows in tables.values()]).loc[lambda cell: cell != ""]
        told[column] = cells[~cells.index.duplicated()]

    def filled(rows: pd.DataFrame, column: str) -> pd.Series:
        return rows[column].where(rows[column] != "", rows["ImageID"].map(told[column]).fillna(""))

    return {file: rows.assign(**{column: filled(rows, column) for column in told}) for file, rows in tables.items()}


def _whole(file: Path, column: pd.Series) -> pd.Series:
    """12345 for 12345.0 and 1.2345e+04; text that is no number and numbers that lost digits stay as they are."""
    whole = {}
    for text in column.unique():
        whole[text] = "" if text.strip().lower() == "nan" else text.strip()
        if whole[text].isdigit() or not NUMBER.fullmatch(whole[text]):
            continue
        number = Decimal(whole[text])
        if number != number.to_integral_value():
            where = row_place(file, (column == text).to_numpy().argmax())
            raise ValueError(f"{file}: column {column.name!r} holds {text!r} in {where}, expected a whole number")
        if int(number.as_tuple().exponent) <= 0:
            whole[text] = str(int(number))
    return column.map(whole)


def _patients(columns: Sequence[pd.Series]) -> dict[str, str]:
    """The identifier of each patient; a number that lost digits stands for the full one that it rounds."""
    texts = {text for column in columns for text in column.unique()}
    full: dict[float, list[str]] = {}
    for text in texts:
        if text.isdigit():
            full.setdefault(float(text), []).append(text)
    lost = {text: full.get(float(text), []) for text in texts if NUMBER.fullmatch(text) and not text.isdigit()}
    if unresolved := [text for text, numbers in lost.items() if len(numbers) != 1]:
        logger.warning(
            "%d patients are known by a rounded number only, such as %s; some may be several patients in one",
            len(unresolved),
            min(unresolved),
        )
    return {text: lost[text][0] if len(lost.get(text, ())) == 1 else text for text in texts}


def _images(rows: pd.DataFrame, folder: Path, patients: dict[str, str]) -> pd.DataFrame:
    names = rows["ImageID"].tolist()
    owners = [patients[text] for text in rows["PatientID"]]
    dates = rows["StudyDate_DICOM"].tolist()
    return pd.DataFrame(
        {
            "image_id": names,
            "path": image_paths(folder, names, "*", "*/*", "*/*/*", default=str(folder)),
            "patient_id": [owner or name for owner, name in zip(owners, names, strict=True)],
            "study_id": [
                f"{owner}-{date}" if owner and date else name
                for owner, date, name in zip(owners, dates, names, strict=True)
            ],
            "view": "unknown",
        },
        dtype=object,
    )


def _classes(parts: Sequence[Part], extra: Sequence[str]) -> list[str]:
    found = {label for part in parts for label in part.labels}
    return [label for label in (*SEEN, *UNSEEN, *dict.fromkeys(extra)) if label in found]


def _withdrawn(root: Path) -> set[str]:
    files = [file for stem in WITHDRAWN if (file := optional_file(root, *csv_names(stem)))]
    return {name for file in files for name in read_table(file, columns=ID_COLUMNS[:1])["ImageID"]}
