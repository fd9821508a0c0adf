"""What parts of the data share that should be apart: patients, studies, pictures."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.combine import SEPARATOR
from mlgcn.data.images import PHANTOM, UnreadableImageError, decode_grey, read_image
from mlgcn.data.sources.files import read_table
from mlgcn.data.splits import part_names
from mlgcn.labels import LabelTable

logger = logging.getLogger(__name__)

EXAMPLES = 10
PHANTOM_SIZE = 64
# Readers of which the images, or some of them, are the same and have the same ids.
FAMILIES = (
    {"cxr_lt_2023", "cxr_lt_2024", "ltml_mimic_cxr", "mimic_cxr_jpg"},
    {"cxr_lt_2026", "nih"},
    {"cxr_lt_2026", "padchest"},
)
# Readers whose ids are whatever a user's files are called.
ANY_FILES = {"table", "torchxrayvision"}
# Ten digits or more are no running number: ids of MIMIC-CXR, NIH, PadChest and VinDr-CXR have them.
TELLING = re.compile(r"(?:\D*\d){10}")
IMAGE_SUFFIXES = {"png", "jpg", "jpeg", "dcm", "dicom"}


@dataclass(frozen=True)
class Shared:
    """What is in more than one part.

    Attributes:
        count: how many patients, studies or pictures.
        pairs: how many of them each two parts share.
        examples: the first ten; each names what is shared, a picture by the first image of it in each part, and where.
    """

    count: int
    pairs: dict[tuple[str, str], int]
    examples: list[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Leakage:
    """What the parts share.

    Attributes:
        images: pictures that are the same; none: they were not compared.
        unreadable: ids of the images that could not be compared.
    """

    patients: Shared
    studies: Shared
    images: Shared | None
    unreadable: list[str]

    def findings(self) -> dict[str, Shared]:
        """What was looked for, by name."""
        found = {"patients": self.patients, "studies": self.studies, "identical images": self.images}
        return {name: shared for name, shared in found.items() if shared is not None}


def leakage(
    table: LabelTable, hashes: Sequence[str] | None = None, parts: Sequence[str] | np.ndarray | None = None
) -> Leakage:
    """The patients, studies and, by their hashes, pictures that are in more than one part.

    Args:
        hashes: of the images, in their order, as image_hashes gives them; "" for an image without one.
        parts: of the images, "" for none; by default their splits.
    Raises: ValueError if there are not as many hashes or parts as images.
    """
    part = table.images.split.to_numpy() if parts is None else np.array(parts, dtype=object)
    names = table.images.image_id.to_numpy()
    for what, given in (("hashes", hashes), ("parts", part)):
        if given is not None and len(given) != len(table):
            raise ValueError(f"there are {len(given)} {what}, expected one for each of {len(table)} images")
    images = None if hashes is None else _shared(np.array(hashes, dtype=object), part, names)
    return Leakage(
        _shared(table.images.patient_id.to_numpy(), part),
        _shared(table.images.study_id.to_numpy(), part),
        images,
        [] if hashes is None else [name for name, code in zip(names, hashes, strict=True) if not code],
    )


def check_unseen(table: LabelTable, recorded: Mapping[str, Path], what: str, leaks: str = "error") -> None:
    """Tells of images or patients of the table that a run was trained on: raises ValueError, or logs a warning.

    An image that a run has not recorded under its id is compared without the name of its source, since a run on several
    data sets has that before the ids, and a table of one of them has not.

    Args:
        recorded: of each run, the split that it has recorded (mlgcn.data.splits.save_split).
        what: the table's images in words, for the message.
        leaks: "warn" for the warning; else it is an error.
    """
    for run, path in recorded.items():
        saved = read_table(path, columns=["image_id", "patient_id", "split"])
        seen = _trained_on(table.images, saved)
        if not seen.any():
            continue
        known = table.images.patient_id[seen].unique()
        found = f"{run} was trained on {len(known)} patients of the {what}, the first {known[:5].tolist()} ({path})"
        if leaks != "warn":
            raise ValueError(f"{found}; if they only share their names, --data.leaks warn goes on")
        logger.warning(found)


def check_sources(tables: Mapping[str, LabelTable], readers: Mapping[str, str], leaks: str = "error") -> None:
    """Tells of images that two sources have in different splits: raises ValueError, or logs a warning.

    Images are compared by their ids where the two readers are the same or known to share images. Elsewhere an id such
    as 1 or scan_0007.png may mean two images: there its last part is compared, without suffix, if it has ten digits or
    more, and else the path of the file; what stands twice in a source tells nothing.

    Args:
        tables: by the name of the source, before they are combined.
        readers: of each source, by its name; as original_reader gives them.
        leaks: "warn" for the warning; else it is an error.
    """
    counts: Counter[str] = Counter()
    examples = []
    for one, other in combinations(tables, 2):
        name_of = _own_ids if _share_ids(readers[one], readers[other]) else _telling_names
        first, second = name_of(tables[one]), name_of(tables[other])
        first = first[first.index.isin(second.index)]
        there = second[first.index].to_numpy()
        apart = first[((first != there) & (first != "") & (there != "")).to_numpy()]
        if len(apart):
            counts[f"{one} and {other}"] += len(apart)
            examples += [f"{name} ({part} of {one}, {second[name]} of {other})" for name, part in apart[:3].items()]
    if counts:
        each = ", ".join(f"{count} of {pair}" for pair, count in counts.items())
        found = f"images are in more than one split, by id or path: {each}, such as {'; '.join(examples[:EXAMPLES])}"
        if leaks != "warn":
            raise ValueError(f"{found}; leave out one of the data sets or these images, or --data.leaks warn goes on")
        logger.warning("%s: what is measured flatters the model", found)


def check_same_validation(recorded: Mapping[str, Path]) -> None:
    """Raises ValueError that names the difference unless all runs have recorded the same validation images.

    Args:
        recorded: as in check_unseen.
    """
    images = {}
    for run, path in recorded.items():
        saved = read_table(path, columns=["image_id", "split"])
        images[run] = set(saved.image_id[saved.split == "val"])
        first = next(iter(images))
        if lone := sorted(images[first] ^ images[run]):
            raise ValueError(
                f"{first} and {run} have other validation images: {len(lone)} are only in one, the first {lone[:3]}"
            )


def image_hashes(paths: Sequence[str], content: str = "bytes", workers: int = 1) -> list[str]:
    """A hash of every image, equal where images are: 32 hexadecimal digits, "" where an image cannot be read.

    Args:
        content: "bytes" compares files, as fast as they are read. "pixels" compares what they show, decoded to grey, so
            that a picture in another lossless file, with other metadata or three equal channels is the same; resized or
            stored with loss once more, it is another. Phantoms have no file, and are drawn either way.
        workers: threads that read.
    Raises: ValueError if content is neither.
    """
    if content not in ("bytes", "pixels"):
        raise ValueError(f"content is {content!r}, expected 'bytes' or 'pixels'")
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(partial(_hash, content=content), paths))


def _trained_on(images: pd.DataFrame, saved: pd.DataFrame) -> pd.Series:
    """Which of the images, or another one of the same patient, the saved split has for training."""
    trained = saved[saved.split == "train"]
    seen = images.image_id.isin(trained.image_id) | images.patient_id.isin(trained.patient_id)
    unrecorded = ~images.image_id.isin(saved.image_id)
    for column in ("image_id", "patient_id"):
        seen |= unrecorded & _without_source(images[column]).isin(_without_source(trained[column]))
    return seen


def _without_source(ids: pd.Series) -> pd.Series:
    return ids.str.rpartition(SEPARATOR)[2]


def _share_ids(reader: str, other: str) -> bool:
    """Whether an id that two sources have means the same image."""
    if reader == other:
        return reader not in ANY_FILES
    return any({reader, other} <= family for family in FAMILIES)


def _own_ids(table: LabelTable) -> pd.Series:
    """The split of every image by its id."""
    return table.images.set_index("image_id").split


def _telling_names(table: LabelTable) -> pd.Series:
    """The split of images by the name of their file, or where that may be any image's, by its path."""
    keys = []
    for image, path in zip(table.images.image_id, table.images.path, strict=True):
        name = image.rpartition("/")[2]
        stem, _, suffix = name.rpartition(".")
        name = stem if suffix.lower() in IMAGE_SUFFIXES else name
        keys.append(name if TELLING.match(name) else path)
    splits = table.images.split.set_axis(keys)
    return splits[~splits.index.duplicated(keep=False)]


