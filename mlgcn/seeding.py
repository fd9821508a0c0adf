"""Random streams that depend on a key alone, so that an interrupted run goes on as if it had not stopped."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# Streams of random numbers under one run's seed.
WEIGHTS, SAMPLING, AUGMENTATION, STEPS = range(4)


@contextmanager
def torch_seed(*key: int, gpus: bool = True) -> Iterator[None]:
    """Draws torch's random numbers from a stream named by the key, and leaves the global one untouched.

    Args:
        gpus: also those that are drawn on GPUs; a loader's forked workers must not touch them.
    Raises: ValueError if a part of the key is negative.
    """
    low, high = np.random.SeedSequence(key).generate_state(2)
    with torch.random.fork_rng(devices=None if gpus else []):
        seed = torch.manual_seed if gpus else torch.default_generator.manual_seed
        seed(int(low) << 32 | int(high))
        yield
