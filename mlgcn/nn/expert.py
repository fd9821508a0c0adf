"""Expert branches: each expert's own last stage."""

import copy
from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from mlgcn.nn.cut import Trunk

BRANCHES = ("pretrained", "slim", "wide")
SLIM_WIDTH = 512


def expert_branches(
    trunk: Trunk, experts: int, kind: str = "pretrained", width: int = 1024
) -> tuple[list[nn.Module], int]:
    """The last stages of the experts, each with weights of its own, and the number D of features they give.

    Args:
        trunk: what the experts share.
        experts: how many.
        kind: "pretrained", copies of the network's last stage; for ResNets of torchvision also "slim", a new layer4
            that is 512 wide at its output, as in the text and code of Seo et al. 2023, D = 512, and "wide", a new
            layer4 with D as it was and blocks that are `width` wide inside.
        width: of wide branches.
    Raises: ValueError if experts or width < 1, kind is unknown, or slim or wide branches are asked of another network.
    """
    if experts < 1:
        raise ValueError(f"experts must be >= 1, got {experts}")
    if kind == "pretrained":
        return [copy.deepcopy(trunk.stage) for _ in range(experts)], trunk.features
    if kind == "slim":
        return [_new_stage(trunk, kind, SLIM_WIDTH) for _ in range(experts)], SLIM_WIDTH
    if kind == "wide":
        if width < 1:
            raise ValueError(f"width must be >= 1, got {width}")
        return [_new_stage(trunk, kind, trunk.features, width) for _ in range(experts)], trunk.features
    raise ValueError(f"branch is {kind!r}, expected one of {list(BRANCHES)}")


def _new_stage(trunk: Trunk, kind: str, features: int, width: int | None = None) -> nn.Sequential:
    """A stage with as many blocks of the same type as layer4 and half the resolution of layer3."""
    layer4: Any = trunk.stage
    if trunk.family != "ResNet":
        raise ValueError(f"branch {kind!r} is known for ResNets of torchvision alone, got a {trunk.family}")
    block: type[BasicBlock | Bottleneck] = type(layer4[0])
    planes = features // block.expansion
    shortcut = nn.Sequential(nn.Conv2d(trunk.width, features, 1, stride=2, bias=False), nn.BatchNorm2d(features))
    blocks = [block(trunk.width, planes, stride=2, downsample=shortcut)]
    blocks += [block(features, planes) for _ in range(len(layer4) - 1)]
    if width is not None:
        for one in blocks:
            _widen(one, width)
    stage = nn.Sequential(*blocks)
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stage


def _widen(block: BasicBlock | Bottleneck, width: int) -> None:
    """Gives the block new convolutions, all but its first input and last output `width` wide."""
    names = ["conv1", "conv2", "conv3"] if isinstance(block, Bottleneck) else ["conv1", "conv2"]
    inputs = block.conv1.in_channels
    for name in names:
        old: nn.Conv2d = getattr(block, name)
        outputs = old.out_channels if name == names[-1] else width
        setattr(block, name, nn.Conv2d(inputs, outputs, old.kernel_size, old.stride, old.padding, bias=False))  # type: ignore[arg-type]
        setattr(block, name.replace("conv", "bn"), nn.BatchNorm2d(outputs))
        inputs = outputs
