"""What all networks of experts share: from images to one feature map an expert."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

from torch import Tensor, nn

from mlgcn.nn.view_fusion import ByView, ViewFusion


class ExpertNetwork(nn.Module):
    """A trunk, the experts' own last stages, and what joins the views of a study; a head makes logits of it.

    Args:
        trunk: images [n, 3, H, W] -> features [n, F, h, w]; of ByView, with the views.
        branches: one an expert, features -> [n, D, h', w']; of ByView, with the views.
        heads: one an expert, whatever makes its logits.
        fusion: joins the maps of a study's images, the same for every expert; without it each image stands alone.
    Raises: ValueError unless there is one head for every branch.
    """

    def __init__(
        self,
        trunk: nn.Module,
        branches: Sequence[nn.Module],
        heads: Sequence[nn.Module],
        fusion: ViewFusion | None = None,
    ) -> None:
        super().__init__()
        if not branches or len(branches) != len(heads):
            raise ValueError(f"got {len(branches)} branches and {len(heads)} heads, expected one of each an expert")
        self.trunk, self.fusion = trunk, fusion
        self.frozen: tuple[nn.Module, ...] = ()
        self.branches, self.heads = nn.ModuleList(branches), nn.ModuleList(heads)

    @abstractmethod
    def apart(self, images: Tensor, views: Tensor | None = None, slots: Tensor | None = None) -> Tensor:
        """What each expert makes of the images before any attends to another: [E, B, ...]. Arguments as in maps."""

    @abstractmethod
    def joined(self, apart: Tensor) -> Tensor:
        """The logits [E, B, C] of what `apart` gives."""

    @abstractmethod
    def of_experts(self, places: Sequence[int]) -> Self:
        """The network that has the experts of these places only, from 0; it shares their weights."""

    def forward(self, images: Tensor, views: Tensor | None = None, slots: Tensor | None = None) -> Tensor:
        return self.joined(self.apart(images, views, slots))

    def freeze(self, *modules: nn.Module) -> None:
        """Takes parts of the network out of training: no gradients, and batch statistics stay as they are."""
        self.frozen = modules
        for module in modules:
            module.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def maps(
        self, images: Tensor, views: Tensor | None = None, slots: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | None]:
        """One feature map an expert, [B, D, h, w], and where it holds something: bool [B, h, w], or none: everywhere.

        Args:
            images: [n, 3, H, W].
            views: int64 [n], places in mlgcn.labels.VIEWS; without them all are unknown.
            slots: int64 [n, 2], of each image its study, 0 to B - 1, and its place there; without them every image is
                a study of its own.
        Raises: ValueError on slots without a fusion that could join their images.
        """
        if self.fusion is None and slots is not None:
            raise ValueError("images come with slots of studies, but the network has no fusion to join them")
        features = _through(self.trunk, images, views)  # [n, F, h, w]
        maps = [_through(branch, features, views) for branch in self.branches]
        if self.fusion is None:
            return maps, None
        fused = [self.fusion(each, slots) for each in maps]
        return [each for each, _ in fused], fused[0][1]


def _through(module: nn.Module, inputs: Tensor, views: Tensor | None) -> Tensor:
    return module(inputs, views) if isinstance(module, ByView) else module(inputs)
