"""What the loader hands to the model."""

from typing import NamedTuple

import torch
from torch import Tensor


class Sample(NamedTuple):
    """A row of a data set: one image or those of a study, and messages about what could not be read."""

    images: Tensor  # uint8 [v, 1, S, S], v = 0 where none could be read
    targets: Tensor  # float32 [C], NaN unknown
    row: int
    views: Tensor  # int64 [v], places in mlgcn.labels.VIEWS
    unreadable: tuple[str, ...] = ()


class Batch(NamedTuple):
    """Images, and the targets of the rows that they belong to; unreadable images are left out and named."""

    images: Tensor  # uint8 [n, 1, S, S], one row's after the other's
    targets: Tensor  # float32 [B, C], NaN unknown
    rows: Tensor  # int64 [B], row numbers in the data set's table
    unreadable: tuple[str, ...] = ()
    views: Tensor | None = None  # int64 [n], places in mlgcn.labels.VIEWS; None: all unknown
    # int64 [n, 2], of each image its row in the batch, 0 to B - 1, and its place there; None: one image a row.
    slots: Tensor | None = None


def collate(samples: list[Sample]) -> Batch:
    """One batch from samples; B is smaller than their number by those of which nothing could be read, and may be 0."""
    counts = torch.tensor([len(sample.images) for sample in samples])
    read = counts > 0
    return Batch(
        images=torch.cat([sample.images for sample in samples]),
        targets=torch.stack([sample.targets for sample in samples])[read],
        rows=torch.tensor([sample.row for sample in samples])[read],
        unreadable=tuple(message for sample in samples for message in sample.unreadable),
        views=torch.cat([sample.views for sample in samples]),
        slots=_slots(counts[read]),
    )


def _slots(counts: Tensor) -> Tensor | None:
    """Row and place of every image, [n, 2], from the number of images of each row [B]."""
    if (counts == 1).all():
        return None
    row = torch.repeat_interleave(torch.arange(len(counts)), counts)
    first = counts.cumsum(0) - counts
    return torch.stack([row, torch.arange(len(row)) - first[row]], dim=1)
