"""The network: one trunk, several experts, classifiers from the label graph."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mlgcn.nn.attention import SharedAttention
from mlgcn.nn.expert_network import ExpertNetwork
from mlgcn.nn.kept import Kept
from mlgcn.nn.view_fusion import ViewFusion


class MultiExpertGCN(ExpertNetwork):
    """Multi-label classifier of several experts over a shared trunk.

    One expert with max pooling and no attention is ML-GCN (Chen et al. 2019).

    Args:
        trunk, branches, fusion: as in ExpertNetwork.
        classifiers: one an expert, () -> [C, D].
        pool: [B, D, h', w'] -> [B, D]; with fusion, and a mask [B, h', w'] of the places that count.
        attention: refines image vectors and classifiers, or none.
    Shape: images [B, 3, H, W] -> expert logits [E, B, C], float32 or better; the model's logits are their mean.
    Source: Seo et al. 2023, section 3.
    Raises: ValueError unless there is one classifier for every branch.
    """

    def __init__(
        self,
        trunk: nn.Module,
        branches: Sequence[nn.Module],
        classifiers: Sequence[nn.Module],
        pool: Callable[[Tensor], Tensor],
        attention: SharedAttention | None = None,
        fusion: ViewFusion | None = None,
    ) -> None:
        super().__init__(trunk, branches, classifiers, fusion)
        self.pool, self.attention, self.kept = pool, attention, Kept()

    def apart(self, images: Tensor, views: Tensor | None = None, slots: Tensor | None = None) -> Tensor:
        """Pooled vectors [E, B, D]."""
        maps, mask = self.maps(images, views, slots)
        masked = {} if mask is None else {"mask": mask}
        return torch.stack([self.pool(features, **masked) for features in maps])

    def joined(self, apart: Tensor) -> Tensor:
        return self.logits(self._refined_vectors(apart), self.classifiers())

    def of_experts(self, places: Sequence[int]) -> "MultiExpertGCN":
        branches, heads = [self.branches[place] for place in places], [self.heads[place] for place in places]
        part = MultiExpertGCN(self.trunk, branches, heads, self.pool, self.attention, self.fusion)
        return part.train(self.training)

    def image_vectors(self, images: Tensor, views: Tensor | None = None, slots: Tensor | None = None) -> Tensor:
        """The image vectors of all experts [E, B, D], refined unless that needs the classifiers."""
        return self._refined_vectors(self.apart(images, views, slots))

    def _refined_vectors(self, pooled: Tensor) -> Tensor:
        if self.attention is None or self.attention.depends_on_image:
            return pooled
        with torch.autocast(pooled.device.type, enabled=False):
            return self.attention.images(pooled)

    def logits(self, vectors: Tensor, classifiers: Tensor) -> Tensor:
        """The logits of what image_vectors and classifiers give: [E, B, D], [E, C, D] -> [E, B, C]."""
        # Dot products of D terms lose too much in half precision.
        with torch.autocast(vectors.device.type, enabled=False):
            if self.attention is not None and self.attention.depends_on_image:
                vectors, rows = self.attention.joint(vectors, classifiers)  # [E, B, D], [E, B, C, D]
                return (rows @ vectors[..., None]).squeeze(-1)
            return vectors @ classifiers.mT

    def classifiers(self) -> Tensor:
        """The classifiers of all experts [E, C, D], refined unless that needs the image.

        They depend on weights alone, so evaluation keeps them, as Kept says. After changing a weight by hand in
        evaluation mode, call forget_classifiers.
        """
        return self.kept(self._classifiers)

    def refined(self, rows: Tensor) -> Tensor:
        """Rows of the heads [E, C, D] as attention among themselves leaves them; the same where it needs the image."""
        if self.attention is None or self.attention.depends_on_image:
            return rows
        return self.attention.classifiers(rows)

    def forget_classifiers(self) -> None:
        """Drops the classifiers kept in evaluation mode."""
        self.kept.forget()

    def _classifiers(self) -> Tensor:
        device = next(self.heads.parameters()).device.type
        with torch.autocast(device, enabled=False):
            return self.refined(torch.stack([head() for head in self.heads]))
