"""Losses built on the binary cross-entropy."""

import torch.nn.functional as F
from torch import Tensor

from mlgcn.losses.base import ElementwiseLoss


class BCELoss(ElementwiseLoss):
    """Binary cross-entropy, `-y log p - (1 - y) log(1 - p)` with p the sigmoid of the logit.

    Shapes and errors as in ElementwiseLoss.
    """

    def elementwise(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none")
