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


@pytest.mark.parametrize(
    ("name", "inputs", "features", "width"),
    [
        ("resnet18", 256, 512, 24),
        ("resnet18", 256, 512, 1001),
        ("resnet50", 1024, 2048, 24),
        ("resnet50", 1024, 2048, 700),
    ],
)
def test_wide_branches_are_as_wide_inside_as_asked_and_give_the_features_of_layer4(name, inputs, features, width):
    source = trunk(name)
    (branch,), found = expert_branches(source, 1, "wide", width)
    assert found == features and branch(torch.randn(2, inputs, 6, 4)).shape == (2, features, 3, 2)
    assert [type(block) for block in branch] == [type(block) for block in source.stage]
    # He et al. 2016: two convolutions of 3 x 3, or one between two of 1 x 1; each with a scale and a shift a channel.
    blocks, ends = len(source.stage), inputs + (2 * len(source.stage) - 1) * features
    inside = {"resnet18": 9 * ends * width, "resnet50": ends * width + 9 * blocks * width**2}[name]
    norms = {"resnet18": blocks * (width + features), "resnet50": blocks * (2 * width + features)}[name]
    expected = inside + 2 * norms + inputs * features + 2 * features
    assert sum(weight.numel() for weight in branch.parameters()) == expected


def test_a_branch_as_wide_as_layer4_is_built_as_it():
    for name, width in (("resnet18", 512), ("resnet50", 512)):
        source = trunk(name)
        (branch,), _ = expert_branches(source, 1, "wide", width)
        assert {key: value.shape for key, value in branch.state_dict().items()} == {
            key: value.shape for key, value in source.stage.state_dict().items()
        }
        branch.load_state_dict(source.stage.state_dict())
        images = torch.randn(2, source.width, 6, 4)
        torch.testing.assert_close(branch.eval()(images), source.stage.eval()(images))


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("resnet18", 0, "width must be >= 1, got 0"),
        ("densenet121", 64, "'wide' is known for ResNets of torchvision alone, got a DenseNet"),
    ],
)
def test_wide_branches_that_cannot_be_are_refused(name, width, message):
    with pytest.raises(ValueError, match=message):
        expert_branches(trunk(name), 1, "wide", width)


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
