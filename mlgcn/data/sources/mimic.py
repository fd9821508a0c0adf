"""What the data sets on the images of MIMIC-CXR share: their identifiers, views and the tree of the images."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from mlgcn.data.sources.columns import check_filled
from mlgcn.data.views import views

ID_COLUMNS = ("dicom_id", "subject_id", "study_id")
VIEW_COLUMNS = ("ViewPosition", "ViewCodeSequence_CodeMeaning")


def mimic_images(file: Path, rows: pd.DataFrame, images: Path, path_column: str | None = None) -> pd.DataFrame:
    """image_id, path, patient_id, study_id and view of a table with ID_COLUMNS and VIEW_COLUMNS.

    Patients and studies are bare digits, whether the table writes 50414267 or s50414267. An image stands where the
    table says, from the folder of the images on, or in MIMIC-CXR-JPG's tree, files/p10/p10000032/s50414267/ and so on,
    if the table says nothing, or names that tree by a folder that is not there. Folders are looked for, no images.

    Args:
        file: where the rows come from, for the messages.
        images: the folder that holds `files`, or the folder `files` itself.
        path_column: the column with the paths.
    Raises: ValueError that names file, line and column of a blank identifier.
    """
    check_filled(file, rows, ID_COLUMNS)
    subjects, studies = bare(rows["subject_id"], "p"), bare(rows["study_id"], "s")
    branches = [
        f"p{subject[:2]}/p{subject}/s{study}/{image}.jpg"
        for subject, study, image in zip(subjects, studies, rows["dicom_id"], strict=True)
    ]
    return pd.DataFrame(
        {
            "image_id": rows["dicom_id"].tolist(),
            "path": _paths(branches if path_column is None else rows[path_column], branches, images),
            "patient_id": subjects,
            "study_id": studies,
            "view": views(*(rows[column] for column in VIEW_COLUMNS)),
        },
        dtype=object,
    )


def bare(identifiers: Iterable[str], letter: str) -> list[str]:
    """50414267 for s50414267 and for 50414267.0, as pandas writes whole numbers beside blanks; other text stays."""
    whole = re.compile(rf"{letter}?(\d+)(\.0*)?")
    return [found[1] if (found := whole.fullmatch(text)) else text for text in identifiers]


def _tree(images: Path) -> str:
    """The folder with p10, p11 and so on."""
    inside = images / "files"
    return str(images if not inside.is_dir() and any(images.glob("p1[0-9]")) else inside)


def _paths(given: Iterable[str], branches: Sequence[str], images: Path) -> list[str]:
    tree = _tree(images)
    folder_of = {"": tree, "files/": tree}
    paths = []
    for path, branch in zip(given, branches, strict=True):
        if path and (path.startswith("/") or not path.endswith(branch)):
            paths.append(os.path.join(images, path))
            continue
        start = path.removesuffix(branch)
        if start not in folder_of:
            folder_of[start] = str(images / start) if (images / start).is_dir() else tree
        paths.append(f"{folder_of[start]}/{branch}")
    return paths
