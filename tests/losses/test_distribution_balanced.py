import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from mlgcn.losses import BCELoss, DistributionBalancedLoss, FocalLoss

COUNTS, IMAGES = np.array([1, 7, 40, 60, 99, 30]), 100
OFF = {"rebalance": False, "tolerance": False, "focal": False}
seeds = integers(0, 2**32 - 1)


def random_batch(seed=0, soft=False):
    rng = np.random.default_rng(seed)
    targets = rng.uniform(size=(4, 6)) if soft else (rng.random((4, 6)) < 0.4).astype(float)
    return rng.normal(scale=3, size=(2, 4, 6)), targets


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_weight(y, label, alpha, beta, mu):
    """Of one label of an image: the frequency of being drawn for it, over that of being drawn for any of its own."""
    wanted = 1 / (len(COUNTS) * COUNTS[label])
    actual = sum(y[i] / COUNTS[i] for i in range(len(COUNTS))) / len(COUNTS)
    return alpha + (1 / (1 + np.exp(-beta * (wanted / actual - mu))) if actual else 1.0)


def plain_balanced(x, y, alpha, beta, mu, scale, kappa, gamma, balance, rebalance, tolerance, focal):
    values = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        image, label = place[1:]
        u = x[place] - (kappa * np.log(IMAGES / COUNTS[label] - 1) if tolerance else 0)
        factor = scale if tolerance else 1
        for truth, logit, size in ((y[image, label], u, 1), (1 - y[image, label], -factor * u, factor)):
            focus = balance * sigmoid(-logit) ** gamma if focal else 1
            values[place] += truth * focus * np.log(1 + np.exp(-logit)) / size
        if rebalance:
            values[place] *= plain_weight(y[image], label, alpha, beta, mu)
    return values


@given(seed=seeds, soft=booleans(), rebalance=booleans(), tolerance=booleans(), focal=booleans())
@settings(max_examples=40)
def test_the_loss_equals_its_equation_with_any_of_its_parts(expect_formula, seed, soft, rebalance, tolerance, focal):
    parts = {"rebalance": rebalance, "tolerance": tolerance, "focal": focal}
    values = (0.1, 10, 0.2, 2, 0.05, 2, 2)  # the published ones, which are the defaults
    loss = DistributionBalancedLoss(COUNTS, IMAGES, **parts)
    expect_formula(loss, lambda x, y: plain_balanced(x, y, *values, *parts.values()), *random_batch(seed, soft))


@given(seed=seeds, gamma=sampled_from([0.0, 0.5, 1.0]), scale=sampled_from([0.5, 5.0]))
@settings(max_examples=20)
def test_the_loss_equals_its_equation_with_other_values(expect_formula, seed, gamma, scale):
    values = (0.3, 4.0, 0.5, scale, 1.0, gamma, 3.0)
    loss = DistributionBalancedLoss(COUNTS, IMAGES, *values)
    expect_formula(loss, lambda x, y: plain_balanced(x, y, *values, True, True, True), *random_batch(seed))


def test_a_flat_rebalancing_weight_is_the_same_for_images_without_positives():
    weights = DistributionBalancedLoss(COUNTS, IMAGES, beta=0.0).weights(torch.tensor([[0.0] * 6, [1.0] * 6]))
    assert weights.tolist() == [[pytest.approx(0.1 + 0.5)] * 6] * 2


def test_all_parts_are_used_unless_told_otherwise():
    logits, targets = (torch.tensor(values) for values in random_batch())
    full = DistributionBalancedLoss(COUNTS, IMAGES, rebalance=True, tolerance=True, focal=True)
    assert torch.equal(DistributionBalancedLoss(COUNTS, IMAGES)(logits, targets), full(logits, targets))


def test_without_its_parts_it_is_the_cross_entropy():
    logits, targets = (torch.tensor(values) for values in random_batch(soft=True))
    found = DistributionBalancedLoss(COUNTS, IMAGES, **OFF)(logits, targets)
    torch.testing.assert_close(found, BCELoss()(logits, targets), rtol=1e-9, atol=1e-12)


def test_with_the_focal_part_alone_it_is_twice_the_focal_loss():
    logits, targets = (torch.tensor(values) for values in random_batch(soft=True))
    found = DistributionBalancedLoss(COUNTS, IMAGES, **OFF | {"focal": True})(logits, targets)
    torch.testing.assert_close(found, 2 * FocalLoss()(logits, targets), rtol=1e-9, atol=1e-12)


def test_the_labels_of_an_image_without_positives_weigh_most_and_alike():
    targets = torch.tensor([[0.0] * 6, [0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0]], dtype=torch.float64)
    weights = DistributionBalancedLoss(COUNTS, IMAGES).weights(targets)
    assert (weights[0] == 1.1).all() and (weights[1, 4] < 1.1) and (weights[2] < 1.1).all()
    nearly = DistributionBalancedLoss(COUNTS, IMAGES).weights(targets[:1] + 1e-9)
    torch.testing.assert_close(nearly, weights[:1])


def test_the_frequent_label_of_an_image_drawn_for_a_rare_one_weighs_little():
    weights = DistributionBalancedLoss(COUNTS, IMAGES).weights(torch.tensor([[1, 0, 0, 0, 1.0, 0]]))[0]
    assert weights[0] > 1.09 and weights[4] == pytest.approx(0.1 + sigmoid(10 * ((1 / 99) / (1 + 1 / 99) - 0.2)))


def test_an_unknown_target_is_no_positive_to_the_weights():
    logits = torch.randn(1, 6)
    loss = DistributionBalancedLoss(COUNTS, IMAGES)
    unknown, absent = (loss(logits, torch.tensor([[1, value, 0, 0, 0, 0]])) for value in (torch.nan, 0.0))
    assert unknown[0, 1] == 0 and torch.equal(unknown[0, 2:], absent[0, 2:])


@pytest.mark.parametrize("name", ["alpha", "beta", "kappa", "gamma", "balance"])
def test_negative_values_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} must be >= 0, got -0\.1"):
        DistributionBalancedLoss(COUNTS, IMAGES, **{name: -0.1})


def test_a_scale_of_0_is_refused():
    with pytest.raises(ValueError, match="scale must be > 0, got 0"):
        DistributionBalancedLoss(COUNTS, IMAGES, scale=0)
