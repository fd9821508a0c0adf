"""CheXpert."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns
from mlgcn.data.sources.files import csv_names, expect_columns, optional_file, read_table
from mlgcn.data.sources.row_place import row_place
from mlgcn.data.sources.values import label_values
from mlgcn.labels import LabelTable

LABELS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
DETAILS = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
TABLES = ("train", "valid", "test", "test_labels")
# The labels of the test set as they were released later, one row a study.
STUDIES = "groundtruth"
# The folders of the full release as downloaded, such as "CheXpert-v1.0 batch 2 (train 1)".
BATCHES = "CheXpert-v1.0 batch *"
SPLIT_OF = {"train": "train", "valid": "val", "val": "val", "test": "test"}
RELEASE = r"(?:(?P<release>CheXpert-v1\.0[^/]*)/)?"
STUDY = RELEASE + r"(?P<study>(?P<part>train|valid|val|test)/(?P<patient>patient\d+)/study\d+)"
IMAGE = STUDY + r"/(?P<image>view\d+_(?P<view>frontal|lateral)\.\w+)"


class Policy(NamedTuple):
    """What -1 and blank mean."""

    uncertain: str | float
    blank: str | float


class Part(NamedTuple):
    """What a table tells: of each image what its path says; values [N, 14], and whether soft ones may be among them."""

    images: pd.DataFrame
    values: np.ndarray
    soft: bool


def read_chexpert(
    root: Path, *, images: str | None = None, uncertain: str | float = "unknown", blank: str | float = "unknown"
) -> LabelTable:
    """CheXpert (Irvin et al. 2019): the 14 labels of the study that an image belongs to, and the official split.

    Reads those of `train.csv`, `valid.csv`, `test.csv` (or `test_labels.csv`) and `groundtruth.csv` that are there,
    plain or gz. groundtruth.csv labels the studies of the test set; where no table names their images, these are those
    that stand in the study's folder, or else view1_frontal.jpg. A test table without labels leaves them unknown. An
    image is identified by its path in the release. Images are also found in the batches that the full release comes
    in, which hold the patients themselves, or valid/.

    Args:
        root: the folder of the tables, such as CheXpert-v1.0-small or "CheXpert-v1.0 batch 1 (validate & csv)", or the
            folder around it.
        images: the folder that holds train/, valid/ and test/, or the one around it; by default that of the tables.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
    Raises: FileNotFoundError without a table; ValueError on missing or other columns, on a path, view or label value
        that is not CheXpert's (line and column named), on images that repeat, or where two tables disagree.
    """
    folder = _folder(root)
    tree = Tree(Path(images) if images else folder)
    policy = Policy(uncertain, blank)
    files = [file for name in TABLES if (file := optional_file(folder, *csv_names(name)))]
    parts = [_read_images(file, policy) for file in files]
    if studies := optional_file(folder, *csv_names(STUDIES)):
        parts = _with_studies(parts, studies, policy, tree)
    rows = pd.concat([part.images for part in parts], ignore_index=True)
    ids = rows.study + "/" + rows.image
    try:
        return LabelTable(
            np.concatenate([part.values for part in parts]),
            LABELS,
            image_id=ids,
            path=tree.paths(rows.release, ids),
            patient_id=rows.patient,
            study_id=rows.study,
            view=rows["view"],
            split=rows.part.map(SPLIT_OF),
            soft=any(part.soft for part in parts),
        )
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _folder(root: Path) -> Path:
    """The folder of the tables: the one given, or a release in it."""
    folders = [folder for folder in (root, *sorted(root.glob("CheXpert-v1.0*"))) if folder.is_dir()]
    names = [file for name in (*TABLES, STUDIES) for file in csv_names(name)]
    found = [folder for folder in folders if any((folder / name).is_file() for name in names)]
    if not found:
        raise FileNotFoundError(f"{root}: none of {names} there or in a folder CheXpert-v1.0*")
    if len(found) > 1 and root not in found:
        raise ValueError(f"{root}: several releases have tables, expected one: {[folder.name for folder in found]}")
    return found[0]


def _read_images(file: Path, policy: Policy) -> Part:
    rows = read_table(file, columns=["Path"])
    check_columns(file, rows, ["Path", *DETAILS, *LABELS])
    blinded = file.name.startswith("test") and not any(label in rows for label in LABELS)
    required = [] if file.name.startswith("test") else ["Frontal/Lateral"]
    expect_columns(file, rows, [*required, *(() if blinded else LABELS)])
    told = _parsed(file, rows["Path"], IMAGE, "such as CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg")
    if "Frontal/Lateral" in rows:
        wrong = (rows["Frontal/Lateral"].str.lower() != told["view"]).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{file}: column 'Frontal/Lateral' holds {rows['Frontal/Lateral'].iloc[row]!r} in "
                f"{row_place(file, row)}, expected {told['view'].iloc[row].title()!r} as the path says"
            )
    if blinded:
        return Part(told, np.full((len(rows), len(LABELS)), np.nan, dtype=np.float32), False)
    return Part(told, *label_values(file, rows, LABELS, uncertain=policy.uncertain, blank=policy.blank))


def _with_studies(parts: list[Part], file: Path, policy: Policy, tree: "Tree") -> list[Part]:
    """The parts with the labels of the test set's studies, and with its images where no table has named them."""
    rows = read_table(file, columns=["Study", *LABELS])
    check_columns(file, rows, ["Study", *LABELS])
    told = _parsed(file, rows["Study"], STUDY, "such as CheXpert-v1.0/test/patient64741/study1")
    if (repeated := told.study.duplicated()).any():
        raise ValueError(f"{file}: the study {told.study[repeated].iloc[0]} repeats")
    values, soft = label_values(file, rows, LABELS, uncertain=policy.uncertain, blank=policy.blank)
    place = pd.Series(range(len(told)), index=told.study)
    completed: list[Part] = []
    seen: set[str] = set()
    for images, known, part_soft in parts:
        at = images.study.map(place)
        here = at.notna().to_numpy()
        seen |= set(images.study[here])
        given = values[at[here].astype(int)]
        _check_agreement(file, images[here], known[here], given)
        known[here] = np.where(np.isnan(known[here]), given, known[here])
        completed.append(Part(images, known, part_soft or soft))
    missing = ~told.study.isin(seen).to_numpy()
    pictured = [_images_in(tree, study) for _, study in told[missing].iterrows()]
    rest = pd.DataFrame([image for images in pictured for image in images], columns=[*told, "image", "view"])
    again = np.repeat(np.flatnonzero(missing), [len(images) for images in pictured])
    return [*completed, Part(rest, values[again], soft)]


