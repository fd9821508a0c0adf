import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from mlgcn.losses import BCELoss, NVUMLoss

COUNTS, IMAGES = np.array([1, 7, 12, 4]), 12
PRIOR = np.log(np.minimum(COUNTS, IMAGES - 1) / IMAGES)
LABELS = len(COUNTS)
seeds = integers(0, 2**32 - 1)


def in_double(*options):
    return NVUMLoss(COUNTS, IMAGES, *options).double()


def random_batch(rng, batch=4):
    return rng.normal(scale=3, size=(2, batch, LABELS)), rng.uniform(size=(batch, LABELS))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_loss(x, y, memory, weight):
    """Cross-entropy and the memory's term, for complex logits too."""
    p = sigmoid(x)
    return -y * np.log(p) - (1 - y) * np.log(sigmoid(-x)) + weight * np.log(1 - sigmoid(memory * p))


class WithRows(torch.nn.Module):
    """The loss at fixed rows, as expect_formula wants it."""

    def __init__(self, loss, rows):
        super().__init__()
        self.loss, self.rows = loss, torch.tensor(rows)

    def forward(self, logits, targets):
        return self.loss(logits, targets, self.rows)


@given(seed=seeds, weight=sampled_from([0.0, 1.0, 3.0]), momentum=sampled_from([0.0, 0.7, 0.9]))
@settings(max_examples=30)
def test_over_several_steps_the_loss_equals_its_equations(expect_formula, seed, weight, momentum):
    rng = np.random.default_rng(seed)
    loss, memory = in_double(weight, momentum), np.zeros((IMAGES, LABELS))
    for _ in range(4):
        rows = rng.permutation(IMAGES)[:4]
        logits, targets = random_batch(rng)
        # Each image's memory moves towards the mean of its experts' logits less the prior, then it is used.
        memory[rows] = momentum * memory[rows] + (1 - momentum) * (logits.mean(axis=0) - PRIOR)
        expect_formula(
            WithRows(loss, rows), lambda x, y, rows=rows: plain_loss(x, y, memory[rows], weight), logits, targets
        )
        np.testing.assert_allclose(loss.memory, memory, rtol=1e-9, atol=1e-12)


def test_the_defaults_are_the_authors():
    rng = np.random.default_rng(0)
    logits, targets = (torch.tensor(values) for values in random_batch(rng))
    rows = torch.arange(4)
    assert torch.equal(in_double()(logits, targets, rows), in_double(1.0, 0.9)(logits, targets, rows))


def test_without_rows_it_is_the_cross_entropy_and_remembers_nothing():
    logits, targets = (torch.tensor(values) for values in random_batch(np.random.default_rng(0)))
    loss = in_double()
    torch.testing.assert_close(loss(logits, targets), BCELoss()(logits, targets), rtol=1e-9, atol=1e-12)
    assert not loss.memory.any()


def test_in_evaluation_the_memory_is_used_and_left_alone():
    logits, targets = (torch.tensor(values) for values in random_batch(np.random.default_rng(0)))
    rows, loss = torch.tensor([3, 0, 7, 2]), in_double()
    loss(logits, targets, rows)
    before = loss.eval().memory.clone()
    found = [loss(logits, targets, rows) for _ in range(2)]
    assert torch.equal(*found) and torch.equal(loss.memory, before)
    np.testing.assert_allclose(found[0], plain_loss(logits.numpy(), targets.numpy(), before[rows].numpy(), 1.0))


def test_an_image_that_is_twice_in_a_batch_is_remembered_by_its_mean_in_any_order():
    logits = torch.tensor(np.random.default_rng(0).normal(size=(3, LABELS)))
    targets = torch.zeros(3, LABELS)
    memories = []
    for order in ([0, 1, 2], [2, 1, 0]):
        loss = in_double()
        loss(logits[order], targets, torch.tensor([5, 8, 5])[order])
        memories.append(loss.memory)
    expected = 0.1 * (torch.stack([logits[[0, 2]].mean(dim=0), logits[1]]) - torch.tensor(PRIOR))
    for memory in memories:
        torch.testing.assert_close(memory[[5, 8]], expected)
        assert not memory[[0, 1, 2, 3, 4, 6, 7, 9, 10, 11]].any()