def _hash(path: str, content: str) -> str:
    try:
        if path.startswith(PHANTOM):
            data = read_image(path, PHANTOM_SIZE).numpy().tobytes()
        elif content == "bytes":
            data = Path(path).read_bytes()
        else:
            pixels = decode_grey(path)
            data = repr(pixels.shape).encode() + pixels.tobytes()
    except (OSError, UnreadableImageError):
        return ""
    return blake2b(data, digest_size=16).hexdigest() if data else ""


def _shared(keys: np.ndarray, parts: np.ndarray, names: np.ndarray | None = None) -> Shared:
    """The keys of images in more than one part; "" is no key and no part.

    Args:
        names: of the images, to name a key by the first one in each part; by default the key names itself.
    """
    places: dict[str, dict[str, str]] = {}  # key -> part -> the first image there
    for key, part, name in zip(keys, parts, keys if names is None else names, strict=True):
        if key and part:
            places.setdefault(key, {}).setdefault(part, name)
    order = part_names(parts)
    shared = {key: [part for part in order if part in place] for key, place in places.items() if len(place) > 1}
    pairs = Counter(pair for place in shared.values() for pair in combinations(place, 2))
    examples = []
    for key, place in list(shared.items())[:EXAMPLES]:
        called = key if names is None else " = ".join(places[key][part] for part in place)
        examples.append((called, tuple(place)))
    return Shared(len(shared), {pair: pairs[pair] for pair in combinations(order, 2) if pair in pairs}, examples)
