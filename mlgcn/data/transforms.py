"""From stored grey images to what the trunk takes in, and augmentation in between."""

import torch
from torch import Tensor
from torchvision.transforms import v2

from mlgcn.seeding import torch_seed

# ImageNet's statistics, which the pretrained trunks expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_LIGHT = (
    v2.RandomAffine(degrees=7, translate=(0.05, 0.05), scale=(0.92, 1.08), interpolation=v2.InterpolationMode.BILINEAR),
    v2.ColorJitter(brightness=0.15, contrast=0.15),
)
AUGMENTATIONS: dict[str, v2.Transform] = {
    "none": v2.Identity(),
    "light": v2.Compose(_LIGHT),
    "flip": v2.Compose([v2.RandomHorizontalFlip(), *_LIGHT]),
}


def normalise(images: Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    """Grey images for a trunk with three input channels: uint8 [B, 1, H, W] -> float32 [B, 3, H, W].

    Raises: ValueError on another type or number of channels.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}, expected uint8 [B, 1, H, W]")
    return v2.functional.normalize(images.expand(-1, 3, -1, -1).float() / 255, list(mean), list(std))


def augment(images: Tensor, name: str, *key: int) -> Tensor:
    """Every image changed in its own way, drawn from the stream that the key names: uint8 [B, 1, H, W] to the same.

    Works on whatever device the batch is on, so that the loader's workers need no random state.
    Raises: ValueError if there is no augmentation of that name.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation is {name!r}, expected one of {sorted(AUGMENTATIONS)}")
    if name == "none":
        return images
    with torch_seed(*key):
        return torch.stack([AUGMENTATIONS[name](image) for image in images])
