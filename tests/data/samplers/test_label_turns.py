"""Cycle and class-aware sampling: which label leads, and which of its images is drawn."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.samplers import ClassAwareSampler, CycleSampler

NAN = float("nan")
BOTH = pytest.mark.parametrize("kind", [CycleSampler, ClassAwareSampler])
COUNTS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def single_labels(counts, seed=0):
    """Targets with one label an image, in random order, so that an image tells which label it was drawn for."""
    return np.random.default_rng(seed).permutation(np.repeat(np.eye(len(counts)), counts, axis=0))


def epochs_of(sampler, epochs):
    drawn = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        drawn.append(list(sampler))
    return drawn


@BOTH
@settings(max_examples=40)
@given(counts=COUNTS, num_samples=st.integers(1, 50), seed=st.integers(0, 9))
def test_the_labels_lead_exactly_in_turn_also_across_epochs(kind, counts, num_samples, seed):
    targets = single_labels(counts)
    drawn = epochs_of(kind(targets, num_samples, seed), 3)
    led = [int(targets[row].argmax()) for epoch in drawn for row in epoch]
    assert led == [turn % len(counts) for turn in range(3 * num_samples)]


@BOTH
def test_every_label_leads_equally_often_however_rare_it_is(kind):
    targets = single_labels([1000, 100, 10, 1])
    drawn = list(kind(targets, 4000))
    assert Counter(targets[drawn].argmax(axis=1)) == dict.fromkeys(range(4), 1000)


@BOTH
@settings(max_examples=40)
@given(images=st.integers(1, 40), labels=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:labels in columns")
def test_an_image_is_drawn_only_for_a_label_that_it_has(kind, images, labels, seed):
    targets = np.random.default_rng(seed).choice([0, 1, NAN], size=(images, labels))
    targets[0, 0] = 1
    present = [label for label in range(labels) if (targets[:, label] == 1).any()]
    drawn = list(kind(targets, 60, seed))
    for turn, row in enumerate(drawn):
        assert targets[row, present[turn % len(present)]] == 1


@BOTH
def test_an_unknown_label_is_no_positive(kind):
    targets = np.array([[NAN, 0], [1, 0], [NAN, 1]])
    assert list(kind(targets, 6)) == [1, 2] * 3


def test_the_cycle_draws_the_images_of_a_label_equally_often():
    targets = single_labels([5, 1])
    draws = 8000  # half of them for the label with five images
    counts = Counter(row for row in CycleSampler(targets, draws) if targets[row, 0] == 1)
    expected, error = draws / 2 / 5, np.sqrt(draws / 2 * 0.2 * 0.8)
    assert len(counts) == 5
    assert all(abs(count - expected) < 5 * error for count in counts.values())


@settings(max_examples=40)
@given(counts=COUNTS, num_samples=st.integers(1, 50), seed=st.integers(0, 9))
def test_class_aware_uses_a_labels_images_up_before_one_comes_again_also_across_epochs(counts, num_samples, seed):
    targets = single_labels(counts)
    drawn = [row for epoch in epochs_of(ClassAwareSampler(targets, num_samples, seed), 5) for row in epoch]
    for label, size in enumerate(counts):
        own = [row for row in drawn if targets[row, label] == 1]
        for start in range(0, len(own), size):
            part = own[start : start + size]
            assert len(set(part)) == len(part)


def test_class_aware_draws_every_order_of_a_labels_images_equally_often():
    shuffles = 6000
    drawn = np.array(list(ClassAwareSampler(np.ones((3, 1)), 3 * shuffles))).reshape(-1, 3)
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) == set(permutations(range(3)))
    expected, error = shuffles / 6, np.sqrt(shuffles / 6 * 5 / 6)
    assert all(abs(count - expected) < 5 * error for count in counts.values())


def test_class_aware_shuffles_labels_with_the_same_images_apart():
    drawn = np.array(list(ClassAwareSampler(np.ones((50, 2)), 100)))
    assert drawn[::2].tolist() != drawn[1::2].tolist()
    assert sorted(drawn[::2]) == sorted(drawn[1::2]) == list(range(50))
