"""What every sampler keeps: that ranks share one plan, and that a stopped epoch goes on where it was."""

import json
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from mlgcn.data.samplers import SAMPLERS, PlannedSampler, RandomSampler

NAN = float("nan")
EACH = pytest.mark.parametrize("kind", SAMPLERS.values(), ids=SAMPLERS)
LEADING = pytest.mark.parametrize("kind", [kind for kind in SAMPLERS.values() if kind is not RandomSampler])


def single_labels(counts, seed=0):
    """Targets with one label an image, in random order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.eye(len(counts)), counts, axis=0))


def many_labels(images, labels, seed=0):
    """Targets with about a third each of positive, negative and unknown."""
    return np.random.default_rng(seed).choice([0, 1, NAN], size=(images, labels))


def epochs_of(sampler, epochs):
    drawn = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        drawn.append(list(sampler))
    return drawn


# Streams


@EACH
def test_the_same_seed_draws_the_same_and_another_seed_another(kind):
    targets = many_labels(50, 4)
    assert epochs_of(kind(targets, 50, 1), 2) == epochs_of(kind(targets, 50, 1), 2)
    assert list(kind(targets, 50, 1)) != list(kind(targets, 50, 2))


@EACH
def test_epochs_differ_and_an_epoch_repeats_until_set_epoch_moves_on(kind):
    sampler = kind(many_labels(50, 4), 50)
    first, again = list(sampler), list(sampler)
    assert first == again
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    sampler.set_epoch(0)
    assert list(sampler) == first


@EACH
def test_an_epoch_is_the_same_whatever_was_drawn_before(kind):
    targets = many_labels(30, 4)
    fresh = kind(targets, 17, 2)
    fresh.set_epoch(3)
    assert list(fresh) == epochs_of(kind(targets, 17, 2), 4)[3]


@EACH
def test_drawing_leaves_the_global_streams_untouched(kind):
    numpy_state, torch_state = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    list(kind(many_labels(20, 3), 20))
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


# Targets


@EACH
@pytest.mark.parametrize("number", [np.float32, np.int64, bool])
def test_targets_may_be_of_any_number_type(kind, number):
    expected = list(kind(np.eye(3), 9))
    assert list(kind(np.eye(3).astype(number), 9)) == expected
    assert all(type(row) is int for row in expected)


@EACH
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:labels in columns")
def test_sparse_targets_draw_what_dense_ones_do(kind, seed):
    targets = many_labels(30, 5, seed)
    assert epochs_of(kind(sparse.csr_array(targets), 40), 2) == epochs_of(kind(targets, 40), 2)


@EACH
def test_an_unknown_label_draws_what_a_negative_one_would(kind):
    targets = many_labels(30, 5)
    assert list(kind(targets, 40)) == list(kind(np.nan_to_num(targets), 40))


@LEADING
def test_labels_without_positives_are_skipped_with_one_warning(kind):
    targets = np.array([[0, 1, NAN, 0], [0, NAN, NAN, 1]])
    with pytest.warns(UserWarning) as caught:
        drawn = list(kind(targets, 10))
    assert [str(warning.message) for warning in caught] == [
        "labels in columns [0, 2] have no positive and are never drawn for"
    ]
    assert caught[0].filename == __file__
    assert set(drawn) == {0, 1}


@LEADING
@pytest.mark.parametrize("targets", [np.zeros((3, 2)), np.full((3, 2), NAN), np.empty((3, 0))])
def test_targets_without_any_positive_are_refused_where_labels_lead(kind, targets):
    with pytest.raises(ValueError, match="no label has a positive, so there is nothing to balance"):
        kind(targets, 5)


@EACH
def test_probabilities_where_there_are_any_are_of_each_image_and_add_up(kind):
    targets = many_labels(200, 4)
    probabilities = kind(targets, 10).probabilities()
    if kind is SAMPLERS["least_sampled"]:
        assert probabilities is None
    else:
        assert probabilities.shape == (200,) and probabilities.sum() == pytest.approx(1)
        drawn = np.bincount(np.concatenate(epochs_of(kind(targets, 2000), 20)), minlength=200) / 40_000
        error = np.sqrt(probabilities * (1 - probabilities) / 40_000)
        assert (abs(drawn - probabilities) <= 5 * error).all()


# Ranks


@EACH
@settings(max_examples=20)
@given(world_size=st.integers(1, 5), num_samples=st.integers(5, 40), epoch=st.integers(0, 3))
def test_the_ranks_together_draw_what_one_process_would(kind, world_size, num_samples, epoch):
    targets = single_labels([7, 2, 1])
    alone = kind(targets, num_samples, 3)
    alone.set_epoch(epoch)
    ranks = [kind(targets, num_samples, 3, rank, world_size) for rank in range(world_size)]
    for sampler in ranks:
        sampler.set_epoch(epoch)
    shares = [list(sampler) for sampler in ranks]
    assert {len(share) for share in shares} == {len(ranks[0])} == {num_samples // world_size}
    together = [row for turn in zip(*shares, strict=True) for row in turn]
    assert together == list(alone)[: num_samples - num_samples % world_size]


# Stopping and going on


@EACH
@settings(max_examples=20)
@given(world_size=st.sampled_from([1, 3]), epoch=st.integers(0, 2), position=st.integers(0, 12))
def test_a_sampler_that_loads_a_state_goes_on_where_the_other_stopped(kind, world_size, epoch, position):
    targets = single_labels([7, 2, 1])
    stopped = kind(targets, 40, 5, world_size - 1, world_size)
    stopped.set_epoch(epoch)
    running = iter(stopped)
    for _ in range(position):
        next(running)
    state = json.loads(json.dumps(stopped.state_dict()))
    rest = list(running)

    fresh = kind(targets, 40, 5, world_size - 1, world_size)
    fresh.load_state_dict(state)
    assert fresh.state_dict() == state
    fresh.set_epoch(epoch)  # as Lightning does; it is in that epoch already
    assert list(fresh) == rest
    for sampler in (fresh, stopped):
        sampler.set_epoch(epoch + 1)
    assert list(fresh) == list(stopped)


@EACH
def test_a_state_from_the_very_end_leaves_nothing_and_then_the_epoch_starts_again(kind):
    stopped = kind(many_labels(20, 3), 20)
    whole = list(islice(stopped, 20))
    fresh = kind(many_labels(20, 3), 20)
    fresh.load_state_dict(stopped.state_dict())
    assert list(fresh) == []
    assert list(fresh) == whole


@EACH
def test_another_epoch_starts_at_its_beginning_whatever_state_was_loaded(kind):
    sampler = kind(many_labels(20, 3), 20)
    sampler.load_state_dict({"epoch": 1, "position": 7})
    sampler.set_epoch(2)
    fresh = kind(many_labels(20, 3), 20)
    fresh.set_epoch(2)
    assert list(sampler) == list(fresh)


@EACH
def test_an_iteration_that_was_given_up_does_not_shorten_the_next(kind):
    sampler = kind(many_labels(20, 3), 20)
    begun = list(islice(sampler, 6))
    assert sampler.state_dict() == {"epoch": 0, "position": 6}
    assert list(sampler)[:6] == begun and len(list(sampler)) == 20


class Rows(Dataset):
    """A data set whose samples are their own row numbers."""

    def __len__(self):
        return 1000

    def __getitem__(self, row):
        return row


@pytest.mark.parametrize(
    ("name", "batches", "workers"),
    [("cycle", 3, 0), ("random", 1, 2), ("class_aware", 8, 2), ("least_sampled", 3, 0), ("sqrt", 3, 0)],
)
def test_a_loader_goes_on_in_mid_epoch(name, batches, workers):
    def loader():
        sampler = SAMPLERS[name](single_labels([20, 5, 2]), 33, 7)
        return sampler, StatefulDataLoader(Rows(), batch_size=4, sampler=sampler, num_workers=workers)

    def rest_and_next_epoch(sampler, running, loads):
        rest = [batch.tolist() for batch in running]
        sampler.set_epoch(3)
        return rest, [batch.tolist() for batch in loads]

    sampler, stopped = loader()
    sampler.set_epoch(2)
    running = iter(stopped)
    begun = [next(running).tolist() for _ in range(batches)]
    state = stopped.state_dict()
    expected = rest_and_next_epoch(sampler, running, stopped)

    uninterrupted = SAMPLERS[name](single_labels([20, 5, 2]), 33, 7)
    uninterrupted.set_epoch(2)
    assert [row for batch in begun + expected[0] for row in batch] == list(uninterrupted)

    sampler, fresh = loader()
    fresh.load_state_dict(state)
    assert rest_and_next_epoch(sampler, fresh, fresh) == expected


# Bad input


@EACH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": np.zeros(3)}, r"targets have shape \(3,\), expected \[N >= 1, C\]"),
        ({"targets": np.array([[1, 2]])}, "targets hold 2 in row 0, column 1, expected 0, 1 or NaN"),
        ({"rank": 2, "world_size": 2}, "rank is 2, expected 0 <= rank < world_size = 2"),
        ({"rank": -1}, "rank is -1, expected 0 <= rank < world_size = 1"),
        ({"num_samples": 2, "world_size": 3}, "num_samples is 2, expected at least one a process, 3"),
        ({"num_samples": 0}, "num_samples is 0, expected at least one a process, 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"targets": np.eye(3), "num_samples": 5, **arguments})


def test_a_sampler_without_a_plan_says_so():
    class Unfinished(PlannedSampler):
        pass

    with pytest.raises(NotImplementedError, match="Unfinished has no plan"):
        next(iter(Unfinished(np.eye(2), 2)))
