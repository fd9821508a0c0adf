"""The size of a map that no image has been computed for, against that of an image."""

import copy

import pytest
import torch
from torch import nn

from mlgcn.nn import ByView, build_trunk, map_side


@pytest.mark.parametrize(("name", "sizes"), [("resnet18", (32, 33, 64, 100)), ("timm/test_vit", (32, 48))])
def test_the_map_of_an_image_has_as_many_places_a_side_as_told(name, sizes):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    parts = build_trunk(name, "none")
    trunk, stage = parts.trunk.eval(), parts.stage.eval()
    for size in sizes:
        with torch.no_grad():
            shape = stage(trunk(torch.zeros(1, 3, size, size))).shape
        assert shape[2:] == (map_side(trunk, stage, size),) * 2
    if name == "timm/test_vit":
        with pytest.raises(ValueError, match="images are 40 x 40 px, but heights and widths must be multiples of 16"):
            map_side(trunk, stage, 40)


def test_modules_by_view_give_what_one_gives_and_stay_as_they_are():
    trunk, stage = nn.Conv2d(3, 4, 3, stride=2), nn.Sequential(nn.Conv2d(4, 4, 2, stride=2), nn.BatchNorm2d(4))
    by_view = [ByView(part, copy.deepcopy(part)).train() for part in (trunk, stage)]
    before = copy.deepcopy(by_view[1].state_dict())
    assert map_side(*by_view, 33) == map_side(trunk, stage, 33) == 8  # (33 - 3) // 2 + 1 = 16, halved
    assert by_view[1].training and stage.training
    assert all(torch.equal(value, before[name]) for name, value in by_view[1].state_dict().items())
