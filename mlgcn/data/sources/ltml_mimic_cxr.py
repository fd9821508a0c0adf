"""LTML-MIMIC-CXR."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns, check_filled
from mlgcn.data.sources.files import csv_names, optional_file, read_table
from mlgcn.data.sources.mimic import ID_COLUMNS, VIEW_COLUMNS, mimic_images
from mlgcn.data.sources.row_place import row_place
from mlgcn.data.sources.values import label_values
from mlgcn.labels import LabelTable, check_same_labels
from mlgcn.restricted_pickle import load_pickle
from mlgcn.suggestions import unknown_name

logger = logging.getLogger(__name__)

# In the order of class_name.pkl, which is that of the columns of val.pkl and test.pkl.
LABELS = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Lung Opacity", "Edema", "Consolidation", "Pneumonia",
    "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
    "Alveolar Lung Disease", "Aortic Aneurysm", "Bilateral Hilar Enlargement", "Bronchiectasis", "Cardiomyopathy",
    "Diaphragmatic Hernia", "Embolus", "Hemothorax", "Hypertension", "Left Atrial Enlargement", "Massive Cardiomegaly",
    "Mediastinal Shift", "Mitral Insufficiency", "Mucoid Impaction", "Multiple Pulmonary Nodules",
    "Pericardial Effusion", "Pleural Calcification", "Pleural Thickening", "Pneumomediastinum", "Pneumopericardium",
    "Pulmonary Arterial Hypertension", "Pulmonary Embolism", "Pulmonary Hypertension", "Segmental Atelectasis",
    "Small Lung Nodules", "Unilaterally Elevated Diaphragm",
)  # fmt: skip
HEAD = (
    "Cardiomegaly", "Lung Opacity", "Edema", "Pneumonia", "Atelectasis", "Pleural Effusion", "Support Devices",
)  # fmt: skip
MEDIUM = (
    "Enlarged Cardiomediastinum", "Lung Lesion", "Consolidation", "Pneumothorax", "Pleural Other", "Fracture",
    "Pleural Thickening",
)  # fmt: skip
# The published groups (class_split.pkl; medium is called middle there), for label_groups with the rule "given".
GROUPS = {
    "head": list(HEAD),
    "medium": list(MEDIUM),
    "tail": [label for label in LABELS if label not in {*HEAD, *MEDIUM}],
}
LISTS = {"train": "img_id.txt", "val": "val.txt", "test": "test.txt"}
METADATA = "mimic-cxr-2.0.0-metadata"
LOCATION = r"p(\d{8})/s(\d{8})/[^/]+$"
BELIEVED = ("csv", "pickle")


class Table(NamedTuple):
    """The authors' table: where each image stands, by its identifier; values [N, 39]; which are 1; whether soft."""

    location: pd.Series
    values: np.ndarray
    positive: np.ndarray
    soft: bool


def read_ltml_mimic_cxr(
    root: Path,
    *,
    csv: str | None = None,
    images: str | None = None,
    uncertain: str | float = "unknown",
    blank: str | float = "unknown",
    believe: str | None = None,
) -> LabelTable:
    """LTML-MIMIC-CXR (Lai et al. 2023): MIMIC-CXR-JPG, one image a study, with 39 labels and the authors' split.

    Reads what the authors' repository has in appendix/mimic, which may be the root itself: the identifiers of the
    images in `val.txt`, `test.txt` and, if it is there, `img_id.txt` (training), the labels of the first two in
    `val.pkl` and `test.pkl`, and `class_name.pkl` and `class_split.pkl`, which must hold what is published. Reads, too,
    the table of labels that the authors give out apart, `LTML_MIMIC_CXR_label_.csv`, from the root or its
    data/mimicall/. Images of the table that no list has are for training, where img_id.txt is missing; labels that
    neither table nor pickles tell are unknown.

    Patients, studies and views come from MIMIC-CXR-JPG's metadata table, if it is in the root; else patients and
    studies from the paths in the table, and every view is frontal, as the authors chose. The authors divided images,
    not patients: who is in two parts is counted in a warning.

    Args:
        csv: the name of the table of labels in the root, if it has another.
        images: the folder with MIMIC-CXR-JPG's `files`, or with the images side by side; by default the root.
        uncertain, blank: what -1 and blank mean in the table: "positive", "negative", "unknown" or a soft value in
            [0, 1]. To the authors both are negative.
        believe: "csv" or "pickle", where the two do not agree on which labels are positive.
    Raises: FileNotFoundError without val.txt, test.txt, or any labels; ValueError on missing columns, on columns of 0
        and 1 that are no label, on blank identifiers or other label values (line and column named), on images that
        repeat, that are in two lists or in none, on pickles that do not fit their list, on other names or groups than
        the published, or if table and pickles do not agree.
    """
    if believe not in (None, *BELIEVED):
        raise ValueError(unknown_name("option believe:", str(believe), BELIEVED))
    folder = root / "appendix" / "mimic"
    folder = folder if folder.is_dir() else root
    split_of = _read_lists(folder)
    pickled = _read_pickles(folder, split_of, _read_names(folder))
    file = _find_table(root, csv)
    if file is None and pickled.empty:
        raise FileNotFoundError(
            f"{root}: no *label*.csv there or in data/mimicall/, and no val.pkl or test.pkl in {folder}"
        )
    location, values, soft = pd.Series(dtype=object), np.empty((0, len(LABELS)), dtype=np.float32), False
    if file is not None:
        table = _read_table(file, uncertain, blank)
        location, values, soft = table.location, _settled(file, table, pickled, believe), table.soft
        split_of = _listed(file, folder, location.index, split_of)
    rest = pd.Index(split_of, dtype=object).difference(location.index, sort=False)
    location = pd.concat([location, pd.Series("", index=rest, dtype=object)])
    told = _images(root, Path(images) if images else root, location).assign(split=location.index.map(split_of))
    _warn_of_patients(told)
    columns: dict[str, Any] = {str(name): told[name] for name in told}
    try:
        return LabelTable(np.concatenate([values, pickled.reindex(rest)]), LABELS, **columns, soft=soft)
    except ValueError as error:
        raise ValueError(f"{file or folder}: {error}") from error


