"""The network with label queries: each expert decodes its feature map."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlgcn.nn.expert_network import ExpertNetwork
from mlgcn.nn.query_decoder import QueryDecoder, TextQueries
from mlgcn.nn.text_encoder import TextEncoder
from mlgcn.nn.view_fusion import ViewFusion


class QueryModel(ExpertNetwork):
    """Multi-label classifier of one or several experts whose labels ask the feature map, each with a query of its own.

    Args:
        trunk, branches, fusion: as in ExpertNetwork.
        decoders: one an expert, maps [B, D, h, w] -> logits [B, C].
        encoder: where their queries are TextQueries, makes the label vectors of all of them.
    Shape: images [n, 3, H, W] -> expert logits [E, B, C], float32 or better; the model's logits are their mean.
    Source: Query2Label (Liu et al. 2021), ML-Decoder (Ridnik et al. 2023); on chest X-rays Hong et al. 2023 ("bag of
        tricks") and CheXFusion (Kim 2023), both with one expert.
    Raises: ValueError unless there is one decoder for every branch, and an encoder if queries need it and only then.
    """

    def __init__(
        self,
        trunk: nn.Module,
        branches: Sequence[nn.Module],
        decoders: Sequence[QueryDecoder],
        fusion: ViewFusion | None = None,
        encoder: TextEncoder | None = None,
    ) -> None:
        super().__init__(trunk, branches, decoders, fusion)
        if any(isinstance(decode.queries, TextQueries) == (encoder is None) for decode in decoders):
            raise ValueError("queries of texts need a text encoder, and no others do")
        self.encoder = encoder

    def apart(self, images: Tensor, views: Tensor | None = None, slots: Tensor | None = None) -> Tensor:
        """Logits [E, B, C] already, since no expert attends to another."""
        maps, mask = self.maps(images, views, slots)
        vectors = None if self.encoder is None else self.encoder()  # [C, F]
        return torch.stack([decode(each, mask, vectors) for decode, each in zip(self.heads, maps, strict=True)])

    def joined(self, apart: Tensor) -> Tensor:
        return apart

    def of_experts(self, places: Sequence[int]) -> "QueryModel":
        branches = [self.branches[place] for place in places]
        heads: list[Any] = [self.heads[place] for place in places]
        return QueryModel(self.trunk, branches, heads, self.fusion, self.encoder).train(self.training)