def _check_agreement(file: Path, images: pd.DataFrame, known: np.ndarray, given: np.ndarray) -> None:
    wrong = ~np.isnan(known) & ~np.isnan(given) & (known != given)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{file}: {LABELS[column]!r} of the study {images.study.iloc[row]} is {given[row, column]:g}, but "
            f"{known[row, column]:g} in the table of the images"
        )


def _images_in(tree: "Tree", study: pd.Series) -> list[dict[str, str]]:
    """The images of a study that no table names."""
    folder = Path(tree.paths([study.release], [study.study])[0])
    names = [path.name for path in sorted(folder.glob("view*"))] or ["view1_frontal.jpg"]
    return [{**study, "image": name, "view": "lateral" if "lateral" in name else "frontal"} for name in names]


def _parsed(file: Path, paths: pd.Series, pattern: str, expected: str) -> pd.DataFrame:
    """The named groups of a pattern, a column each; "" for a release that is not named."""
    parsed = paths.str.extract(rf"^{pattern}$")
    if (wrong := parsed.study.isna().to_numpy()).any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{file}: column {paths.name!r} holds {paths.iloc[row]!r} in {row_place(file, row)}, "
            f"expected a path {expected}"
        )
    return parsed.fillna("")


class Tree:
    """Where the images stand: in the folder, in the release's own folder in it, or in the batches of the download.

    Every folder is listed once, not once an image.
    Args:
        base: the folder, the one around the release or the batches, or a batch, beside which the others stand.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        own = base if base.name else base.absolute()
        around = own.parent if own.match(BATCHES) else base
        # By the name of a patient's folder, or of valid/ and its like, the batch that holds it.
        self.batch_of = {name: batch for batch in sorted(around.glob(BATCHES)) for name in _folders(batch)}
        self.folders_of: dict[Path, set[str]] = {}

    def paths(self, releases: Iterable[str], inner: Iterable[str]) -> list[str]:
        """The paths of images or studies, such as train/patient00001/study1, of these releases."""
        releases = list(releases)
        base_of = {
            release: self.base / release if release and (self.base / release).is_dir() else self.base
            for release in set(releases)
        }
        for base in set(base_of.values()) - set(self.folders_of):
            self.folders_of[base] = _folders(base)
        return [self._path(base_of[release], path) for release, path in zip(releases, inner, strict=True)]

    def _path(self, base: Path, path: str) -> str:
        part, patient, rest = path.split("/", 2)
        if part not in self.folders_of[base]:
            if part in self.batch_of:
                return f"{self.batch_of[part]}/{path}"
            if patient in self.batch_of:
                return f"{self.batch_of[patient]}/{patient}/{rest}"
        return f"{base}/{path}"


def _folders(folder: Path) -> set[str]:
    """The names of the folders in a folder; none if that is not there."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_dir()}
