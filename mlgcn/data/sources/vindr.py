"""VinDr-CXR, and the part of it that Kaggle published as VinBigData."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns, check_filled
from mlgcn.data.sources.files import csv_names, expect_columns, optional_file, read_table
from mlgcn.data.sources.row_place import row_place
from mlgcn.data.sources.values import label_values
from mlgcn.labels import LabelTable
from mlgcn.suggestions import unknown_name

NO_FINDING = "No finding"
VINDR_LABELS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", NO_FINDING,
)  # fmt: skip
# In the order of class_id.
VINBIGDATA_LABELS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD", "Infiltration",
    "Lung Opacity", "Nodule/Mass", "Other lesion", "Pleural effusion", "Pleural thickening", "Pneumothorax",
    "Pulmonary fibrosis", NO_FINDING,
)  # fmt: skip
# The test table writes one label otherwise than the training table.
SPELLING = {"Other disease": "Other diseases"}
BOXES = ("image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max")
TABLES = {"train": "image_labels_train", "test": "image_labels_test"}
RELEASES = ("vindr_cxr", "vinbigdata")
SUFFIXES = (".dicom", ".dcm", ".png", ".jpg", ".jpeg")
RULES = ("majority", "any")


def read_vindr(
    root: Path,
    *,
    release: str | None = None,
    images: str | None = None,
    readers: str = "majority",
    blank: str = "unknown",
) -> LabelTable:
    """VinDr-CXR (Nguyen et al. 2022): 28 labels, "No finding" among them; or VinBigData: 14 and "No finding".

    Reads `image_labels_train.csv` and `image_labels_test.csv`, whose split is official, from the folder or its
    annotations/; or VinBigData's `train.csv` of boxes, which has no split; plain or gz. Every image of the training
    tables was read by three radiologists: one row an image, image or box each. Images are frontal (PA), patients are
    not told. They stand in train/ and test/, as .dicom unless others are found there.

    Args:
        release: "vindr_cxr" or "vinbigdata", where the tables of both are there.
        images: the folder that holds train/ and test/, or the images themselves; by default the root.
        readers: when a label is positive: for "majority" if more than half of the readers gave it, for "any" if one
            did. Then "No finding" is positive if more than half, or if all of them found nothing.
        blank: what a blank cell means: "positive", "negative" or "unknown", which leaves that reader out.
    Raises: FileNotFoundError without a table; ValueError on missing or other columns, on a blank identifier, other
        values or classes (line and column named), on a reader who reads an image twice or both finds something and
        finds nothing, on images in both tables, on an unknown release or rule.
    """
    if readers not in RULES:
        raise ValueError(unknown_name("rule for readers:", readers, RULES))
    if release not in (None, *RELEASES):
        raise ValueError(unknown_name("release", str(release), RELEASES))
    files = {
        split: file
        for split, name in TABLES.items()
        if (file := optional_file(root, *csv_names(name), *(f"annotations/{csv}" for csv in csv_names(name))))
    }
    boxes = optional_file(root, *csv_names("train"))
    base = Path(images) if images else root
    if _release(root, release, bool(files), boxes is not None) == "vinbigdata" and boxes:
        ids, values = _read_boxes(boxes, readers)
        return _table(boxes, VINBIGDATA_LABELS, ids, values, _paths(base, "train", ids), "")
    parts = {split: _read_labels(file, readers, blank) for split, file in files.items()}
    return _table(
        root,
        VINDR_LABELS,
        [name for ids, _ in parts.values() for name in ids],
        np.concatenate([values for _, values in parts.values()]),
        [path for split, (ids, _) in parts.items() for path in _paths(base, split, ids)],
        [split for split, (ids, _) in parts.items() for _ in ids],
    )


def _release(root: Path, release: str | None, labels: bool, boxes: bool) -> str:
    """Which of the two releases is to be read, from what is there."""
    there = [name for name, present in zip(RELEASES, (labels, boxes), strict=True) if present]
    wanted = [name for name in there if release in (None, name)]
    if not wanted:
        names = {"vindr_cxr": [f"{name}.csv" for name in TABLES.values()], "vinbigdata": ["train.csv"]}
        expected = [name for key, found in names.items() if release in (None, key) for name in found]
        raise FileNotFoundError(f"{root}: none of {expected} (or .gz) there or in annotations/")
    if len(wanted) > 1:
        raise ValueError(f"{root}: holds the tables of both {wanted}; say which as the option release")
    return wanted[0]


def _read_labels(file: Path, readers: str, blank: str) -> tuple[list[str], np.ndarray]:
    """Images of a table with a column a label, and their values [N, 28]."""
    rows = read_table(file, columns=["image_id"])
    rows = rows.rename(columns={other: label for other, label in SPELLING.items() if label not in rows})
    expect_columns(file, rows, VINDR_LABELS)
    check_columns(file, rows, ["image_id", "rad_id", *VINDR_LABELS])
    check_filled(file, rows, ["image_id", "rad_id"])
    for label in VINDR_LABELS:
        if (doubt := rows[label].str.strip().isin(["-1", "-1.0"]).to_numpy()).any():
            where = row_place(file, doubt.argmax())
            raise ValueError(f"{file}: column {label!r} holds '-1' in {where}, expected 0, 1 or blank")
    votes, soft = label_values(file, rows, VINDR_LABELS, blank=blank)
    if soft:
        raise ValueError(f"blank is {blank!r}, expected positive, negative or unknown: readers vote")
    told = (votes == 1) & (rows[list(VINDR_LABELS)] != "").to_numpy()  # and not by what a blank means
    if (both := told[:, -1] & told[:, :-1].any(axis=1)).any():
        row = int(both.argmax())
        finding = VINDR_LABELS[int(told[row].argmax())]
        image = rows["image_id"].iloc[row]
        raise ValueError(f"{file}: image {image!r} has both {NO_FINDING!r} and {finding!r} in {row_place(file, row)}")
    if "rad_id" not in rows:  # the test set, on which the readers agreed
        return rows["image_id"].tolist(), votes
    if (twice := rows.duplicated(["image_id", "rad_id"])).any():
        image, reader = rows.loc[twice, ["image_id", "rad_id"]].iloc[0]
        raise ValueError(f"{file}: reader {reader!r} has several rows for image {image!r}")
    return _decided(rows["image_id"], votes, readers)


def _read_boxes(file: Path, readers: str) -> tuple[list[str], np.ndarray]:
    """Images of a table with a row a box, and their values [N, 15]."""
    rows = read_table(file, columns=BOXES)
    check_columns(file, rows, BOXES)
    check_filled(file, rows, ["image_id", "rad_id"])
    number = {label: str(place) for place, label in enumerate(VINBIGDATA_LABELS)}
    expected = rows["class_name"].map(number)
    if (wrong := (rows["class_id"] != expected).to_numpy()).any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{file}: columns 'class_name' and 'class_id' hold {rows['class_name'].iloc[row]!r} and "
            f"{rows['class_id'].iloc[row]!r} in {row_place(file, row)}, expected one of {number}"
        )
    found = pd.get_dummies(rows["class_name"], dtype=np.float32).reindex(columns=VINBIGDATA_LABELS, fill_value=0)
    votes = found.groupby([rows["image_id"], rows["rad_id"]], sort=False).max()
    both = votes[NO_FINDING].to_numpy() * votes.drop(columns=NO_FINDING).max(axis=1).to_numpy() > 0
    if both.any():
        image, reader = votes.index[both][0]
        raise ValueError(f"{file}: reader {reader!r} of image {image!r} has both {NO_FINDING!r} and a finding")
    return _decided(votes.index.get_level_values(0).to_series(), votes.to_numpy(dtype=np.float32), readers)


def _decided(image: pd.Series, votes: np.ndarray, readers: str) -> tuple[list[str], np.ndarray]:
    """Each image once, in the order of the table, and what its readers say together: [rows, C] -> [N, C]."""
    place, ids = pd.factorize(image)
    positive, known = np.zeros((2, len(ids), votes.shape[1]))
    np.add.at(positive, place, np.nan_to_num(votes))
    np.add.at(known, place, ~np.isnan(votes))
    # The last label is that nothing was found: one reader's finding contradicts it.
    values = positive > known / 2 if readers == "majority" else positive > 0
    if readers == "any":
        values[:, -1] = positive[:, -1] == known[:, -1]
    return ids.tolist(), np.where(known > 0, values, np.nan).astype(np.float32)


def _paths(base: Path, part: str, ids: list[str]) -> list[str]:
    """Where the images stand: in the part's folder or the one given; in the part's, as .dicom, if nothing says so."""
    folders = [folder for folder in (base, base / part) if folder.is_dir()]
    path_of = {path.stem: path for folder in folders for path in folder.iterdir() if path.suffix in SUFFIXES}
    return [str(path_of.get(name, base / part / f"{name}.dicom")) for name in ids]


def _table(
    file: Path, labels: tuple[str, ...], ids: list[str], values: np.ndarray, paths: list[str], split: list[str] | str
) -> LabelTable:
    try:
        return LabelTable(values, labels, image_id=ids, path=paths, view="frontal", split=split)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
