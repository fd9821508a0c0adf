"""State dicts of other libraries, renamed and reshaped to those of torchvision and timm."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

# torchxrayvision scales grey values in [0, 1] to [-1024, 1024].
XRV_MEAN, XRV_STD = (0.5,) * 3, (1 / 2048,) * 3
XRV_LABELS = 18
# RAD-DINO's image processor (Pérez-García et al. 2024).
RAD_DINO_MEAN, RAD_DINO_STD = (0.5307,) * 3, (0.2583,) * 3
PROCESSOR = "preprocessor_config.json"

# From Hugging Face's Dinov2Model, names of its files and of its modules alike, to timm's vision transformer.
DINOV2_NAMES = (
    (r"^embeddings\.(cls_token|mask_token)$", r"\1"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.attention\.(?:attention\.)?([qkv])(?:uery|ey|alue|_proj)\.", r".attn.\1."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)


@dataclass(frozen=True)
class Translated:
    """A state dict by the names of torchvision or timm.

    Attributes:
        kind: what it was, in words.
        notes: what was done to it, in words.
        mean, std: what its weights expect images to be normalised by; none: as the network's own.
    """

    state: dict[str, Tensor]
    kind: str = "a plain state dict"
    notes: list[str] = field(default_factory=list)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def translate(state: dict[str, Tensor], first: str, path: Path) -> Translated:
    """The state dict by the names of torchvision or timm; one of theirs, or of an unknown kind, as it is.

    Args:
        first: name of the first convolution's weight.
        path: the file it is from; the image processor's settings may lie beside it.
    Raises: ValueError if those cannot be read.
    """
    if "embeddings.patch_embeddings.projection.weight" in state or {"mask_token", "blocks.0.ls1.gamma"} <= state.keys():
        return _dinov2(state, path)
    # The names of torchvision before 0.3, which its own files still have.
    state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key): value for key, value in state.items()}
    if first in state and state[first].ndim == 4 and state[first].shape[1] == 1:
        return _grey(state, first)
    return Translated(state)


def _grey(state: dict[str, Tensor], first: str) -> Translated:
    """A network for images of one channel: of three equal channels it makes the same."""
    spread = {**state, first: state[first].expand(-1, 3, -1, -1) / 3}
    notes = [f"{first} of one channel is spread over three"]
    classifiers = [state[key] for key in ("classifier.weight", "fc.weight") if key in state]
    if "op_threshs" in state or any(len(value) == XRV_LABELS for value in classifiers):
        return Translated(spread, "a torchxrayvision state dict", notes, XRV_MEAN, XRV_STD)
    return Translated(spread, "a state dict for grey images", notes)


def _dinov2(state: dict[str, Tensor], path: Path) -> Translated:
    """A DINOv2, with the names of Hugging Face or its own, which are timm's."""
    renamed = {}
    for key, value in state.items():
        for pattern, name in DINOV2_NAMES:
            key = re.sub(pattern, name, key)
        renamed[key] = value
    for key in [key for key in renamed if re.search(r"\.attn\.q\.", key)]:
        parts = [key.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(part in renamed for part in parts):
            renamed[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat([renamed.pop(part) for part in parts])
    own = renamed.keys() == state.keys()
    kind = "a DINOv2 state dict" if own else "a Dinov2Model of Hugging Face"
    processor = path.parent / PROCESSOR
    if processor.is_file():
        return Translated(renamed, kind, [f"with its {PROCESSOR}"], *_processor(processor))
    if "rad-dino" in str(path).lower().replace("_", "-"):
        return Translated(renamed, kind, ["RAD-DINO by its path"], RAD_DINO_MEAN, RAD_DINO_STD)
    return Translated(renamed, kind)


def _processor(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the channels in the settings of an image processor."""
    try:
        settings = json.loads(path.read_text())
        mean, std = (tuple(float(value) for value in settings[key]) for key in ("image_mean", "image_std"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected image_mean and image_std: {type(error).__name__} {error}") from error
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"{path}: image_mean is {mean} and image_std {std}, expected three of each, the latter > 0")
    return mean, std
