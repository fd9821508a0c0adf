import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from

import mlgcn.losses
from mlgcn.losses import LOSSES, ElementwiseLoss, masked_mean

# A label that no image has, one that all have, and some between.
COUNTS, IMAGES = [0, 1, 7, 40, 99, 100], 100


class SquaredError(ElementwiseLoss):
    """The simplest formula; records what it was given."""

    def elementwise(self, logits, targets):
        self.seen, self.autocast = (logits, targets), torch.is_autocast_enabled(logits.device.type)
        return (logits - targets) ** 2


# The contract holds for every loss.
EVERY = {"squared_error": SquaredError, **LOSSES}
every_loss = pytest.mark.parametrize("name", EVERY)


def needs_counts(kind):
    parameters = list(inspect.signature(kind).parameters.values())
    return [p.name for p in parameters[:2] if p.default is p.empty] == ["class_counts", "num_samples"]


def build(name, counts=COUNTS):
    return EVERY[name](counts, IMAGES) if needs_counts(EVERY[name]) else EVERY[name]()


def random_batch(shape=(4, 6), seed=0, unknown=0.3):
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(scale=5, size=shape), rng.uniform(size=shape[-2:])
    targets[rng.random(shape[-2:]) < unknown] = np.nan
    return torch.tensor(logits), torch.tensor(targets)


def test_every_loss_has_a_name_and_is_exported():
    exported = {value for value in vars(mlgcn.losses).values() if isinstance(value, type)}
    assert {kind for kind in exported if issubclass(kind, ElementwiseLoss)} == {ElementwiseLoss, *LOSSES.values()}
    assert {kind.__name__ for kind in LOSSES.values()} <= set(mlgcn.losses.__all__)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_can_be_built_from_the_counts_or_from_nothing(name):
    parameters = inspect.signature(LOSSES[name].__init__).parameters.values()
    plain = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    assert [p.name for p in plain if p.default is p.empty] in ([], ["class_counts", "num_samples"])


@every_loss
def test_unknown_labels_add_neither_loss_nor_gradient(name):
    logits, targets = random_batch()
    logits.requires_grad_()
    unknown = torch.isnan(targets)
    assert 0 < unknown.sum() < unknown.numel()
    values = build(name)(logits, targets)
    values.sum().backward()
    assert not values[unknown].any() and not logits.grad[unknown].any()
    assert values[~unknown].all() and logits.grad[~unknown].all()


@every_loss
def test_what_is_unknown_changes_no_more_elsewhere_than_what_is_absent(name):
    logits, targets = random_batch()
    known = ~torch.isnan(targets)
    filled = torch.where(known, targets, 0.0)
    loss = build(name)
    torch.testing.assert_close(loss(logits, targets)[known], loss(logits, filled)[known], rtol=0, atol=0)


@every_loss
def test_targets_are_broadcast_over_experts(name):
    logits, targets = random_batch((3, 4, 6))
    loss = build(name)
    found = loss(logits, targets)
    assert found.shape == (3, 4, 6)
    for expert in range(3):
        torch.testing.assert_close(found[expert], loss(logits[expert], targets), rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"db"}))  # whose weights depend on all targets of an image
def test_a_soft_target_costs_what_lies_between_the_hard_ones(name):
    logits, targets = random_batch(unknown=0)
    loss = build(name)
    none, full = loss(logits, torch.zeros_like(targets)), loss(logits, torch.ones_like(targets))
    torch.testing.assert_close(loss(logits, targets), targets * full + (1 - targets) * none)


@every_loss
@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_losses_are_computed_in_float32_or_better(name, dtype, autocast):
    logits, targets = (values.to(dtype) for values in random_batch())
    loss = build(name)
    with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
        found = loss(logits, targets)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), loss(logits.double(), targets.double()), rtol=1e-5, atol=1e-5)


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_moving_a_loss_to_another_precision_does_not_change_its_counts(name, dtype):
    logits, targets = random_batch()
    torch.testing.assert_close(build(name).to(dtype)(logits, targets), build(name)(logits, targets), rtol=0, atol=0)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inputs_stay_as_they_were(name, dtype):
    logits, targets = (values.to(dtype) for values in random_batch())
    rows = torch.arange(4)
    before = logits.clone(), targets.clone()
    build(name)(logits, targets, rows)
    assert torch.equal(logits, before[0]) and torch.equal(targets.nan_to_num(-1), before[1].nan_to_num(-1))
    assert torch.equal(rows, torch.arange(4))


@pytest.mark.parametrize("name", sorted(EVERY.keys() - {"nvum"}))
def test_a_loss_without_memory_ignores_which_images_it_sees(name):
    logits, targets = random_batch()
    loss = build(name)
    for _ in range(2):
        assert torch.equal(loss(logits, targets, torch.tensor([3, 1, 4, 1])), loss(logits, targets))


@every_loss
def test_a_loss_may_be_told_the_epoch(name):
    logits, targets = random_batch()
    loss = build(name)
    loss.set_epoch(200)
    torch.testing.assert_close(loss(logits, targets), build(name)(logits, targets), rtol=0, atol=0)


@every_loss
@given(
    seed=integers(0, 2**32 - 1),
    batch=integers(0, 4),
    experts=integers(1, 3),
    dtype=sampled_from([torch.bfloat16, torch.float16, torch.float32, torch.float64]),
    autocast=sampled_from([None, torch.bfloat16, torch.float16]),
)
@settings(max_examples=25)
def test_loss_and_gradient_are_finite_at_any_logit(name, seed, batch, experts, dtype, autocast):
    rng = np.random.default_rng(seed)
    shape = (experts, batch, 6)
    sizes = rng.choice([0.0, 1e-3, 1.0, 20.0, 90.0, 103.0, 200.0, 745.0, 1e4], size=shape)
    logits = torch.tensor(sizes * rng.choice([-1, 1], size=shape), dtype=dtype, requires_grad=True)
    targets = torch.tensor(rng.choice([0.0, 1.0, 0.5, 0.1, np.nan], size=shape[1:]), dtype=dtype)
    with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
        values = build(name)(logits, targets, torch.arange(batch))
    values.sum().backward()
    assert values.shape == shape
    assert torch.isfinite(values).all() and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", sorted(EVERY.keys() - {"asl"}))  # whose focus is a constant to the gradient
def test_the_gradient_is_that_of_the_values(name):
    logits, targets = random_batch((2, 4, 6))
    loss = build(name)
    assert torch.autograd.gradcheck(lambda values: loss(values, targets), logits.requires_grad_())


@every_loss
@pytest.mark.parametrize(
    ("logits", "targets"), [((4, 6), (4, 5)), ((4, 6), (3, 6)), ((2, 4, 6), (6, 4)), ((4, 6), (1, 6)), ((4, 1), (4, 6))]
)
def test_logits_and_targets_of_other_shapes_are_refused(name, logits, targets):
    message = (
        rf"logits have shape \({', '.join(map(str, logits))}\), expected \[..., \*\({', '.join(map(str, targets))}\)\]"
    )
    with pytest.raises(ValueError, match=message):
        build(name)(torch.zeros(logits), torch.zeros(targets))


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if needs_counts(kind)])
@pytest.mark.parametrize("counts", [[5], [5] * 7])
def test_logits_with_another_number_of_labels_than_the_counts_are_refused(name, counts):
    with pytest.raises(ValueError, match=f"logits have 6 labels, class_counts {len(counts)}"):
        build(name, counts)(*random_batch(), torch.arange(4))


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
@settings(max_examples=30)
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
