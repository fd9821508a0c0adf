"""Whether an image's grey values are what a chest X-ray's should be."""

import math

import numpy as np
import pandas as pd

from mlgcn.data.images import PHANTOM, Stored, UnreadableImageError, read_image, read_stored
from mlgcn.labels import LabelTable

# Statistics are taken from every n-th pixel, so that about this many are left of a side.
_SIDE = 128
# Of 723 images of NIH ChestX-ray14, the least contrasted has 0.40 between its 1st and 99th percentile, the one with
# most leaps between neighbouring pixels 0.012 (10 bits cut to 8: from 0.052), the one with most white pixels 0.017.
_LEAST_CONTRAST, _MOST_LEAPS, _MOST_WHITE = 0.05, 0.03, 0.5


def check_range(image: np.ndarray) -> str | None:
    """What is wrong with the range of an image's values, in words; None where nothing seems to be.

    Finds: constant and nearly constant images; values that use only the lower bits of their type, as 12 bits in a file
    of 16; the lower byte of deeper values, or deeper values cut off at white; inverted images. It warns: what it says
    may be wrong, above all of what is no chest X-ray. How often it is: `python benchmarks/range_check.py`.

    Shape: uint8 or uint16 [H, W], frontal or lateral.
    Raises: ValueError on another type or shape.
    """
    if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"image is {image.dtype} {list(image.shape)}, expected uint8 or uint16 [H, W]")
    least, most, bits = int(image.min()), int(image.max()), 8 * image.itemsize
    if least == most:
        return f"constant: every pixel is {least}"
    if most < 2 ** (bits - 2):
        return f"dark: values up to {most} use {most.bit_length()} of {bits} bits"
    step = max(1, min(image.shape) // _SIDE)
    grey = image[::step, ::step] / (2.0**bits - 1)
    low, high = np.percentile(grey, [1, 99])
    if high - low < _LEAST_CONTRAST:
        return f"nearly constant: 98 % of the pixels lie within {high - low:.1%} of the range"
    if (white := float((grey == 1).mean())) > _MOST_WHITE:
        return f"cut off: {white:.0%} of the pixels are white"
    if (leaps := _leaps(grey)) > _MOST_LEAPS:
        return f"torn: {leaps:.0%} of the neighbouring pixels differ by half the range, as a lower byte of 16 bits does"
    if _looks_inverted(grey):
        return "inverted: lungs and corners are brighter than the mediastinum"
    return None


def range_report(table: LabelTable, sample: int = 200, seed: int = 0) -> pd.DataFrame:
    """The images of a sample whose range looks wrong or that cannot be read: image_id, path, reason.

    Args:
        sample: how many images to look at, drawn without replacement; all where the table has no more.
    """
    rows = np.random.default_rng(seed).permutation(len(table))[:sample]
    chosen = table.images.iloc[np.sort(rows)]
    reasons = pd.Series([_reason(path) for path in chosen.path], index=chosen.index, dtype=object)
    report = chosen[["image_id", "path"]].assign(reason=reasons)
    return report[report.reason.notna()].reset_index(drop=True)


def _reason(path: str) -> str | None:
    try:
        stored = Stored(read_image(path, _SIDE)[0].numpy()) if path.startswith(PHANTOM) else read_stored(path)
    except UnreadableImageError as error:
        return str(error)
    return check_range(stored.pixels)


def _leaps(grey: np.ndarray) -> float:
    """Share of the pairs of neighbouring pixels that differ by more than half the range."""
    steps = np.concatenate([np.abs(np.diff(grey, axis=axis)).ravel() for axis in (0, 1)])
    return float((steps > 0.5).mean())


def _looks_inverted(grey: np.ndarray) -> bool:
    """Whether lungs, upper corners and the chest are lighter than mediastinum, image and belly, all in all."""
    lungs = (_mean(grey, 0.25, 0.6, 0.15, 0.38) + _mean(grey, 0.25, 0.6, 0.62, 0.85)) / 2
    corners = (_mean(grey, 0, 0.12, 0, 0.12) + _mean(grey, 0, 0.12, 0.88, 1)) / 2
    chest, belly = _mean(grey, 0.25, 0.55, 0.15, 0.85), _mean(grey, 0.7, 1, 0.2, 0.8)
    mediastinum = _mean(grey, 0.3, 0.75, 0.42, 0.58)
    return bool((mediastinum - lungs) + (grey.mean() - corners) + (belly - chest) < 0)


def _mean(grey: np.ndarray, top: float, bottom: float, left: float, right: float) -> float:
    """Mean of a box given in shares of the sides."""
    height, width = grey.shape
    rows = slice(int(top * height), math.ceil(bottom * height))
    return float(grey[rows, int(left * width) : math.ceil(right * width)].mean())
