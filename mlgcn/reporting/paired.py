"""What several models predicted for the same images, read from files and put in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.labels import check_same_labels
from mlgcn.predictions import Predictions
from mlgcn.run_directory import RunDirectory


@dataclass(frozen=True)
class Side:
    """What one model predicted, once for each seed.

    Attributes:
        name: as it was asked for.
        files: of each seed: the predictions file, or the folder of a run or of one of its evaluations.
        scores: float32 [S, N, C].
    """

    name: str
    files: tuple[Path, ...]
    scores: np.ndarray


@dataclass(frozen=True)
class Paired:
    """Models on the same images and labels, in the order of the first file.

    Attributes:
        images: as in Predictions.
        names: of the labels.
        targets: float32 [N, C]; what any file knows.
    """

    images: pd.DataFrame
    names: tuple[str, ...]
    targets: np.ndarray
    sides: tuple[Side, ...]


def read_paired(sides: Sequence[str], ids: Sequence[str] = ("patient_id",)) -> Paired:
    """The predictions of two sides or more, each a file, a folder or a pattern of them, see pair.

    Raises: FileNotFoundError; ValueError on fewer sides, and as pair.
    """
    if len(sides) < 2:
        raise ValueError(f"{len(sides)} sides to compare ({', '.join(sides)}), expected at least 2")
    return pair(sides, [_files(side) for side in sides], ids)


def pair(sides: Sequence[str], files: Sequence[tuple[Path, ...]], ids: Sequence[str] = ("patient_id",)) -> Paired:
    """The predictions of all sides, labels by name and images by image_id, in the order of the first file.

    Args:
        sides: their names.
        files: of each side: predictions files, or folders of runs or of their evaluations, one a seed.
        ids: columns in which all files must agree.
    Raises: FileNotFoundError; ValueError that names the files and what only one has, on other labels or images, ids or
        targets.
    """
    first_path, *others = dict.fromkeys(path for of_side in files for path in of_side)
    first = _read(first_path)
    read = {first_path: first} | {path: _aligned(_read(path), path, first, first_path, ids) for path in others}
    made = (
        Side(side, of_side, np.stack([read[path].scores for path in of_side]))
        for side, of_side in zip(sides, files, strict=True)
    )
    return Paired(first.images, first.names, _merged(read), tuple(made))


def check_sides(sides: Sequence[str], names: Sequence[str], image_ids: Sequence[str], whole: bool = True) -> None:
    """Whether sides can be compared with what is yet to be predicted, before hours go into that.

    Args:
        sides: each a file, a folder or a pattern of them, as of read_paired.
        names: of the labels that are to be predicted.
        image_ids: of the images, or studies, that are.
        whole: whether none of these will be left out.
    Raises: FileNotFoundError; ValueError that names the file, on other labels or images.
    """
    expected = set(image_ids)
    for path in dict.fromkeys(path for side in sides for path in _files(side)):
        predictions = _read(path)
        try:
            check_same_labels(predictions.names, names)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        found = set(predictions.images.image_id)
        if more := sorted(found - expected):
            raise ValueError(f"{path} has {len(more):,} images that are not to be predicted, such as {more[:3]}")
        if whole and (lacking := sorted(expected - found)):
            raise ValueError(f"{path} lacks {len(lacking):,} images that are to be predicted, such as {lacking[:3]}")


def _files(side: str) -> tuple[Path, ...]:
    """What a side names: itself, or all that its pattern fits, in order."""
    if Path(side).exists() or not has_magic(side):
        return (Path(side),)
    found = tuple(Path(path) for path in sorted(glob(side, recursive=True)))
    if not found:
        raise FileNotFoundError(f"no run or predictions file is named like {side!r}")
    return found


def _read(path: Path) -> Predictions:
    if not path.exists():
        raise FileNotFoundError(f"there is no run or predictions file {path}")
    if not path.is_dir():
        return Predictions.read(path)
    file = RunDirectory(path).test.predictions
    if not file.is_file():
        raise FileNotFoundError(f"{path} is no run with predictions, it has no {file.name}; evaluate.py writes it")
    return Predictions.read(file)


def _aligned(
    predictions: Predictions, path: Path, first: Predictions, first_path: Path, ids: Sequence[str]
) -> Predictions:
    """The predictions with labels and images in the order of the first file's."""
    try:
        predictions = predictions.aligned(first.names)
    except ValueError as error:
        raise ValueError(f"{path} beside {first_path}: {error}") from None
    here, there = pd.Index(predictions.images.image_id), pd.Index(first.images.image_id)
    order = here.get_indexer(there)
    if (order < 0).any() or len(here) != len(there):
        lone = "; ".join(
            f"{len(only):,} are only in {where}" + (f": {', '.join(only[:3])}" if len(only) else "")
            for where, only in (
                (first_path, there[~there.isin(here)]),
                (path, here[~here.isin(there)]),
            )
        )
        raise ValueError(f"{first_path} and {path} hold other images, expected the same: {lone}")
    images = predictions.images.iloc[order].reset_index(drop=True)
    for column in ids:
        if (differs := images[column] != first.images[column]).any():
            row = int(differs.to_numpy().argmax())
            raise ValueError(
                f"{path}: image {first.images.image_id[row]!r} has {column} {images[column][row]!r}, but "
                f"{first.images[column][row]!r} in {first_path} (an .npz file without {column} takes its image ids)"
            )
    return Predictions(images, first.names, predictions.scores[order], predictions.targets[order])


def _merged(read: Mapping[Path, Predictions]) -> np.ndarray:
    """What any of the files knows: float32 [N, C]. Raises: ValueError where two of them know different things."""
    merged = next(iter(read.values())).targets
    for path, predictions in read.items():
        targets = predictions.targets
        differ = (targets != merged) & ~np.isnan(targets) & ~np.isnan(merged)
        if differ.any():
            row, label = np.argwhere(differ)[0]
            other = next(path for path, held in read.items() if held.targets[row, label] == merged[row, label])
            raise ValueError(
                f"image {predictions.images.image_id[row]!r}, label {predictions.names[label]!r}: the target is "
                f"{targets[row, label]:g} in {path}, but {merged[row, label]:g} in {other}"
            )
        merged = np.where(np.isnan(merged), targets, merged)
    return merged
