"""Expert branches: each expert's own last stage."""

import copy
from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from mlgcn.nn.cut import Trunk

BRANCHES = ("pretrained", "slim", "wide")
SLIM_WIDTH = 512


def expert_branches(
    trunk: Trunk, experts: int, kind: str = "pretrained", width: int | None = None
) -> tuple[list[nn.Module], int]:
    """The last stages of the experts, each with weights of its own, and the number D of features they give.

    Args:
        trunk: what the experts share.
        experts: how many.
        kind: "pretrained", copies of the network's last stage; "slim", for ResNets of torchvision, a new layer4 that is
            512 wide at its output, as in the text and code of Seo et al. 2023, D = 512; "wide", for ResNets of
            torchvision from 50 layers on, a new layer4 whose blocks are `width` wide inside, D as it was.
        width: of wide branches.
    Raises: ValueError if experts < 1, kind is unknown, slim or wide branches are asked of another network, or there is
        a width without wide branches or the other way round.
    """
    if experts < 1:
        raise ValueError(f"experts must be >= 1, got {experts}")
    if (kind == "wide") != (width is not None) or (width is not None and width < 1):
        raise ValueError(f"branch is {kind!r} and its width {width}, expected a width >= 1 for wide branches alone")
    if kind == "pretrained":
        return [copy.deepcopy(trunk.stage) for _ in range(experts)], trunk.features
    if kind == "slim":
        return [_new_stage(trunk, kind, SLIM_WIDTH) for _ in range(experts)], SLIM_WIDTH
    if kind == "wide":
        return [_new_stage(trunk, kind, trunk.features, width) for _ in range(experts)], trunk.features
    raise ValueError(f"branch is {kind!r}, expected one of {list(BRANCHES)}")


def _new_stage(trunk: Trunk, kind: str, features: int, width: int | None = None) -> nn.Sequential:
    """A stage with as many blocks of the same type as layer4 and half the resolution of layer3."""
    layer4: Any = trunk.stage
    if trunk.family != "ResNet":
        raise ValueError(f"branch {kind!r} is known for ResNets of torchvision alone, got a {trunk.family}")
    block: type[BasicBlock | Bottleneck] = type(layer4[0])
    planes = features // block.expansion
    inside = {}
    if width is not None:
        if block is not Bottleneck:
            raise ValueError("branch 'wide' is known for ResNets from 50 layers on, whose blocks have a width inside")
        inside["base_width"] = 64 * width / planes  # what the block divides again; planes is a power of two
    shortcut = nn.Sequential(nn.Conv2d(trunk.width, features, 1, stride=2, bias=False), nn.BatchNorm2d(features))
    blocks = [block(trunk.width, planes, stride=2, downsample=shortcut, **inside)]
    blocks += [block(features, planes, **inside) for _ in range(len(layer4) - 1)]
    stage = nn.Sequential(*blocks)
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stage
