"""Expert branches: each expert's own last stage."""

import copy

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

BRANCHES = ("pretrained", "slim")
SLIM_WIDTH = 512


def expert_branches(network: ResNet, experts: int, kind: str = "pretrained") -> tuple[list[nn.Module], int]:
    """The last stages of the experts, each with weights of its own, and the number D of features they give.

    Args:
        network: the ResNet that the trunk was taken from.
        experts: how many.
        kind: "pretrained", copies of the network's layer4, D = 2048 for ResNet-50 and deeper; "slim", a new layer4
            that is 512 wide at its output, as in the text and code of Seo et al. 2023, D = 512.
    Raises: ValueError if experts < 1 or kind is unknown.
    """
    if experts < 1:
        raise ValueError(f"experts must be >= 1, got {experts}")
    if kind == "pretrained":
        features = network.fc.in_features
        return [copy.deepcopy(network.layer4) for _ in range(experts)], features
    if kind == "slim":
        return [_slim_stage(network) for _ in range(experts)], SLIM_WIDTH
    raise ValueError(f"branch is {kind!r}, expected one of {list(BRANCHES)}")


def _slim_stage(network: ResNet) -> nn.Sequential:
    """A stage with as many blocks of the same type as layer4, half the resolution of layer3 and 512 features."""
    first = network.layer4[0]
    block: type[BasicBlock | Bottleneck] = type(first)
    inputs = first.conv1.in_channels
    planes = SLIM_WIDTH // block.expansion
    shortcut = nn.Sequential(nn.Conv2d(inputs, SLIM_WIDTH, 1, stride=2, bias=False), nn.BatchNorm2d(SLIM_WIDTH))
    blocks = [block(inputs, planes, stride=2, downsample=shortcut)]
    blocks += [block(SLIM_WIDTH, planes) for _ in range(len(network.layer4) - 1)]
    stage = nn.Sequential(*blocks)
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stage
