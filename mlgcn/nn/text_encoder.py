"""A text encoder that is trained with the network."""

from typing import Any

import torch
from torch import Tensor, nn

from embeddings import LabelTexts
from embeddings.language_model import pooled_texts
from mlgcn.nn.kept import Kept


class TextEncoder(nn.Module):
    """Label vectors that a language model makes of the labels' texts, anew whenever its weights may have changed.

    Args:
        network: the language model, as read_label_texts gives it or LabelTexts builds it.
        texts: what it reads.
    Shape: forward() -> [C, F], of the weights' type whatever the autocast type; in evaluation kept as Kept says.
    """

    network: Any  # transformers has its own attributes
    numbers: Tensor
    mask: Tensor

    def __init__(self, network: nn.Module, texts: LabelTexts) -> None:
        super().__init__()
        self.network, self.texts, self.kept = network, texts, Kept()
        # Not among the weights: whoever saves those also saves the texts.
        self.register_buffer("numbers", texts.numbers.clone(), persistent=False)
        self.register_buffer("mask", texts.mask.clone(), persistent=False)

    def forward(self) -> Tensor:
        return self.kept(self._vectors)

    def reading(self, texts: LabelTexts) -> "TextEncoder":
        """The same language model, its weights shared, with other texts."""
        other = TextEncoder(self.network, texts).to(self.numbers.device)
        other.training = other.kept.training = self.training
        return other

    def _vectors(self) -> Tensor:
        with torch.autocast(self.numbers.device.type, enabled=False):
            return pooled_texts(self.network, self.numbers, self.mask, self.texts.pooling)
