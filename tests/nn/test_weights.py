import json
import pickle
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from mlgcn.nn import build_trunk
from mlgcn.nn.weights import load_weights

GREYS = torch.randint(0, 256, (2, 1, 64, 64), generator=torch.Generator().manual_seed(0))


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def network(seed=0, **options):
    torch.manual_seed(seed)
    return torchvision.models.resnet18(weights=None, **options)


def saved(state, path):
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path)
    return str(path)


def body(state):
    return {key: value for key, value in state.items() if not key.startswith("fc.")}


def load(target, path, head="fc."):
    """Loads a file into a network of which all but the head must match, as build_trunk does."""
    tensors = target.state_dict(keep_vars=True)
    backbone = {key: value for key, value in tensors.items() if not key.startswith(head)}
    first = next(key for key, module in target.named_modules() if isinstance(module, nn.Conv2d))
    return load_weights(backbone, tensors.keys() - backbone.keys(), f"{first}.weight", Path(path))


def states_equal(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def parts_equal(parts, state):
    """Whether trunk and stage hold the weights of a ResNet's state dict, and all of them but the classifier's."""
    found = {**parts.trunk.state_dict(), **{f"layer4.{key}": value for key, value in parts.stage.state_dict().items()}}
    stem = {"0.0.": "conv1.", "0.1.": "bn1.", "1.": "layer1.", "2.": "layer2.", "3.": "layer3."}
    named = {}
    for key, value in found.items():
        prefix = next((prefix for prefix in stem if key.startswith(prefix)), "")
        named[stem.get(prefix, "") + key.removeprefix(prefix)] = value
    return named.keys() == body(state).keys() and states_equal(named, state)


def normalised(parts):
    """The grey images as a trunk expects them: float64 [B, 3, H, W]."""
    mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (parts.mean, parts.std))
    return (GREYS.double() / 255 - mean) / std


def answer(parts):
    """The map that trunk and stage make of the grey images, in evaluation mode."""
    return parts.stage.double().eval()(parts.trunk.double().eval()(normalised(parts)))


def test_the_weights_of_a_file_are_loaded_exactly_and_counted(tmp_path):
    state = network(1).state_dict()
    path = saved(state, tmp_path / "weights.pt")
    parts = build_trunk("resnet18", path)
    assert parts_equal(parts, state)
    assert parts.report == (
        f"resnet18: {len(state) - 2} of {len(state) - 2} tensors from {path} (a plain state dict); "
        "left out: fc.bias, fc.weight"
    )


@pytest.mark.parametrize("classes", [None, 5])
def test_a_file_may_lack_the_classifier_or_have_one_of_another_size(tmp_path, classes):
    state = body(network(1).state_dict()) if classes is None else network(1, num_classes=classes).state_dict()
    target = network(2)
    before = target.fc.weight.clone()
    loaded = load(target, saved(state, tmp_path / "weights.pt"))
    assert states_equal(body(state), target.state_dict()) and torch.equal(target.fc.weight, before)
    assert ("left out: fc.bias, fc.weight" in loaded.report) == (classes is not None)


@pytest.mark.parametrize(
    ("wrapper", "prefix"),
    [
        (None, "module."),
        (None, "trunk."),
        ("state_dict", "model."),
        ("state_dict", "model.backbone."),
        ("model", ""),
        ("model_state_dict", "_orig_mod.module."),
    ],
)
def test_weights_within_a_checkpoint_and_with_prefixes_are_found(tmp_path, wrapper, prefix):
    state, target = network(1).state_dict(), network(2)
    content = {prefix + key: value for key, value in state.items()}
    content = content if wrapper is None else {wrapper: content, "epoch": 3, "optimizer": {"lr": 0.1}}
    load(target, saved(content, tmp_path / "weights.pt"))
    assert states_equal(body(state), target.state_dict())


def test_a_file_with_two_networks_is_refused(tmp_path):
    state = network(1).state_dict()
    path = saved({**state, **{f"module.{key}": value for key, value in state.items()}}, tmp_path / "two.pt")
    with pytest.raises(ValueError, match=r"two\.pt holds both 'module\.conv1\.weight' and 'conv1\.weight'"):
        load(network(), path)


def test_a_file_from_before_torch_counted_batches_is_loaded(tmp_path):
    state = {key: value for key, value in network(1).state_dict().items() if "num_batches_tracked" not in key}
    target = network(2)
    loaded = load(target, saved(state, tmp_path / "old.pt"))
    assert states_equal(body(state), target.state_dict())
    assert "100 of 120 tensors" in loaded.report and "20 counters num_batches_tracked are not in it" in loaded.report


