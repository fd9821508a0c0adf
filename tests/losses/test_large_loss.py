import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, sampled_from

from mlgcn.losses import LOSSES, BCELoss, FocalLoss, LargeLossReconsideration, LargeLossShare, NVUMLoss
from mlgcn.losses.large_loss import MODES

every_mode = pytest.mark.parametrize("mode", MODES)


def random_batch(seed=0, batch=5, labels=6, experts=None, unknown=0.2, soft=0.2):
    rng = np.random.default_rng(seed)
    shape = (batch, labels) if experts is None else (experts, batch, labels)
    targets = (rng.random((batch, labels)) < 0.3).astype(float)
    targets[rng.random(targets.shape) < soft] = 0.4
    targets[rng.random(targets.shape) < unknown] = np.nan
    # Coarse, so that many losses are equal.
    return np.round(rng.normal(scale=2, size=shape)), targets


def plain_bce(x, y):
    return y * np.log1p(np.exp(-x)) + (1 - y) * np.log1p(np.exp(x))


def plain_reconsidered(logits, targets, share, mode):
    """One expert's losses: the negatives listed in order, sorted by their loss, and the first k of them changed."""
    negatives = [place for place in np.ndindex(targets.shape) if targets[place] == 0]
    k = math.ceil(share * len(negatives))
    chosen = sorted(negatives, key=lambda place: -plain_bce(logits[place], 0.0))[:k]  # sorted keeps the order of ties
    values = np.where(np.isnan(targets), 0, plain_bce(logits, np.nan_to_num(targets)))
    for place in chosen:
        values[place] = 0 if mode == "abandon" else plain_bce(logits[place], 1.0)
    return values, set(chosen)


@given(seed=integers(0, 2**32 - 1), share=floats(0, 1) | sampled_from([0.0, 0.1, 0.5, 1.0]), mode=sampled_from(MODES))
@settings(max_examples=80)
def test_the_largest_losses_of_negatives_are_changed_exactly_so_many_and_the_first_of_equal_ones(seed, share, mode):
    logits, targets = random_batch(seed)
    expected, chosen = plain_reconsidered(logits, targets, share, mode)
    loss = LargeLossReconsideration(BCELoss(), mode)
    leaf = torch.tensor(logits, requires_grad=True)
    found = loss(leaf, torch.tensor(targets), share)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-9, atol=1e-12)
    picked = loss.choose(leaf.detach(), torch.tensor(targets), share)
    assert {tuple(place) for place in picked.nonzero().tolist()} == chosen
    assert picked.sum() == math.ceil(share * (targets == 0).sum())
    found.sum().backward()
    # The derivative of the cross-entropy is p - y, and nothing else depends on the logits.
    p, y = 1 / (1 + np.exp(-logits)), np.nan_to_num(targets)
    for place in chosen:
        y[place] = p[place] if mode == "abandon" else 1
    y[np.isnan(targets)] = p[np.isnan(targets)]
    np.testing.assert_allclose(leaf.grad, p - y, rtol=1e-9, atol=1e-12)


@every_mode
def test_every_expert_reconsiders_by_its_own_losses(mode):
    logits, targets = random_batch(experts=3)
    found = LargeLossReconsideration(BCELoss(), mode)(torch.tensor(logits), torch.tensor(targets), 0.3)
    expected = [plain_reconsidered(expert, targets, 0.3, mode)[0] for expert in logits]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@every_mode
@pytest.mark.parametrize("name", LOSSES)
def test_without_a_share_it_is_the_loss_itself(name, mode):
    logits, targets = (torch.tensor(values) for values in random_batch(experts=2))
    counts = () if name in ("bce", "focal", "asl", "ral") else ([3, 5, 1, 9, 7, 2], 10)
    loss, rows = LOSSES[name](*counts), torch.arange(5)
    plain = LOSSES[name](*counts)
    assert torch.equal(LargeLossReconsideration(loss, mode)(logits, targets, 0.0, rows), plain(logits, targets, rows))


@pytest.mark.parametrize("name", LOSSES)
def test_abandoning_all_negatives_leaves_the_positives(name):
    logits, targets = (torch.tensor(values) for values in random_batch(experts=2))
    counts = () if name in ("bce", "focal", "asl", "ral") else ([3, 5, 1, 9, 7, 2], 10)
    loss = LOSSES[name](*counts)
    found = LargeLossReconsideration(loss)(logits, targets, 1.0)
    assert not found[:, targets == 0].any()
    assert torch.equal(found[:, targets > 0], loss(logits, targets)[:, targets > 0])


@every_mode
def test_positives_soft_and_unknown_targets_are_never_chosen_however_large_their_losses(mode):
    logits = torch.tensor([[-90.0, -80.0, 70.0, -1.0, -2.0]])
    targets = torch.tensor([[1.0, 0.6, torch.nan, 0.0, 0.0]])
    loss = LargeLossReconsideration(FocalLoss(0.0), mode)
    assert loss.choose(logits, targets, 0.5).tolist() == [[False, False, False, True, False]]
    assert loss.choose(logits, targets, 1.0).tolist() == [[False, False, False, True, True]]


@every_mode
def test_a_batch_without_negatives_stays_as_it_is(mode):
    logits, targets = torch.zeros(2, 3), torch.tensor([[1.0, torch.nan, 1.0]] * 2)
    found = LargeLossReconsideration(BCELoss(), mode)(logits, targets, 1.0)
    assert torch.equal(found, BCELoss()(logits, targets))


@every_mode
def test_what_a_loss_remembers_is_brought_up_to_date_once(mode):
    logits, targets = (torch.tensor(values) for values in random_batch())
    once, reconsidered = (NVUMLoss([3, 5, 1, 9, 7, 2], 10) for _ in range(2))
    rows = torch.tensor([4, 0, 9, 2, 3])
    once(logits, targets, rows)
    LargeLossReconsideration(reconsidered, mode)(logits, targets, 0.2, rows)
    assert once.memory.any() and torch.equal(once.memory, reconsidered.memory)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=rf"share must be in \[0, 1\], got {share}"):
        LargeLossReconsideration(BCELoss())(torch.zeros(1, 1), torch.zeros(1, 1), share)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"mode is 'drop', expected one of \['abandon', 'modify'\]"):
        LargeLossReconsideration(BCELoss(), "drop")


def test_the_share_grows_by_epochs_up_to_its_bound():
    share = LargeLossShare(first=0.01, step=0.02, most=0.06)
    assert [share(epoch) for epoch in range(5)] == pytest.approx([0.01, 0.03, 0.05, 0.06, 0.06])
    assert share(10**6) == 0.06


def test_by_default_nothing_is_reconsidered_in_the_first_epoch_and_a_twentieth_at_most():
    share = LargeLossShare()
    assert share(0) == 0 and 0 < share(1) < share(10) < share(1000) == 0.05


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"first": 0.2, "most": 0.1}, r"0 <= first <= most <= 1 is expected, got 0\.2 and 0\.1"),
        ({"first": -0.1}, r"expected, got -0\.1 and 0\.05"),
        ({"most": 1.5}, r"expected, got 0\.0 and 1\.5"),
        ({"step": -0.1}, r"step must be >= 0, got -0\.1"),
    ],
)
def test_shares_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        LargeLossShare(**values)
