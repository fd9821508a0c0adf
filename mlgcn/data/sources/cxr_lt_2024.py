"""CXR-LT 2024: MIMIC-CXR with 45 labels and three tasks."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns
from mlgcn.data.sources.cxr_lt_2023 import LABELS as LABELS_2023
from mlgcn.data.sources.files import csv_names, optional_file, read_table
from mlgcn.data.sources.merge import Part, merge, part_of
from mlgcn.data.sources.mimic import ID_COLUMNS, VIEW_COLUMNS, mimic_images
from mlgcn.data.sources.row_place import row_place
from mlgcn.labels import LabelTable

ADDED = (
    "Adenopathy", "Azygos Lobe", "Clavicle Fracture", "Fissure", "Granuloma", "Hydropneumothorax", "Infarction",
    "Kyphosis", "Lobar Atelectasis", "Pulmonary Embolism", "Pulmonary Hypertension", "Rib Fracture",
    "Round(ed) Atelectasis", "Tuberculosis",
)  # fmt: skip
UNSEEN = ("Bulla", "Cardiomyopathy", "Hilum", "Osteopenia", "Scoliosis")
SHARED = tuple("Normal" if name == "No Finding" else name for name in LABELS_2023)
TASKS = {1: tuple(sorted([*SHARED, *ADDED])), 2: SHARED, 3: UNSEEN}
LABELS = tuple(sorted([*SHARED, *ADDED, *UNSEEN]))
COLUMNS = (*ID_COLUMNS, *VIEW_COLUMNS, "fpath")
HELD_OUT = {"development": "val", "test": "test"}
SPLIT_OF = {"train": "train", "development": "val", "validate": "val", "val": "val", "test": "test"}
# Labelled by hand from the reports, where the other files were labelled by machine: both do not have to agree.
BY_HAND = "test_labeled_task2"


def read_cxr_lt_2024(
    root: Path,
    *,
    task: int | None = None,
    images: str | None = None,
    uncertain: str | float = "unknown",
    blank: str | float = "unknown",
) -> LabelTable:
    """CXR-LT 2024 (Lin et al. 2025): the 377,110 images of MIMIC-CXR-JPG with 45 labels and three tasks.

    Reads, plain or gz, all that is there of `labels.csv`, `train_labeled.csv`, and of the held-out files of tasks 1, 2
    and 3: `development_labeled_task1.csv` and `test_labeled_task1.csv`, and `development_task1.csv` and
    `test_task1.csv`, which have no labels. An image in several files is one row with the labels of all of them, which
    must agree; a label that none of them gives is unknown, such as the five unseen ones where train_labeled.csv alone
    tells of training. Only test_labeled_task2.csv, labelled by hand, may differ from the others: its labels hold for
    task 2, and otherwise fill gaps. Development becomes the split val. Patients and studies are bare digits.

    Args:
        task: read the labels of one task only (1: 40; 2: the 26 of 2023; 3: the five unseen), with its held-out images.
        images: the folder with MIMIC-CXR-JPG's `files`, by default that of the tables.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
    Raises: FileNotFoundError with neither labels.csv nor train_labeled.csv; ValueError on another task, on missing or
        unexpected columns, on other label values (line and column named), on an image that stands twice in a file, or
        on files that disagree about an image.
    """
    if task not in (None, *TASKS):
        raise ValueError(f"task is {task!r}, expected one of {list(TASKS)} or none")
    chosen = LABELS if task is None else TASKS[task]
    parts = []
    for stem, file in _files(root, task).items():
        given = _labels_of(stem)
        rows = read_table(file, columns=[*COLUMNS, *given, *(["split"] if stem == "labels" else [])])
        check_columns(file, rows, [*COLUMNS, *LABELS, *(["split"] if stem == "labels" else [])])
        table = mimic_images(file, rows, Path(images) if images else root, "fpath")
        table["split"] = _splits(file, rows) if stem == "labels" else SPLIT_OF[stem.split("_")[0]]
        labels = [label for label in chosen if label in rows]
        clash = "stop" if stem != BY_HAND else "replace" if task == 2 else "keep"
        parts.append(part_of(file, rows, table, labels, uncertain=uncertain, blank=blank, clash=clash))
    merged = merge(parts, chosen)
    return merged if task is None else merged.take(_of_task(merged.images, parts))


def _files(root: Path, task: int | None) -> dict[str, Path]:
    """The files that are there, by name; that with labels by hand last, so that the others are compared first."""
    tasks = TASKS if task is None else [task]
    kinds = [f"{split}{labeled}_task{number}" for labeled in ("_labeled", "") for split in HELD_OUT for number in tasks]
    stems = ["labels", "train_labeled", *sorted(kinds, key=lambda stem: stem == BY_HAND)]
    found = {stem: file for stem in stems if (file := optional_file(root, *csv_names(stem)))}
    if not {"labels", "train_labeled"} & set(found):
        raise FileNotFoundError(f"{root}: no file matches labels.csv or train_labeled.csv, plain or gz")
    return found


def _labels_of(stem: str) -> tuple[str, ...]:
    """The labels that a file must have."""
    if stem in ("labels", "train_labeled"):
        return LABELS if stem == "labels" else TASKS[1]
    return TASKS[int(stem[-1])] if "_labeled" in stem else ()


def _splits(file: Path, rows: pd.DataFrame) -> list[str]:
    unknown = ~rows["split"].isin(SPLIT_OF)
    if unknown.any():
        row = int(unknown.to_numpy().argmax())
        raise ValueError(
            f"{file}: column 'split' holds {rows['split'].iloc[row]!r} in {row_place(file, row)}, "
            f"expected one of {list(SPLIT_OF)}"
        )
    return rows["split"].map(SPLIT_OF).tolist()


def _of_task(images: pd.DataFrame, parts: list[Part]) -> np.ndarray:
    """Which images belong to the task whose held-out files were read: mask [N].

    labels.csv has the held-out images of all tasks, and goes by where the task has no file of its own for a split.
    """
    chosen = np.ones(len(images), dtype=bool)
    for stem, split in HELD_OUT.items():
        own = [part.images["image_id"] for part in parts if part.file.name.startswith(f"{stem}_")]
        if own:
            chosen &= (images["split"] != split).to_numpy() | images["image_id"].isin(pd.concat(own)).to_numpy()
    return chosen
