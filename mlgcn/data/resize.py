"""Resizing grey images to a square."""

from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

Resample = Literal["antialias", "area"]
RESAMPLES: tuple[Resample, ...] = ("antialias", "area")


def resize(
    image: Tensor, size: int, resample: Resample = "antialias", extent: tuple[float, float] | None = None
) -> Tensor:
    """The image, resized to a square: uint8 [H, W] -> uint8 [size, size].

    Args:
        resample: "antialias" is bilinear interpolation with a filter as wide as the step; "area" is the exact mean
            over the area of each new pixel, slower. An axis that grows is interpolated in both.
        extent: of an image that its decoder has shrunk, how many of these pixels high and wide it is; the last row or
            column may reach beyond it. Such an image has nothing left to filter out along an axis that shrinks by less
            than 2: a filter would only blur it.
    Raises: ValueError on an unknown way to resample.
    """
    if resample not in RESAMPLES:
        raise ValueError(f"resample is {resample!r}, expected one of {list(RESAMPLES)}")
    shrunk, (height, width) = extent is not None, extent or image.shape
    if resample == "area" and height > size:
        image = _mean_rows(image, size)
    elif height != size:
        image = _interpolate_rows(image, size, height, antialias=not shrunk or height >= 2 * size)
    if resample == "area" and width > size:
        return _mean_rows(image.mT, size).mT.contiguous()
    if width != size:
        image = _interpolate_columns(image, size, width, antialias=not shrunk or width >= 2 * size)
    return image


def _interpolate_rows(image: Tensor, size: int, extent: float, antialias: bool) -> Tensor:
    """Another number of rows: [H, W] -> [size, W]."""
    # torch is quick with four interleaved channels and slow with one; here four columns stand for the channels.
    (height, width), missing = image.shape, -image.shape[1] % 4
    packed = F.pad(image, (0, missing)).view(1, height, -1, 4).permute(0, 3, 1, 2)
    rows = _interpolate(packed, (size / extent, 1.0), (size, packed.shape[3]), antialias)
    return rows.permute(0, 2, 3, 1).reshape(size, -1)[:, :width]


def _interpolate_columns(image: Tensor, size: int, extent: float, antialias: bool) -> Tensor:
    """Another number of columns: [H, W] -> [H, size]."""
    # As above, with four blocks of rows as the channels.
    (height, width), missing = image.shape, -image.shape[0] % 4
    packed = F.pad(image, (0, 0, 0, missing)).contiguous().view(1, 4, -1, width)
    columns = _interpolate(packed, (1.0, size / extent), (packed.shape[2], size), antialias)
    return columns.view(-1, size)[:height]


def _interpolate(image: Tensor, scales: tuple[float, float], shape: tuple[int, int], antialias: bool) -> Tensor:
    """Bilinear interpolation at the scales given: [1, 4, H, W] -> [1, 4, *shape]."""
    # Not F.interpolate, which takes scales or a shape, but not both.
    if antialias:
        return torch.ops.aten._upsample_bilinear2d_aa(image, shape, False, *scales)
    return torch.ops.aten.upsample_bilinear2d(image, shape, False, *scales)


def _mean_rows(image: Tensor, size: int) -> Tensor:
    """Fewer rows, each the mean of those it covers: [H, W] -> [size, W]."""
    means = _area_weights(image.shape[0], size) @ np.ascontiguousarray(image.numpy(), dtype=np.float32)
    return torch.from_numpy(np.rint(means).astype(np.uint8))


@cache
def _area_weights(old: int, new: int) -> sparse.csr_array:
    """The share of each old pixel in each new one: [new, old], rows of sum 1."""
    edges = np.arange(new + 1) * (old / new)
    first = np.floor(edges[:-1]).astype(int)
    columns = first[:, None] + np.arange(int(np.ceil(old / new)) + 1)
    covered = np.minimum(columns + 1, edges[1:, None]) - np.maximum(columns, edges[:-1, None])
    rows = np.broadcast_to(np.arange(new)[:, None], columns.shape)
    inside = (covered > 0) & (columns < old)
    weights = (covered * (new / old))[inside].astype(np.float32)
    return sparse.csr_array((weights, (rows[inside], columns[inside])), shape=(new, old))
