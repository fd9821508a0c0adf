"""Reading one image from disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from mlgcn.data.dicom import decode_dicom, is_dicom
from mlgcn.data.phantom import draw_phantom, parse_phantom_path
from mlgcn.data.resize import Resample, resize

PHANTOM = "phantom:"
# One block of a JPEG. No X-ray is that small, but thumbnails are read too; 1 x 1 stands for a failed export.
MIN_SIDE = 8
_PNG = b"\x89PNG\r\n\x1a\n"
_OTHERS = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"RIFF": "RIFF (WebP)"}


class UnreadableImageError(ValueError):
    """A file that is missing, empty, truncated, or no image; the message names it."""


class Stored(NamedTuple):
    """An image as its file stores it, in one channel.

    Attributes:
        pixels: uint8 or uint16 [H, W].
        extent: of a JPEG that was shrunk while it was decoded, its height and width in these pixels (see resize).
    """

    pixels: np.ndarray
    extent: tuple[float, float] | None = None


def read_image(path: str, size: int, resample: Resample = "antialias") -> Tensor:
    """The image, grey, resized to a square: uint8 [1, size, size].

    A JPEG at least twice as large is shrunk while it is decoded, which is faster (error: benchmarks/prepare.py).

    Args:
        path: a PNG, JPEG or DICOM file, or "phantom:SEED:INDEX", which is drawn at that size.
        size: in pixels. The aspect ratio is not kept (Seo et al. 2023, section 4.3).
        resample: see mlgcn.data.resize.
    Raises: UnreadableImageError that names the file.
    """
    if path.startswith(PHANTOM):
        return torch.from_numpy(draw_phantom(*parse_phantom_path(path), size))[None]
    return to_square(read_stored(path, size if resample == "antialias" else None), size, resample)


def to_square(stored: Stored, size: int, resample: Resample = "antialias") -> Tensor:
    """The image in 8 bits, resized to a square: uint8 [1, size, size]."""
    return resize(torch.from_numpy(to_8_bits(stored.pixels)), size, resample, stored.extent)[None]


def decode_grey(path: str) -> np.ndarray:
    """The image, grey, as large as it is: uint8 [H, W]; 16 bits are rounded to 8 over their full range.

    Raises: UnreadableImageError that names the file.
    """
    return to_8_bits(read_stored(path).pixels)


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Grey values over their full range in 8 bits, rounded: uint8 or uint16 to uint8."""
    return pixels if pixels.dtype == np.uint8 else ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def read_stored(path: str, size: int | None = None) -> Stored:
    """The image as stored: 8 bits, or 16 where a grey PNG has 16; DICOM in 8 bits over its window.

    Args:
        size: the least side that is needed, if not the whole image.
    Raises: UnreadableImageError that names the file.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise UnreadableImageError(f"{path}: the file is empty")
    try:
        stored = _decode(content, size)
    except ValueError as error:
        raise UnreadableImageError(f"{path}: {error}".splitlines()[0]) from error
    return stored


def _decode(content: bytes, size: int | None) -> Stored:
    """Raises: ValueError that says what is wrong with the content."""
    if content.startswith(b"\xff\xd8"):
        return _decode_jpeg(content, size)
    if content.startswith(_PNG):
        return Stored(_decode_png(content))
    if is_dicom(content):
        pixels = decode_dicom(content)
        _check_sides(*pixels.shape)
        return Stored(pixels)
    for start, kind in _OTHERS.items():
        if content.startswith(start):
            raise ValueError(f"a {kind} file, expected a PNG, JPEG or DICOM image")
    raise ValueError("truncated or no PNG or JPEG image, nor DICOM")


def _decode_jpeg(content: bytes, size: int | None) -> Stored:
    with _damaged("JPEG"):
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    if colours in ("CMYK", "YCCK"):
        raise ValueError(f"a JPEG in {colours}, which is for print; expected grey or RGB")
    _check_sides(height, width)
    least = 0
    if size is not None and min(height, width) >= 2 * size:
        # libjpeg shrinks to eighths and rounds up; what was rounded up must not be as small as wanted already.
        least = size if height % 8 == width % 8 == 0 else size + 1
    with _damaged("JPEG"):
        pixels = simplejpeg.decode_jpeg(content, "GRAY", min_height=least, min_width=least)[..., 0]
    scale = 8 * len(pixels) // height / 8
    return Stored(pixels, (scale * height, scale * width) if scale < 1 else None)


def _decode_png(content: bytes) -> np.ndarray:
    # Pillow takes colour in 8 bits. torchvision 0.29 crashes the process where libpng meets an error in the image data.
    with _damaged("PNG"):
        image = Image.open(BytesIO(content), formats=["PNG"])
        image.load()
        Image.open(BytesIO(content), formats=["PNG"]).verify()  # the checksums, of which load takes no notice
    if getattr(image, "is_animated", False):
        raise ValueError("an animated PNG, expected one image")
    _check_sides(image.height, image.width)
    image.info.pop("transparency", None)  # left out, as any alpha channel is
    deep = image.mode.startswith("I")
    return np.array(image, dtype=np.uint16) if deep else np.array(image.convert("L"))


@contextmanager
def _damaged(kind: str) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError as error:  # its message tells an address in memory
        raise ValueError(f"truncated or damaged {kind}: its header is broken") from error
    except MemoryError:
        raise
    except Exception as error:  # whatever damaged bytes provoke
        raise ValueError(f"truncated or damaged {kind}: {error}") from error


def _check_sides(height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise ValueError(f"{width} x {height} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}")
