"""Samplers: which label leads, that ranks share one plan, and that a stopped epoch goes on where it was."""

import json
import warnings
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from mlgcn.data.samplers import SAMPLERS, CycleSampler, RandomSampler

NAN = float("nan")
BOTH = pytest.mark.parametrize("kind", [CycleSampler, RandomSampler])


def single_labels(counts, seed=0):
    """Targets with one label an image, in random order, so that an image tells which label it was drawn for."""
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


# The cycle

COUNTS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, num_samples=st.integers(1, 50), seed=st.integers(0, 9))
def test_the_cycle_visits_the_labels_exactly_in_turn_also_across_epochs(counts, num_samples, seed):
    targets = single_labels(counts)
    drawn = epochs_of(CycleSampler(targets, num_samples, seed), 3)
    led = [int(targets[row].argmax()) for epoch in drawn for row in epoch]
    assert led == [turn % len(counts) for turn in range(3 * num_samples)]


def test_every_label_leads_equally_often_however_rare_it_is():
    targets = single_labels([1000, 100, 10, 1])
    drawn = list(CycleSampler(targets, 4000))
    assert Counter(targets[drawn].argmax(axis=1)) == dict.fromkeys(range(4), 1000)


@settings(max_examples=40, deadline=None)
@given(images=st.integers(1, 40), labels=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:labels in columns")
def test_an_image_is_drawn_only_for_a_label_that_it_has(images, labels, seed):
    targets = many_labels(images, labels, seed)
    targets[0, 0] = 1
    present = [label for label in range(labels) if (targets[:, label] == 1).any()]
    drawn = list(CycleSampler(targets, 60, seed))
    for turn, row in enumerate(drawn):
        assert targets[row, present[turn % len(present)]] == 1


def test_the_images_of_a_label_are_equally_likely():
    targets = single_labels([5, 1])
    draws = 8000  # half of them for the label with five images
    counts = Counter(row for row in CycleSampler(targets, draws) if targets[row, 0] == 1)
    expected, error = draws / 2 / 5, np.sqrt(draws / 2 * 0.2 * 0.8)
    assert len(counts) == 5
    assert all(abs(count - expected) < 5 * error for count in counts.values())


def test_labels_without_positives_are_skipped_with_one_warning():
    targets = np.array([[0, 1, NAN, 0], [0, NAN, NAN, 1]])
    with pytest.warns(UserWarning) as caught:
        sampler = CycleSampler(targets, 10)
    assert [str(warning.message) for warning in caught] == [
        "labels in columns [0, 2] have no positive and are never led with"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(sampler) == [0, 1] * 5


def test_an_unknown_label_is_no_positive():
    targets = np.array([[NAN, 0], [1, 0], [NAN, 1]])
    assert list(CycleSampler(targets, 6)) == [1, 2] * 3


@pytest.mark.parametrize("targets", [np.zeros((3, 2)), np.full((3, 2), NAN), np.empty((3, 0))])
def test_a_cycle_without_any_positive_is_refused(targets):
    with pytest.raises(ValueError, match="no label has a positive, so there is nothing to cycle through"):
        CycleSampler(targets, 5)


# Random order


@settings(max_examples=30, deadline=None)
@given(images=st.integers(1, 40), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_random_order_has_every_image_once_an_epoch(images, seed, epoch):
    sampler = RandomSampler(np.zeros((images, 2)), images, seed)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(images))


@settings(max_examples=30, deadline=None)
@given(images=st.integers(1, 20), num_samples=st.integers(1, 70))
def test_random_order_uses_all_images_up_before_one_comes_again(images, num_samples):
    drawn = list(RandomSampler(np.zeros((images, 1)), num_samples))
    assert len(drawn) == num_samples
    for start in range(0, num_samples, images):
        part = drawn[start : start + images]
        assert len(set(part)) == len(part)


def test_random_order_is_no_order():
    assert list(RandomSampler(np.zeros((100, 1)), 100)) != list(range(100))


# Streams


@BOTH
def test_the_same_seed_draws_the_same_and_another_seed_another(kind):
    targets = many_labels(50, 4)
    assert epochs_of(kind(targets, 50, 1), 2) == epochs_of(kind(targets, 50, 1), 2)
    assert list(kind(targets, 50, 1)) != list(kind(targets, 50, 2))


@BOTH
def test_epochs_differ_and_an_epoch_repeats_until_set_epoch_moves_on(kind):
    sampler = kind(many_labels(50, 4), 50)
    first, again = list(sampler), list(sampler)
    assert first == again
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    sampler.set_epoch(0)
    assert list(sampler) == first


@BOTH
def test_drawing_leaves_the_global_streams_untouched(kind):
    numpy_state, torch_state = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    list(kind(many_labels(20, 3), 20))
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


# Ranks


@BOTH
@settings(max_examples=30, deadline=None)
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


@BOTH
@settings(max_examples=30, deadline=None)
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


@BOTH
def test_a_state_from_the_very_end_leaves_nothing_and_then_the_epoch_starts_again(kind):
    stopped = kind(many_labels(20, 3), 20)
    whole = list(islice(stopped, 20))
    fresh = kind(many_labels(20, 3), 20)
    fresh.load_state_dict(stopped.state_dict())
    assert list(fresh) == []
    assert list(fresh) == whole


@BOTH
def test_another_epoch_starts_at_its_beginning_whatever_state_was_loaded(kind):
    sampler = kind(many_labels(20, 3), 20)
    sampler.load_state_dict({"epoch": 1, "position": 7})
    sampler.set_epoch(2)
    fresh = kind(many_labels(20, 3), 20)
    fresh.set_epoch(2)
    assert list(sampler) == list(fresh)


@BOTH
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


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("kind", "batches"), [(CycleSampler, 3), (RandomSampler, 1), (CycleSampler, 8)])
def test_a_loader_goes_on_in_mid_epoch(kind, batches, workers):
    def loader():
        sampler = kind(single_labels([20, 5, 2]), 33, 7)
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

    uninterrupted = kind(single_labels([20, 5, 2]), 33, 7)
    uninterrupted.set_epoch(2)
    assert [row for batch in begun + expected[0] for row in batch] == list(uninterrupted)

    sampler, fresh = loader()
    fresh.load_state_dict(state)
    assert rest_and_next_epoch(sampler, fresh, fresh) == expected


# Bad input


@BOTH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": np.zeros(3)}, r"targets have shape \(3,\), expected \[N >= 1, C\]"),
        ({"targets": np.zeros((0, 2))}, r"targets have shape \(0, 2\), expected \[N >= 1, C\]"),
        ({"targets": np.array([[1, 2]])}, r"targets hold values outside \{0, 1, NaN\}"),
        ({"targets": np.array([[1, -1.0]])}, r"targets hold values outside \{0, 1, NaN\}"),
        ({"rank": 2, "world_size": 2}, "rank is 2, expected 0 <= rank < world_size = 2"),
        ({"rank": -1}, "rank is -1, expected 0 <= rank < world_size = 1"),
        ({"num_samples": 2, "world_size": 3}, "num_samples is 2, expected at least one a process, 3"),
        ({"num_samples": 0}, "num_samples is 0, expected at least one a process, 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"targets": np.eye(3), "num_samples": 5, **arguments})


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", [np.float32, np.int64, bool])
def test_targets_may_be_of_any_number_type(name, kind):
    expected = list(SAMPLERS[name](np.eye(3), 9))
    assert list(SAMPLERS[name](np.eye(3).astype(kind), 9)) == expected
    assert all(type(row) is int for row in expected)
