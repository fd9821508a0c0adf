"""Which images an epoch draws, and in which order."""

from collections.abc import Callable
from functools import partial

from mlgcn.data.samplers.base import PlannedSampler
from mlgcn.data.samplers.class_aware import ClassAwareSampler
from mlgcn.data.samplers.cycle import CycleSampler
from mlgcn.data.samplers.draws import NumberedDraws
from mlgcn.data.samplers.least_sampled import LeastSampledSampler
from mlgcn.data.samplers.mixture import MixtureSampler
from mlgcn.data.samplers.positives import Positives, Targets
from mlgcn.data.samplers.random import RandomSampler
from mlgcn.data.samplers.weighted import WeightedSampler

# By their names in the configuration.
SAMPLERS: dict[str, Callable[..., PlannedSampler]] = {
    "random": RandomSampler,
    "cycle": CycleSampler,
    "class_aware": ClassAwareSampler,
    "least_sampled": LeastSampledSampler,
    "sqrt": partial(WeightedSampler, power=0.5),
    "inverse_frequency": partial(WeightedSampler, power=1.0),
}

__all__ = [
    "SAMPLERS",
    "ClassAwareSampler",
    "CycleSampler",
    "LeastSampledSampler",
    "MixtureSampler",
    "NumberedDraws",
    "PlannedSampler",
    "Positives",
    "RandomSampler",
    "Targets",
    "WeightedSampler",
]
