"""How large the map of an image is, before one is seen."""

import copy

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode

from mlgcn.nn.view_fusion import of_one_view


def map_side(trunk: nn.Module, stage: nn.Module, image_size: int) -> int:
    """How many places a side the last map of a square image has; nothing is computed, the modules stay as they are.

    Args:
        trunk, stage: the two parts of a network, or several of each by view.
        image_size: in pixels.
    Raises: ValueError as the trunk does on sizes.
    """
    fake = FakeTensorMode()
    with FakeCopyMode(fake):
        network = copy.deepcopy(nn.Sequential(of_one_view(trunk), of_one_view(stage))).eval()
    device = next(network.parameters()).device
    with fake, torch.no_grad():
        return network(torch.empty(1, 3, image_size, image_size, device=device)).shape[-1]
