import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers

from mlgcn.losses import BCELoss


@given(seed=integers(0, 2**32 - 1))
@settings(deadline=None)
def test_the_binary_cross_entropy_equals_its_equation(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(scale=5, size=(2, 4, 6)), rng.uniform(size=(4, 6))
    p, q = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    expected = -y * np.log(p) - (1 - y) * np.log(q)
    np.testing.assert_allclose(BCELoss()(torch.tensor(x), torch.tensor(y)), expected, rtol=1e-9)


def test_the_gradients_of_the_binary_cross_entropy_are_right():
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(3, 4, dtype=torch.float64)
    targets[0, 1] = torch.nan
    assert torch.autograd.gradcheck(lambda values: BCELoss()(values, targets), logits)


@pytest.mark.parametrize("size", [200.0, 1e4])
def test_a_wrong_answer_costs_its_logit_and_a_right_one_nothing(size):
    logits = torch.tensor([[size, -size, size, -size]])
    np.testing.assert_array_equal(BCELoss()(logits, torch.tensor([[0.0, 1.0, 1.0, 0.0]])), [[size, size, 0, 0]])
