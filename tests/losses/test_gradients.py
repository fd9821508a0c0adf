import numpy as np
import pytest
import torch

from mlgcn.losses import (
    AdaptiveNegativeRegularizationLoss,
    BCELoss,
    DistributionBalancedLoss,
    LargeLossReconsideration,
    MultiExpertLoss,
    NVUMLoss,
    loss_gradients,
)

COUNTS, IMAGES = [400, 50, 3], 1000


def test_the_gradients_of_the_cross_entropy_are_probability_less_target():
    found = loss_gradients(MultiExpertLoss(BCELoss()), {"Mass": 1}, 3)
    logits = np.array(found["logits"])
    probability = 1 / (1 + np.exp(-logits))
    assert (logits[0], logits[-1]) == (-6, 6) and found["left_out"] == []
    np.testing.assert_allclose(found["labels"]["Mass"]["positive"], probability - 1, atol=1e-6)
    np.testing.assert_allclose(found["labels"]["Mass"]["negative"], probability, atol=1e-6)


@pytest.mark.parametrize("kind", [AdaptiveNegativeRegularizationLoss, DistributionBalancedLoss])
@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_they_are_the_slope_of_the_loss_of_an_image_without_other_findings(kind, sign):
    base, column, step = kind(COUNTS, IMAGES).double(), 2, 1e-5
    found = loss_gradients(MultiExpertLoss(base), {"Hernia": column}, 3)
    targets = torch.zeros(1, 3, dtype=torch.float64)
    targets[0, column] = sign == "positive"

    def value(logit):
        logits = torch.zeros(1, 3, dtype=torch.float64)
        logits[0, column] = logit
        return float(base(logits, targets)[0, column])

    slopes = [(value(logit + step) - value(logit - step)) / (2 * step) for logit in found["logits"]]
    np.testing.assert_allclose(found["labels"]["Hernia"][sign], slopes, atol=1e-4)


def test_a_hard_label_has_its_factor():
    plain, hard = (
        loss_gradients(MultiExpertLoss(BCELoss(), factors=factors), {"Mass": 1}, 3)["labels"]["Mass"]["positive"]
        for factors in (None, [1, 2.5, 1])
    )
    np.testing.assert_allclose(hard, 2.5 * np.array(plain), rtol=1e-6)


def test_a_column_that_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"there are no columns \{'Mass': 3\} among 3 labels"):
        loss_gradients(MultiExpertLoss(BCELoss()), {"Edema": 0, "Mass": 3}, 3)


def test_what_the_curves_cannot_show_is_said():
    remembers = MultiExpertLoss(NVUMLoss(COUNTS, IMAGES))
    (memory,) = loss_gradients(remembers, {"Mass": 1}, 3)["left_out"]
    assert "remembers" in memory and not remembers.base.memory.any()  # nor was anything remembered
    (large,) = loss_gradients(MultiExpertLoss(LargeLossReconsideration(BCELoss())), {"Mass": 1}, 3)["left_out"]
    assert "large-loss" in large
