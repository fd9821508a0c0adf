"""The network."""

import copy
import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mlgcn.config import Config
from mlgcn.data.resolutions import RESOLUTIONS, STEP, side_near
from mlgcn.graph import propagation
from mlgcn.nn import (
    POOLINGS,
    ByView,
    ExpertNetwork,
    LabelGCN,
    LearnedQueries,
    LinearClassifiers,
    MultiExpertGCN,
    QueryDecoder,
    QueryModel,
    SharedAttention,
    TextEncoder,
    TextQueries,
    VectorQueries,
    ViewFusion,
    build_trunk,
    expert_branches,
    image_multiple,
    map_side,
)
from mlgcn.nn.cut import Trunk
from mlgcn.seeding import WEIGHTS, torch_seed


class BuiltModel(NamedTuple):
    """A network, in one line which weights its trunk has, and the normalisation of images that those expect."""

    model: ExpertNetwork
    weights: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def build_model(
    config: Config, vectors: Tensor, graph: Data | None, seed: int = 0, encoder: TextEncoder | None = None
) -> BuiltModel:
    """The network, its random weights drawn from the seed.

    Args:
        vectors: of the labels, [C, F].
        graph: of the labels; without one, classifiers are linear.
        encoder: of their texts, with query.vectors encoder; it becomes a part of the network.
    Raises: ValueError as the parts, and on images that are too small or no multiple of what the trunk takes;
        FileNotFoundError and ConnectionError as build_trunk.
    """
    settings = config.model
    with torch_seed(seed, WEIGHTS):
        model: ExpertNetwork
        parts = build_trunk(settings.trunk, settings.weights)
        if config.data.image_size % parts.multiple:
            size = f"data.image_size is {config.data.image_size}"
            raise ValueError(f"{size}, expected a multiple of {parts.multiple} for {settings.trunk}")
        _check_stride(config, parts)
        trunk = parts.trunk
        branches, features = expert_branches(parts, settings.experts, settings.branch, settings.branch_width)
        if config.fusion.trunks != "one":
            trunk = _by_view(trunk, config.fusion.unknown)
        if config.fusion.trunks == "features":
            branches = [_by_view(branch, config.fusion.unknown) for branch in branches]
        if settings.head == "gcn":
            model = _with_classifiers(config, trunk, branches, features, vectors, graph)
        else:
            decoders = [_decoder(config, features, vectors, graph) for _ in branches]
            model = QueryModel(trunk, branches, decoders, _fusion(config, features), encoder)
    if settings.freeze != "none":
        model.freeze(*([model.trunk] if settings.freeze == "trunk" else [model.trunk, model.branches]))
    # Convolutions run faster with channels last, on the CPU as on the GPU.
    return BuiltModel(model.to(memory_format=torch.channels_last), parts.report, parts.mean, parts.std)


def check_lone_images(config: Config, model: ExpertNetwork) -> None:
    """Raises ValueError if training would fail on a batch that has a single image of a view.

    Where experts' last stages are by view and the last map has one place, it gives batch normalisation one value.
    """
    if config.fusion.trunks != "features" or config.model.freeze == "features":
        return
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.branches.modules())
    if normalised and map_side(model.trunk, model.branches[0], config.data.image_size) == 1:
        raise ValueError(
            f"data.image_size {config.data.image_size} leaves a last map of one place, which is too small for batch "
            "normalisation by view (fusion.trunks features): give larger images, or model.freeze features"
        )


def check_resolutions(config: Config, model: nn.Module) -> None:
    """Raises ValueError if there are no smaller and larger images that the network could be given in scoring."""
    size, multiple = config.data.image_size, image_multiple(model)
    smaller, larger = (side_near(size, share, multiple) for share in RESOLUTIONS)
    if "resolution" in config.evaluation.tta and not smaller < size < larger:
        raise ValueError(
            f"evaluation.tta resolution: near 3/4 and 5/4 of data.image_size {size} there are no other multiples of "
            f"{math.lcm(STEP, multiple)} px, which is of {STEP} and of {config.model.trunk}'s {multiple}"
        )


def _check_stride(config: Config, parts: Trunk) -> None:
    settings, size = config.fusion, config.data.image_size
    if settings.views is None or settings.stride == 1:
        return
    side = map_side(parts.trunk, parts.stage, size)
    if settings.stride > side:
        raise ValueError(
            f"fusion.stride is {settings.stride}, expected at most {side}: of data.image_size {size}, "
            f"{config.model.trunk} has a map of {side} x {side} places"
        )


def _with_classifiers(
    config: Config, trunk: nn.Module, branches: list[nn.Module], features: int, vectors: Tensor, graph: Data | None
) -> MultiExpertGCN:
    """Pooling, and classifiers from the label graph."""
    settings = config.model
    classifiers = [
        LinearClassifiers(len(vectors), features)
        if graph is None
        else LabelGCN(vectors, *propagation(graph), features, settings.hidden)
        for _ in branches
    ]
    attention = None
    if settings.attention != "none":
        attention = SharedAttention(features, settings.heads, settings.attention, settings.dropout)
    pool = POOLINGS[settings.pooling]
    if settings.pooling == "lse":
        pool = partial(pool, sharpness=settings.sharpness)
    return MultiExpertGCN(trunk, branches, classifiers, pool, attention, _fusion(config, features))


def _decoder(config: Config, features: int, vectors: Tensor, graph: Data | None) -> QueryDecoder:
    settings = config.query
    queries: nn.Module
    if settings.vectors == "learned":
        queries = LearnedQueries(settings.groups or len(vectors), settings.width)
    elif settings.vectors == "graph" and graph is not None:
        queries = LabelGCN(vectors, *propagation(graph), settings.width, config.model.hidden)
    elif settings.vectors == "encoder":
        queries = TextQueries(vectors.shape[1], settings.width)
    else:
        queries = VectorQueries(vectors, settings.width, tuned=settings.vectors == "tuned")
    return QueryDecoder(
        features,
        queries,
        len(vectors),
        settings.width,
        settings.layers,
        settings.heads,
        settings.dropout,
        settings.classifier,
        settings.groups,
        positions=config.fusion.views is None,  # else the fusion has told them
    )


def _fusion(config: Config, features: int) -> ViewFusion | None:
    settings = config.fusion
    if settings.views is None:
        return None
    return ViewFusion(features, settings.views, settings.layers, settings.heads, settings.dropout, settings.stride)


def _by_view(module: nn.Module, unknown: str) -> ByView:
    """Two copies that start alike."""
    return ByView(module, copy.deepcopy(module), unknown)