def test_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state, target = network(1).state_dict(), network(2)
    safetensors.save_file(state, tmp_path / "model.safetensors")
    load(target, tmp_path / "model.safetensors")
    assert states_equal(body(state), target.state_dict())
    (tmp_path / "broken.safetensors").write_bytes(b"epoch,loss\n1,0.5\n")
    with pytest.raises(ValueError, match=r"broken\.safetensors is no readable file of safetensors: \w"):
        load(target, tmp_path / "broken.safetensors")


def test_without_safetensors_such_files_are_refused_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ValueError, match=r"needs safetensors, which comes with timm: pip install 'mlgcn\[timm\]'"):
        load(network(), tmp_path / "model.safetensors")


def test_imagenet_weights_come_from_torchvision_and_are_named(monkeypatch):
    state, asked = network(1).state_dict(), []

    def download(url, *args, check_hash=False, **options):
        asked.append((url, check_hash))
        return state

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    parts = build_trunk("resnet18", "imagenet")
    entry = torchvision.models.ResNet18_Weights.DEFAULT
    assert parts.report == f"resnet18: ImageNet weights {entry}"
    assert asked == [(entry.url, True)] and parts_equal(parts, state)


def test_pretrained_weights_of_timm_are_those_of_its_tag_and_named(monkeypatch):
    timm = pytest.importorskip("timm")
    state, asked = timm.create_model("test_convnext").state_dict(), []

    def download(repository, *args, **options):
        asked.append(repository)
        return dict(state)

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", download)
    parts = build_trunk("timm/test_convnext", "imagenet")
    assert asked == ["timm/test_convnext.r160_in1k"]
    assert parts.report.startswith("timm/test_convnext: timm's pretrained weights test_convnext.r160_in1k")
    assert torch.equal(parts.trunk[0][0].weight, state["stem.0.weight"])
    assert torch.equal(parts.stage[2].weight, state["head.norm.weight"])
    assert parts.mean == (0.5, 0.5, 0.5)


def test_a_network_of_timm_without_pretrained_weights_is_refused():
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match="timm has no pretrained weights for 'timm/convnext_atto_rms'"):
        build_trunk("timm/convnext_atto_rms", "imagenet")


@pytest.mark.parametrize("error", [URLError("no route to host"), ConnectionResetError("reset"), TimeoutError("late")])
@pytest.mark.parametrize("name", ["resnet18", "timm/test_resnet"])
def test_without_a_network_imagenet_weights_are_an_error_that_says_what_to_do(monkeypatch, error, name):
    def download(*args, **options):
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    if name.startswith("timm/"):
        pytest.importorskip("timm")
        monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", download)
    with pytest.raises(ConnectionError, match=f"ImageNet weights of {name} could not be downloaded") as caught:
        build_trunk(name, "imagenet")
    message = str(caught.value)
    assert str(error) in message and "--model.weights FILE" in message and "--model.weights none" in message


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.pt; expected 'imagenet', 'none' or a file"):
        build_trunk("resnet18", str(tmp_path / "gone.pt"))
    with pytest.raises(FileNotFoundError, match=r"model\.weights: no file imagenet1k;"):
        build_trunk("resnet18", "imagenet1k")


@pytest.mark.parametrize("content", [b"", b"epoch,loss\n1,0.5\n", b"\x89PNG\r\n\x1a\n", "truncated"])
def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path, content):
    path = tmp_path / "weights.pt"
    if content == "truncated":
        torch.save(network().state_dict(), path)
        content = path.read_bytes()[:-5000]
    path.write_bytes(content)
    target = network(1)
    with pytest.raises(ValueError, match=r"weights\.pt is no readable state dict: \w") as caught:
        load(target, path)
    assert "\n" not in str(caught.value) and states_equal(network(1).state_dict(), target.state_dict())


@pytest.mark.parametrize("write", [lambda content, path: path.write_bytes(pickle.dumps(content)), torch.save])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_foreign_pickle_is_refused_and_nothing_in_it_runs(tmp_path, write):
    path = tmp_path / "foreign.pt"
    write({"conv1.weight": Touch(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match=r"foreign\.pt is no readable state dict"):
        load(network(), path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_a_whole_model_is_refused_with_how_to_convert_it(tmp_path, zipped):
    # The released DenseNets of torchxrayvision are such files.
    torch.save(network(), tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    expected = r"it holds Python objects \(torchvision\.models\.resnet\.ResNet\).*torch\.save\(model\.state_dict\(\)"
    with pytest.raises(ValueError, match=expected):
        load(network(), tmp_path / "model.pt")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3, "state_dict": {}}, {}, {1: torch.zeros(3)}, torch.zeros(3)])
def test_a_file_with_anything_but_a_state_dict_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"weights\.pt: expected a state dict \(names to tensors\)"):
        load(network(), saved(content, tmp_path / "weights.pt"))


