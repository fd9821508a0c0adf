"""Trunks: networks of torchvision and timm by name, with weights, cut where the experts begin."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torchvision
from torch import nn

from mlgcn.nn.cut import IMAGENET_MEAN, IMAGENET_STD, Trunk, cut
from mlgcn.nn.weights import load_weights
from mlgcn.suggestions import unknown_name

TIMM = "timm/"
# Modules of timm whose vision transformers take images of any size, on request.
VISION_TRANSFORMERS = ("vision_transformer", "deit", "vision_transformer_hybrid", "vitamin")
Statistics = tuple[float, ...]


def build_trunk(name: str = "resnet101", weights: str = "imagenet") -> Trunk:
    """The network of that name, cut into a trunk and a last stage, and which weights it has.

    Args:
        name: a ResNet, ResNeXt, Wide ResNet, DenseNet or ConvNeXt of torchvision, or timm/NAME, a network of timm whose
            last stage is known (mlgcn.nn.cut).
        weights: "imagenet" (the library's default for the network, downloaded or from its cache), "none" (random), or
            the path of a file, as in mlgcn.nn.weights.load_weights.
    Raises: ValueError if there is no such network, it is of no known family, or timm has no weights for it or is not
        installed; ConnectionError if weights cannot be downloaded; as load_weights does.
    """
    load = _timm_network if name.startswith(TIMM) else _torchvision_network
    network, report, mean, std = load(name, weights == "imagenet")
    # Some cuts change the network; the tensors keep their names.
    tensors = network.state_dict(keep_vars=True)
    first = next(key for key, module in network.named_modules() if isinstance(module, nn.Conv2d))
    parts = cut(network, name)
    if weights == "none":
        return replace(parts, report=f"{name}: random weights, not pretrained")
    if weights != "imagenet":
        own = {id(value) for part in (parts.trunk, parts.stage) for value in part.state_dict(keep_vars=True).values()}
        backbone = {key: value for key, value in tensors.items() if id(value) in own}
        loaded = load_weights(backbone, tensors.keys() - backbone.keys(), f"{first}.weight", Path(weights))
        report, mean, std = f"{name}: {loaded.report}", loaded.mean or mean, loaded.std or std
    if (mean, std) != (IMAGENET_MEAN, IMAGENET_STD):
        report += f"; for images normalised by mean {_channels(mean)} and std {_channels(std)}"
    return replace(parts, report=report, mean=mean, std=std)


def _torchvision_network(name: str, pretrained: bool) -> tuple[nn.Module, str, Statistics, Statistics]:
    """The network, which weights it has if pretrained, and what these expect images to be normalised by."""
    known = [model for model in torchvision.models.list_models(torchvision.models) if _is_known(model)]
    if name not in known:
        raise ValueError(f"{unknown_name('trunk', name, known)}; a network of timm is written {TIMM}NAME")
    if not pretrained:
        return torchvision.models.get_model(name, weights=None), "", IMAGENET_MEAN, IMAGENET_STD
    entry = torchvision.models.get_model_weights(name).DEFAULT
    with _downloading(name):
        network = torchvision.models.get_model(name, weights=entry, progress=False)
    return network, f"{name}: ImageNet weights {entry}", IMAGENET_MEAN, IMAGENET_STD


def _is_known(name: str) -> bool:
    return name.startswith(("resnet", "resnext", "wide_resnet", "densenet", "convnext"))


def _timm_network(name: str, pretrained: bool) -> tuple[nn.Module, str, Statistics, Statistics]:
    """As _torchvision_network."""
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"trunk {name!r} needs timm: pip install 'mlgcn[timm]'") from error
    model = name.removeprefix(TIMM)
    known = {*timm.list_models(), *timm.list_pretrained()}  # with and without the name of their weights
    if model not in known:
        raise ValueError(unknown_name("trunk", name, [TIMM + each for each in known]))
    entry = timm.get_pretrained_cfg(model)
    if pretrained and (entry is None or not entry.has_weights):
        raise ValueError(f"timm has no pretrained weights for {name!r}; give a file or none as weights")
    # Position embeddings are then interpolated to whatever size the images have.
    family = timm.model_entrypoint(model).__module__.rpartition(".")[2]
    sized: dict[str, Any] = {"dynamic_img_size": True} if family in VISION_TRANSFORMERS else {}
    if pretrained:
        cut(timm.create_model(model, pretrained=False, **sized), name)  # before anything is downloaded
    with _downloading(name):
        network: Any = timm.create_model(model, pretrained=pretrained, **sized)
    found = network.pretrained_cfg
    report = f"{name}: timm's pretrained weights {found['architecture']}.{found['tag']}"
    return network, report, tuple(found["mean"]), tuple(found["std"])


@contextmanager
def _downloading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConnectionError(
            f"the ImageNet weights of {name} could not be downloaded ({error}); give a local file with "
            "--model.weights FILE, or train from random weights with --model.weights none"
        ) from error


def _channels(values: Statistics) -> str:
    """The values in words, one where all are the same."""
    return ", ".join(f"{value:.4g}" for value in (values if len(set(values)) > 1 else values[:1]))
