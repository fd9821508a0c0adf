"""NIH ChestX-ray14."""

from pathlib import Path

import pandas as pd

from mlgcn.data.sources.columns import check_columns, check_filled
from mlgcn.data.sources.files import csv_names, find_file, read_table
from mlgcn.data.sources.image_paths import image_paths
from mlgcn.data.sources.row_place import row_place
from mlgcn.data.views import views
from mlgcn.labels import LabelTable

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
NO_FINDING = "No Finding"
VIEW_CODES = ("PA", "AP", "LL", "")
COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "Follow-up #", "View Position")
# What else the tables of 2017 and 2020 have; their headers write two sizes as one name with a comma in it.
DETAILS = (
    "Patient Age", "Patient Gender", "Patient Sex", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x",
    "y]",
)  # fmt: skip


def read_nih(root: Path, *, no_finding: bool = False, images: str | None = None) -> LabelTable:
    """NIH ChestX-ray14 (Wang et al. 2017): every image is labelled for all 14 findings, so none is unknown.

    Reads `Data_Entry_2017*.csv` (plain or gz) and, where they are there, the official patient-disjoint lists
    `train_val_list.txt` and `test_list.txt`, both or neither. Images stand in `images/` or in `images_001/images/`
    and so on.

    Args:
        no_finding: make "No Finding" a label of its own, the 15th.
        images: the folder that holds images/ or images_001/ and so on, or the images themselves; by default the root.
    Raises: FileNotFoundError without the table; ValueError on missing or other columns, on blank identifiers or
        findings, on unexpected findings or views, on a finding beside "No Finding", on one list without the other, on
        an image in both, or on lists that do not cover the table.
    """
    csv = find_file(root, *csv_names("Data_Entry_2017*"))
    rows = read_table(csv, columns=COLUMNS)
    check_columns(csv, rows, [*COLUMNS, *DETAILS])
    check_filled(csv, rows, ["Image Index", "Finding Labels", "Patient ID", "Follow-up #"])
    names = rows["Image Index"]
    codes, texts = pd.factorize(rows["Finding Labels"])  # few texts, many rows
    found = pd.Series(texts).str.get_dummies("|")
    if unexpected := sorted(set(map(str, found)) - {*FINDINGS, NO_FINDING}):
        where = row_place(csv, found[unexpected].any(axis=1).to_numpy()[codes].argmax())
        raise ValueError(
            f"{csv}: column 'Finding Labels' holds {unexpected}, expected {[*FINDINGS, NO_FINDING]}; see {where}"
        )
    if NO_FINDING in found and (both := (found[NO_FINDING] == 1) & (found.sum(axis=1) > 1)).any():
        row = int(both.to_numpy()[codes].argmax())
        raise ValueError(
            f"{csv}: column 'Finding Labels' holds {rows['Finding Labels'].iloc[row]!r} in {row_place(csv, row)}, "
            f"expected findings or {NO_FINDING!r} alone"
        )
    if unexpected := sorted(set(rows["View Position"]) - set(VIEW_CODES)):
        where = row_place(csv, rows["View Position"].isin(unexpected).to_numpy().argmax())
        raise ValueError(f"{csv}: column 'View Position' holds {unexpected}, expected {list(VIEW_CODES)}; see {where}")
    labels = [*FINDINGS, NO_FINDING] if no_finding else list(FINDINGS)
    split = _official_split(root, names)
    try:
        return LabelTable(
            found.reindex(columns=labels, fill_value=0).to_numpy()[codes],
            labels,
            image_id=names,
            path=_paths(root if images is None else Path(images), names, images is not None),
            patient_id=rows["Patient ID"],
            study_id=rows["Patient ID"] + "-" + rows["Follow-up #"],
            view=views(rows["View Position"]),
            split=split,
        )
    except ValueError as error:
        raise ValueError(f"{csv}: {error}") from error


def _paths(folder: Path, names: pd.Series, inside: bool) -> list[str]:
    """Where each image stands; if nothing says otherwise, in `images/`, or inside the folder itself."""
    default = str(folder / "images" if not inside or (folder / "images").is_dir() else folder)
    return image_paths(folder, names, "images_*/images/*", default=default)


def _official_split(root: Path, names: pd.Series) -> list[str] | str:
    lists = {"train": root / "train_val_list.txt", "test": root / "test_list.txt"}
    absent = [path.name for path in lists.values() if not path.is_file()]
    if len(absent) == len(lists):
        return ""
    if absent:
        raise ValueError(f"{root}: lacks {absent[0]}, the other of the two official lists; expected both or neither")
    listed = {split: path.read_text().split() for split, path in lists.items()}
    if both := sorted(set(listed["train"]) & set(listed["test"])):
        raise ValueError(f"{root}: {len(both)} images are in both official lists, the first {both[:3]}")
    split_of = {name: split for split, images in listed.items() for name in images}
    if missing := [name for name in names if name not in split_of]:
        raise ValueError(f"{root}: {len(missing)} images are in neither official list, the first {missing[:3]}")
    return [split_of[name] for name in names]
