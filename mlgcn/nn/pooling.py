"""Pooling: a feature map in, one vector an image out."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def lse_pool(features: Tensor, sharpness: float = 0.5) -> Tensor:
    """Log-sum-exp pooling: the mean as sharpness nears 0, the maximum as it grows.

    Shape: features [B, D, H, W] -> [B, D], at least float32.
    Source: Pinheiro and Collobert 2015; Seo et al. 2023, eq. 5, with sharpness 0.5.
    Raises: ValueError unless sharpness > 0.
    """
    if not sharpness > 0:
        raise ValueError(f"sharpness must be > 0, got {sharpness}")
    flat = _flat(features)
    return (torch.logsumexp(sharpness * flat, dim=2) - math.log(flat.shape[2])) / sharpness


def max_pool(features: Tensor) -> Tensor:
    """Global maximum: [B, D, H, W] -> [B, D], at least float32."""
    return _flat(features).amax(dim=2)


def mean_pool(features: Tensor) -> Tensor:
    """Global mean: [B, D, H, W] -> [B, D], at least float32."""
    return _flat(features).mean(dim=2)


POOLINGS: dict[str, Callable[..., Tensor]] = {"lse": lse_pool, "max": max_pool, "mean": mean_pool}


def _flat(features: Tensor) -> Tensor:
    if features.ndim != 4:
        raise ValueError(f"features have shape {tuple(features.shape)}, expected [B, D, H, W]")
    return features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