def _read_lists(folder: Path) -> dict[str, str]:
    """The split of every image that a list has, in the order of the lists."""
    split_of: dict[str, str] = {}
    for split, name in LISTS.items():
        if split == "train" and not (folder / name).is_file():
            continue
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: lacks {name}, which LTML-MIMIC-CXR's repository has in appendix/mimic")
        ids = (folder / name).read_text().split()
        if again := [image for image in ids if image in split_of]:
            raise ValueError(f"{folder / name}: {again[0]!r} is in {LISTS[split_of[again[0]]]} as well")
        if len(set(ids)) < len(ids):
            repeated = next(image for place, image in enumerate(ids) if image in ids[:place])
            raise ValueError(f"{folder / name}: {repeated!r} is there twice")
        split_of |= dict.fromkeys(ids, split)
    return split_of


def _read_names(folder: Path) -> list[str]:
    """The labels in the order of the pickles' columns."""
    names = list(LABELS)
    if (file := folder / "class_name.pkl").is_file():
        names = [str(name) for name in _held(file, load_pickle(file), (list, tuple), "names of labels")]
        _expect_same(file, names, LABELS)
    if (file := folder / "class_split.pkl").is_file():
        for group, members in _held(file, load_pickle(file), (dict,), "groups with numbers of labels").items():
            numbers = _held(file, members, (list, tuple, set, frozenset), f"numbers of labels in group {group!r}")
            expected = GROUPS.get({"middle": "medium"}.get(group, group), [])
            _expect_same(file, [_numbered(file, names, number) for number in numbers], expected)
    return names


def _held(file: Path, content: Any, kinds: tuple[type, ...], expected: str) -> Any:
    """What a pickle holds, an array as a list. Raises: ValueError that names the file if it is none of these kinds."""
    content = content.tolist() if isinstance(content, np.ndarray) else content
    if not isinstance(content, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{file}: holds {type(content).__name__}, expected {expected} as {wanted}")
    return content


def _numbered(file: Path, names: list[str], number: Any) -> str:
    if not isinstance(number, (int, np.integer)) or not 0 <= number < len(names):
        raise ValueError(f"{file}: holds {number!r}, expected numbers of labels from 0 to {len(names) - 1}")
    return names[number]


def _expect_same(file: Path, found: list[str], expected: Any) -> None:
    try:
        check_same_labels(found, expected)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _read_pickles(folder: Path, split_of: dict[str, str], names: list[str]) -> pd.DataFrame:
    """The labels that val.pkl and test.pkl hold: a row an image, a column a label in our order."""
    tables = [pd.DataFrame(columns=list(LABELS), dtype=np.float32)]
    for split in ("val", "test"):
        if not (file := folder / f"{split}.pkl").is_file():
            continue
        ids = [image for image, part in split_of.items() if part == split]
        held = load_pickle(file)
        try:
            values = np.asarray(held)
        except ValueError as error:
            raise ValueError(f"{file}: holds no array: {error}") from error
        if values.shape != (len(ids), len(names)):
            raise ValueError(
                f"{file}: holds an array of shape {values.shape}, expected ({len(ids)} images of {LISTS[split]}, "
                f"{len(names)} labels)"
            )
        if (wrong := (values != 0) & (values != 1)).any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"{file}: label {names[column]!r} of image {ids[row]!r} is {values[row, column]!r}, expected 0 or 1"
            )
        tables.append(pd.DataFrame(values.astype(np.float32), index=ids, columns=names)[list(LABELS)])
    return pd.concat(tables) if len(tables) > 1 else tables[0]


