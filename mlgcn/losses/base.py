"""What every element-wise loss keeps to: float32 or better, matching shapes, unknown targets left out."""

import torch
from torch import Tensor, nn


class ElementwiseLoss(nn.Module):
    """One loss value per image and label, 0 where the target is unknown.

    Shapes: logits [..., B, C] and targets [B, C], broadcast over leading axes such as experts -> [..., B, C], float32
    or better. Targets lie in [0, 1] (soft ones too); NaN marks an unknown one, which adds neither loss nor gradient.
    Raises: ValueError if the last two axes of logits and targets differ.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if logits.shape[-2:] != targets.shape[-2:]:
            raise ValueError(f"logits have shape {tuple(logits.shape)}, expected [..., *{tuple(targets.shape)}]")
        # Autocast would send some of these operations back to half precision.
        with torch.autocast(logits.device.type, enabled=False):
            logits = at_least_float32(logits)
            known = ~torch.isnan(targets)
            values = self.elementwise(logits, torch.where(known, targets, 0).to(logits.dtype))
            return torch.where(known, values, 0)

    def elementwise(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The formula itself: logits float32 or better, targets without NaN."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")


def masked_mean(values: Tensor, targets: Tensor) -> Tensor:
    """Mean of values [..., B, C] over the known targets [B, C], one for each leading index; 0 where none is known."""
    return values.sum(dim=(-2, -1)) / (~torch.isnan(targets)).sum().clamp(min=1)


def at_least_float32(values: Tensor) -> Tensor:
    """The tensor in float32, or as it is where it is already more precise."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