def test_weights_of_another_network_are_refused_and_the_differences_named(tmp_path):
    state = network(1).state_dict()
    del state["bn1.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(64, 4, 7, 7)
    target = network(2)
    expected = (
        r"\(a plain state dict\) does not fit the network: 1 tensors are missing \['bn1.bias'\], "
        r"1 unexpected \['extra.weight'\], 1 of another shape \['conv1.weight \[64, 4, 7, 7\] for \[64, 3, 7, 7\]'\]"
    )
    with pytest.raises(ValueError, match=expected):
        load(target, saved(state, tmp_path / "weights.pt"))
    assert states_equal(network(2).state_dict(), target.state_dict())
    path = saved(torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "resnet34.pt")
    with pytest.raises(ValueError, match=r"resnet34\.pt .*0 tensors are missing \[\], \d+ unexpected"):
        load(target, path)
    assert states_equal(network(2).state_dict(), target.state_dict())


def test_a_convnext_without_the_normalisation_in_its_classifier_is_refused(tmp_path):
    state = torchvision.models.convnext_tiny(weights=None).state_dict()
    path = saved({key: value for key, value in state.items() if not key.startswith("classifier.")}, tmp_path / "c.pt")
    expected = r"2 tensors are missing \['classifier\.0\.bias', 'classifier\.0\.weight'\], 0 unexpected"
    with pytest.raises(ValueError, match=expected):
        build_trunk("convnext_tiny", path)


def test_torchvisions_old_names_of_a_densenet_are_known(tmp_path):
    state = torchvision.models.densenet121(weights=None).state_dict()
    old = {}
    for key, value in state.items():
        for part in ("norm1", "conv1", "norm2", "conv2"):
            key = key.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")
        old[key] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    parts = build_trunk("densenet121", saved(old, tmp_path / "old.pt"))
    block = parts.stage[0].state_dict()
    assert states_equal(block, {key: state[f"features.denseblock4.{key}"] for key in block})


@pytest.mark.parametrize("thresholds", [True, False])
def test_a_densenet_of_torchxrayvision_answers_to_grey_images_as_it_does_there(tmp_path, thresholds):
    xrv = pytest.importorskip("torchxrayvision")
    torch.manual_seed(0)
    there = xrv.models.DenseNet(op_threshs=torch.rand(18) if thresholds else None).eval()
    path = saved(there.state_dict(), tmp_path / "xrv.pt")
    parts = build_trunk("densenet121", path)
    with torch.no_grad():
        inputs = torch.from_numpy(xrv.datasets.normalize(GREYS.numpy(), 255)).double()  # rounded to float32
        torch.testing.assert_close(answer(parts), there.double().features(inputs).relu(), rtol=1e-4, atol=1e-4)
    tensors = len(there.state_dict()) - 2 - thresholds
    left_out = "classifier.bias, classifier.weight" + ", op_threshs" * thresholds
    assert parts.report == (
        f"densenet121: {tensors} of {tensors} tensors from {path} (a torchxrayvision state dict); "
        f"features.conv0.weight of one channel is spread over three; left out: {left_out}; "
        "for images normalised by mean 0.5 and std 0.0004883"
    )


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_resnet_of_torchxrayvision_answers_to_grey_images_as_it_does_there(tmp_path, prefix):
    there = network(num_classes=18)
    there.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    there.eval()
    state = {prefix + key: value for key, value in there.state_dict().items()}
    state |= {"op_threshs": torch.rand(18)} if prefix else {}
    parts = build_trunk("resnet18", saved(state, tmp_path / "xrv.pt"))
    with torch.no_grad():
        expected = there.double()((2 * GREYS.double() / 255 - 1) * 1024)
        # A third of a weight is rounded to float32.
        torch.testing.assert_close(there.fc(answer(parts).mean(dim=(2, 3))), expected, rtol=1e-5, atol=1e-5)
    assert "(a torchxrayvision state dict)" in parts.report


def test_other_networks_for_grey_images_keep_their_own_statistics(tmp_path):
    grey = network(1, num_classes=5)
    grey.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    parts = build_trunk("resnet18", saved(grey.state_dict(), tmp_path / "grey.pt"))
    assert parts.mean == (0.485, 0.456, 0.406) and "(a state dict for grey images); conv1.weight of" in parts.report
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        found = parts.trunk[0].eval()(images.expand(-1, 3, -1, -1))
        stem = nn.Sequential(grey.conv1, grey.bn1, grey.relu, grey.maxpool).eval()
        torch.testing.assert_close(found, stem(images))


@pytest.fixture
def dinov2():
    """A small Dinov2Model of Hugging Face and a vision transformer of timm of the same sizes."""
    transformers, timm = pytest.importorskip("transformers"), pytest.importorskip("timm")
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "mlp_ratio": 2, "image_size": 56}
    theirs = transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).eval()
    for value in theirs.parameters():
        value.data.normal_(std=0.3)
    ours = timm.models.vision_transformer.VisionTransformer(
        img_size=56, patch_size=14, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2, init_values=1e-5
    )
    return theirs, ours.eval()