def _find_table(root: Path, csv: str | None) -> Path | None:
    if csv is not None:
        return root / csv
    names = csv_names("*label*")
    # MIMIC-CXR-JPG 2.1.0 has a mimic-cxr-2.1.0-test-set-labeled.csv.
    return optional_file(root, *names, *(f"data/mimicall/{name}" for name in names), without="mimic-cxr-*")


def _read_table(file: Path, uncertain: str | float, blank: str | float) -> Table:
    rows = read_table(file, columns=["location", *LABELS])
    # Beside the labels it has what the labeller wrote, such as the report; what looks like labels must be known.
    filled = [column for column in rows if rows[column].isin(["0", "1", "0.0", "1.0", "-1", "-1.0", ""]).all()]
    check_columns(file, rows[filled], ["location", "study", "No Finding", *LABELS])
    values, soft = label_values(file, rows, LABELS, uncertain=uncertain, blank=blank)
    ids = rows["location"].str.rsplit("/", n=1).str[-1].str.removesuffix(".jpg")
    check_filled(file, ids.to_frame(), ["location"])
    if (again := ids.duplicated()).any():
        raise ValueError(f"{file}: image ids repeat: {ids[again].unique()[:5].tolist()}")
    positive = rows[list(LABELS)].apply(lambda column: column.str.strip()).isin(["1", "1.0"]).to_numpy()
    return Table(rows["location"].str.removeprefix("./").set_axis(ids), values, positive, soft)


def _settled(file: Path, table: Table, pickled: pd.DataFrame, believe: str | None) -> np.ndarray:
    """The values of the table [N, 39], with those of the pickles where they are unknown or not to be believed."""
    given = pickled.reindex(table.location.index).to_numpy()
    differs = ~np.isnan(given) & (table.positive != (given == 1))
    if differs.any() and believe is None:
        row, column = np.argwhere(differs)[0]
        says = ["not positive", "positive"]
        raise ValueError(
            f"{file}: label {LABELS[column]!r} of image {table.location.index[row]!r} is "
            f"{says[int(table.positive[row, column])]} in {row_place(file, row)}, but {given[row, column]:g} in "
            f"val.pkl or test.pkl; {int(differs.any(axis=1).sum())} images differ: say which to believe, csv or pickle"
        )
    take = np.isnan(table.values) | (differs if believe == "pickle" else False)
    return np.where(take, given, table.values).astype(np.float32)


def _listed(file: Path, folder: Path, ids: pd.Index, split_of: dict[str, str]) -> dict[str, str]:
    """The split of every image, those of the table among them."""
    others = [image for image in ids if image not in split_of]
    if others and "train" in split_of.values():
        raise ValueError(f"{file}: {len(others)} images are in no list of {folder}, the first {others[:3]}")
    return split_of | dict.fromkeys(others, "train")


def _images(root: Path, images: Path, location: pd.Series) -> pd.DataFrame:
    """image_id, path, patient_id, study_id and view of the images, whose identifiers index their locations."""
    subject, study = ID_COLUMNS[1:]
    own = pd.Series(location.index, dtype=object)
    rows = pd.DataFrame({"dicom_id": own, "location": location.where(location.str.contains("/"), "").to_numpy()})
    if file := optional_file(root, *csv_names(METADATA)):
        known = read_table(file, columns=[*ID_COLUMNS, *VIEW_COLUMNS])
        check_filled(file, known, ID_COLUMNS)
        known = known.drop_duplicates("dicom_id").set_index("dicom_id")
        if missing := [image for image in own if image not in known.index]:
            raise ValueError(f"{file}: lacks {len(missing)} images, the first {missing[:3]}")
        rows = rows.join(known[[subject, study, *VIEW_COLUMNS]], on="dicom_id")
    else:
        rows[[subject, study]] = rows["location"].str.extract(LOCATION).to_numpy()
        rows[list(VIEW_COLUMNS)] = ["frontal", ""]
    # Where nothing tells of a patient, nothing tells of a place in MIMIC-CXR-JPG's tree either.
    lone = rows[subject].isna()
    told = mimic_images(
        file or root, rows.assign(**{name: rows[name].fillna(own) for name in (subject, study)}), images, "location"
    )
    side_by_side = [str(images / f"{image}.jpg") for image in own]
    flat = any(Path(path).is_file() for path in side_by_side[:1])
    return told.assign(path=told["path"].where(~(lone | flat), side_by_side))


def _warn_of_patients(images: pd.DataFrame) -> None:
    parts = images.groupby("patient_id")["split"].nunique()
    if shared := int((parts > 1).sum()):
        logger.warning("LTML-MIMIC-CXR's own split has %d of %d patients in more than one part", shared, len(parts))
