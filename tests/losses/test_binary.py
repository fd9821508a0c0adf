import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, none, sampled_from

from mlgcn.losses import BCELoss, ClassBalancedLoss, FocalLoss, WeightedBCELoss

COUNTS, IMAGES = np.array([1, 7, 40, 60, 99, 30]), 100
seeds = integers(0, 2**32 - 1)


def random_batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=5, size=(2, 4, 6)), rng.uniform(size=(4, 6))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_focal(x, y, gamma):
    p, q = sigmoid(x), sigmoid(-x)
    return -y * q**gamma * np.log(p) - (1 - y) * p**gamma * np.log(q)


@given(seed=seeds)
@settings(max_examples=30)
def test_the_binary_cross_entropy_equals_its_equation(expect_formula, seed):
    expect_formula(BCELoss(), lambda x, y: plain_focal(x, y, 0), *random_batch(seed))


@pytest.mark.parametrize("size", [200.0, 1e4])
def test_a_wrong_answer_costs_its_logit_and_a_right_one_nothing(size):
    logits = torch.tensor([[size, -size, size, -size]])
    np.testing.assert_array_equal(BCELoss()(logits, torch.tensor([[0.0, 1.0, 1.0, 0.0]])), [[size, size, 0, 0]])


@given(seed=seeds)
@settings(max_examples=30)
def test_the_weighted_cross_entropy_equals_its_equation(expect_formula, seed):
    def formula(x, y):
        share = COUNTS / IMAGES
        return -y * np.exp(1 - share) * np.log(sigmoid(x)) - (1 - y) * np.exp(share) * np.log(sigmoid(-x))

    expect_formula(WeightedBCELoss(COUNTS, IMAGES), formula, *random_batch(seed))


def test_a_label_found_in_half_of_the_images_weighs_alike_in_both_signs():
    logits, targets = (torch.tensor(values) for values in random_batch())
    found = WeightedBCELoss([50] * 6, 100)(logits, targets)
    torch.testing.assert_close(found, np.sqrt(np.e) * BCELoss()(logits, targets))


@given(seed=seeds, gamma=sampled_from([0.0, 0.5, 1.0, 2.0]), alpha=none() | floats(0, 1))
@settings(max_examples=30)
def test_the_focal_loss_equals_its_equation(expect_formula, seed, gamma, alpha):
    def formula(x, y):
        positive, negative = plain_focal(x, 1, gamma), plain_focal(x, 0, gamma)
        weight = (1, 1) if alpha is None else (alpha, 1 - alpha)
        return y * weight[0] * positive + (1 - y) * weight[1] * negative

    expect_formula(FocalLoss(gamma, alpha), formula, *random_batch(seed))


def test_without_focus_the_focal_loss_is_the_cross_entropy():
    logits, targets = (torch.tensor(values) for values in random_batch())
    torch.testing.assert_close(FocalLoss(0)(logits, targets), BCELoss()(logits, targets), rtol=1e-12, atol=0)


def test_the_focus_is_2_unless_told_otherwise():
    logits, targets = (torch.tensor(values) for values in random_batch())
    assert torch.equal(FocalLoss()(logits, targets), FocalLoss(2.0, None)(logits, targets))


@pytest.mark.parametrize("gamma", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_focus_below_1_has_finite_gradients_where_the_probability_underflows(gamma, dtype):
    logits = torch.tensor([[-1e4, -745, -300, -103, -90, 90, 103, 300, 745, 1e4]], dtype=dtype, requires_grad=True)
    for target in (0.0, 1.0):
        FocalLoss(gamma)(logits, torch.full((1, 10), target)).sum().backward()
    assert torch.isfinite(logits.grad).all()


@given(seed=seeds, beta=sampled_from([0.0, 0.9, 0.9999]), gamma=sampled_from([0.0, 2.0]))
@settings(max_examples=30)
def test_the_class_balanced_loss_equals_its_equation(expect_formula, seed, beta, gamma):
    def formula(x, y):
        weights = (1 - beta) / (1 - beta**COUNTS)
        return weights * len(weights) / weights.sum() * plain_focal(x, y, gamma)

    expect_formula(ClassBalancedLoss(COUNTS, IMAGES, beta, gamma), formula, *random_batch(seed))


def test_with_beta_0_or_equal_counts_the_class_balanced_loss_is_the_cross_entropy():
    logits, targets = (torch.tensor(values) for values in random_batch())
    expected = BCELoss()(logits, targets)
    torch.testing.assert_close(ClassBalancedLoss(COUNTS, IMAGES, beta=0)(logits, targets), expected)
    torch.testing.assert_close(ClassBalancedLoss([17] * 6, IMAGES)(logits, targets), expected)


def test_the_defaults_of_the_class_balanced_loss():
    logits, targets = (torch.tensor(values) for values in random_batch())
    found = ClassBalancedLoss(COUNTS, IMAGES)(logits, targets)
    assert torch.equal(found, ClassBalancedLoss(COUNTS, IMAGES, 0.9999, 0.0)(logits, targets))


def test_close_to_1_beta_weighs_by_the_inverse_count():
    logits, targets = (torch.tensor(values) for values in random_batch())
    inverse = torch.tensor(1 / COUNTS / np.mean(1 / COUNTS))
    found = ClassBalancedLoss(COUNTS, IMAGES, beta=1 - 1e-9)(logits, targets)
    torch.testing.assert_close(found, inverse * BCELoss()(logits, targets), rtol=1e-6, atol=0)


@pytest.mark.parametrize("beta", [1.0, -0.1, float("nan")])
def test_a_beta_outside_its_range_is_refused(beta):
    with pytest.raises(ValueError, match=f"beta must be >= 0 and < 1, got {beta}"):
        ClassBalancedLoss(COUNTS, IMAGES, beta)


@pytest.mark.parametrize("gamma", [-1.0, float("nan")])
def test_a_negative_focus_is_refused(gamma):
    for build in (FocalLoss, lambda gamma: ClassBalancedLoss(COUNTS, IMAGES, gamma=gamma)):
        with pytest.raises(ValueError, match=f"gamma must be >= 0, got {gamma}"):
            build(gamma)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_an_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match=rf"alpha must be in \[0, 1\], got {alpha}"):
        FocalLoss(alpha=alpha)
