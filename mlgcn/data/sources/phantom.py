"""Synthetic chest X-rays, drawn when read: data for a first run, tests and demonstrations."""

from pathlib import Path

from mlgcn.data.phantom import LABELS, phantom_path, plan_images
from mlgcn.labels import LabelTable


def read_phantom(root: str | Path | None = None, *, images: int = 8000, seed: int = 0) -> LabelTable:
    """Phantoms 0 to `images` - 1 of a seed, with the 26 labels of CXR-LT 2023; image i is the same whatever the count.

    The path of an image is phantom:<seed>:<index>; reading it draws it.
    Raises: ValueError if a root is given, images is not positive, or seed is negative.
    """
    if root is not None:
        raise ValueError(f"root is {str(root)!r}, expected none: phantoms are drawn, not read from a folder")
    for name, value, least in (("images", images, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
    plan = plan_images(seed, images)
    return LabelTable(
        plan.labels,
        LABELS,
        image_id=[f"phantom-{seed}-{index:06d}" for index in range(images)],
        path=[phantom_path(seed, index) for index in range(images)],
        patient_id=[f"phantom-{seed}-p{number:06d}" for number in plan.patient],
        study_id=[f"phantom-{seed}-s{number:06d}" for number in plan.study],
        view=plan.view.tolist(),
    )
