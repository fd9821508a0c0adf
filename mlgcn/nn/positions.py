"""Places of a feature map: where each lies, and which count."""

import torch
from torch import Tensor


def sine_positions(height: int, width: int, features: int, device: torch.device | None = None) -> Tensor:
    """Sines and cosines of row and column at falling frequencies: float32 [h * w, D], row by row.

    The first half of the features tells the row, the second the column.
    Source: Vaswani et al. 2017, section 3.5, in two dimensions as in DETR (Carion et al. 2020).
    Raises: ValueError unless 4 divides D.
    """
    if features % 4:
        raise ValueError(f"features is {features}, expected a multiple of 4")
    frequencies = 1e4 ** (-torch.arange(0, features // 2, 2, device=device) / (features // 2))
    rows, columns = (_waves(torch.arange(size, device=device), frequencies) for size in (height, width))
    both = (rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1))
    return torch.cat(both, dim=2).flatten(0, 1)


def kept_places(mask: Tensor, maps: Tensor) -> Tensor:
    """A mask of the places that count, bool [B, h, w] for maps [B, D, h, w], row by row: [B, h * w].

    Raises: ValueError on a mask of another shape or type, or where no place of an image counts.
    """
    expected = (len(maps), *maps.shape[2:])
    if mask.shape != expected or mask.dtype != torch.bool:
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}, expected {torch.bool} {expected}")
    kept = mask.flatten(1)
    if (empty := ~kept.any(dim=1)).any():
        raise ValueError(f"no place of image {int(empty.int().argmax())} of the batch counts: its mask is false")
    return kept


def _waves(places: Tensor, frequencies: Tensor) -> Tensor:
    """[n] -> [n, D / 2]."""
    angles = places[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
