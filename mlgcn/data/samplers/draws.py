"""Draws with their numbers."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Sampler

from mlgcn.data.samplers.base import PlannedSampler


class NumberedDraws(Sampler[int]):
    """The rows that another sampler draws, each as draw * rows + row.

    Draws are counted over all epochs and ranks. Worker processes hold copies of the data set, which no call tells where
    training stands; it travels in the index instead, so that what a draw gives depends on nothing but its index, in
    whichever process, and after a resume too.

    Args:
        rows: of the data set.
    """

    def __init__(self, sampler: PlannedSampler, rows: int) -> None:
        self.sampler, self.rows = sampler, rows

    def __iter__(self) -> Iterator[int]:
        planned = self.sampler
        first = planned.epoch * planned.num_samples + planned.rank
        for row in planned:  # which counts its position from 1
            yield (first + (planned.position - 1) * planned.world_size) * self.rows + row

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state)
