"""From stored grey images to what the trunk takes in, and augmentation in between."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms import v2

from mlgcn.seeding import torch_seed

# ImageNet's statistics, which the pretrained trunks expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# On a CPU, batches pass in parts of so many pixels, which its caches hold: at 1024 px that is 3 times faster.
PIXELS_AT_ONCE = 2**17
CROP_ATTEMPTS = 10


@dataclass(frozen=True)
class Augmentation:
    """How far images may be changed: cropped, mirrored, moved, lit, in that order, each image in its own way.

    The distributions are those of torchvision's RandomResizedCrop, RandomHorizontalFlip, RandomAffine and ColorJitter.

    Attributes:
        area: least and greatest share of the area that a crop keeps; none: nothing is cropped.
        ratio: least and greatest ratio of a crop's width to its height.
        flip: how often images are mirrored, left for right.
        degrees, shift, zoom: most rotation, shift along each side as a share of it, and change of size.
        moving: how often those three are applied.
        brightness, contrast: most change of their factors from 1.
        lighting: how often those two are applied.
    """

    area: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    degrees: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    moving: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    lighting: float = 1.0


# Where each number comes from, and which ones we had to choose: docs/augmentation.md.
AUGMENTATIONS = {
    "none": Augmentation(),
    "light": Augmentation(degrees=7, shift=0.05, zoom=0.08, brightness=0.15, contrast=0.15),
    "flip": Augmentation(flip=0.5, degrees=7, shift=0.05, zoom=0.08, brightness=0.15, contrast=0.15),
    "seo2023": Augmentation(area=(0.25, 1.0), ratio=(2 / 3, 3 / 2), flip=0.5),
    "lai2023": Augmentation(
        area=(0.64, 1.0), ratio=(4 / 5, 5 / 4), flip=0.5, brightness=0.125, contrast=0.5, lighting=0.5
    ),
    "bag_of_tricks2023": Augmentation(area=(0.8, 1.0), flip=0.5, degrees=7, shift=0.05, brightness=0.15, contrast=0.15),
    "chexfusion2023": Augmentation(
        area=(0.9, 1.0), flip=0.5, degrees=45, shift=0.0625, zoom=0.1, moving=0.5, brightness=0.2, contrast=0.2,
        lighting=0.5,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """What is to happen to each image of a batch, every field [B] on the CPU.

    Attributes:
        top, left, height, width: of the crop, in pixels, resized to the image's own size.
        mirrored: left for right.
        angle, right, down, zoom: degrees clockwise about the middle, pixels, and factor of the size.
        brightness, contrast: factors, of the grey values and of their distance from the image's mean.
        contrast_first: which of these two comes first; they differ where grey values reach their limits.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    mirrored: Tensor
    angle: Tensor
    right: Tensor
    down: Tensor
    zoom: Tensor
    brightness: Tensor
    contrast: Tensor
    contrast_first: Tensor


