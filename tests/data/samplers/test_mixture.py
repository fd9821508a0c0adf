"""Draws from several sources by their shares."""

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.samplers import SAMPLERS, MixtureSampler
from mlgcn.data.samplers.cycle import CycleSampler

TARGETS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, np.nan, 1], [1, np.nan, 0], [0, 1, 1]])
SOURCES = np.array(["a", "a", "b", "b", "b", "c"])


def mixture(weights, draws=60, name="cycle", **options):
    return MixtureSampler(SAMPLERS[name], TARGETS, SOURCES, weights, draws, **options)


@settings(max_examples=40)
@given(
    weights=st.tuples(*[st.floats(0, 10)] * 3).filter(lambda w: sum(w) > 1e-3),
    draws=st.integers(1, 80),
    name=st.sampled_from(sorted(SAMPLERS)),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_source_has_its_share_of_an_epoch(weights, draws, name, seed):
    sampler = mixture(dict(zip("abc", weights, strict=True)), draws, name, seed=seed)
    drawn = SOURCES[list(sampler)]
    assert len(drawn) == draws
    for source, weight in zip("abc", weights, strict=True):
        assert abs((drawn == source).sum() - draws * weight / sum(weights)) < 1


def test_within_a_source_its_own_sampler_draws():
    sampler = mixture({"a": 1, "b": 1, "c": 0}, 600)
    drawn = np.array(list(sampler))
    # In b, rows 2 to 4, the labels in turn: the first label has the rows 2 and 4, the second 2, the third 3.
    counts = np.bincount(drawn, minlength=6)
    assert counts[5] == 0 and counts[0] == counts[1] == 150
    assert counts[3] == 100 and 100 < counts[2] < 200 and counts[2] + counts[4] == 200


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_ranks_share_an_epoch_and_a_loaded_state_goes_on(name):
    weights = {"a": 2, "b": 1, "c": 1}
    whole = mixture(weights, 40, name, seed=3)
    whole.set_epoch(1)
    plan = list(whole)
    shares = [mixture(weights, 40, name, seed=3, rank=rank, world_size=2) for rank in range(2)]
    for share in shares:
        share.set_epoch(1)
    assert [row for pair in zip(*shares, strict=True) for row in pair] == plan
    begun = iter(whole)
    first = [next(begun) for _ in range(7)]
    other = mixture(weights, 40, name, seed=3)
    other.load_state_dict(whole.state_dict())
    assert first + list(other) == plan


def test_epochs_and_seeds_draw_differently():
    sampler = mixture({"a": 1, "b": 2, "c": 1})
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first != list(mixture({"a": 1, "b": 2, "c": 1}, seed=1))


def test_probabilities_are_those_of_the_draws():
    sampler = mixture({"a": 3, "b": 6, "c": 1}, 2000)
    expected = sampler.probabilities()
    drawn = np.bincount(list(sampler), minlength=6) / 2000
    assert expected.sum() == pytest.approx(1)
    np.testing.assert_allclose(drawn, expected, atol=4 * np.sqrt(0.25 / 2000))
    assert mixture({"a": 1, "b": 1, "c": 1}, name="least_sampled").probabilities() is None


def test_a_label_that_only_one_source_lacks_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixture({"a": 1, "b": 1, "c": 1})
    lacking = np.c_[TARGETS, np.zeros(6)]
    with pytest.warns(UserWarning, match=r"labels in columns \[3\] have no positive"):
        MixtureSampler(CycleSampler, lacking, SOURCES, {"a": 1, "b": 1, "c": 1}, 6)


@pytest.mark.parametrize(
    ("sources", "weights", "message"),
    [
        (SOURCES, {"a": 1, "b": 1}, "unknown source without a weight: 'c'"),
        (SOURCES, {"a": 0, "b": 0, "c": 0}, "weights are .*, expected numbers >= 0, one of them > 0"),
        (SOURCES, {"a": -1, "b": 1, "c": 1}, "expected numbers >= 0"),
        (SOURCES, {"a": float("nan"), "b": 1, "c": 1}, "expected numbers >= 0"),
        (SOURCES[:4], {"a": 1, "b": 1}, r"sources have shape \(4,\), expected one for each of 6 images"),
    ],
)
def test_sources_and_weights_that_do_not_fit_are_refused(sources, weights, message):
    with pytest.raises(ValueError, match=message):
        MixtureSampler(CycleSampler, TARGETS, sources, weights, 6)


def test_a_source_without_positives_is_named():
    targets = TARGETS.copy()
    targets[5] = 0
    with pytest.raises(ValueError, match="source c: no label has a positive"):
        MixtureSampler(partial(CycleSampler), targets, SOURCES, {"a": 1, "b": 1, "c": 1}, 6)
