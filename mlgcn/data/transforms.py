"""From stored grey images to what the trunk takes in, and augmentation before that."""

import torch
from torch import Tensor
from torchvision.transforms import v2

from mlgcn.seeding import torch_seed
from mlgcn.suggestions import check_known

# ImageNet's statistics, which the pretrained trunks expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BILINEAR = v2.InterpolationMode.BILINEAR


def _affine(degrees: float, shift: float, zoom: float = 0.0) -> v2.Transform:
    """Most rotation, shift along each side as a share of it, and change of size."""
    return v2.RandomAffine(degrees, (shift, shift), (1 - zoom, 1 + zoom), interpolation=BILINEAR)


def _light() -> list[v2.Transform]:
    return [_affine(7, 0.05, 0.08), v2.ColorJitter(brightness=0.15, contrast=0.15)]


def _crop(size: int, area: tuple[float, float], ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> v2.Transform:
    return v2.RandomResizedCrop(size, scale=area, ratio=ratio)


# From the size of the images to what is done to them, in that order.
# Where each number comes from, and which ones we had to choose: docs/augmentation.md.
AUGMENTATIONS = {
    "none": lambda size: [],
    "light": lambda size: _light(),
    "flip": lambda size: [v2.RandomHorizontalFlip(), *_light()],
    "seo2023": lambda size: [_crop(size, (0.25, 1.0), (2 / 3, 3 / 2)), v2.RandomHorizontalFlip()],
    "lai2023": lambda size: [
        _crop(size, (0.64, 1.0), (4 / 5, 5 / 4)),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(brightness=0.125, contrast=0.5)]),
    ],
    "bag_of_tricks2023": lambda size: [
        _crop(size, (0.8, 1.0)),
        v2.RandomHorizontalFlip(),
        _affine(7, 0.05),
        v2.ColorJitter(brightness=0.15, contrast=0.15),
    ],
    "chexfusion2023": lambda size: [
        _crop(size, (0.9, 1.0)),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([_affine(45, 0.0625, 0.1)]),
        v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)]),
    ],
}


class Augmentation:
    """Changes grey images at random, uint8 [1, S, S] to the same, each draw by a stream of its own.

    Runs in the loader's workers, and gives the same there, in the main process and after a resume, since what is done
    to an image depends on the key alone; torch's global stream is left as it was.

    Args:
        name: of AUGMENTATIONS.
        size: S, in pixels.
        key: of the stream, what all draws share.
    Raises: ValueError if there is no augmentation of that name.
    """

    def __init__(self, name: str, size: int, *key: int) -> None:
        check_known(AUGMENTATIONS, [name], "augmentation")
        self.key = key
        self.steps: list[v2.Transform] = AUGMENTATIONS[name](size)

    def __call__(self, image: Tensor, *draw: int) -> Tensor:
        """The image as it is changed in the draw that these numbers name."""
        with torch_seed(*self.key, *draw, gpus=False):
            for step in self.steps:
                image = step(image)
        return image


def normalise(images: Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    """Grey images for a trunk with three input channels: uint8 [B, 1, H, W] -> float32 [B, 3, H, W].

    Raises: ValueError on another type or number of channels.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}, expected uint8 [B, 1, H, W]")
    return v2.functional.normalize(images.expand(-1, 3, -1, -1).float() / 255, list(mean), list(std))
