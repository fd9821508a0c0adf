"""What a network costs: its parameters and the floating point operations of an image, part by part."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mlgcn.nn.expert_network import ExpertNetwork
from mlgcn.nn.label_gcn import LabelGCN
from mlgcn.nn.multi_expert import MultiExpertGCN
from mlgcn.nn.query_model import QueryModel
from mlgcn.nn.view_fusion import of_one_view

# By attribute of the network; all else is its head.
PARTS = {"trunk": "trunk", "branches": "experts", "fusion": "fusion"}


@dataclass(frozen=True)
class PartCost:
    """Of a part of a network: its weights, how many of them are trained, and FLOPs an image."""

    parameters: int
    trainable: int
    flops: float


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parts: trunk, experts (their last stages), fusion (0 without one) and head (all else); FLOPs of an image.
        label_flops: what depends on the labels alone (graph convolutions, attention among classifiers, a text encoder,
            projection of queries), counted in no part. Classifiers and what a text encoder says are computed once in
            evaluation and once a batch in training, queries once a batch.
    """

    parts: dict[str, PartCost]
    label_flops: int

    @property
    def total(self) -> PartCost:
        """All parts together."""
        parts = self.parts.values()
        return PartCost(
            sum(part.parameters for part in parts),
            sum(part.trainable for part in parts),
            sum(part.flops for part in parts),
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: the parts and their total, each with its shares of all parameters and FLOPs."""
        total = self.total
        rows = {
            name: {
                "parameters": part.parameters,
                "parameter_share": part.parameters / total.parameters,
                "trainable": part.trainable,
                "flops": part.flops,
                "flops_share": part.flops / total.flops,
            }
            for name, part in {**self.parts, "total": total}.items()
        }
        return {"parts": rows, "label_flops": self.label_flops}


def cost(model: ExpertNetwork, image_size: int, images_per_study: int = 1, training: bool = False) -> Cost:
    """Parameters and FLOPs of a network, part by part; nothing is computed and the model stays as it is.

    Counted are convolutions and matrix products, those of attention among them, at 2 FLOPs a multiply-add, as
    torch.utils.flop_counter does, and 2 FLOPs an edge and feature for the message passing of a label GCN. Not counted
    are normalisation, activations, pooling, softmax and other sums. Of two modules by view an image passes one; where
    images of unknown view pass both, they cost more than told here.

    Args:
        image_size: height and width in pixels.
        images_per_study: how many images the fusion joins; what a study costs is shared among them.
        training: counts the backward pass too, as far as weights are trained.
    Raises: ValueError on images of a study that no fusion joins, or more than it does, and as the trunk does on sizes;
        TypeError on a network of another head.
    """
    most = 1 if model.fusion is None else model.fusion.views
    if not 1 <= images_per_study <= most:
        raise ValueError(f"images_per_study is {images_per_study}, expected 1 to {most}: the network joins no more")
    device = next(model.parameters()).device
    with _counting(model) as copied:
        images = torch.empty(images_per_study, 3, image_size, image_size, device=device)
        flops = dict.fromkeys((*PARTS.values(), "head"), 0)
        features, flops["trunk"] = _measure(of_one_view(copied.trunk), [images], training)
        maps = []
        for branch in copied.branches:
            each, spent = _measure(of_one_view(branch), [features], training)
            maps.append(each)
            flops["experts"] += spent
        if copied.fusion is not None:
            for at, each in enumerate(maps):
                fewer, reduced = _measure(copied.fusion.reduce, [each], training)
                maps[at], spent = _fuse(copied.fusion.encoder, fewer, training)
                flops["fusion"] += reduced + spent
        flops["head"], labels = _head(copied, maps, training)
    weights = _parameters(model)
    parts = {name: PartCost(*weights[name], flops=flops[name] / images_per_study) for name in flops}
    return Cost(parts, labels + _message_passing(model, training))


@contextmanager
def _counting(model: ExpertNetwork) -> Iterator[ExpertNetwork]:
    """A copy of the model in evaluation mode, whose tensors have shapes but no values; attention is matrix products."""
    fake, fast = FakeTensorMode(), torch.backends.mha.get_fastpath_enabled()
    with FakeCopyMode(fake):
        # One value a channel, as of an image of 32 pixels, is too little for batch normalisation that trains.
        copied = copy.deepcopy(model).eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with fake, sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            yield copied
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _measure(run: Callable[..., Tensor], inputs: Sequence[Tensor], training: bool) -> tuple[Tensor, int]:
    """What comes out, cut off from what went in, and the FLOPs; of the gradients too, of all that asks for one."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _backward}) as counter:
        outputs = run(*inputs)
        if training and outputs.requires_grad:
            outputs.backward(torch.ones_like(outputs))
    return outputs.detach().requires_grad_(outputs.requires_grad), counter.get_total_flops()


def _backward(
    gradient: Sequence[int], inputs: Sequence[int], weight: Sequence[int], bias: Any, stride: Any, padding: Any,
    dilation: Any, transposed: bool, output_padding: Any, groups: int, wanted: Sequence[bool], **_: Any,
) -> int:  # fmt: skip
    """FLOPs of a convolution's gradients, given shapes: those of the images and of the weights each take its own again.

    torch's count multiplies those of grouped convolutions by the groups: 64 times too many of a depthwise one of 64.
    """
    places = inputs if transposed else gradient
    return 2 * math.prod(places) * math.prod(weight[1:]) * sum(wanted[:2])


def _fuse(encoder: nn.Module, maps: Tensor, training: bool) -> tuple[Tensor, int]:
    """The joint map [1, D, v * h, w] of the images [v, D, h, w] of a study."""
    images, features, height, width = maps.shape
    tokens, flops = _measure(encoder, [maps.flatten(2).mT.flatten(0, 1)[None]], training)  # [1, v * h * w, D]
    fused = tokens.mT.reshape(1, features, images * height, width)
    return fused.detach().requires_grad_(tokens.requires_grad), flops


def _head(model: ExpertNetwork, maps: list[Tensor], training: bool) -> tuple[int, int]:
    """The FLOPs of the head, and apart from them those of what depends on the labels alone."""
    if isinstance(model, MultiExpertGCN):
        return _classifier_head(model, maps, training)
    if isinstance(model, QueryModel):
        encoded = None if model.encoder is None else _measure(model.encoder, [], training)
        given = [] if encoded is None else [encoded[0]]
        counts = [_query_head(head, each, given, training) for head, each in zip(model.heads, maps, strict=True)]
        labels = sum(labels for _, labels in counts) + (0 if encoded is None else encoded[1])
        return sum(image for image, _ in counts), labels
    raise TypeError(f"the cost of a {type(model).__name__} is not known, expected MultiExpertGCN or QueryModel")


def _classifier_head(model: MultiExpertGCN, maps: list[Tensor], training: bool) -> tuple[int, int]:
    rows, labels = _measure(model.classifiers, [], training)

    def score(pooled: Tensor, rows: Tensor) -> Tensor:
        if model.attention is not None and not model.attention.depends_on_image:
            pooled = model.attention.images(pooled)
        return model.logits(pooled, rows)

    pooled = torch.stack([model.pool(each) for each in maps]).detach()  # [E, 1, D]
    pooled.requires_grad_(any(each.requires_grad for each in maps))
    return _measure(score, [pooled, rows], training)[1], labels


def _query_head(decoder: Any, maps: Tensor, given: list[Tensor], training: bool) -> tuple[int, int]:
    """As _head, of one decoder; with the label vectors that are given to its queries, if any are."""
    _, labels = _measure(decoder.queries, given, training)
    _, both = _measure(lambda maps, *vectors: decoder(maps, None, *vectors), [maps, *given], training)
    return both - labels, labels


def _message_passing(model: nn.Module, training: bool) -> int:
    """FLOPs of adding up neighbours, which the counter leaves out; the gradients take as many."""
    return sum(
        2 * layer.edge_weight.numel() * convolution.out_channels * (2 if training else 1)
        for layer in model.modules()
        if isinstance(layer, LabelGCN)
        for convolution in (layer.first, layer.second)
    )


def _parameters(model: ExpertNetwork) -> dict[str, tuple[int, int]]:
    """Weights of each part, all and trained."""
    found = dict.fromkeys((*PARTS.values(), "head"), (0, 0))
    for name, weight in model.named_parameters():
        part = PARTS.get(name.partition(".")[0], "head")
        count, trained = found[part]
        found[part] = count + weight.numel(), trained + weight.numel() * weight.requires_grad
    return found
