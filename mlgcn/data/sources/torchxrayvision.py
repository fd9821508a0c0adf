"""The data sets of torchxrayvision."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlgcn.data.views import views
from mlgcn.labels import LabelTable
from mlgcn.suggestions import check_known, unknown_name


class Layout(NamedTuple):
    """How a class names its images, as templates over the columns of its csv."""

    image_id: str
    path: str  # from its folder of images on
    study_id: str = ""


# As each class has it in __getitem__. Rows lend `extension`, `place` and `file` from the object, `Study` from Path.
LAYOUTS = {
    "BRAX_Dataset": Layout("{PngPath}", "{PngPath}"),
    "CheX_Dataset": Layout("{Path}", "{Path}", "{Study}"),
    "CheXlocalize_Dataset": Layout("{Path}", "{Path}", "{Study}"),
    "COVID19_Dataset": Layout("{filename}", "{filename}"),
    "MIMIC_Dataset": Layout("{dicom_id}", "p{subject_id:.2}/p{subject_id}/s{study_id}/{dicom_id}.jpg", "{study_id}"),
    "NIH_Dataset": Layout("{Image Index}", "{Image Index}", "{Patient ID}-{Follow-up #}"),
    "NIH_Google_Dataset": Layout("{Image Index}", "{Image Index}", "{Patient ID}-{Follow-up #}"),
    "NLMTB_Dataset": Layout("{fname}", "CXR_png/{fname}"),
    "Openi_Dataset": Layout("{imageid}", "{imageid}.png", "{uid}"),
    "PC_Dataset": Layout("{ImageID}", "{ImageID}", "{StudyID}"),
    "RSNA_Pneumonia_Dataset": Layout("{patientId}", "{patientId}{extension}"),
    "SIIM_Pneumothorax_Dataset": Layout("{ImageId}", "{file}"),
    "StonyBrookCOVID_Dataset": Layout("{place}", "{place}.jpg"),
    "TBX11K_Dataset": Layout("{file_name}", "imgs/{file_name}"),
    "VinBrain_Dataset": Layout("{image_id}", "{image_id}.dicom"),
    "VinDr_Dataset": Layout("{image_id}", "{image_id}.dicom"),
}
OTHER = Layout("{place}", "{place}")
# What stands before the paths of the images in tables of CheXpert and BRAX, but not in the folder of images.
RELEASE = r"^(?:CheXpert-v1\.0(?:-small)?|images)/"
PATIENT_COLUMNS = ("patientid", "Patient ID")
VIEW_CODES = {"AP Supine": "AP"}
# Not every image would be there otherwise.
WHOLE = {"views": ["*"], "unique_patients": False}


def read_torchxrayvision(
    root: Path, *, dataset: str | None = None, images: str | None = None, **arguments: Any
) -> LabelTable:
    """The labels of any data set that torchxrayvision reads.

    All views and all images of a patient are read, unless the arguments say otherwise.

    Args:
        dataset: its class, such as NIH_Dataset.
        images: the folder of the images, its imgpath; by default the root.
        arguments: others of the class; a relative path, such as csvpath, is one in the root.
    Raises: ImportError without torchxrayvision; ValueError on an unknown class or argument, on a missing argument, if
        torchxrayvision cannot read the tables, or as from_torchxrayvision does.
    """
    try:
        from torchxrayvision import datasets
    except ImportError as error:
        raise ImportError(
            "the data source 'torchxrayvision' needs torchxrayvision: pip install 'mlgcn[xrv]'"
        ) from error
    classes = {name: kind for name, kind in vars(datasets).items() if name.endswith("_Dataset") and _is_read(kind)}
    if dataset not in classes:
        raise ValueError(unknown_name("data set of torchxrayvision (the option dataset):", str(dataset), classes))
    parameters = inspect.signature(classes[dataset]).parameters
    check_known(parameters, arguments, f"argument of torchxrayvision's {dataset}:")
    given = {name: value for name, value in WHOLE.items() if name in parameters} | {
        name: str(root / value) if _is_path(name, value) else value for name, value in arguments.items()
    }
    given.setdefault("imgpath" if "imgpath" in parameters else "imgzippath", images or str(root))
    if missing := [name for name, p in parameters.items() if p.default is p.empty and name not in given]:
        raise ValueError(f"torchxrayvision's {dataset} needs the arguments {missing} too")
    state = np.random.get_state()  # noqa: NPY002, the classes seed numpy's global generator
    try:
        built = classes[dataset](**given)
    except OSError:
        raise
    except KeyError as error:  # of pandas
        raise ValueError(f"torchxrayvision's {dataset} cannot read {root}: lacks the column {error}") from error
    except Exception as error:  # its classes raise bare ones
        raise ValueError(f"torchxrayvision's {dataset} cannot read {root}: {error or type(error).__name__}") from error
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return from_torchxrayvision(built)


def from_torchxrayvision(dataset: Any) -> LabelTable:
    """The labels of a data set object of torchxrayvision, also of one that merges, filters or takes a part of others.

    Paths, patients, studies and views are those that its class knows; an image of a class that is not known here
    has its place as path. Where several data sets are merged, identifiers begin with the class's name. A row that
    repeats another, as where an image has two masks, is taken once.
    Raises: ValueError if labels and rows are not as many, or as LabelTable does.
    """
    leaves, which, place = _origin(dataset)
    images = [_images(leaf) for leaf in leaves]
    if len(leaves) > 1:
        for one, leaf in zip(images, leaves, strict=True):
            for column in ("image_id", "patient_id", "study_id"):
                one[column] = f"{type(leaf).__name__}:" + one[column]
    start = np.cumsum([0, *map(len, images)])[:-1]
    rows = pd.concat(images, ignore_index=True).iloc[start[which] + place].reset_index(drop=True)
    labels = np.asarray(dataset.labels, dtype=np.float32)
    if len(labels) != len(rows):
        raise ValueError(f"{type(dataset).__name__} has labels for {len(labels)} images, expected {len(rows)}")
    once = ~pd.concat([rows, pd.DataFrame(labels)], axis=1).duplicated().to_numpy()
    columns = {str(name): rows.loc[once, name] for name in rows}
    try:
        return LabelTable(labels[once], list(dataset.pathologies), **columns)
    except ValueError as error:
        raise ValueError(f"torchxrayvision's {type(dataset).__name__}: {error}") from error


def _is_read(kind: type) -> bool:
    """Whether the class reads images, rather than merging others."""
    return not {"imgpath", "imgzippath"}.isdisjoint(inspect.signature(kind).parameters)


def _is_path(name: str, value: Any) -> bool:
    return name.endswith("path") and isinstance(value, str) and value != "USE_INCLUDED_FILE"


def _origin(dataset: Any) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """The data sets that hold the rows: these, and for each row which of them and its place there."""
    if hasattr(dataset, "datasets"):  # MergeDataset
        parts = [_origin(one) for one in dataset.datasets]
    elif hasattr(dataset, "idxs"):  # SubsetDataset, FilterDataset
        leaves, which, place = _origin(dataset.dataset)
        rows = np.asarray(dataset.idxs)
        return leaves, which[rows], place[rows]
    elif hasattr(dataset, "d1"):  # CovariateDataset
        parts = [_origin(one) for one in (dataset.d1, dataset.d2)]
        start = np.cumsum([0, *(len(which) for _, which, _ in parts)])
        rows = np.asarray(dataset.imageids) + start[np.asarray(dataset.site)]
        leaves, which, place = _joined(parts)
        return leaves, which[rows], place[rows]
    else:
        return [dataset], np.zeros(len(dataset.csv), dtype=int), np.arange(len(dataset.csv))
    return _joined(parts)


def _joined(parts: list[tuple[list[Any], np.ndarray, np.ndarray]]) -> tuple[list[Any], np.ndarray, np.ndarray]:
    start = np.cumsum([0, *(len(leaves) for leaves, _, _ in parts)])
    return (
        [leaf for leaves, _, _ in parts for leaf in leaves],
        np.concatenate([which + first for (_, which, _), first in zip(parts, start[:-1], strict=True)]),
        np.concatenate([place for _, _, place in parts]),
    )


def _images(dataset: Any) -> pd.DataFrame:
    """What the class tells of each of its images: image_id, path, patient_id, study_id, view."""
    kinds = [kind.__name__ for kind in type(dataset).__mro__]
    layout = next((LAYOUTS[kind] for kind in kinds if kind in LAYOUTS), OTHER)
    rows = dataset.csv.reset_index(drop=True).astype(str)
    rows = rows.assign(place=[str(row) for row in range(len(rows))], extension=getattr(dataset, "extension", ""))
    for column in ("Path", "PngPath"):
        if column in rows:
            rows[column] = rows[column].str.replace(RELEASE, "", regex=True)
    if "Path" in rows:
        rows["Study"] = rows["Path"].str.rsplit("/", n=1).str[0]
    if hasattr(dataset, "file_map"):
        rows["file"] = [dataset.file_map.get(f"{name}.dcm", f"{name}.dcm") for name in rows["ImageId"]]
    records: list[Mapping[str, str]] = rows.to_dict("records")
    ids, paths, studies = ([template.format_map(row) for row in records if template] for template in layout)
    patient = next((rows[column].tolist() for column in PATIENT_COLUMNS if column in rows), ids)
    folder = Path(getattr(dataset, "imgpath", ""))
    return pd.DataFrame(
        {
            "image_id": ids,
            "path": [str(folder / path) for path in paths],
            "patient_id": patient,
            "study_id": studies or ids,
            "view": views(rows["view"].replace(VIEW_CODES)) if "view" in rows else "unknown",
        },
        dtype=object,
    )
