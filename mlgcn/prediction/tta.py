"""Test-time augmentation: an image is scored in several versions, and the scores are merged."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn.data.resolutions import RESOLUTIONS, side_near
from mlgcn.prediction.merging import merge_scores
from mlgcn.suggestions import check_known

Change = Callable[..., Tensor]


def _flip(images: Tensor) -> Tensor:
    return images.flip(-1)


def _shift(images: Tensor, right: float, down: float) -> Tensor:
    """Moved by shares of the width and the height; what comes in from outside repeats the border."""
    height, width = images.shape[-2:]
    x, y = round(right * width), round(down * height)
    padded = F.pad(images, (max(x, 0), max(-x, 0), max(y, 0), max(-y, 0)), mode="replicate")
    return padded[..., max(-y, 0) : max(-y, 0) + height, max(-x, 0) : max(-x, 0) + width]


def _crop(images: Tensor, right: float, down: float, share: float = 0.875) -> Tensor:
    """A part of that share of each side, enlarged; 0, 0 is the upper left corner, 1, 1 the lower right."""
    height, width = images.shape[-2:]
    rows, columns = round(share * height), round(share * width)
    y, x = round(down * (height - rows)), round(right * (width - columns))
    return _resize(images[..., y : y + rows, x : x + columns], height, width)


def _shrink(images: Tensor, share: float = 0.9) -> Tensor:
    """Reduced, with the border repeated around it."""
    height, width = images.shape[-2:]
    small = _resize(images, round(share * height), round(share * width))
    y, x = height - small.shape[-2], width - small.shape[-1]
    return F.pad(small, (x // 2, x - x // 2, y // 2, y - y // 2), mode="replicate")


def _at_size(images: Tensor, share: float, multiple: int = 1) -> Tensor:
    """At another resolution, of sides as side_near has them."""
    height, width = (side_near(size, share, multiple) for size in images.shape[-2:])
    return _resize(images, height, width)


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=True)


# Each name stands for the versions that it adds to the image as it is.
VERSIONS: dict[str, list[Change]] = {
    "hflip": [_flip],
    "shift": [partial(_shift, right=x, down=y) for x, y in ((0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05))],
    "scale": [partial(_crop, right=0.5, down=0.5), _shrink],
    "crop": [partial(_crop, right=x, down=y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))],
    "resolution": [partial(_at_size, share=share) for share in RESOLUTIONS],
}


def augmented_scores(
    score: Callable[[Tensor], Tensor], images: Tensor, names: Sequence[str], merge: str = "mean", multiple: int = 1
) -> Tensor:
    """Probabilities [B, C] of images as they are and in every version that the names stand for, merged.

    Args:
        score: images [n, 3, H, W] -> logits [B, C].
        names: of VERSIONS: hflip, shift (5 % left, right, up, down), scale (to 8/7 and to 0.9), crop (7/8 of each
            corner), resolution (3/4 and 5/4 of the pixels a side).
        merge: as in merge_scores.
        multiple: heights and widths of images at another resolution are multiples of it, and of 32.
    Raises: ValueError on an unknown name or merge.
    """
    check_known(VERSIONS, names, "test-time augmentation")
    changes: list[Change] = [
        partial(change, multiple=multiple) if name == "resolution" else change
        for name in dict.fromkeys(names)
        for change in VERSIONS[name]
    ]
    logits = torch.stack([score(images), *(score(_like(change(images))) for change in changes)])  # [T, B, C]
    return merge_scores(logits, merge).float()


def _like(images: Tensor) -> Tensor:
    # Convolutions run faster with channels last, on the CPU as on the GPU.
    return images.contiguous(memory_format=torch.channels_last)
