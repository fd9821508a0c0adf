"""What the loader hands to the model."""

from typing import NamedTuple

import torch
from torch import Tensor


class Sample(NamedTuple):
    """One image of a data set, or the message that says why it could not be read."""

    image: Tensor | None  # uint8 [1, S, S]
    targets: Tensor  # float32 [C], NaN unknown
    row: int
    error: str = ""


class Batch(NamedTuple):
    """Images and their targets; unreadable images are left out and named."""

    images: Tensor  # uint8 [B, 1, S, S]
    targets: Tensor  # float32 [B, C], NaN unknown
    rows: Tensor  # int64 [B], row numbers in the data set's table
    unreadable: tuple[str, ...] = ()


def collate(samples: list[Sample]) -> Batch:
    """One batch from samples; B is smaller than their number by those that could not be read, and may be 0."""
    read = [sample for sample in samples if sample.image is not None]
    return Batch(
        images=torch.stack([s.image for s in read]) if read else torch.empty(0, 1, 1, 1, dtype=torch.uint8),  # type: ignore[misc]
        targets=torch.stack([s.targets for s in read])
        if read
        else samples[0].targets.new_empty(0, len(samples[0].targets)),
        rows=torch.tensor([s.row for s in read], dtype=torch.int64),
        unreadable=tuple(s.error for s in samples if s.image is None),
    )
