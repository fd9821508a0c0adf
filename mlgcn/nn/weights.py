"""Weights from a local file: read, matched by name and shape, and reported; all of the trunk's, or an error."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlgcn.nn.foreign_weights import translate

# Where other programs keep the state dict among other things, and what they put before its names.
WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("module.", "model.", "backbone.", "trunk.", "dinov2.", "_orig_mod.")
# What a file may hold beside the backbone: classifiers, the token of masked patches, torchxrayvision's thresholds.
HEADS = ("fc.", "classifier.", "head.", "head_dist.")
BESIDE = ("mask_token", "op_threshs")
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadedWeights:
    """What became of a file of weights.

    Attributes:
        report: which file of which kind, how many of the tensors matched, and what was left out, in one line.
        mean, std: what the weights expect images to be normalised by; none: as the network's own.
    """

    report: str
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def load_weights(backbone: Mapping[str, Tensor], head: Collection[str], first: str, path: Path) -> LoadedWeights:
    """Copies the weights of a file into the tensors of a network and returns what matched.

    The file is a state dict, written by torch.save or as safetensors: of the same network, of torchxrayvision's
    DenseNet-121 or ResNet-50, or of the Dinov2Model of Hugging Face, such as RAD-DINO. It may lie in a checkpoint below
    `state_dict` or `model`, with prefixes such as `module.` before its names. It may lack the classifier or have
    another one; a first convolution of one channel is spread over three.

    Args:
        backbone: the tensors that must all be found, by their names in the network; nothing changes unless they are.
        head: names of the network's other tensors.
        first: name of the first convolution's weight.
    Raises: FileNotFoundError; ValueError if the file cannot be read or does not fit.
    """
    if not path.is_file():
        raise FileNotFoundError(f"model.weights: no file {path}; expected 'imagenet', 'none' or a file")
    found = translate(_without_prefixes(_state_dict(_read(path), path), path), first, path)
    matched = {key: value for key, value in found.state.items() if key in backbone}
    left_out = [key for key in found.state if key in head or key in BESIDE or key.startswith(HEADS)]
    left_out = sorted(set(left_out) - matched.keys())
    # Files from before torch 0.4.1 lack these counters, torchvision's own among them.
    absent = backbone.keys() - matched.keys()
    missing = sorted(key for key in absent if not key.endswith(COUNTER))
    extra = sorted(found.state.keys() - matched.keys() - set(left_out))
    differing = [key for key, value in matched.items() if value.shape != backbone[key].shape]
    if missing or extra or differing:
        shapes = [f"{key} {list(matched[key].shape)} for {list(backbone[key].shape)}" for key in differing[:3]]
        raise ValueError(
            f"{path} ({found.kind}) does not fit the network: {len(missing)} tensors are missing {missing[:3]}, "
            f"{len(extra)} unexpected {extra[:3]}, {len(differing)} of another shape {shapes}"
        )
    with torch.no_grad():
        for key, value in matched.items():
            backbone[key].copy_(value)
    notes = [f"{len(matched)} of {len(backbone)} tensors from {path} ({found.kind})", *found.notes]
    notes += [f"{len(absent)} counters {COUNTER} are not in it and start at 0"] if absent else []
    notes += [f"left out: {', '.join(left_out)}"] if left_out else []
    return LoadedWeights("; ".join(notes), found.mean, found.std)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise ValueError(f"{path} needs safetensors, which comes with timm: pip install 'mlgcn[timm]'") from error
        try:
            return load_file(path)
        except Exception as error:  # whatever a broken file provokes in safetensors
            raise ValueError(f"{path} is no readable file of safetensors: {error}".splitlines()[0]) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or foreign file provokes in torch
        if pickled := re.search(r"Unsupported (?:global|class): (?:GLOBAL )?([\w.]+)", str(error)):
            raise ValueError(
                f"{path} is no readable state dict: it holds Python objects ({pickled[1]}), which may run code when "
                "they are loaded, not tensors alone; if you trust it, load it with the library that wrote it and save "
                "its tensors: torch.save(model.state_dict(), 'weights.pt')"
            ) from error
        raise ValueError(f"{path} is no readable state dict: {type(error).__name__} {error}".splitlines()[0]) from error


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in what a file holds: the whole of it, or a part."""
    if isinstance(content, dict) and (
        inner := [content[key] for key in WRAPPERS if isinstance(content.get(key), dict)]
    ):
        content = inner[0]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    ):
        raise ValueError(f"{path}: expected a state dict (names to tensors), as torch.save(model.state_dict()) writes")
    return content


def _without_prefixes(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    while any(key.startswith(PREFIXES) for key in state):
        prefix = next(prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in state))
        shorter = {key.removeprefix(prefix): value for key, value in state.items()}
        if len(shorter) < len(state):
            twice = next(key for key in state if key.startswith(prefix) and key.removeprefix(prefix) in state)
            raise ValueError(f"{path} holds both {twice!r} and {twice.removeprefix(prefix)!r}, expected one network")
        state = shorter
    return state
