"""Draws with their numbers."""

import numpy as np
import pytest

from mlgcn.data.samplers import CycleSampler, NumberedDraws, RandomSampler

ROWS, SAMPLES = 6, 10


def numbered(rank=0, world_size=1):
    return NumberedDraws(RandomSampler(np.zeros((ROWS, 1)), SAMPLES, 3, rank, world_size), ROWS)


@pytest.mark.parametrize("world_size", [1, 2])
def test_an_index_tells_the_row_and_the_number_of_the_draw_over_all_epochs_and_ranks(world_size):
    seen = []
    for rank in range(world_size):
        twin = RandomSampler(np.zeros((ROWS, 1)), SAMPLES, 3, rank, world_size)
        sampler = numbered(rank, world_size)
        assert len(sampler) == len(twin) == SAMPLES // world_size
        for epoch in (0, 1, 5):
            sampler.set_epoch(epoch)
            twin.set_epoch(epoch)
            drawn = [divmod(index, ROWS) for index in sampler]
            assert [row for _, row in drawn] == list(twin)
            seen += [number for number, _ in drawn]
    assert sorted(seen) == [epoch * SAMPLES + place for epoch in (0, 1, 5) for place in range(SAMPLES)]


def test_a_row_that_is_drawn_again_comes_under_another_number():
    sampler = NumberedDraws(CycleSampler(np.ones((1, 1)), 50), 1)
    assert list(sampler) == list(range(50))


@pytest.mark.parametrize(("epoch", "position"), [(0, 0), (0, 4), (3, 9), (3, 10)])
def test_it_goes_on_where_it_was(epoch, position):
    whole, stopped, resumed = numbered(), numbered(), numbered()
    for sampler in (whole, stopped):
        sampler.set_epoch(epoch)
    expected = list(whole)
    going = iter(stopped)
    assert [next(going) for _ in range(position)] == expected[:position]
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(epoch)
    assert list(resumed) == expected[position:]
    resumed.set_epoch(epoch + 1)
    whole.set_epoch(epoch + 1)
    assert list(resumed) == list(whole)
