import pytest
import torch
import torchvision
from torch import nn

from mlgcn.nn import expert_branches


def network(name="resnet18"):
    return torchvision.models.get_model(name, weights=None)


def convolutions(stage):
    return [module.weight for module in stage.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(("name", "size"), [("resnet18", 512), ("resnet50", 2048)])
def test_pretrained_branches_start_as_layer4_and_go_their_own_ways(name, size):
    source = network(name)
    branches, features = expert_branches(source, 3, "pretrained")
    assert len(branches) == 3 and features == size
    for branch in branches:
        for key, value in source.layer4.state_dict().items():
            torch.testing.assert_close(branch.state_dict()[key], value, rtol=0, atol=0)
    before = [value.clone() for value in source.layer4.parameters()]
    with torch.no_grad():
        for value in (*branches[0].parameters(), *branches[0].buffers()):
            value += 1
    for others in (source.layer4, *branches[1:]):
        for value, was in zip(others.parameters(), before, strict=True):
            assert torch.equal(value, was)


@pytest.mark.parametrize(
    ("name", "inputs"), [("resnet18", 256), ("resnet34", 256), ("resnet50", 1024), ("resnext50_32x4d", 1024)]
)
def test_slim_branches_are_512_wide_and_as_deep_as_layer4(name, inputs):
    source = network(name)
    branches, features = expert_branches(source, 2, "slim")
    assert features == 512 and len(branches) == 2
    images = torch.randn(2, inputs, 6, 4)
    for branch in branches:
        assert branch(images).shape == (2, 512, 3, 2)
        assert [type(block) for block in branch] == [type(block) for block in source.layer4]


def test_slim_branches_start_differently_and_with_the_scale_of_relu_networks():
    one, other = expert_branches(network(), 2, "slim")[0]
    for first, second in zip(convolutions(one), convolutions(other), strict=True):
        assert not torch.equal(first, second)
        outputs, _, height, width = first.shape
        assert first.std().item() == pytest.approx((2 / (outputs * height * width)) ** 0.5, rel=0.05)  # He et al. 2015


@pytest.mark.parametrize("experts", [0, -1])
def test_fewer_than_one_expert_is_refused(experts):
    with pytest.raises(ValueError, match=f"experts must be >= 1, got {experts}"):
        expert_branches(network(), experts)


def test_an_unknown_kind_of_branch_is_refused():
    with pytest.raises(ValueError, match=r"branch is 'thin', expected one of \['pretrained', 'slim'\]"):
        expert_branches(network(), 2, "thin")
