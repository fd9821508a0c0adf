"""Where a network is cut in two: the trunk that all experts share, and the last stage that each has its own copy of."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from mlgcn.nn.token_map import SizeCheck, TokenStage, TokenTrunk

# ImageNet's statistics, of grey values in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Trunk:
    """A network in two parts, and what is known of its weights.

    Attributes:
        trunk: images [B, 3, H, W] -> features [B, F, h, w].
        stage: features -> [B, D, h', w'], the last stage, which experts copy.
        features: D.
        width: F.
        family: of the network, in words.
        multiple: heights and widths of images must be multiples of it.
        report: which weights the network has, in one line.
        mean, std: what the weights expect images to be normalised by, a channel each, of grey values in [0, 1].
    """

    trunk: nn.Module
    stage: nn.Module
    features: int
    width: int
    family: str
    multiple: int = 1
    report: str = ""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def cut(network: nn.Module, name: str) -> Trunk:
    """The network in two parts; of a vision transformer, the network itself is what its trunk keeps.

    Stage after trunk gives the map that the classifier pools; of ConvNeXt and MaxViT, whose classifier begins with a
    normalisation of what it has pooled, the stage ends with that normalisation, place by place.

    Args:
        network: of torchvision or timm.
        name: for the error.
    Raises: ValueError if it is of no family below.
    """
    kind = type(network)
    found = CUTS.get((kind.__module__.partition(".")[0], kind.__name__))
    if found is None:
        raise ValueError(
            f"trunk {name!r} is a {kind.__name__}, and it is not known where the last stage of such a network begins, "
            "which every expert has a copy of; known are ResNet, ResNeXt, Wide ResNet, DenseNet and ConvNeXt of "
            f"torchvision, and of timm the classes {sorted(kind for library, kind in CUTS if library == 'timm')}"
        )
    return found(network)


def _resnet(network: Any) -> Trunk:
    return Trunk(
        nn.Sequential(
            nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool),
            network.layer1,
            network.layer2,
            network.layer3,
        ),
        network.layer4,
        features=network.fc.in_features,
        width=network.layer4[0].conv1.in_channels,
        family="ResNet",
    )


def _densenet(network: Any) -> Trunk:
    return Trunk(
        network.features[:-2],
        nn.Sequential(network.features.denseblock4, network.features.norm5, nn.ReLU(inplace=True)),
        features=network.classifier.in_features,
        width=network.features.transition3.conv.out_channels,
        family="DenseNet",
    )


def _convnext(network: Any) -> Trunk:
    norm, _, classifier = network.classifier
    downsample, blocks = network.features[6:]
    return Trunk(
        network.features[:6],
        nn.Sequential(downsample, blocks, norm),
        features=classifier.in_features,
        width=downsample[1].in_channels,
        family="ConvNeXt",
    )


def _timm_resnet(network: Any) -> Trunk:
    stem = nn.Sequential(network.conv1, network.bn1, network.act1, network.maxpool)
    return Trunk(
        nn.Sequential(stem, network.layer1, network.layer2, network.layer3),
        network.layer4,
        features=network.num_features,
        width=_width(network),
        family="timm ResNet",
    )


def _timm_regnet(network: Any) -> Trunk:
    return Trunk(
        nn.Sequential(network.stem, network.s1, network.s2, network.s3),
        nn.Sequential(network.s4, network.final_conv),
        features=network.num_features,
        width=_width(network),
        family="timm RegNet",
    )


def _timm_densenet(network: Any) -> Trunk:
    layers = dict(network.features.named_children())
    last = [name for name in layers if name.startswith("denseblock")][-1]
    at = list(layers).index(last)
    return Trunk(
        network.features[:at],
        network.features[at:],  # its last normalisation includes the activation
        features=network.num_features,
        width=network.features[at - 1].conv.out_channels,
        family="timm DenseNet",
    )


def _timm_convnext(network: Any) -> Trunk:
    return Trunk(
        nn.Sequential(network.stem, *network.stages[:-1]),
        nn.Sequential(network.stages[-1], network.norm_pre, _head_norm(network)),
        features=network.num_features,
        width=_width(network),
        family="timm ConvNeXt",
    )


def _timm_efficientnet(network: Any) -> Trunk:
    # The stage is all that follows the last map of a higher resolution, such as blocks.4.
    at = int(network.feature_info[-2]["module"].removeprefix("blocks.")) + 1
    return Trunk(
        nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:at]),
        nn.Sequential(*network.blocks[at:], network.conv_head, network.bn2),
        features=network.num_features,
        width=_width(network),
        family="timm EfficientNet",
    )


def _timm_maxvit(network: Any) -> Trunk:
    if any(type(module).__name__ == "TransformerBlock2d" for module in network.modules()):
        raise ValueError(
            "CoAtNet attends over its whole map, whose size is fixed, which fits no other size of images; of its "
            "relatives in timm the names that begin with maxvit or maxxvit are known"
        )
    multiples = [
        info["reduction"] * size
        for info in network.feature_info
        for module in network.get_submodule(info["module"]).modules()
        for size in getattr(module, "partition_size", ())
    ]
    multiple = math.lcm(*multiples)
    return Trunk(
        nn.Sequential(SizeCheck(multiple), network.stem, *network.stages[:-1]),
        nn.Sequential(network.stages[-1], network.norm, _head_norm(network)),
        features=network.num_features,
        width=_width(network),
        family="timm MaxViT",
        multiple=multiple,
    )


def _timm_vit(network: Any) -> Trunk:
    multiple, width, prefix = network.patch_embed.feat_ratio(), network.embed_dim, network.num_prefix_tokens
    # The normalisation stands before the pooling or after it.
    stage = TokenStage(network.blocks[-1], nn.Sequential(network.norm, network.fc_norm), prefix)
    network.blocks = network.blocks[:-1]
    network.norm, network.fc_norm, network.head, network.attn_pool = nn.Identity(), nn.Identity(), nn.Identity(), None
    return Trunk(
        nn.Sequential(SizeCheck(multiple), TokenTrunk(network, prefix)),
        stage,
        features=width,
        width=width,
        family="timm vision transformer",
        multiple=multiple,
    )


def _width(network: Any) -> int:
    """Channels of the last map of a higher resolution than the final one."""
    return network.feature_info[-2]["num_chs"]


def _head_norm(network: Any) -> nn.Module:
    return getattr(network.head, "norm", nn.Identity())


CUTS: dict[tuple[str, str], Callable[[Any], Trunk]] = {
    ("torchvision", "ResNet"): _resnet,
    ("torchvision", "DenseNet"): _densenet,
    ("torchvision", "ConvNeXt"): _convnext,
    ("timm", "ResNet"): _timm_resnet,
    ("timm", "RegNet"): _timm_regnet,
    ("timm", "DenseNet"): _timm_densenet,
    ("timm", "ConvNeXt"): _timm_convnext,
    ("timm", "EfficientNet"): _timm_efficientnet,
    ("timm", "MaxxVit"): _timm_maxvit,
    ("timm", "VisionTransformer"): _timm_vit,
}
