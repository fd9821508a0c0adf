import pytest
import torch
from torch import nn

from mlgcn.nn import build_trunk, expert_branches

STAGES = [
    ("resnet18", 64, 512),
    ("resnext50_32x4d", 64, 2048),
    ("densenet121", 64, 1024),
    ("convnext_tiny", 64, 768),
    ("timm/convnextv2_atto", 64, 320),
    ("timm/tf_efficientnetv2_b0", 64, 1280),
    ("timm/test_maxvit", 160, 128),
    ("timm/test_vit", 64, 64),
]


def trunk(name="resnet18"):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    return build_trunk(name, "none")


def convolutions(stage):
    return [module.weight for module in stage.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(("name", "size", "width"), STAGES)
def test_pretrained_branches_start_as_the_last_stage_and_go_their_own_ways(name, size, width):
    source = trunk(name)
    branches, features = expert_branches(source, 3, "pretrained")
    assert len(branches) == 3 and features == width
    for branch in branches:
        for key, value in source.stage.state_dict().items():
            torch.testing.assert_close(branch.state_dict()[key], value, rtol=0, atol=0)
    before = [value.clone() for value in source.stage.parameters()]
    with torch.no_grad():
        for value in (*branches[0].parameters(), *branches[0].buffers()):
            value += 1
    for others in (source.stage, *branches[1:]):
        for value, was in zip(others.parameters(), before, strict=True):
            assert torch.equal(value, was)


@pytest.mark.parametrize(("name", "size", "width"), STAGES)
def test_a_branch_leaves_the_features_to_the_others_as_they_are(name, size, width):
    source = trunk(name)
    (branch,), _ = expert_branches(source, 1)
    features = source.trunk(torch.randn(2, 3, size, size)).detach()
    before = features.clone()
    assert branch(features).shape[:2] == (2, width)
    assert torch.equal(features, before)


@pytest.mark.parametrize(
    ("name", "inputs"), [("resnet18", 256), ("resnet34", 256), ("resnet50", 1024), ("resnext50_32x4d", 1024)]
)
def test_slim_branches_are_512_wide_and_as_deep_as_layer4(name, inputs):
    source = trunk(name)
    branches, features = expert_branches(source, 2, "slim")
    assert features == 512 and len(branches) == 2
    images = torch.randn(2, inputs, 6, 4)
    for branch in branches:
        assert branch(images).shape == (2, 512, 3, 2)
        assert [type(block) for block in branch] == [type(block) for block in source.stage]


def test_slim_branches_start_differently_and_with_the_scale_of_relu_networks():
    one, other = expert_branches(trunk(), 2, "slim")[0]
    for first, second in zip(convolutions(one), convolutions(other), strict=True):
        assert not torch.equal(first, second)
        outputs, _, height, width = first.shape
        assert first.std().item() == pytest.approx((2 / (outputs * height * width)) ** 0.5, rel=0.05)  # He et al. 2015


@pytest.mark.parametrize("width", [24, 1001])
def test_wide_branches_are_as_wide_inside_as_asked_and_give_the_features_of_layer4(width):
    source = trunk("resnet50")
    (branch,), features = expert_branches(source, 1, "wide", width)
    assert features == 2048 and branch(torch.randn(2, 1024, 6, 4)).shape == (2, 2048, 3, 2)
    assert [block.conv2.weight.shape for block in branch] == [(width, width, 3, 3)] * len(source.stage)
    inside = 27 * width**2 + (1024 + 5 * 2048) * width + 1024 * 2048  # 3x3, into and out of each block, past the first
    norms = 2 * (6 * width + 4 * 2048)
    assert sum(weight.numel() for weight in branch.parameters()) == inside + norms


@pytest.mark.parametrize(
    ("name", "kind", "width", "message"),
    [
        (
            "resnet50",
            "wide",
            None,
            "branch is 'wide' and its width None, expected a width >= 1 for wide branches alone",
        ),
        ("resnet50", "wide", 0, "its width 0, expected"),
        ("resnet50", "slim", 64, "branch is 'slim' and its width 64"),
        ("resnet18", "wide", 64, "'wide' is known for ResNets from 50 layers on"),
        ("densenet121", "wide", 64, "'wide' is known for ResNets of torchvision alone, got a DenseNet"),
    ],
)
def test_a_width_that_a_branch_cannot_have_is_refused(name, kind, width, message):
    with pytest.raises(ValueError, match=message):
        expert_branches(trunk(name), 1, kind, width)


@pytest.mark.parametrize(("name", "family"), [("densenet121", "DenseNet"), ("timm/test_resnet", "timm ResNet")])
def test_slim_branches_of_other_networks_than_torchvisions_resnets_are_refused(name, family):
    with pytest.raises(ValueError, match=f"'slim' is known for ResNets of torchvision alone, got a {family}"):
        expert_branches(trunk(name), 2, "slim")


@pytest.mark.parametrize("experts", [0, -1])
def test_fewer_than_one_expert_is_refused(experts):
    with pytest.raises(ValueError, match=f"experts must be >= 1, got {experts}"):
        expert_branches(trunk(), experts)


def test_an_unknown_kind_of_branch_is_refused():
    with pytest.raises(ValueError, match=r"branch is 'thin', expected one of \['pretrained', 'slim', 'wide'\]"):
        expert_branches(trunk(), 2, "thin")
