import sys

import pytest
import torch
import torchvision
from torch import nn

from mlgcn.nn import build_trunk, expert_branches, mean_pool

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Name, pixels, channels of trunk and stage, and the resolutions of their maps as parts of the image's.
SMALL = [
    ("resnet18", 64, 256, 512, 16, 32),
    ("densenet121", 64, 512, 1024, 32, 32),
    ("convnext_tiny", 64, 384, 768, 16, 32),
    ("timm/test_resnet", 64, 192, 96, 16, 32),
    ("timm/densenet121", 64, 512, 1024, 32, 32),
    ("timm/regnety_002", 64, 152, 368, 16, 32),
    ("timm/convnext_atto", 64, 160, 320, 16, 32),
    ("timm/convnextv2_atto", 64, 160, 320, 16, 32),
    ("timm/tf_efficientnetv2_b0", 64, 112, 1280, 16, 32),
    ("timm/test_maxvit", 160, 96, 128, 16, 32),
]
VITS = [
    ("timm/test_vit", 160, 64, 16),
    ("timm/vit_small_patch14_reg4_dinov2", 42, 384, 14),
    ("timm/vit_tiny_r_s16_p8_224", 64, 192, 32),
    ("timm/vitamin_small_224", 32, 384, 16),
]


def original(name, path, **options):
    """A network whose normalisation has seen data, in evaluation mode, and its saved weights."""
    torch.manual_seed(0)
    if name.startswith("timm/"):
        timm = pytest.importorskip("timm")
        network = timm.create_model(name.removeprefix("timm/"), **options)
    else:
        network = torchvision.models.get_model(name, weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                values.uniform_(0.5, 1.5)
        # Norms that start as identities, and factors that start near 0, would hide what they are applied to.
        elif isinstance(module, nn.LayerNorm):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    for key, value in network.named_parameters():
        if key.endswith(("gamma", "layer_scale")):
            value.data.uniform_(0.2, 0.5)
    torch.save(network.state_dict(), path)
    return network.eval()


def composed(name, path, images):
    """What trunk and stage make of images."""
    parts = build_trunk(name, str(path))
    return parts, parts.stage.eval()(parts.trunk.eval()(images))


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d"])
def test_trunk_branch_and_mean_pooling_give_the_features_of_the_original_network(name, tmp_path):
    network = original(name, tmp_path / "weights.pt")
    parts = build_trunk(name, str(tmp_path / "weights.pt"))
    (branch,), features = expert_branches(parts, 1)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled = mean_pool(branch.eval()(parts.trunk.eval()(images)))
        assert pooled.shape == (2, features)
        torch.testing.assert_close(network.fc(pooled), network(images))


def test_trunk_and_stage_of_a_densenet_give_what_its_classifier_pools(tmp_path):
    network = original("densenet121", tmp_path / "weights.pt")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        _, found = composed("densenet121", tmp_path / "weights.pt", images)
        torch.testing.assert_close(network.classifier(mean_pool(found)), network(images))


def test_the_stage_of_a_convnext_ends_with_the_classifiers_normalisation_place_by_place(tmp_path):
    network = original("convnext_tiny", tmp_path / "weights.pt")
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        _, found = composed("convnext_tiny", tmp_path / "weights.pt", images)
        norm, expected = network.classifier[0], network.features(images)
        places = expected.permute(0, 2, 3, 1)
        places = (places - places.mean(-1, keepdim=True)) / (
            places.var(-1, keepdim=True, correction=0) + norm.eps
        ).sqrt()
        torch.testing.assert_close(found.permute(0, 2, 3, 1), places * norm.weight + norm.bias, rtol=1e-4, atol=1e-4)
        # At a single place nothing is pooled, and the classifier's own result follows.
        parts, single = composed("convnext_tiny", tmp_path / "weights.pt", images[..., :32, :32])
        torch.testing.assert_close(network.classifier[1:](single), network(images[..., :32, :32]))
        assert parts.report.endswith("left out: classifier.2.bias, classifier.2.weight")


@pytest.mark.parametrize(("name", "size"), [case[:2] for case in SMALL if case[0].startswith("timm/")])
def test_trunk_and_stage_of_timms_networks_give_their_feature_map(name, size, tmp_path):
    network = original(name, tmp_path / "weights.pt")
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        _, found = composed(name, tmp_path / "weights.pt", images)
        expected = network.forward_features(images)
        # One that ends in the classifier, behind the pooling, is applied to each place alone.
        norm = getattr(network.head, "norm", nn.Identity()) if hasattr(network, "head") else nn.Identity()
        places = expected.permute(0, 2, 3, 1).flatten(0, 2)[..., None, None]
        expected = norm(places).view(2, *expected.shape[2:], -1).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found.std() > 0.01


def test_a_maxvit_whose_normalisation_stands_in_its_head_ends_with_it(tmp_path):
    network = original("timm/maxvit_tiny_tf_224", tmp_path / "weights.pt")
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        parts, found = composed("timm/maxvit_tiny_tf_224", tmp_path / "weights.pt", images)
        expected = network.head.norm(network.forward_features(images))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert parts.multiple == 224
    for left_out in ("head.fc.weight", "head.pre_logits.fc.weight"):
        assert left_out in parts.report.split("left out: ")[1]


@pytest.mark.parametrize("shape", [(1, 1), (2, 3)])
@pytest.mark.parametrize(("name", "size", "features", "patch"), VITS)
def test_trunk_and_stage_of_a_vision_transformer_give_its_patch_tokens_as_a_map(
    name, size, features, patch, shape, tmp_path
):
    # The second has five tokens beside those of patches, and a map of only three columns.
    native = shape == (1, 1) and name == "timm/test_vit"
    network = original(name, tmp_path / "weights.pt", **({} if native else {"dynamic_img_size": True}))
    height, width = (size * side for side in shape)
    images = torch.randn(2, 3, height, width)
    with torch.no_grad():
        parts, found = composed(name, tmp_path / "weights.pt", images)
        # Some have a last normalisation behind the pooling, which here stands before it.
        tokens = network.fc_norm(network.forward_features(images)[:, network.num_prefix_tokens :])
    assert found.shape == (2, features, height // patch, width // patch)
    for row in range(height // patch):
        for column in range(width // patch):
            place = row * (width // patch) + column
            torch.testing.assert_close(found[:, :, row, column], tokens[:, place], rtol=1e-4, atol=1e-4)
    assert (parts.features, parts.width, parts.multiple) == (features, features, patch)


@pytest.mark.parametrize(("name", "size", "width", "features", "coarse", "coarser"), SMALL)
def test_maps_have_the_stated_channels_and_a_part_of_the_resolution(name, size, width, features, coarse, coarser):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    parts = build_trunk(name, "none")
    other = size if parts.multiple > 1 else 96
    with torch.no_grad():
        shared = parts.trunk.eval()(torch.zeros(2, 3, size, other))
        assert shared.shape == (2, width, size // coarse, other // coarse)
        assert parts.stage.eval()(shared).shape == (2, features, size // coarser, other // coarser)
    assert (parts.features, parts.width) == (features, width)
    assert parts.report == f"{name}: random weights, not pretrained"
    assert (parts.mean, parts.std) == IMAGENET


@pytest.mark.parametrize(("name", "size"), [case[:2] for case in (*SMALL, *VITS)])
def test_a_step_of_training_reaches_every_weight(name, size):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    parts = build_trunk(name, "none")
    (branch,), _ = expert_branches(parts, 1)
    weights = [*parts.trunk.parameters(), *branch.parameters()]
    before = next(module.weight for module in parts.trunk.modules() if isinstance(module, nn.Conv2d)).clone()
    optimizer = torch.optim.SGD(weights, lr=1)
    images, target = torch.randn(2, 3, size, size), torch.randn(1, parts.features, 1, 1)
    (branch.train()(parts.trunk.train()(images)) - target).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in weights)
    optimizer.step()
    after = next(module.weight for module in parts.trunk.modules() if isinstance(module, nn.Conv2d))
    assert not torch.equal(before, after)


@pytest.mark.parametrize(("name", "multiple"), [("timm/maxvit_rmlp_pico_rw_256", 256), ("timm/test_vit", 16)])
def test_images_of_a_size_that_a_trunk_cannot_take_are_refused_with_those_that_it_can(name, multiple):
    pytest.importorskip("timm")
    parts = build_trunk(name, "none")
    assert parts.multiple == multiple
    for height, width in ((multiple + 8, multiple), (multiple, multiple + 8)):
        expected = f"images are {height} x {width} px, but heights and widths must be multiples of {multiple}"
        with pytest.raises(ValueError, match=expected):
            parts.trunk(torch.zeros(1, 3, height, width))


def test_statistics_are_those_that_pretrained_weights_were_trained_with(tmp_path):
    pytest.importorskip("timm")
    path = tmp_path / "weights.pt"
    for name, statistics in (("resnet18", IMAGENET), ("timm/test_convnext", HALVES)):
        original(name, path)
        parts = build_trunk(name, str(path))
        assert (parts.mean, parts.std) == statistics
        assert parts.report.endswith("normalised by mean 0.5 and std 0.5") == (statistics == HALVES)


@pytest.mark.parametrize("name", ["resnet", "resnet1O1", "efficientnet_b0", "ResNet18", "resnet50 "])
def test_an_unknown_trunk_is_refused_with_those_that_are_known(name):
    with pytest.raises(ValueError, match=f"unknown trunk '{name}'") as caught:
        build_trunk(name, "none")
    listed = str(caught.value).split("known: ")[1].split(")")[0].split(", ")
    assert {"resnet18", "resnext101_64x4d", "wide_resnet101_2", "densenet121", "convnext_small"} <= set(listed)
    assert "quantized" not in str(caught.value) and "a network of timm is written timm/NAME" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet1O1", "resnet101"), ("timm/convnext_smal", "timm/convnext_small"), ("timm/resnet50.a1", "timm/resnet50.")],
)
def test_the_nearest_trunk_is_named(name, near):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    with pytest.raises(ValueError, match=f"did you mean '{near}"):
        build_trunk(name, "none")


@pytest.mark.parametrize("weights", ["none", "imagenet"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("timm/nfnet_l0", "NormFreeNet"), ("timm/vit_relpos_small_patch16_224", "VisionTransformerRelPos")],
)
def test_a_network_of_timm_whose_last_stage_is_not_known_is_refused_with_the_families_that_are(name, kind, weights):
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=f"trunk '{name}' is a {kind}, and it is not known where") as caught:
        build_trunk(name, weights)
    assert "['ConvNeXt', 'DenseNet', 'EfficientNet', 'MaxxVit', 'RegNet', 'ResNet', 'Vision" in str(caught.value)


def test_a_network_whose_attention_spans_a_map_of_fixed_size_is_refused():
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=r"CoAtNet attends over its whole map.*names that begin with maxvit"):
        build_trunk("timm/test_coatnet", "none")


def test_without_timm_its_networks_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"trunk 'timm/convnext_small' needs timm: pip install 'mlgcn\[timm\]'"):
        build_trunk("timm/convnext_small", "none")
    assert build_trunk("resnet18", "none").family == "ResNet"