@pytest.mark.parametrize("names", ["of its modules", "of its files", "of a classifier"])
def test_a_dinov2_of_hugging_face_gives_the_same_patch_tokens(tmp_path, dinov2, names):
    theirs, ours = dinov2
    path = tmp_path / "weights.pt"
    if names == "of its files":
        theirs.save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
    elif names == "of its modules":
        torch.save(theirs.state_dict(), path)
    else:
        state = {f"dinov2.{key}": value for key, value in theirs.state_dict().items()}
        torch.save({**state, "classifier.weight": torch.zeros(2, 48)}, path)
    loaded = load(ours, path, head="head.")
    images = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        expected = theirs(images).last_hidden_state
        torch.testing.assert_close(ours.forward_features(images), expected, rtol=1e-4, atol=1e-4)
    tensors = len(ours.state_dict()) - 2
    assert f"{tensors} of {tensors} tensors from {path} (a Dinov2Model of Hugging Face)" in loaded.report
    assert loaded.report.split("left out: ")[1].removeprefix("classifier.weight, ") == "mask_token"
    assert loaded.mean is None and loaded.std is None


def test_the_names_that_files_of_hugging_face_had_are_known(tmp_path, dinov2):
    theirs, ours = dinov2
    old = {}
    for key, value in theirs.state_dict().items():
        for part, name in (("q", "query"), ("k", "key"), ("v", "value")):
            key = key.replace(f".attention.{part}_proj.", f".attention.attention.{name}.")
        old[key.replace(".attention.o_proj.", ".attention.output.dense.")] = value
    assert "encoder.layer.1.attention.attention.query.weight" in old
    assert "encoder.layer.1.attention.output.dense.bias" in old
    load(ours, saved(old, tmp_path / "old.pt"), head="head.")
    images = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        expected = theirs(images).last_hidden_state
        torch.testing.assert_close(ours.forward_features(images), expected, rtol=1e-4, atol=1e-4)


def test_a_dinov2_that_lacks_a_part_of_the_attention_is_refused(tmp_path, dinov2):
    theirs, ours = dinov2
    state = {key: value for key, value in theirs.state_dict().items() if "layer.1.attention.k" not in key}
    with pytest.raises(ValueError, match=r"2 tensors are missing \['blocks\.1\.attn\.qkv\.bias'"):
        load(ours, saved(state, tmp_path / "weights.pt"), head="head.")


def test_a_dinov2_in_its_own_names_is_loaded_without_the_mask_token(tmp_path, dinov2):
    _, ours = dinov2
    state = {key: torch.randn_like(value) for key, value in ours.state_dict().items() if not key.startswith("head.")}
    loaded = load(ours, saved({**state, "mask_token": torch.zeros(1, 24)}, tmp_path / "weights.pt"), head="head.")
    assert states_equal(state, ours.state_dict())
    assert "(a DINOv2 state dict); left out: mask_token" in loaded.report


def test_statistics_come_from_the_image_processor_beside_the_file(tmp_path, dinov2):
    theirs, ours = dinov2
    path = saved(theirs.state_dict(), tmp_path / "weights.pt")
    settings = tmp_path / "preprocessor_config.json"
    settings.write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}))
    loaded = load(ours, path, head="head.")
    assert (loaded.mean, loaded.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert "with its preprocessor_config.json" in loaded.report
    for content in ("{", "[]", '{"image_mean": [0.5, 0.5, 0.5]}', '{"image_mean": 0.5, "image_std": 0.5}'):
        settings.write_text(content)
        with pytest.raises(ValueError, match=r"preprocessor_config\.json: expected image_mean and image_std: \w"):
            load(ours, path, head="head.")
    settings.write_text(json.dumps({"image_mean": [0.1], "image_std": [0.4]}))
    with pytest.raises(ValueError, match=r"image_mean is \(0\.1,\) and image_std \(0\.4,\), expected three of each"):
        load(ours, path, head="head.")


def test_rad_dino_is_known_by_its_path_and_brings_its_statistics(tmp_path, dinov2):
    theirs, ours = dinov2
    loaded = load(ours, saved(theirs.state_dict(), tmp_path / "RAD_DINO" / "model.pt"), head="head.")
    assert (loaded.mean, loaded.std) == ((0.5307,) * 3, (0.2583,) * 3)
    assert "RAD-DINO by its path" in loaded.report


def test_a_vision_transformer_of_another_native_size_is_refused_with_both(tmp_path, dinov2):
    theirs, _ = dinov2
    path = saved(theirs.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"pos_embed \[1, 17, 24\] for \[1, 101, 64\]"):
        build_trunk("timm/test_vit", path)