def test_the_memory_pulls_towards_what_was_said_before():
    loss = in_double()
    said = torch.tensor([[8.0, -8.0, 8.0, -8.0]], dtype=torch.float64)
    for _ in range(30):
        loss(said, torch.full((1, LABELS), 0.5), torch.tensor([2]))
    logits = torch.zeros(1, LABELS, dtype=torch.float64, requires_grad=True)
    loss.eval()(logits, torch.full((1, LABELS), 0.5), torch.tensor([2])).sum().backward()
    # The cross-entropy with a target of 0.5 pulls nowhere at logit 0.
    assert torch.equal(torch.sign(-logits.grad), torch.sign(said))


def test_the_gradient_does_not_pass_through_the_memory():
    logits = torch.zeros(2, LABELS, dtype=torch.float64, requires_grad=True)
    loss = in_double(1.0, 0.0)
    values = loss(logits, torch.zeros(2, LABELS), torch.arange(2))
    assert not loss.memory.requires_grad
    assert torch.autograd.grad(values.sum(), logits)[0].isfinite().all()


def test_unknown_labels_add_nothing_though_their_memory_goes_on():
    logits, targets = (torch.tensor(values) for values in random_batch(np.random.default_rng(0)))
    targets[:, 1] = torch.nan
    loss, leaf = in_double(), logits.requires_grad_()
    values = loss(leaf, targets, torch.arange(4))
    values.sum().backward()
    assert not values[..., 1].any() and not leaf.grad[..., 1].any()
    assert loss.memory[:4, 1].all()


def test_a_resumed_loss_goes_on_exactly():
    rng = np.random.default_rng(0)
    steps = [tuple(torch.tensor(values) for values in random_batch(rng)) for _ in range(6)]
    whole, first, second = (NVUMLoss(COUNTS, IMAGES) for _ in range(3))
    expected = [whole(*step, torch.arange(4)) for step in steps]
    for step in steps[:3]:
        first(*step, torch.arange(4))
    second.load_state_dict(first.state_dict())
    for step, values in zip(steps[3:], expected[3:], strict=True):
        assert torch.equal(second(*step, torch.arange(4)), values)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 1, 2], r"rows have shape \(3,\), expected \[4\]"),
        ([[0, 1, 2, 3]], r"rows have shape \(1, 4\), expected \[4\]"),
        ([0, 1, 2, 12], r"row 12 is none of the 12 images$"),
        ([0, -1, 2, 3], r"row -1 is none of the 12 images$"),
    ],
)
def test_rows_that_are_none_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        NVUMLoss(COUNTS, IMAGES)(torch.zeros(4, LABELS), torch.zeros(4, LABELS), torch.tensor(rows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, r"weight must be >= 0, got -1\.0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1\.0"),
        ({"momentum": -0.1}, r"momentum must be in \[0, 1\), got -0\.1"),
    ],
)
def test_values_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NVUMLoss(COUNTS, IMAGES, **options)


def test_where_labels_are_known_of_some_images_the_memory_has_a_row_for_each():
    known = np.array([5, 9, 12, 10])
    loss = NVUMLoss(COUNTS, known, images=20).double()
    logits, targets = (torch.tensor(values) for values in random_batch(np.random.default_rng(0)))
    loss(logits, targets, torch.tensor([19, 0, 3, 5]))
    prior = np.log(np.minimum(COUNTS, known - 1) / known)
    assert loss.memory.shape == (20, LABELS)
    np.testing.assert_allclose(loss.memory[19], 0.1 * (logits[:, 0].mean(dim=0).numpy() - prior), rtol=1e-9)
    with pytest.raises(ValueError, match="images is needed where num_samples differ by label"):
        NVUMLoss(COUNTS, known)
    with pytest.raises(ValueError, match="images must be >= 1, got 0"):
        NVUMLoss(COUNTS, known, images=0)
