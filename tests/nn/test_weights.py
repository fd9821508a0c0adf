import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from mlgcn.nn import build_trunk
from mlgcn.nn.weights import load_weights


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def network(seed=0, **options):
    torch.manual_seed(seed)
    return torchvision.models.resnet18(weights=None, **options)


def states_equal(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def saved(state, path):
    torch.save(state, path)
    return str(path)


def body(state):
    return {key: value for key, value in state.items() if not key.startswith("fc.")}


def test_the_weights_of_a_file_are_loaded_exactly_and_named(tmp_path):
    state, target = network(1).state_dict(), network(2)
    path = saved(state, tmp_path / "weights.pt")
    assert load_weights(target, "resnet18", path) == f"resnet18: {len(body(state))} tensors from {path}"
    assert states_equal(body(state), target.state_dict())
    trunk, source, report = build_trunk("resnet18", path)
    assert states_equal(body(state), source.state_dict()) and path in report
    assert torch.equal(trunk[0][0].weight, state["conv1.weight"])


@pytest.mark.parametrize("classes", [None, 5])
def test_a_file_may_lack_the_classifier_or_have_one_of_another_size(tmp_path, classes):
    state = body(network(1).state_dict()) if classes is None else network(1, num_classes=classes).state_dict()
    target = network(2)
    before = target.fc.weight.clone()
    load_weights(target, "resnet18", saved(state, tmp_path / "weights.pt"))
    assert states_equal(body(state), target.state_dict()) and torch.equal(target.fc.weight, before)


def test_a_file_from_before_torch_counted_batches_is_loaded(tmp_path):
    state = {key: value for key, value in network(1).state_dict().items() if "num_batches_tracked" not in key}
    target = network(2)
    load_weights(target, "resnet18", saved(state, tmp_path / "old.pt"))
    assert states_equal(body(state), target.state_dict())


def test_random_weights_are_left_as_they_are_and_called_so():
    target = network(1)
    assert load_weights(target, "resnet18", "none") == "resnet18: random weights, not pretrained"
    assert states_equal(network(1).state_dict(), target.state_dict())


def test_imagenet_weights_come_from_torchvision_and_are_named(monkeypatch):
    state, asked = network(1).state_dict(), []

    def download(url, *args, check_hash=False, **options):
        asked.append((url, check_hash))
        return state

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    target = network(2)
    entry = torchvision.models.ResNet18_Weights.DEFAULT
    assert load_weights(target, "resnet18", "imagenet") == f"resnet18: ImageNet weights {entry}"
    assert asked == [(entry.url, True)] and states_equal(state, target.state_dict())


@pytest.mark.parametrize("error", [URLError("no route to host"), ConnectionResetError("reset"), TimeoutError("late")])
def test_without_a_network_imagenet_weights_are_an_error_that_says_what_to_do(monkeypatch, error):
    def download(*args, **options):
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    with pytest.raises(ConnectionError, match="ImageNet weights of resnet18 could not be downloaded") as caught:
        build_trunk("resnet18", "imagenet")
    message = str(caught.value)
    assert str(error) in message and "--model.weights FILE" in message and "--model.weights none" in message


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.pt; expected 'imagenet', 'none' or a file"):
        load_weights(network(), "resnet18", str(tmp_path / "gone.pt"))
    with pytest.raises(FileNotFoundError, match=r"model\.weights: no file imagenet1k;"):
        load_weights(network(), "resnet18", "imagenet1k")


@pytest.mark.parametrize("content", [b"", b"epoch,loss\n1,0.5\n", b"\x89PNG\r\n\x1a\n", "truncated"])
def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path, content):
    path = tmp_path / "weights.pt"
    if content == "truncated":
        torch.save(network().state_dict(), path)
        content = path.read_bytes()[:-5000]
    path.write_bytes(content)
    target = network(1)
    with pytest.raises(ValueError, match=r"weights\.pt is no readable state dict: \w") as caught:
        load_weights(target, "resnet18", str(path))
    assert "\n" not in str(caught.value) and states_equal(network(1).state_dict(), target.state_dict())


@pytest.mark.parametrize("write", [lambda content, path: path.write_bytes(pickle.dumps(content)), torch.save])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_foreign_pickle_is_refused_and_nothing_in_it_runs(tmp_path, write):
    path = tmp_path / "foreign.pt"
    write({"conv1.weight": Touch(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match=r"foreign\.pt is no readable state dict"):
        load_weights(network(), "resnet18", str(path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3, "state_dict": {}}, torch.zeros(3)])
def test_a_file_with_anything_but_a_state_dict_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"weights\.pt: expected a state dict \(names to tensors\)"):
        load_weights(network(), "resnet18", saved(content, tmp_path / "weights.pt"))


def test_weights_of_another_network_are_refused_and_the_differences_named(tmp_path):
    state = network(1).state_dict()
    del state["bn1.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    target = network(2)
    expected = (
        r"1 tensors are missing \['bn1.bias'\], 1 unexpected \['extra.weight'\], "
        r"1 of another shape \['conv1.weight'\]"
    )
    with pytest.raises(ValueError, match=expected):
        load_weights(target, "resnet18", saved(state, tmp_path / "weights.pt"))
    assert states_equal(network(2).state_dict(), target.state_dict())
    path = saved(torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "resnet34.pt")
    with pytest.raises(
        ValueError, match=r"resnet34\.pt does not fit the network: 0 tensors are missing \[\], \d+ unex"
    ):
        load_weights(target, "resnet18", path)
