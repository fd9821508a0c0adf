"""Least-sampled: the label seen least so far leads, every positive of every drawn image counted."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.samplers import CycleSampler, LeastSampledSampler

NAN = float("nan")
pytestmark = pytest.mark.filterwarnings("ignore:labels in columns")


def many_labels(images, labels, seed):
    """Targets with positives, negatives and unknowns, the later labels rarer; the first image has the first label."""
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(images, labels)) < np.geomspace(0.7, 0.1, labels)).astype(float)
    targets[rng.uniform(size=targets.shape) < 0.1] = NAN
    targets[0, 0] = 1
    return targets


TABLES = {"images": st.integers(1, 40), "labels": st.integers(1, 7), "seed": st.integers(0, 2**32 - 1)}


@settings(max_examples=60)
@given(**TABLES)
def test_every_image_is_drawn_for_one_of_the_labels_seen_least_so_far(images, labels, seed):
    targets = many_labels(images, labels, seed)
    seen = np.where((targets == 1).any(axis=0), 0.0, np.inf)
    for row in LeastSampledSampler(targets, 60, seed):
        assert ((targets[row] == 1) & (seen == seen.min())).any()
        seen += targets[row] == 1


@settings(max_examples=60)
@given(**TABLES, epoch=st.integers(0, 3))
def test_it_equals_a_search_of_the_whole_table_for_every_draw(images, labels, seed, epoch):
    targets, num_samples = many_labels(images, labels, seed), 60
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(np.flatnonzero((targets == 1).any(axis=0)))
    expected, seen = [], np.zeros(labels)
    for uniform in rng.uniform(size=num_samples):
        label = order[seen[order].argmin()]
        images_of = np.flatnonzero(targets[:, label] == 1)
        expected.append(int(images_of[int(uniform * len(images_of))]))
        seen += targets[expected[-1]] == 1
    sampler = LeastSampledSampler(targets, num_samples, seed)
    sampler.set_epoch(epoch)
    assert list(sampler) == expected


def test_labels_of_their_own_are_seen_equally_often_at_any_time():
    targets = np.eye(4)[[0] * 50 + [1] * 9 + [2] * 3 + [3]]
    seen = np.cumsum(targets[list(LeastSampledSampler(targets, 403))], axis=0)
    assert (seen.max(axis=1) - seen.min(axis=1)).max() == 1


def test_the_images_of_a_label_are_equally_likely():
    draws = 5000
    counts = Counter(LeastSampledSampler(np.ones((5, 1)), draws))
    assert len(counts) == 5
    assert all(abs(count - draws / 5) < 5 * np.sqrt(draws * 0.2 * 0.8) for count in counts.values())


def test_each_label_is_the_first_to_lead_in_some_epoch():
    sampler = LeastSampledSampler(np.eye(4), 4)
    first = set()
    for epoch in range(50):
        sampler.set_epoch(epoch)
        first.add(next(iter(sampler)))
    assert first == {0, 1, 2, 3}


def test_it_is_more_even_than_the_cycle_where_labels_stand_together():
    targets = many_labels(400, 6, 0)
    seen = [(targets[list(kind(targets, 2000))] == 1).sum(axis=0) for kind in (CycleSampler, LeastSampledSampler)]
    cycle, least = (counts.max() / counts.min() for counts in seen)
    assert least < cycle
