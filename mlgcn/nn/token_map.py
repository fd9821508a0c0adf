"""Vision transformers as trunk and stage: tokens laid out as maps."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class SizeCheck(nn.Module):
    """The images, unchanged.

    Raises: ValueError unless their height and width are multiples of the given number of pixels.
    """

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"images are {height} x {width} px, but heights and widths must be multiples of {self.multiple} for "
                "this trunk"
            )
        return images


def image_multiple(network: nn.Module) -> int:
    """What heights and widths of images must be multiples of, as the size checks within a network say."""
    return math.lcm(*(module.multiple for module in network.modules() if isinstance(module, SizeCheck)))


class TokenTrunk(nn.Module):
    """A vision transformer without its last block.

    The tokens of the image's patches become a map of features; above it stand as many rows as the tokens of the class
    and of registers need, filled up with zeros, so that the last block can attend to them as well.

    Args:
        network: timm's, without last block, normalisation and head.
        prefix: how many tokens precede those of patches.
    Shape: images [B, 3, H, W] -> [B, D, rows + h, w].
    """

    def __init__(self, network: Any, prefix: int) -> None:
        super().__init__()
        self.network, self.prefix = network, prefix

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.network.forward_features(images)  # [B, prefix + h * w, D]
        _, width = self.network.patch_embed.dynamic_feat_size(images.shape[-2:])
        before = pad(tokens[:, : self.prefix], (0, 0, 0, -self.prefix % width))
        return _as_map(torch.cat([before, tokens[:, self.prefix :]], dim=1), width)


class TokenStage(nn.Module):
    """The last block of a vision transformer, and what normalises its tokens.

    Shape: what TokenTrunk gives [B, D, rows + h, w] -> [B, D, h, w], the tokens of the patches.
    """

    def __init__(self, block: nn.Module, norm: nn.Module, prefix: int) -> None:
        super().__init__()
        self.block, self.norm, self.prefix = block, norm, prefix

    def forward(self, features: Tensor) -> Tensor:
        width = features.shape[-1]
        places = features.flatten(2).mT
        patches = places[:, self.prefix + -self.prefix % width :]
        tokens = self.norm(self.block(torch.cat([places[:, : self.prefix], patches], dim=1)))
        return _as_map(tokens[:, self.prefix :], width)


def _as_map(tokens: Tensor, width: int) -> Tensor:
    return tokens.mT.unflatten(2, (-1, width))
