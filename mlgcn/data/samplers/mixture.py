"""Draws from several sources, each with its share."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np

from mlgcn.data.samplers.base import PlannedSampler
from mlgcn.data.samplers.positives import Targets
from mlgcn.suggestions import check_known


class MixtureSampler(PlannedSampler):
    """Gives every source its share of an epoch's draws; within a source, another sampler draws.

    The shares are kept to within one image of an epoch, and the sources follow one another in random order.

    Args:
        sampler: makes the sampler of one source from its targets, draws and seed.
        targets: of all images, dense or sparse.
        sources: the source of each image, [N].
        weights: of each source, relative to one another.
    Raises: ValueError on other sources than those with a weight, on weights that are negative or all 0; as the
        samplers do.
    """

    def __init__(
        self,
        sampler: Callable[[Targets, int, int], PlannedSampler],
        targets: Targets,
        sources: np.ndarray,
        weights: Mapping[str, float],
        num_samples: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(targets, num_samples, seed, rank, world_size)
        sources = np.asarray(sources)
        if sources.shape != (self.num_images,):
            raise ValueError(f"sources have shape {sources.shape}, expected one for each of {self.num_images} images")
        check_known(weights, sorted(set(sources.tolist())), "source without a weight:")
        if not all(np.isfinite(weight) and weight >= 0 for weight in weights.values()) or not any(weights.values()):
            raise ValueError(f"weights are {dict(weights)}, expected numbers >= 0, one of them > 0")
        if self.positives.counts.any():
            self.positives.leading()  # warns of labels that no source has
        present = {name: weight for name, weight in weights.items() if weight and (sources == name).any()}
        self.parts: list[tuple[np.ndarray, PlannedSampler]] = []
        portions = _portions(num_samples, np.array(list(present.values()), dtype=float))
        for place, (name, draws) in enumerate(zip(present, portions, strict=True)):
            rows = np.flatnonzero(sources == name)
            stream = int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
            if draws:
                self.parts.append((rows, _part(sampler, self.positives.by_image[rows], int(draws), stream, name)))

    def plan(self) -> np.ndarray:
        order = np.repeat(np.arange(len(self.parts)), [part.num_samples for _, part in self.parts])
        order = self._stream().permutation(order)
        drawn = np.empty(self.num_samples, dtype=np.int64)
        for place, (rows, part) in enumerate(self.parts):
            part.set_epoch(self.epoch)
            drawn[order == place] = rows[part.plan()]
        return drawn

    def probabilities(self) -> np.ndarray | None:
        probabilities = np.zeros(self.num_images)
        for rows, part in self.parts:
            within = part.probabilities()
            if within is None:
                return None
            probabilities[rows] = within * part.num_samples / self.num_samples
        return probabilities


def _part(
    sampler: Callable[[Targets, int, int], PlannedSampler], targets: Targets, draws: int, seed: int, name: str
) -> PlannedSampler:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a source lacks labels which others have is what it is for
            return sampler(targets, draws, seed)
    except ValueError as error:
        raise ValueError(f"source {name}: {error}") from error


def _portions(total: int, weights: np.ndarray) -> np.ndarray:
    """The total divided in proportion to the weights, by largest remainders."""
    exact = total * weights / weights.sum()
    portions = np.floor(exact).astype(int)
    most = np.argsort(portions - exact, kind="stable")[: total - portions.sum()]
    portions[most] += 1
    return portions