def normalise(images: Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    """Grey images for a trunk with three input channels: uint8 [B, 1, H, W] -> float32 [B, 3, H, W].

    Raises: ValueError on another type or number of channels.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}, expected uint8 [B, 1, H, W]")
    return v2.functional.normalize(images.expand(-1, 3, -1, -1).float() / 255, list(mean), list(std))


def augment(images: Tensor, name: str, *key: int) -> Tensor:
    """Every image changed in its own way, drawn from the stream that the key names: uint8 [B, 1, H, W] to the same.

    Works on whatever device the batch is on, so that the loader's workers need no random state; the changes are the
    same on all.
    Raises: ValueError if there is no augmentation of that name.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation is {name!r}, expected one of {sorted(AUGMENTATIONS)}")
    if name == "none":
        return images
    height, width = images.shape[-2:]
    return change(images, draw_changes(AUGMENTATIONS[name], len(images), height, width, key))


def draw_changes(augmentation: Augmentation, images: int, height: int, width: int, key: tuple[int, ...]) -> Changes:
    """Changes for a number of images of a size in pixels, drawn from the stream that the key names."""
    a = augmentation
    with torch_seed(*key):
        top, left, tall, wide = _draw_crops(a, images, height, width)
        mirrored, moved, lit, contrast_first = (
            torch.rand(images) < chance for chance in (a.flip, a.moving, a.lighting, 0.5)
        )
        angle, right, down, zoom, brightness, contrast = (
            limit * _uniform(images, -1, 1)
            for limit in (a.degrees, a.shift * width, a.shift * height, a.zoom, a.brightness, a.contrast)
        )
    return Changes(
        top=top,
        left=left,
        height=tall,
        width=wide,
        mirrored=mirrored,
        angle=angle * moved,
        right=right.round() * moved,  # whole pixels, as torchvision shifts
        down=down.round() * moved,
        zoom=1 + zoom * moved,
        brightness=1 + brightness * lit,
        contrast=1 + contrast * lit,
        contrast_first=contrast_first,
    )


def change(images: Tensor, changes: Changes) -> Tensor:
    """The images as the changes have them, resampled once, bilinearly: uint8 [B, 1, H, W] to the same.

    What an image does not show is black; what its crop cut off may come back where it is moved.
    """
    height, width = images.shape[-2:]
    matrices = _matrices(changes, height, width).to(images.device)
    first = torch.where(changes.contrast_first, changes.contrast, changes.brightness)
    second = torch.where(changes.contrast_first, changes.brightness, changes.contrast)
    factors = torch.stack([first, second, changes.contrast_first.float()], dim=1).to(images.device)
    count = max(1, PIXELS_AT_ONCE // (height * width)) if images.device.type == "cpu" else len(images)
    parts = zip(images.split(count), matrices.split(count), factors.split(count), strict=True)
    return torch.cat([_light(_moved(part, matrix), factor) for part, matrix, factor in parts])


def _draw_crops(augmentation: Augmentation, images: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Top, left, height, width [B]: the first of ten attempts that fits the image, or the largest in its middle.

    An attempt is an area and a ratio, drawn independently; large areas fit with few ratios.
    """
    if augmentation.area is None:
        return torch.zeros(images), torch.zeros(images), torch.full((images,), height), torch.full((images,), width)
    narrow, broad = augmentation.ratio
    area = height * width * _uniform((CROP_ATTEMPTS, images), *augmentation.area)
    ratio = torch.exp(_uniform((CROP_ATTEMPTS, images), math.log(narrow), math.log(broad)))
    tall, wide = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (tall > 0) & (tall <= height) & (wide > 0) & (wide <= width)
    tall, wide, fit = (values.gather(0, fits.int().argmax(dim=0, keepdim=True))[0] for values in (tall, wide, fits))
    tall = torch.where(fit, tall, min(height, round(width / narrow)))
    wide = torch.where(fit, wide, min(width, round(height * broad)))
    top, left = (
        torch.where(fit, torch.rand(images) * (spare + 1), spare / 2).floor().clamp(max=spare)
        for spare in (height - tall, width - wide)
    )
    return top, left, tall, wide


def _matrices(changes: Changes, height: int, width: int) -> Tensor:
    """From a place in the result to the one it is taken from, both in pixels from the middle: [B, 2, 3]."""
    angle = torch.deg2rad(changes.angle)
    cosine, sine = torch.cos(angle) / changes.zoom, torch.sin(angle) / changes.zoom
    # The way back: unmove, unmirror, then into the crop.
    across = torch.stack([cosine, sine, -cosine * changes.right - sine * changes.down], dim=1)
    along = torch.stack([-sine, cosine, sine * changes.right - cosine * changes.down], dim=1)
    across *= (torch.where(changes.mirrored, -1, 1) * changes.width / width)[:, None]
    along *= (changes.height / height)[:, None]
    across[:, 2] += changes.left + (changes.width - width) / 2
    along[:, 2] += changes.top + (changes.height - height) / 2
    return torch.stack([across, along], dim=1)


def _moved(images: Tensor, matrices: Tensor) -> Tensor:
    """The images resampled: float32 [B, 1, H, W]."""
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None]
    # Not affine_grid, whose matrix product over all pixels takes longer than the sampling; nor a stack, which copies.
    scaled = matrices * matrices.new_tensor([2 / width, 2 / height])[:, None]  # grid_sample's places go from -1 to 1
    m = scaled[..., None, None]
    places = torch.empty(len(images), height, width, 2, device=images.device)
    for axis in range(2):
        torch.add(m[:, axis, 0] * x, m[:, axis, 1] * y + m[:, axis, 2], out=places[..., axis])
    return grid_sample(images.float(), places, align_corners=False)


def _light(images: Tensor, factors: Tensor) -> Tensor:
    """Brightness and contrast, in the order that each image has: [B, 1, H, W], rounded to uint8.

    Args:
        factors: the first, the second, and 1 where the first is contrast [B, 3].
    """
    first, second, contrast_first = (factors[:, at, None, None, None] for at in range(3))
    images = _blended(images, first, contrast_first)
    return _blended(images, second, 1 - contrast_first).round_().to(torch.uint8)


def _blended(images: Tensor, factor: Tensor, with_mean: Tensor) -> Tensor:
    """Grey values times a factor, in place, and the rest black or, where with_mean is 1, the image's mean."""
    rest = (1 - factor) * with_mean * images.mean(dim=(1, 2, 3), keepdim=True)
    return images.mul_(factor).add_(rest).clamp_(0, 255)


def _uniform(shape: int | tuple[int, ...], low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(shape)
