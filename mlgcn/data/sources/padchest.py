"""PadChest."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns, check_filled
from mlgcn.data.sources.files import csv_names, find_file, read_table
from mlgcn.data.sources.row_place import row_place
from mlgcn.data.views import views
from mlgcn.labels import LabelTable
from mlgcn.suggestions import unknown_name

COLUMNS = (
    "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM",
    "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Modality_DICOM", "Manufacturer_DICOM",
    "PhotometricInterpretation_DICOM", "PixelRepresentation_DICOM", "PixelAspectRatio_DICOM", "SpatialResolution_DICOM",
    "BitsStored_DICOM", "WindowCenter_DICOM", "WindowWidth_DICOM", "Rows_DICOM", "Columns_DICOM",
    "XRayTubeCurrent_DICOM", "Exposure_DICOM", "ExposureInuAs_DICOM", "ExposureTime", "RelativeXRayExposure_DICOM",
    "ReportID", "Report", "MethodLabel", "Labels", "Localizations", "LabelsLocalizationsBySentence", "labelCUIS",
    "LocalizationsCUIS",
)  # fmt: skip
# Files that are missing, broken or truncated in the published archives, as torchxrayvision has them.
CORRUPT = frozenset({
    "216840111366964012283393834152009033102258826_00-059-087.png",
    "216840111366964012339356563862009072111404053_00-043-192.png",
    "216840111366964012373310883942009117084022290_00-064-025.png",
    "216840111366964012373310883942009152114636712_00-102-045.png",
    "216840111366964012373310883942009170084120009_00-097-074.png",
    "216840111366964012487858717522009280135853083_00-075-001.png",
    "216840111366964012558082906712009327122220177_00-102-064.png",
    "216840111366964012819207061112010281134410801_00-129-131.png",
    "216840111366964012819207061112010306085429121_04-020-102.png",
    "216840111366964012819207061112010307142602253_04-014-084.png",
    "216840111366964012819207061112010315104455352_04-024-184.png",
    "216840111366964012959786098432011033083840143_00-176-115.png",
    "216840111366964012989926673512011074122523403_00-163-058.png",
    "216840111366964012989926673512011083134050913_00-168-009.png",
    "216840111366964012989926673512011151082430686_00-157-045.png",
    "216840111366964013076187734852011291090445391_00-196-188.png",
    "216840111366964013590140476722013043111952381_02-065-198.png",
    "216840111366964013590140476722013058110301622_02-056-111.png",
    "216840111366964013686042548532013208193054515_02-026-007.png",
    "216840111366964013829543166512013353113303615_02-092-190.png",
    "216840111366964013962490064942014134093945580_01-178-104.png",
})  # fmt: skip
ITEM = r"""'[^'\\]*'|"[^"\\]*\""""
LIST = re.compile(rf"\[\s*(?:(?:{ITEM})(?:\s*,\s*(?:{ITEM}))*)?\s*\]")
UNLABELLED = ("", "nan")


def read_padchest(
    root: Path,
    *,
    images: str | None = None,
    labels: Sequence[str] | None = None,
    least: int = 1,
    leave_out: Sequence[str] = (),
    include_corrupt: bool = False,
) -> LabelTable:
    """PadChest (Bustos et al. 2020): the labels that a report's list has are positive, all others negative.

    Reads `PADCHEST_chest_x_ray_images_labels_160K_*.csv` (plain or gz). Lists are read as they are meant: spaces around
    a label, labels that repeat and empty ones, of which the published table has many, are taken off. A list that names
    nothing leaves the image's labels unknown, and so does nan. "normal", "exclude", "unchanged" and "suboptimal study"
    are labels like others, although "unchanged" stands for findings of an earlier report. There is no official split.
    Images (16-bit PNG) stand in the folder ImageDir that the table names, or else side by side.

    Args:
        images: the folder of the images; by default the root.
        labels: those to read, in this order; by default all that are found, by alphabet in any case.
        least: found labels with fewer positive images are left out.
        leave_out: images with one of these labels are left out, such as "exclude".
        include_corrupt: keep the 21 images of CORRUPT, whose files are known to be missing or damaged.
    Raises: FileNotFoundError without the table; ValueError on missing or other columns, on a blank identifier or a cell
        that holds no list (line and column named), on images that repeat, or if a given label is not found.
    """
    file = find_file(root, *csv_names("PADCHEST_chest_x_ray_images_labels*"))
    rows = read_table(file, columns=["ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Labels"])
    check_columns(file, rows, COLUMNS)
    check_filled(file, rows, ["ImageID", "StudyID", "PatientID"])
    # Each text is looked at once, however often it stands there.
    codes, texts = pd.factorize(rows["Labels"])
    lists = [_parsed(file, text, codes, place) for place, text in enumerate(texts)]
    found = {label for one in lists for label in one}
    if unknown := [label for label in (*(labels or ()), *leave_out) if label not in found]:
        raise ValueError(f"{file}: {unknown_name('label', unknown[0], found)}")
    keep = np.array([set(one).isdisjoint(leave_out) for one in lists])[codes]
    if not include_corrupt:
        keep &= ~rows["ImageID"].isin(CORRUPT).to_numpy()
    rows, codes = rows[keep], codes[keep]
    names = list(labels) if labels else _chosen(lists, codes, max(least, 1))
    if not names:
        raise ValueError(f"{file}: no label has {least} images among {len(rows)}")
    values = np.array([[name in one for name in names] for one in map(frozenset, lists)], dtype=np.float32)
    values[[not one for one in lists]] = np.nan
    try:
        return LabelTable(
            values[codes],
            names,
            image_id=rows["ImageID"],
            path=_paths(Path(images) if images else root, rows),
            patient_id=rows["PatientID"],
            study_id=rows["StudyID"],
            view=views(rows["Projection"]),
        )
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _parsed(file: Path, text: str, codes: np.ndarray, place: int) -> list[str]:
    """The labels of a list written as text, each once; none where the cell says nothing."""
    if text.strip() in UNLABELLED:
        return []
    if not LIST.fullmatch(text.strip()):
        where = row_place(file, (codes == place).argmax())
        raise ValueError(f"{file}: column 'Labels' holds {text!r} in {where}, expected a list such as ['normal']")
    labels = (item[1:-1].strip() for item in re.findall(ITEM, text))
    return list(dict.fromkeys(label for label in labels if label))


def _chosen(lists: list[list[str]], codes: np.ndarray, least: int) -> list[str]:
    """The labels that enough images have, by alphabet; codes [N] say which list an image has."""
    times = np.bincount(codes, minlength=len(lists))
    positives: Counter[str] = Counter()
    for found, images in zip(lists, times.tolist(), strict=True):
        positives.update(dict.fromkeys(found, images))
    return sorted((label for label, images in positives.items() if images >= least), key=str.casefold)


def _paths(base: Path, rows: pd.DataFrame) -> list[str]:
    """Where the images stand: in the folders that the table names, unless these are missing and images are not."""
    flat = next(base.glob("*.png"), None) is not None
    folder_of = {name: base if flat and not (base / name).is_dir() else base / name for name in set(rows["ImageDir"])}
    return [str(folder_of[name] / image) for name, image in zip(rows["ImageDir"], rows["ImageID"], strict=True)]
