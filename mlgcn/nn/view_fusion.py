"""Several views of a study: one map of them all, and weights of their own for frontal and lateral images."""

import torch
from torch import Tensor, nn

from mlgcn.labels import VIEWS
from mlgcn.nn.positions import sine_positions

FRONTAL, LATERAL, UNKNOWN = range(len(VIEWS))
UNKNOWN_TO = ("frontal", "both")
# Of positions and residual branches when training starts, so that features come out much as a trained trunk gave them.
START = 0.1


class ViewFusion(nn.Module):
    """Joins the feature maps of a study's images by a transformer encoder over the places of all of them.

    Every place has its position within the image and the embedding of the slot that its image stands in; the places of
    slots without an image hold a learned token that nothing attends to, so that it does not learn.

    Args:
        features: D, a multiple of 4. views: V, the most images of a study.
        layers, heads, dropout: of the encoder; heads divide D.
        stride: a convolution first makes one place of so many a side, which divides the encoder's work by its fourth
            power.
    Shape: maps [n, D, h, w] and slots int64 [n, 2], of each image its study (0 to B - 1) and its slot (0 to V - 1) ->
        map [B, D, v * h', w'], one image under the other, v the slots that the batch uses; and bool [B, v * h', w'],
        true where there is an image. Without slots every image is a study of its own.
    Source: CheXFusion (Kim 2023), section 3, with stride 2; the released code has the token but no mask.
    Raises: ValueError on sizes that do not fit, a study without an image, a slot beyond V or taken twice.
    """

    def __init__(
        self, features: int, views: int = 4, layers: int = 2, heads: int = 8, dropout: float = 0.0, stride: int = 1
    ) -> None:
        super().__init__()
        if views < 1 or layers < 1 or stride < 1:
            raise ValueError(f"views is {views}, layers {layers} and stride {stride}, expected at least 1")
        if heads < 1 or features % heads or features % 4:
            raise ValueError(f"fusion of {features} features, expected a multiple of 4 and of the {heads} heads")
        self.views, self.stride = views, stride
        self.reduce = nn.Identity() if stride == 1 else nn.Conv2d(features, features, stride, stride)
        self.segments = nn.Parameter(torch.randn(views, features) * 0.02)
        self.padding = nn.Parameter(torch.randn(features) * 0.02)
        stack = [
            nn.TransformerEncoderLayer(
                features, heads, dim_feedforward=features, dropout=dropout, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        ]
        with torch.no_grad():
            for layer in stack:
                layer.self_attn.out_proj.weight.mul_(START)
                layer.linear2.weight.mul_(START)
                layer.linear2.bias.zero_()
        # Nested tensors would drop the padded places, whose number the caller relies on.
        self.encoder = nn.TransformerEncoder(stack[0], layers, enable_nested_tensor=False)
        self.encoder.layers = nn.ModuleList(stack)  # not its copies of one layer, which start with the same weights

    def forward(self, maps: Tensor, slots: Tensor | None = None) -> tuple[Tensor, Tensor]:
        study, slot = self._checked(slots, len(maps), maps.device)
        if min(maps.shape[2:]) < self.stride:
            raise ValueError(f"maps of {maps.shape[2]} x {maps.shape[3]} places are too small for stride {self.stride}")
        maps = self.reduce(maps)
        features, height, width = maps.shape[1:]
        studies, used = int(study.max()) + 1, int(slot.max()) + 1
        positions = START * sine_positions(height, width, features, maps.device)  # [h * w, D]
        tokens = self.padding.expand(studies, used, height * width, features).clone()
        # In the type of the weights: autocast gives maps in half precision, too coarse to add small numbers to.
        places = maps.flatten(2).mT.to(tokens.dtype) + positions.to(tokens.dtype)  # [n, h * w, D]
        tokens[study, slot] = places + self.segments[slot, None]
        present = torch.zeros(studies, used, dtype=torch.bool, device=maps.device)
        present[study, slot] = True
        mask = present[..., None].expand(studies, used, height * width).flatten(1)  # [B, v * h * w]
        fused = self.encoder(tokens.flatten(1, 2), src_key_padding_mask=~mask)
        shape = (used * height, width)
        return fused.mT.reshape(studies, features, *shape), mask.view(studies, *shape)

    def _checked(self, slots: Tensor | None, images: int, device: torch.device) -> tuple[Tensor, Tensor]:
        if not images:
            raise ValueError("the batch has no image")
        if slots is None:
            return torch.arange(images, device=device), torch.zeros(images, dtype=torch.int64, device=device)
        if slots.shape != (images, 2):
            raise ValueError(f"slots have shape {tuple(slots.shape)}, expected ({images} images, 2)")
        study, slot = slots.unbind(dim=1)
        if (wrong := (study < 0) | (study >= images)).any():
            raise ValueError(f"slots name study {int(study[wrong][0])}, expected 0 to {images - 1} for {images} images")
        if (wrong := (slot < 0) | (slot >= self.views)).any():
            where = f"study {int(study[wrong][0])} has an image in slot {int(slot[wrong][0])}"
            raise ValueError(f"{where}, expected 0 to {self.views - 1}")
        taken = torch.bincount(study * self.views + slot)
        if (taken > 1).any():
            place = int(taken.argmax())
            raise ValueError(f"study {place // self.views} has {int(taken[place])} images in slot {place % self.views}")
        if (empty := torch.bincount(study) == 0).any():
            raise ValueError(f"study {int(empty.int().argmax())} of the batch has no image")
        return study, slot


class ByView(nn.Module):
    """Two modules of one kind: one for frontal, one for lateral images.

    Args:
        unknown: where images of unknown view go: "frontal", or "both", of whose outputs the mean is taken.
    Shape: inputs [n, ...] and views int64 [n], places in mlgcn.labels.VIEWS -> outputs [n, ...]; without views all
        are unknown.
    Raises: ValueError on another setting of unknown, or views that are not one an image or not of VIEWS.
    """

    def __init__(self, frontal: nn.Module, lateral: nn.Module, unknown: str = "frontal") -> None:
        super().__init__()
        if unknown not in UNKNOWN_TO:
            raise ValueError(f"unknown is {unknown!r}, expected one of {list(UNKNOWN_TO)}")
        self.frontal, self.lateral, self.unknown = frontal, lateral, unknown

    def forward(self, inputs: Tensor, views: Tensor | None = None) -> Tensor:
        if views is None:
            views = torch.full((len(inputs),), UNKNOWN, device=inputs.device)
        if views.shape != (len(inputs),):
            raise ValueError(f"views have shape {tuple(views.shape)}, expected ({len(inputs)} images,)")
        if (wrong := (views < 0) | (views >= len(VIEWS))).any():
            raise ValueError(f"views hold {int(views[wrong][0])}, expected places in {list(VIEWS)}")
        frontal, lateral = views != LATERAL, views == LATERAL
        if self.unknown == "both":
            lateral = lateral | (views == UNKNOWN)
        parts = [
            _placed(module, inputs, chosen)
            for module, chosen in ((self.frontal, frontal), (self.lateral, lateral))
            if chosen.any()
        ]
        if len(parts) == 1:
            return parts[0]
        seen = (frontal.int() + lateral.int()).view(-1, *[1] * (parts[0].ndim - 1))
        return (parts[0] + parts[1]) / seen


def of_one_view(module: nn.Module) -> nn.Module:
    """What frontal images pass of a module, whether it is by view or not."""
    return module.frontal if isinstance(module, ByView) else module


def _placed(module: nn.Module, inputs: Tensor, chosen: Tensor) -> Tensor:
    """The module's outputs for the chosen inputs, 0 for the others."""
    if chosen.all():
        return module(inputs)
    outputs = module(inputs[chosen])
    placed = outputs.new_zeros(len(inputs), *outputs.shape[1:])
    placed[chosen] = outputs
    return placed
