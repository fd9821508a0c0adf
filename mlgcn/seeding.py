"""Random streams that depend on a key alone, so that an interrupted run goes on as if it had not stopped."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# Streams of random numbers under one run's seed.
WEIGHTS, SAMPLING, AUGMENTATION = range(3)


@contextmanager
def torch_seed(*key: int) -> Iterator[None]:
    """Draws torch's random numbers from a stream named by the key, and leaves the global one untouched.

    Raises: ValueError if a part of the key is negative.
    """
    state = np.random.SeedSequence(key).generate_state(2)
    with torch.random.fork_rng():
        torch.manual_seed(int(state[0]) << 32 | int(state[1]))
        yield
