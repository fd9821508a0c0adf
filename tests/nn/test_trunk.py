import pytest
import torch
import torchvision
from torch import nn

from mlgcn.nn import build_trunk, expert_branches, mean_pool


def original(name, path):
    """A network of torchvision whose normalisation has seen data, in evaluation mode, and its saved weights."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                values.uniform_(0.5, 1.5)
    torch.save(network.state_dict(), path)
    return network.eval()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_trunk_branch_and_mean_pooling_give_the_features_of_the_original_network(name, tmp_path):
    network = original(name, tmp_path / "weights.pt")
    trunk, source, _ = build_trunk(name, str(tmp_path / "weights.pt"))
    (branch,), features = expert_branches(source, 1)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled = mean_pool(branch.eval()(trunk.eval()(images)))
        assert pooled.shape == (2, features)
        torch.testing.assert_close(network.fc(pooled), network(images))


def test_the_trunk_ends_at_a_sixteenth_of_the_resolution():
    trunk, _, report = build_trunk("resnet18", "none")
    assert trunk(torch.zeros(2, 3, 64, 96)).shape == (2, 256, 4, 6)
    assert report == "resnet18: random weights, not pretrained"


@pytest.mark.parametrize("name", ["resnet", "resnet1O1", "densenet121", "ResNet18"])
def test_an_unknown_trunk_is_refused_with_those_that_are_known(name):
    with pytest.raises(ValueError, match=f"trunk is '{name}', expected one of") as caught:
        build_trunk(name, "none")
    listed = str(caught.value).split("one of ")[1]
    for known in ("resnet18", "resnet101", "resnext101_64x4d", "wide_resnet101_2"):
        assert repr(known) in listed
    assert "densenet" not in listed and "quantized" not in listed
