"""Where a trunk's weights come from: ImageNet, a local file, or nowhere; always said, never guessed."""

from pathlib import Path

import torch
import torchvision
from torch import nn


def load_weights(network: nn.Module, name: str, weights: str) -> str:
    """Loads weights into a torchvision network and returns in one line which they were.

    Args:
        network: a torchvision classification network.
        name: its name in torchvision.models.
        weights: "imagenet" (torchvision's default for the network, downloaded or from torch's hub cache), "none"
            (random), or the path of a file with the network's state dict, as torch.save writes it; it may lack the
            classifier `fc`, and may have one of another size.
    Raises: FileNotFoundError if the file is missing, ValueError if it cannot be read or does not fit the network,
        ConnectionError if the ImageNet weights cannot be had.
    """
    if weights == "none":
        report = f"{name}: random weights, not pretrained"
    elif weights == "imagenet":
        entry = torchvision.models.get_model_weights(name).DEFAULT
        try:
            network.load_state_dict(entry.get_state_dict(progress=False, check_hash=True))
        except OSError as error:
            raise ConnectionError(
                f"the ImageNet weights of {name} could not be downloaded ({error}); give a local file with "
                "--model.weights FILE, or train from random weights with --model.weights none"
            ) from error
        report = f"{name}: ImageNet weights {entry}"
    else:
        report = f"{name}: {_load_file(network, Path(weights))}"
    return report


def _load_file(network: nn.Module, path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"model.weights: no file {path}; expected 'imagenet', 'none' or a file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or foreign file provokes in torch
        raise ValueError(f"{path} is no readable state dict: {type(error).__name__} {error}".splitlines()[0]) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path}: expected a state dict (names to tensors), as torch.save(model.state_dict()) writes")
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    expected = {key: value.shape for key, value in network.state_dict().items() if not key.startswith("fc.")}
    # Files from before torch 0.4.1 lack these counters, torchvision's own among them; torch fills them in.
    missing = sorted(key for key in expected.keys() - state.keys() if not key.endswith("num_batches_tracked"))
    extra = sorted(state.keys() - expected.keys())
    differing = sorted(key for key in expected.keys() & state.keys() if expected[key] != state[key].shape)
    if missing or extra or differing:
        raise ValueError(
            f"{path} does not fit the network: {len(missing)} tensors are missing {missing[:3]}, "
            f"{len(extra)} unexpected {extra[:3]}, {len(differing)} of another shape {differing[:3]}"
        )
    network.load_state_dict(state, strict=False)
    return f"{len(state)} tensors from {path}"
