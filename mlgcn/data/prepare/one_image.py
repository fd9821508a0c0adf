"""One image of a data set, resized and written."""

import hashlib
import os
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import numpy as np
import simplejpeg
from PIL import Image

from mlgcn.data.images import PHANTOM, Stored, UnreadableImageError, decode_grey, read_image, read_stored, to_square
from mlgcn.data.prepare.manifest import Entry, Unreadable
from mlgcn.data.range_check import check_range
from mlgcn.data.resize import RESAMPLES, Resample

JPEG_QUALITY = 95
SUFFIXES = {"jpeg": ".jpg", "png": ".png"}
SIZES = (32, 4096)
# In grey levels and in the mean; at quality 95 even pure noise stays below 3.
_LARGEST_LOSS = 5.0


@dataclass(frozen=True)
class Settings:
    """What every image of a folder becomes.

    Raises: ValueError on a size outside 32..4096, or on an unknown format or way to resample.
    """

    size: int = 512
    resample: Resample = "antialias"
    format: Literal["jpeg", "png"] = "jpeg"

    def __post_init__(self) -> None:
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise ValueError(f"size must be in {SIZES[0]}..{SIZES[1]}, got {self.size}")
        for name, known in (("resample", RESAMPLES), ("format", tuple(SUFFIXES))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {list(known)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


class Task(NamedTuple):
    """An image to prepare, and what is known of it from an earlier run."""

    image_id: str
    source: str
    known: Entry | None


class Outcome(NamedTuple):
    """What became of a task: an entry or the reason for having none, and whether it was finished before."""

    result: Entry | Unreadable
    before: bool = False


def new_path(image_id: str, settings: Settings) -> str:
    """Where an image goes, relative to the folder; another image never goes there.

    The identifier's slashes make folders; characters that a file system may not take, and names that lead elsewhere,
    are written as %XX.
    """
    parts = [_safe_name(part) for part in image_id.split("/")]
    return f"images/{'/'.join(parts)}{SUFFIXES[settings.format]}"


def _safe_name(part: str) -> str:
    safe = quote(part, safe=" ()+,=@[]")
    if len(safe) > 200:  # file systems take 255 bytes
        return f"%{hashlib.sha256(part.encode()).hexdigest()}"
    # "%" is never written otherwise, since quote turns it into %25.
    return {"": "%", ".": "%2E", "..": "%2E%2E"}.get(safe, safe)


def prepare_image(task: Task, folder: Path, settings: Settings) -> Outcome:
    """Resizes an image into the folder, unless it is there as an earlier run has left it.

    Raises: OSError if the file cannot be written, or reads back as another image.
    """
    try:
        size, mtime = _state(task.source)
        path = new_path(task.image_id, settings)
        if task.known and _still_holds(task.known, folder, (path, task.source, size, mtime)):
            return Outcome(task.known, before=True)
        image, remark = _resized(task.source, settings)
    except UnreadableImageError as error:
        return Outcome(Unreadable(task.image_id, task.source, str(error)))
    content = encode(image, settings)
    _write(folder / path, content, image, settings)
    digest = hashlib.sha256(content).hexdigest()
    return Outcome(Entry(task.image_id, path, task.source, size, mtime, str(len(content)), digest, remark or ""))


def encode(image: np.ndarray, settings: Settings) -> bytes:
    """The file's content: grey JPEG of quality 95, or PNG. Shape: uint8 [H, W]."""
    if settings.format == "jpeg":
        return simplejpeg.encode_jpeg(image[..., None], JPEG_QUALITY, "GRAY", colorsubsampling="Gray")
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _state(source: str) -> tuple[str, str]:
    """Bytes and time of change of an original, as text."""
    if source.startswith(PHANTOM):
        return "", ""
    try:
        state = os.stat(source)
    except OSError as error:
        raise UnreadableImageError(f"{source}: cannot be read: {error.strerror}") from error
    return str(state.st_size), str(state.st_mtime_ns)


def _still_holds(known: Entry, folder: Path, expected: tuple[str, str, str, str]) -> bool:
    """Whether the original is as it was, and the new file as it was written."""
    if (known.path, known.source, known.source_size, known.source_mtime_ns) != expected:
        return False
    try:
        content = (folder / known.path).read_bytes()
    except OSError:
        return False
    return str(len(content)) == known.size and hashlib.sha256(content).hexdigest() == known.sha256


def _resized(source: str, settings: Settings) -> tuple[np.ndarray, str | None]:
    """The image, uint8 [size, size], and what seems wrong with the range of the original."""
    if source.startswith(PHANTOM):
        stored = Stored(read_image(source, settings.size)[0].numpy())
    else:
        stored = read_stored(source, settings.size if settings.resample == "antialias" else None)
    return to_square(stored, settings.size, settings.resample)[0].numpy(), check_range(stored.pixels)


def _write(target: Path, content: bytes, image: np.ndarray, settings: Settings) -> None:
    """Writes under another name, reads that file back, and only then gives it its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.half")
    half.write_bytes(content)
    try:
        found = decode_grey(str(half))
    except UnreadableImageError as error:
        raise OSError(f"{target}: does not read back: {error}") from error
    loss = np.abs(found.astype(int) - image).mean() if found.shape == image.shape else np.inf
    if loss > (_LARGEST_LOSS if settings.format == "jpeg" else 0):
        raise OSError(f"{target}: reads back as another image, {loss:.1f} grey levels apart")
    half.replace(target)
