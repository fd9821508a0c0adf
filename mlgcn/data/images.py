"""Reading one image from disk."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional as F

from mlgcn.data.phantom import draw_phantom, parse_phantom_path

PHANTOM = "phantom:"


class UnreadableImageError(ValueError):
    """A file that is missing, empty, truncated, or no image; the message names it."""


def read_image(path: str, size: int) -> Tensor:
    """The image, grey, resized to a square with antialiased bilinear interpolation: uint8 [1, size, size].

    Args:
        path: a PNG or JPEG file, or "phantom:SEED:INDEX", which is drawn at that size.
        size: in pixels. The aspect ratio is not kept (Seo et al. 2023, section 4.3).
    Raises: UnreadableImageError that names the file.
    """
    if path.startswith(PHANTOM):
        return torch.from_numpy(draw_phantom(*parse_phantom_path(path), size))[None]
    image = _decode(Path(path))
    return F.resize(image, [size, size], antialias=True) if image.shape[1:] != (size, size) else image


def _decode(path: Path) -> Tensor:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise UnreadableImageError(f"{path}: the file is empty")
    try:
        image = decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.GRAY)
    except RuntimeError as error:
        raise UnreadableImageError(f"{path}: truncated or no PNG or JPEG image: {error}".splitlines()[0]) from error
    if image.ndim != 3 or len(image) != 1:  # torchvision reads GIF and WebP too, but not as grey
        raise UnreadableImageError(f"{path}: expected a PNG or JPEG image")
    if image.dtype == torch.uint16:
        image = image.to(torch.int32) >> 8
    return image.to(torch.uint8)
