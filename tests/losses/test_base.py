import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from mlgcn.losses import LOSSES, BCELoss, ElementwiseLoss, masked_mean


class SquaredError(ElementwiseLoss):
    """The simplest formula; records what it was given."""

    def elementwise(self, logits, targets):
        self.seen, self.autocast = (logits, targets), torch.is_autocast_enabled(logits.device.type)
        return (logits - targets) ** 2


def needs_arguments(kind):
    parameters = inspect.signature(kind).parameters.values()
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


# The contract holds for every loss; those that need arguments, such as class counts, meet it in their own tests.
EVERY = [SquaredError, *(kind for kind in LOSSES.values() if not needs_arguments(kind))]
every_loss = pytest.mark.parametrize("kind", EVERY)


def random_batch(shape=(4, 6), seed=0, unknown=0.3):
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(scale=5, size=shape), rng.uniform(size=shape[-2:])
    targets[rng.random(shape[-2:]) < unknown] = np.nan
    return torch.tensor(logits), torch.tensor(targets)


def test_losses_without_arguments_are_held_to_the_contract():
    assert BCELoss in EVERY


@every_loss
def test_unknown_labels_add_neither_loss_nor_gradient(kind):
    logits, targets = random_batch()
    logits.requires_grad_()
    unknown = torch.isnan(targets)
    assert 0 < unknown.sum() < unknown.numel()
    values = kind()(logits, targets)
    values.sum().backward()
    assert not values[unknown].any() and not logits.grad[unknown].any()
    assert values[~unknown].all() and logits.grad[~unknown].all()


@every_loss
def test_what_is_unknown_changes_nothing_elsewhere(kind):
    logits, targets = random_batch()
    known = ~torch.isnan(targets)
    filled = torch.where(known, targets, 1.0)
    torch.testing.assert_close(kind()(logits, targets)[known], kind()(logits, filled)[known], rtol=0, atol=0)


@every_loss
def test_targets_are_broadcast_over_experts(kind):
    logits, targets = random_batch((3, 4, 6))
    found = kind()(logits, targets)
    assert found.shape == (3, 4, 6)
    for expert in range(3):
        torch.testing.assert_close(found[expert], kind()(logits[expert], targets), rtol=0, atol=0)


@every_loss
def test_soft_targets_cost_less_than_the_worse_of_the_hard_ones(kind):
    logits, _ = random_batch()
    none, half, full = (kind()(logits, torch.full((4, 6), value, dtype=torch.float64)) for value in (0.0, 0.5, 1.0))
    assert (half < torch.maximum(none, full)).all() and (half != torch.minimum(none, full)).all()


@every_loss
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_losses_are_computed_in_float32_or_better(kind, dtype, autocast):
    logits, targets = (values.to(dtype) for values in random_batch())
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = kind()(logits, targets)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), kind()(logits.double(), targets.double()), rtol=1e-5, atol=1e-5)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inputs_stay_as_they_were(kind, dtype):
    logits, targets = (values.to(dtype) for values in random_batch())
    before = logits.clone(), targets.clone()
    kind()(logits, targets)
    assert torch.equal(logits, before[0]) and torch.equal(targets.nan_to_num(-1), before[1].nan_to_num(-1))


@every_loss
@pytest.mark.parametrize("size", [200.0, 1e4])
def test_loss_and_gradient_are_finite_at_huge_logits(kind, size):
    logits = torch.tensor([[size, -size, size, -size, size, -size]], requires_grad=True)
    targets = torch.tensor([[0.0, 0.0, 1.0, 1.0, torch.nan, 0.5]])
    values = kind()(logits, targets)
    values.sum().backward()
    assert torch.isfinite(values).all() and torch.isfinite(logits.grad).all()


@every_loss
@pytest.mark.parametrize(
    ("logits", "targets"), [((4, 6), (4, 5)), ((4, 6), (3, 6)), ((2, 4, 6), (6, 4)), ((4, 6), (1, 6)), ((4, 1), (4, 6))]
)
def test_logits_and_targets_of_other_shapes_are_refused(kind, logits, targets):
    message = (
        rf"logits have shape \({', '.join(map(str, logits))}\), expected \[..., \*\({', '.join(map(str, targets))}\)\]"
    )
    with pytest.raises(ValueError, match=message):
        kind()(torch.zeros(logits), torch.zeros(targets))


def test_the_formula_sees_no_nan_no_half_precision_and_no_autocast():
    loss = SquaredError()
    logits, targets = random_batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss(logits.bfloat16(), targets)
    assert not loss.autocast and {values.dtype for values in loss.seen} == {torch.float32}
    assert not torch.isnan(loss.seen[1]).any() and torch.equal(loss.seen[1] == 0, torch.isnan(targets))


def test_a_loss_without_a_formula_says_so():
    class Forgotten(ElementwiseLoss):
        pass

    with pytest.raises(NotImplementedError, match="Forgotten has no formula"):
        Forgotten()(torch.zeros(1, 1), torch.zeros(1, 1))


@given(seed=integers(0, 2**32 - 1), shape=lists(integers(1, 4), min_size=2, max_size=4))
@settings(deadline=None, max_examples=30)
def test_the_mean_is_taken_over_known_targets(seed, shape):
    logits, targets = random_batch(tuple(shape), seed)
    values = SquaredError()(logits, targets)
    found = masked_mean(values, targets)
    assert found.shape == tuple(shape[:-2])
    logits, targets = logits.numpy(), targets.numpy()
    for index in np.ndindex(found.shape):
        places = [place for place in np.ndindex(targets.shape) if not np.isnan(targets[place])]
        terms = [(logits[index][place] - targets[place]) ** 2 for place in places]
        assert found[index].item() == pytest.approx(sum(terms) / len(terms) if terms else 0.0, rel=1e-9)
