"""Which images an epoch draws, and in which order."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler


class PlannedSampler(Sampler[int]):
    """A sampler that plans an epoch as one array from (seed, epoch) and hands it out.

    Every rank makes the same plan and takes its stride, so that the ranks together draw what one process would;
    where num_samples is no multiple of world_size, the last few are left out to keep the ranks in step.

    Args:
        targets: [N, C]; 1 positive, 0 negative, NaN unknown.
        num_samples: images of an epoch over all ranks.
        seed, rank, world_size: the stream, and this process's place.
    Iterating yields the row numbers of this rank, from where a loaded state left off. The next iteration is the same
    epoch again until set_epoch says otherwise, as Lightning does.
    Raises: ValueError on targets that are not [N >= 1, C], values outside {0, 1, NaN}, or counts out of range.
    """

    def __init__(
        self, targets: np.ndarray, num_samples: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        targets = np.asarray(targets)
        if targets.ndim != 2 or not len(targets):
            raise ValueError(f"targets have shape {targets.shape}, expected [N >= 1, C]")
        if ((targets != 0) & (targets != 1) & ~np.isnan(targets)).any():
            raise ValueError("targets hold values outside {0, 1, NaN}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank is {rank}, expected 0 <= rank < world_size = {world_size}")
        if num_samples < world_size:
            raise ValueError(f"num_samples is {num_samples}, expected at least one a process, {world_size}")
        self.num_images = len(targets)
        self.num_samples, self.seed, self.rank, self.world_size = num_samples, seed, rank, world_size
        # position: of the iteration going on; start: where the next one begins.
        self.epoch = self.position = self.start = 0

    def plan(self) -> np.ndarray:
        """Image indices of one epoch over all ranks, [num_samples]."""
        raise NotImplementedError(f"{type(self).__name__} has no plan")

    def __iter__(self) -> Iterator[int]:
        share = self.plan()[self.rank :: self.world_size][: len(self)].tolist()
        self.position, self.start = self.start, 0
        while self.position < len(share):
            self.position += 1
            yield share[self.position - 1]
        self.position = 0

    def __len__(self) -> int:
        return self.num_samples // self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Moves to the start of an epoch; stays where it is if it is in that epoch already."""
        if epoch != self.epoch:
            self.epoch, self.position, self.start = epoch, 0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self.start = self.position

    def _stream(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.epoch])


class RandomSampler(PlannedSampler):
    """Every image once in random order, again and again until num_samples are drawn."""

    def plan(self) -> np.ndarray:
        rng = self._stream()
        rounds = -(-self.num_samples // self.num_images)
        return np.concatenate([rng.permutation(self.num_images) for _ in range(rounds)])[: self.num_samples]


class CycleSampler(PlannedSampler):
    """Visits the labels in turn and draws for each an image that has it, so that every label leads equally often.

    An image comes with all its labels, so frequent ones are still seen more often than rare ones (Seo et al. 2023,
    eq. 1 and Table 5). Labels without positives are skipped, with one warning.
    Source: Seo et al. 2023, section 3.2.
    Raises: ValueError if no label has a positive; as PlannedSampler.
    """

    def __init__(
        self, targets: np.ndarray, num_samples: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(targets, num_samples, seed, rank, world_size)
        label, row = np.nonzero(np.asarray(targets).T == 1)
        counts = np.bincount(label, minlength=np.shape(targets)[1])
        if not counts.any():
            raise ValueError("no label has a positive, so there is nothing to cycle through")
        if (counts == 0).any():
            skipped = np.flatnonzero(counts == 0).tolist()
            warnings.warn(f"labels in columns {skipped} have no positive and are never led with", stacklevel=2)
        # Row numbers grouped by label: a label's group starts at first and holds counts.
        self.positives, self.counts = row, counts
        self.first = np.concatenate([[0], counts.cumsum()[:-1]])
        self.labels = np.flatnonzero(counts)

    def plan(self) -> np.ndarray:
        rng = self._stream()
        # The cycle runs on across epochs, lest the first labels lead more often in short ones.
        turn = np.arange(self.num_samples) + self.epoch * self.num_samples
        label = self.labels[turn % len(self.labels)]
        return self.positives[self.first[label] + rng.integers(self.counts[label])]


SAMPLERS: dict[str, type[PlannedSampler]] = {"random": RandomSampler, "cycle": CycleSampler}
