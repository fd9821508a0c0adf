"""Pooling: a feature map in, one vector an image out."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mlgcn.nn.positions import kept_places


def lse_pool(features: Tensor, sharpness: float = 0.5, mask: Tensor | None = None) -> Tensor:
    """Log-sum-exp pooling: the mean as sharpness nears 0, the maximum as it grows.

    Shape: features [B, D, H, W] -> [B, D], at least float32.
    Args:
        mask: bool [B, H, W], the places that count; by default all.
    Source: Pinheiro and Collobert 2015; Seo et al. 2023, eq. 5, with sharpness 0.5.
    Raises: ValueError unless sharpness > 0, or as kept_places does.
    """
    if not sharpness > 0:
        raise ValueError(f"sharpness must be > 0, got {sharpness}")
    flat = _flat(features)
    if mask is None:
        return (torch.logsumexp(sharpness * flat, dim=2) - math.log(flat.shape[2])) / sharpness
    kept = kept_places(mask, features)[:, None]  # [B, 1, H * W]
    total = torch.logsumexp((sharpness * flat).masked_fill(~kept, -torch.inf), dim=2)
    return (total - kept.sum(dim=2).to(total.dtype).log()) / sharpness


def max_pool(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Global maximum: [B, D, H, W] -> [B, D], at least float32. mask: as of lse_pool."""
    flat = _flat(features)
    return (flat if mask is None else flat.masked_fill(~kept_places(mask, features)[:, None], -torch.inf)).amax(dim=2)


def mean_pool(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Global mean: [B, D, H, W] -> [B, D], at least float32. mask: as of lse_pool."""
    flat = _flat(features)
    if mask is None:
        return flat.mean(dim=2)
    kept = kept_places(mask, features)[:, None]
    return flat.masked_fill(~kept, 0).sum(dim=2) / kept.sum(dim=2)


POOLINGS: dict[str, Callable[..., Tensor]] = {"lse": lse_pool, "max": max_pool, "mean": mean_pool}


def _flat(features: Tensor) -> Tensor:
    if features.ndim != 4:
        raise ValueError(f"features have shape {tuple(features.shape)}, expected [B, D, H, W]")
    return features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
