"""CXR-LT 2023: MIMIC-CXR with 26 labels."""

from pathlib import Path

from mlgcn.data.sources.columns import check_columns
from mlgcn.data.sources.files import csv_names, expect_columns, find_file, optional_file, read_table
from mlgcn.data.sources.merge import merge, part_of
from mlgcn.data.sources.mimic import ID_COLUMNS, VIEW_COLUMNS, mimic_images
from mlgcn.labels import LabelTable

LABELS = (
    "Atelectasis", "Calcification of the Aorta", "Cardiomegaly", "Consolidation", "Edema", "Emphysema",
    "Enlarged Cardiomediastinum", "Fibrosis", "Fracture", "Hernia", "Infiltration", "Lung Lesion", "Lung Opacity",
    "Mass", "No Finding", "Nodule", "Pleural Effusion", "Pleural Other", "Pleural Thickening", "Pneumomediastinum",
    "Pneumonia", "Pneumoperitoneum", "Pneumothorax", "Subcutaneous Emphysema", "Support Devices", "Tortuous Aorta",
)  # fmt: skip
COLUMNS = (*ID_COLUMNS, *VIEW_COLUMNS, "path")
HELD_OUT = {"development": "val", "test": "test"}


def read_cxr_lt_2023(
    root: Path, *, images: str | None = None, uncertain: str | float = "unknown", blank: str | float = "unknown"
) -> LabelTable:
    """CXR-LT 2023 (Holste et al. 2024): MIMIC-CXR-JPG, 264,849 images of it for training, with 26 labels.

    Reads `train.csv` and, where they are there, `development.csv`, which becomes the split val, and `test.csv`, plain
    or gz. A held-out file without label columns leaves its labels unknown. Patients and studies are bare digits.

    Args:
        images: the folder with MIMIC-CXR-JPG's `files`, by default that of the tables.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
    Raises: FileNotFoundError without train.csv; ValueError on missing or unexpected columns, on other label values
        (line and column named), or on an image that stands twice, in one file or in two.
    """
    folder = Path(images) if images else root
    splits = {find_file(root, *csv_names("train")): "train"}
    splits |= {file: split for stem, split in HELD_OUT.items() if (file := optional_file(root, *csv_names(stem)))}
    parts = []
    for file, split in splits.items():
        rows = read_table(file, columns=COLUMNS)
        check_columns(file, rows, [*COLUMNS, *LABELS])
        labels = LABELS if split == "train" or set(LABELS) & set(rows) else ()
        expect_columns(file, rows, labels)
        table = mimic_images(file, rows, folder, "path").assign(split=split)
        parts.append(part_of(file, rows, table, labels, uncertain=uncertain, blank=blank))
    return merge(parts, LABELS)
