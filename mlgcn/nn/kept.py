"""What evaluation computes once and keeps."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


class Kept(nn.Module):
    """Keeps a result that depends on weights alone, as a part of the module that computes it.

    In evaluation it is computed once and kept until the weights may change: by a pass with gradients, by training, by
    loading, or by a move to another device or type. After changing a weight by hand in evaluation mode, call forget.
    """

    def __init__(self) -> None:
        super().__init__()
        self._result: Tensor | None = None
        self.register_load_state_dict_post_hook(lambda module, _: module.forget())

    def forward(self, compute: Callable[[], Tensor]) -> Tensor:
        keep = not self.training and not torch.is_grad_enabled()
        if keep and self._result is not None:
            return self._result
        result = compute()
        self._result = result if keep else None
        return result

    def forget(self) -> None:
        """Drops what is kept."""
        self._result = None

    def train(self, mode: bool = True) -> Self:
        self.forget()
        return super().train(mode)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        self.forget()
        return super()._apply(fn, recurse)
