import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from mlgcn.losses import (
    AdaptiveNegativeRegularizationLoss,
    BCELoss,
    LogitAdjustedLoss,
    NegativeRegularizationLoss,
)

COUNTS, IMAGES = np.array([1, 7, 40, 60, 99, 30]), 100
BIAS = np.log(IMAGES / COUNTS - 1)
seeds, gammas = integers(0, 2**32 - 1), sampled_from([0.0, 0.5, 2.0])


def random_batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=3, size=(2, 4, 6)), rng.uniform(size=(4, 6))


def tensors(seed=0):
    return tuple(torch.tensor(values) for values in random_batch(seed))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_regularized(u, y, scale, gamma=0.0):
    """Lai et al. 2023, eq. 1-2; the focus weighs by the probability of what is false."""
    positive = sigmoid(-u) ** gamma * np.log(1 + np.exp(-u))
    negative = sigmoid(scale * u) ** gamma * np.log(1 + np.exp(scale * u)) / scale
    return y * positive + (1 - y) * negative


@given(seed=seeds, scale=sampled_from([0.5, 1.0, 2.0, 5.0]), gamma=gammas)
@settings(max_examples=40)
def test_negative_regularisation_equals_its_equation(expect_formula, seed, scale, gamma):
    loss = NegativeRegularizationLoss(COUNTS, IMAGES, scale, gamma)
    expect_formula(loss, lambda x, y: plain_regularized(x - BIAS, y, scale, gamma), *random_batch(seed))


@given(seed=seeds, beta=sampled_from([0.0, 1.0, 10.0]), gamma=gammas, detach=booleans())
@settings(max_examples=60)
def test_adaptive_negative_regularisation_equals_its_equation(expect_formula, seed, beta, gamma, detach):
    def formula(x, y):
        u = x - BIAS
        scale = 1 + beta * (1 - sigmoid(u.real if detach else u))
        return plain_regularized(u, y, scale, gamma)

    loss = AdaptiveNegativeRegularizationLoss(COUNTS, IMAGES, beta, gamma, detach)
    expect_formula(loss, formula, *random_batch(seed))


def test_the_defaults_are_the_published_ones(expect_formula):
    found = NegativeRegularizationLoss(COUNTS, IMAGES)
    expect_formula(found, lambda x, y: plain_regularized(x - BIAS, y, 2.0), *random_batch())
    found = AdaptiveNegativeRegularizationLoss(COUNTS, IMAGES)
    expect_formula(found, lambda x, y: plain_regularized(x - BIAS, y, 11 - 10 * sigmoid(x - BIAS)), *random_batch())


def test_without_a_scale_both_are_the_cross_entropy_on_shifted_logits():
    logits, targets = tensors()
    expected = BCELoss()(logits - torch.tensor(BIAS), targets)
    for loss in (
        NegativeRegularizationLoss(COUNTS, IMAGES, scale=1),
        AdaptiveNegativeRegularizationLoss(COUNTS, IMAGES, beta=0),
        LogitAdjustedLoss(COUNTS, IMAGES),
    ):
        torch.testing.assert_close(loss(logits, targets), expected, rtol=1e-9, atol=1e-12)


def test_detaching_the_scale_changes_the_gradient_of_negatives_alone():
    grads, values = [], []
    for detach in (False, True):
        leaf = tensors()[0].requires_grad_()
        values.append(
            AdaptiveNegativeRegularizationLoss(COUNTS, IMAGES, detach_scale=detach)(leaf, torch.eye(6)[:4].double())
        )
        values[-1].sum().backward()
        grads.append(leaf.grad)
    positive = torch.eye(6)[:4].bool().expand(2, 4, 6)
    assert torch.equal(*values)
    assert torch.equal(grads[0][positive], grads[1][positive])
    assert (grads[0][~positive] != grads[1][~positive]).all()


@pytest.mark.parametrize(
    "loss", [NegativeRegularizationLoss([50], 100, 5.0), AdaptiveNegativeRegularizationLoss([50], 100)]
)
def test_low_negatives_are_pushed_down_less_than_by_the_cross_entropy_and_high_ones_no_less(loss):
    pulls = []
    for each in (loss, BCELoss()):
        leaf = torch.tensor([[-3.0], [-1.5], [3.0]], requires_grad=True)
        each(leaf, torch.zeros(3, 1)).sum().backward()
        pulls.append(leaf.grad[:, 0])
    assert (pulls[0][:2] < pulls[1][:2]).all() and pulls[0][2] > 0.9 * pulls[1][2]


def test_a_rare_label_must_have_a_higher_logit_than_a_frequent_one_to_cost_as_little():
    loss = AdaptiveNegativeRegularizationLoss([1, 30, 99], 100)
    cost = loss(torch.zeros(1, 3), torch.ones(1, 3))[0]
    assert (cost.diff() < 0).all()


@pytest.mark.parametrize("scale", [0.0, -2.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(ValueError, match=f"scale must be > 0, got {scale}"):
        NegativeRegularizationLoss(COUNTS, IMAGES, scale)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (NegativeRegularizationLoss, "gamma"),
        (AdaptiveNegativeRegularizationLoss, "gamma"),
        (AdaptiveNegativeRegularizationLoss, "beta"),
    ],
)
def test_negative_values_are_refused(build, name):
    with pytest.raises(ValueError, match=rf"{name} must be >= 0, got -1\.0"):
        build(COUNTS, IMAGES, **{name: -1.0})
