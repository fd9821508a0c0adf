"""How scores are merged, and weights fitted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult

from mlgcn.prediction import merging
from mlgcn.prediction.merging import MERGES, check_weights, fitted_weights, merge_scores, to_logits

# The ends of single precision and the numbers next to them.
EDGES = np.array([0, 2.0**-149, 2.0**-24, 0.1, 0.5, 0.9, 1 - 2.0**-24, 1], dtype=np.float32)


def merged_by_hand(p, merge, weights):
    """Float64 probabilities [T, ...], none of them 0 or 1."""
    if merge == "mean":
        return sum(w * each for w, each in zip(weights, p, strict=True))
    powers = np.prod([each**w for w, each in zip(weights, p, strict=True)], axis=0)
    if merge == "geometric":
        return powers
    return powers / (powers + np.prod([(1 - each) ** w for w, each in zip(weights, p, strict=True)], axis=0))


def cross_entropy(scores, targets, merge, weights):
    known = ~np.isnan(targets)
    p = merged_by_hand(scores[:, known].astype(np.float64), merge, weights)
    return -np.mean(np.where(targets[known] == 1, np.log(p), np.log(1 - p)))


@pytest.mark.parametrize("merge", MERGES)
@given(seed=st.integers(0, 2**32 - 1), members=st.integers(1, 5))
def test_merged_scores_are_the_weighted_means_of_their_kind(merge, seed, members):
    rng = np.random.default_rng(seed)
    p, weights = rng.uniform(0.001, 0.999, size=(members, 4, 3)), rng.dirichlet(np.ones(members))
    found = merge_scores(torch.from_numpy(np.log(p / (1 - p))), merge, torch.from_numpy(weights))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, merged_by_hand(p, merge, weights), rtol=1e-9)


@pytest.mark.parametrize("merge", MERGES)
@given(weights=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any), seed=st.integers(0, 999))
def test_equal_scores_merge_to_themselves_exactly(merge, weights, seed):
    scores = np.concatenate([EDGES, np.random.default_rng(seed).random(20, dtype=np.float32) ** 8])
    shares = torch.from_numpy(check_weights(weights, len(weights)))
    found = merge_scores(to_logits(np.stack([scores] * len(weights))), merge, shares)
    np.testing.assert_array_equal(found.numpy().astype(np.float32), scores)


def test_logits_of_single_precision_are_finite_and_in_order():
    logits = to_logits(EDGES)
    assert logits.isfinite().all() and (logits.diff() > 0).all()


@pytest.fixture(scope="module", params=range(3))
def members(request):
    """Scores of three models of unlike worth, the last without any, and targets of which some are unknown."""
    rng = np.random.default_rng(request.param)
    targets = (rng.random((300, 4)) < 0.3).astype(float)
    logits = rng.normal(size=(3, 300, 4)) + targets * np.array([2.0, 1.5, 0])[:, None, None] - 1
    targets[rng.random(targets.shape) < 0.2] = np.nan
    return (1 / (1 + np.exp(-logits))).astype(np.float32), targets


@pytest.mark.parametrize("merge", MERGES)
def test_no_weights_are_better_than_the_fitted_ones(merge, members):
    scores, targets = members
    found = fitted_weights(scores, targets, merge)
    assert found.min() >= 0 and found.sum() == pytest.approx(1)
    reached = cross_entropy(scores, targets, merge, found)
    others = [*np.eye(3), np.full(3, 1 / 3), *np.random.default_rng(0).dirichlet(np.ones(3), size=30)]
    assert all(reached < cross_entropy(scores, targets, merge, other) for other in others)
    # At the smallest value no weight can move to another member for less: gradients of members that count are equal,
    # those of the others no smaller.
    steps = 1e-6 * np.eye(3)
    gradient = np.array([
        (cross_entropy(scores, targets, merge, found + step) - cross_entropy(scores, targets, merge, found - step))
        for step in steps
    ]) / 2e-6  # fmt: skip
    assert (gradient - gradient.min())[found > 0].max() < 1e-5
    np.testing.assert_array_equal(fitted_weights(scores, targets, merge), found)


def test_members_that_are_alike_keep_equal_weights(members):
    scores, targets = members
    np.testing.assert_allclose(fitted_weights(scores[[0, 0]], targets), [0.5, 0.5], atol=1e-9)


def test_a_member_that_is_certain_and_wrong_gets_what_it_deserves():
    targets = np.tile([[1.0, 0.0]], (50, 1))
    wrong, right = np.tile([[0, 1]], (50, 1)), np.tile([[0.9, 0.1]], (50, 1))
    for merge in MERGES:
        found = fitted_weights(np.stack([wrong, right]).astype(np.float32), targets, merge)
        np.testing.assert_allclose(found, [0, 1], atol=1e-6)


def test_a_search_that_ends_elsewhere_is_no_fit(members, monkeypatch):
    stopped = OptimizeResult(x=np.array([0, 0, 1.0]), message="Iteration limit reached")
    monkeypatch.setattr(merging, "minimize", lambda *_, **__: stopped)
    with pytest.raises(ValueError, match=r"no best weights were found \(Iteration limit reached\)"):
        fitted_weights(*members)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="unknown merge 'median'"):
        merge_scores(torch.zeros(2, 3), "median")
    with pytest.raises(ValueError, match="no target is known"):
        fitted_weights(np.full((2, 3, 1), 0.5), np.full((3, 1), np.nan))
    for weights in ([1], [1, 2, 3], [0, 0], [-1, 2], [np.nan, 1], [np.inf, 1]):
        with pytest.raises(ValueError, match=r"weights are .*, expected 2 numbers >= 0, one of them > 0"):
            check_weights(weights, 2)
