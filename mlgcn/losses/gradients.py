"""The gradients of a loss, as a figure shows them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mlgcn.losses.base import ElementwiseLoss
from mlgcn.losses.multi_expert import MultiExpertLoss

SPAN, STEPS = 6.0, 97
MEMORY = "without what the loss remembers of single images"
LARGE = "without large-loss reconsideration, which looks at a whole batch"


def loss_gradients(loss: MultiExpertLoss, labels: Mapping[str, int], count: int) -> dict[str, Any]:
    """The gradient of an image's loss in one logit, for a positive and for a negative of some labels, ready for JSON.

    The image has no other finding and all its other logits are 0. The gradient is that of the classification loss with
    the label's factor, of one expert, before the mean over images and labels.

    Args:
        labels: their columns by name.
        count: of all labels, C.
    Returns: "logits" from -6 to 6; by name "labels": {"positive": [...], "negative": [...]}; "left_out", what of the
        loss cannot be shown so, in words.
    Source: Lai et al. 2023, figure 3, for negatives.
    Raises: ValueError that names labels whose column is none of the C.
    """
    if outside := {name: column for name, column in labels.items() if not 0 <= column < count}:
        raise ValueError(f"there are no columns {outside} among {count} labels")
    base = loss.base if isinstance(loss.base, ElementwiseLoss) else loss.base.loss
    logits = torch.linspace(-SPAN, SPAN, STEPS)
    factors = torch.ones(count) if loss.factors is None else loss.factors.cpu()
    left_out = [MEMORY] if loss.remembers else []
    left_out += [LARGE] if base is not loss.base else []
    return {
        "logits": logits.tolist(),
        "labels": {
            name: {
                sign: (factors[column] * _gradient(base, logits, column, count, target)).tolist()
                for sign, target in (("positive", 1.0), ("negative", 0.0))
            }
            for name, column in labels.items()
        },
        "left_out": left_out,
    }


def _gradient(loss: ElementwiseLoss, logits: Tensor, column: int, count: int, target: float) -> Tensor:
    """At each logit of the column, [L]."""
    # Grad mode may be off where a caller only predicts.
    with torch.enable_grad():
        moved = logits.clone().requires_grad_()
        values = torch.zeros(len(logits), count).index_copy(1, torch.tensor([column]), moved[:, None])
        targets = torch.zeros(len(logits), count)
        targets[:, column] = target
        (gradient,) = torch.autograd.grad(loss(values, targets)[:, column].sum(), moved)
    return gradient
