import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from mlgcn.losses import BCELoss, ClassBalancedLoss, LDAMLoss, LogitAdjustedLoss

COUNTS, IMAGES = np.array([1, 7, 40, 60, 99, 30]), 100
seeds = integers(0, 2**32 - 1)


def random_batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=4, size=(2, 4, 6)), rng.uniform(size=(4, 6))


def tensors(seed=0):
    return tuple(torch.tensor(values) for values in random_batch(seed))


def plain_bce(positive, negative, y):
    return y * np.log(1 + np.exp(-positive)) + (1 - y) * np.log(1 + np.exp(negative))


@given(seed=seeds, widest=sampled_from([0.0, 0.5, 2.0]), scale=sampled_from([0.5, 1.0, 5.0]))
@settings(max_examples=40)
def test_the_margin_loss_equals_its_equation(expect_formula, seed, widest, scale):
    def formula(x, y):
        margins = 1 / COUNTS**0.25
        margins *= widest / margins.max()
        return plain_bce(scale * (x - margins), scale * x, y)

    expect_formula(LDAMLoss(COUNTS, IMAGES, widest, scale), formula, *random_batch(seed))


def test_without_a_margin_it_is_the_cross_entropy():
    logits, targets = tensors()
    found = LDAMLoss(COUNTS, IMAGES, max_margin=0)(logits, targets)
    torch.testing.assert_close(found, BCELoss()(logits, targets), rtol=1e-9, atol=1e-12)


def test_the_rarest_label_has_the_widest_margin():
    margins = LDAMLoss([1, 16, 81, 100], 1000).margins(torch.zeros(1, 4, dtype=torch.float64))
    np.testing.assert_allclose(margins, [0.5, 0.25, 0.5 / 3, 0.5 / 100**0.25])


def test_weights_come_with_their_epoch_and_stay():
    logits, targets = tensors()
    loss, plain = LDAMLoss(COUNTS, IMAGES, reweight_epoch=2), LDAMLoss(COUNTS, IMAGES)(logits, targets)
    weights = ClassBalancedLoss(COUNTS, IMAGES, 0.9999).prior.effective_number_weights(logits, 0.9999)
    for epoch, factor in enumerate([1, 1, weights, weights]):
        loss.set_epoch(epoch)
        torch.testing.assert_close(loss(logits, targets), factor * plain, rtol=1e-12, atol=0)


def test_without_an_epoch_for_them_there_are_no_weights():
    logits, targets = tensors()
    loss = LDAMLoss(COUNTS, IMAGES)
    before = loss(logits, targets)
    loss.set_epoch(10_000)
    assert torch.equal(loss(logits, targets), before)


def test_from_epoch_0_on_the_weights_are_there_at_once():
    logits, targets = tensors()
    found = LDAMLoss(COUNTS, IMAGES, max_margin=0, reweight_epoch=0)(logits, targets)
    torch.testing.assert_close(found, ClassBalancedLoss(COUNTS, IMAGES)(logits, targets), rtol=1e-9, atol=1e-12)


def test_the_epoch_is_kept_in_the_state():
    loss, resumed = (LDAMLoss(COUNTS, IMAGES, reweight_epoch=3) for _ in range(2))
    loss.set_epoch(5)
    resumed.load_state_dict(loss.state_dict())
    assert torch.equal(loss(*tensors()), resumed(*tensors()))
    assert not torch.equal(resumed(*tensors()), LDAMLoss(COUNTS, IMAGES, reweight_epoch=3)(*tensors()))


@given(seed=seeds, tau=sampled_from([0.0, 0.5, 1.0, 2.0]))
@settings(max_examples=30)
def test_the_logit_adjusted_loss_equals_its_equation(expect_formula, seed, tau):
    def formula(x, y):
        adjusted = x + tau * np.log(COUNTS / (IMAGES - COUNTS))
        return plain_bce(adjusted, adjusted, y)

    expect_formula(LogitAdjustedLoss(COUNTS, IMAGES, tau), formula, *random_batch(seed))


def test_the_adjustment_is_the_whole_prior_unless_told_otherwise():
    assert torch.equal(
        LogitAdjustedLoss(COUNTS, IMAGES)(*tensors()), LogitAdjustedLoss(COUNTS, IMAGES, 1.0)(*tensors())
    )


def test_a_network_that_sees_nothing_is_best_at_logit_0():
    counts = torch.tensor(COUNTS, dtype=torch.float64)
    logits = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    LogitAdjustedLoss(COUNTS, IMAGES)(logits, (counts / IMAGES)[None]).sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (LDAMLoss, {"max_margin": -0.5}, r"max_margin must be >= 0, got -0\.5"),
        (LDAMLoss, {"reweight_epoch": -1}, "reweight_epoch must be >= 0, got -1"),
        (LDAMLoss, {"scale": 0.0}, r"scale must be > 0, got 0\.0"),
        (LDAMLoss, {"beta": 1.0}, r"beta must be >= 0 and < 1, got 1\.0"),
        (LogitAdjustedLoss, {"tau": -1.0}, r"tau must be >= 0, got -1\.0"),
    ],
)
def test_values_outside_their_range_are_refused(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(COUNTS, IMAGES, **options)
