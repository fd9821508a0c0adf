"""Synthetic chest X-rays, drawn when read: data for a first run, tests and demonstrations."""

from pathlib import Path

import pandas as pd
from PIL import Image

from mlgcn.data.phantom import LABELS, SIZES, draw_phantom, phantom_path, plan_images, save_contact_sheet
from mlgcn.labels import LabelTable


def read_phantom(root: str | Path | None = None, *, images: int = 8000, seed: int = 0) -> LabelTable:
    """Phantoms 0 to `images` - 1 of a seed, with the 26 labels of CXR-LT 2023; image i is the same whatever the count.

    The path of an image is phantom:<seed>:<index>; reading it draws it.
    Raises: ValueError if a root is given, images is not positive, or seed is negative.
    """
    if root is not None:
        raise ValueError(f"root is {str(root)!r}, expected none: phantoms are drawn, not read from a folder")
    _check_whole("images", images, 1)
    _check_whole("seed", seed, 0)
    return _table(seed, images, [phantom_path(seed, index) for index in range(images)])


def write_phantoms(out: str | Path, images: int = 8000, seed: int = 0, size: int = 512) -> LabelTable:
    """The phantoms of read_phantom as files; the table's paths lead to them.

    Writes images/<image_id>.png, labels.csv (image_id, path relative to `out`, patient_id, study_id, view, and a
    column of 0 and 1 for each label) and contact_sheet.png, which shows examples of every label.
    Raises: ValueError as read_phantom does, or if size is not in 32..1024;
        FileExistsError unless `out` is new or empty.
    """
    _check_whole("images", images, 1)
    _check_whole("seed", seed, 0)
    _check_whole("size", size, SIZES[0], SIZES[1])
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; phantoms are written into a new or empty folder only")
    (out / "images").mkdir(parents=True)
    table = _table(seed, images, [str(out / "images" / f"{_image_id(seed, index)}.png") for index in range(images)])
    for index, path in enumerate(table.images.path):
        Image.fromarray(draw_phantom(seed, index, size)).save(path)
    columns = table.images[["image_id", "path", "patient_id", "study_id", "view"]]
    columns = columns.assign(path=[f"images/{name}.png" for name in columns.image_id])
    values = pd.DataFrame(table.values.astype(int), columns=list(table.names))
    pd.concat([columns, values], axis=1).to_csv(out / "labels.csv", index=False)
    save_contact_sheet(out / "contact_sheet.png", seed, plan_images(seed, images))
    return table


def _table(seed: int, images: int, paths: list[str]) -> LabelTable:
    plan = plan_images(seed, images)
    return LabelTable(
        plan.labels,
        LABELS,
        image_id=[_image_id(seed, index) for index in range(images)],
        path=paths,
        patient_id=[f"phantom-{seed}-p{number:06d}" for number in plan.patient],
        study_id=[f"phantom-{seed}-s{number:06d}" for number in plan.study],
        view=plan.view.tolist(),
    )


def _image_id(seed: int, index: int) -> str:
    return f"phantom-{seed}-{index:06d}"


def _check_whole(name: str, value: int, least: int, most: int | None = None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = f">= {least}" if most is None else f"in {least}..{most}"
        raise ValueError(f"{name} must be a whole number {limits}, got {value!r}")
