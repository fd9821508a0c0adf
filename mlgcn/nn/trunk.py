"""Trunks: the part of a ResNet that all experts share."""

import torchvision
from torch import nn
from torchvision.models.resnet import ResNet

from mlgcn.nn.weights import load_weights


def build_trunk(name: str = "resnet101", weights: str = "imagenet") -> tuple[nn.Sequential, ResNet, str]:
    """The stem to layer3 of a torchvision ResNet, the network they were taken from, and which weights it has.

    The network is returned because experts copy its layer4.

    Args:
        name: any ResNet, ResNeXt or Wide ResNet of torchvision.
        weights: as in mlgcn.nn.weights.load_weights.
    Raises: ValueError if torchvision has no such network or it is no ResNet; as load_weights does.
    """
    known = [model for model in torchvision.models.list_models(torchvision.models) if _is_resnet(model)]
    if name not in known:
        raise ValueError(f"trunk is {name!r}, expected one of {known}")
    network = torchvision.models.get_model(name, weights=None)
    report = load_weights(network, name, weights)
    stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    return nn.Sequential(stem, network.layer1, network.layer2, network.layer3), network, report


def _is_resnet(name: str) -> bool:
    return name.startswith(("resnet", "resnext", "wide_resnet"))
