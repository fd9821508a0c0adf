"""Which training images a run draws."""

import warnings

import numpy as np

from mlgcn.config import Config
from mlgcn.data.combine import source_of
from mlgcn.data.samplers import SAMPLERS, MixtureSampler, PlannedSampler
from mlgcn.labels import LabelTable
from mlgcn.seeding import SAMPLING
from mlgcn.suggestions import check_known


def build_sampler(config: Config, train: LabelTable, rank: int = 0, world_size: int = 1) -> PlannedSampler:
    """The sampler of the training images; where data sets have weights, each gets its share of the draws.

    Raises: ValueError on an unknown name, or as the sampler does.
    """
    check_known(SAMPLERS, [config.sampler.name], "sampler.name")
    stream = int(np.random.SeedSequence([config.run.seed, SAMPLING]).generate_state(1)[0])
    draws = len(train) if config.sampler.num_samples is None else config.sampler.num_samples
    sampler = SAMPLERS[config.sampler.name]
    weights = {name: source.weight for name, source in config.data.named_sources().items()}
    given = {name: weight for name, weight in weights.items() if weight is not None}
    with warnings.catch_warnings():
        # The report on the split names these labels (mlgcn.data.splits.split_report); a sampler knows their columns.
        warnings.filterwarnings("ignore", message="labels in columns .* have no positive")
        if not config.data.sources or not given:
            return sampler(train.certain, draws, stream, rank, world_size)
        return MixtureSampler(sampler, train.certain, source_of(train), given, draws, stream, rank, world_size)
