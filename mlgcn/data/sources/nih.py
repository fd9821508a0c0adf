"""NIH ChestX-ray14."""

from pathlib import Path

import pandas as pd

from mlgcn.data.sources.files import find_file, read_table
from mlgcn.labels import LabelTable

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
NO_FINDING = "No Finding"
VIEWS = {"PA": "frontal", "AP": "frontal", "LL": "lateral", "": "unknown"}


def read_nih(root: Path, *, no_finding: bool = False) -> LabelTable:
    """NIH ChestX-ray14 (Wang et al. 2017): every image is labelled for all 14 findings, so none is unknown.

    Reads `Data_Entry_2017*.csv` (plain or gz) and, where both are there, the official patient-disjoint lists
    `train_val_list.txt` and `test_list.txt`. Images stand in `images/` or in `images_001/images/` and so on.

    Args:
        no_finding: make "No Finding" a label of its own, the 15th.
    Raises: FileNotFoundError without the table; ValueError on unexpected findings or views, or on lists that do not
        cover the table.
    """
    csv = find_file(root, "Data_Entry_2017*.csv", "Data_Entry_2017*.csv.gz")
    rows = read_table(csv, columns=["Image Index", "Finding Labels", "Patient ID", "Follow-up #", "View Position"])
    names = rows["Image Index"]
    if (blank := rows["Finding Labels"].str.strip() == "").any():
        raise ValueError(f"{csv}: column 'Finding Labels' is blank for {names[blank].iloc[0]}, expected findings")
    found = rows["Finding Labels"].str.get_dummies("|")
    if unexpected := sorted(set(map(str, found)) - {*FINDINGS, NO_FINDING}):
        raise ValueError(f"{csv}: column 'Finding Labels' holds {unexpected}, expected {[*FINDINGS, NO_FINDING]}")
    if unexpected := sorted(set(rows["View Position"]) - set(VIEWS)):
        raise ValueError(f"{csv}: column 'View Position' holds {unexpected}, expected {list(VIEWS)}")
    labels = [*FINDINGS, NO_FINDING] if no_finding else list(FINDINGS)
    split = _official_split(root, names)
    try:
        return LabelTable(
            found.reindex(columns=labels, fill_value=0),
            image_id=names,
            path=_paths(root, names),
            patient_id=rows["Patient ID"],
            study_id=rows["Patient ID"] + "-" + rows["Follow-up #"],
            view=rows["View Position"].map(VIEWS),
            split=split,
        )
    except ValueError as error:
        raise ValueError(f"{csv}: {error}") from error


def _paths(root: Path, names: pd.Series) -> list[str]:
    """Where each image stands; in `images/` if nothing says otherwise."""
    folder_of = {path.name: path.parent for path in sorted(root.glob("images_*/images/*"))}
    default = root / "images"
    return [str(folder_of.get(name, default) / name) for name in names]


def _official_split(root: Path, names: pd.Series) -> list[str] | str:
    lists = {"train": root / "train_val_list.txt", "test": root / "test_list.txt"}
    if not all(path.is_file() for path in lists.values()):
        return ""
    split_of = {name: split for split, path in lists.items() for name in path.read_text().split()}
    if missing := [name for name in names if name not in split_of]:
        raise ValueError(f"{root}: {len(missing)} images are in neither official list, the first {missing[:3]}")
    return [split_of[name] for name in names]
