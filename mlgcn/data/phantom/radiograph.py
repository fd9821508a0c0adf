"""From a plan to a picture: the seeds of every part, the order of drawing, and the film."""

import re
from dataclasses import dataclass

import numpy as np

from mlgcn.data.phantom.anatomy import Thorax, add_vessels, lie_down, patient_build
from mlgcn.data.phantom.canvas import Array, Canvas
from mlgcn.data.phantom.frontal import frontal_thorax
from mlgcn.data.phantom.lateral import lateral_thorax
from mlgcn.data.phantom.population import LABELS, Shot, shot
from mlgcn.data.phantom.signs import Sign, draw_signs, reshape_build

SIZES = (32, 1024)
_PATH = re.compile(r"phantom:(0|[1-9][0-9]*):(0|[1-9][0-9]*)")
# Streams of random numbers; population.py uses stream 0.
_BODY, _POSE, _SEVERITY, _PLACE, _GRAIN, _TEXTURE = 1, 2, 3, 4, 5, 6


@dataclass(frozen=True)
class Pose:
    """How one image was taken."""

    scale: float
    centre: tuple[float, float]
    lean: float
    breath: float  # 0 full to 1 shallow
    exposure: float
    contrast: float
    grain: float
    marker: bool
    border: tuple[float, float, float, float]  # unexposed margins left, right, top, bottom


def draw_phantom(seed: int, index: int, size: int) -> Array:
    """Image `index` of `seed`: uint8 [size, size], bright where dense.

    The same picture at every size, but for the grain. Raises: ValueError if size is not in 32..1024.
    """
    return draw_shot(shot(seed, index), size)


def draw_shot(shot: Shot, size: int) -> Array:
    """The picture of a plan: uint8 [size, size]. Another set of labels leaves patient and pose as they are."""
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size must lie in {SIZES[0]}..{SIZES[1]}, got {size}")
    thorax, pose = _expose(shot, size)
    return _develop(thorax, pose, np.random.default_rng([shot.seed, _GRAIN, shot.index]))


def phantom_path(seed: int, index: int) -> str:
    """The path that stands for a picture which is drawn instead of read."""
    return f"phantom:{seed}:{index}"


def parse_phantom_path(path: str) -> tuple[int, int]:
    """Seed and index of a phantom's path, such as "phantom:0:17".

    Raises: ValueError if it is no such path.
    """
    match = _PATH.fullmatch(path)
    if not match:
        raise ValueError(f"path is {path!r}, expected phantom:<seed>:<index> with whole numbers >= 0")
    return int(match[1]), int(match[2])


def _expose(shot: Shot, size: int) -> tuple[Thorax, Pose]:
    """The thorax with its signs. Patient, study, image and sign have their own random streams, none depends on size."""
    body = np.random.default_rng([shot.seed, _BODY, shot.patient])
    build = patient_build(body)
    pose = _pose(np.random.default_rng([shot.seed, _POSE, shot.index]))
    severity = np.random.default_rng([shot.seed, _SEVERITY, shot.study]).random(len(LABELS))
    signs = [
        Sign(LABELS[i], float(severity[i]), np.random.default_rng([shot.seed, _PLACE, shot.patient, i]))
        for i in np.flatnonzero(shot.labels).tolist()
    ]
    if shot.projection == "ap":
        lie_down(build, pose.breath)
    build.domes = [dome - 0.05 * pose.breath for dome in build.domes]
    reshape_build(build, signs)
    canvas = Canvas(size, pose.scale, pose.centre, pose.lean)
    thorax = (lateral_thorax if shot.projection == "lateral" else frontal_thorax)(canvas, build)
    add_vessels(thorax, body, build.vessels)
    draw_signs(thorax, signs)
    texture = np.random.default_rng([shot.seed, _TEXTURE, shot.index])
    thorax.soft += np.float32(0.030) * canvas.noise(texture, 7)
    thorax.air *= 1 + np.float32(0.035) * canvas.noise(texture, 26)
    return thorax, pose


def _pose(rng: np.random.Generator) -> Pose:
    r = rng.uniform(-1, 1, 8)
    margins = np.maximum(rng.uniform(-0.25, 0.09, 4), 0)
    return Pose(
        scale=1.0 + 0.07 * r[0],
        centre=(0.04 * r[1], 0.04 + 0.05 * r[2]),
        lean=0.05 * r[3],
        breath=0.5 + 0.5 * r[4],
        exposure=0.06 * r[5],
        contrast=1 + 0.15 * r[6],
        grain=0.022 + 0.012 * r[7],
        marker=bool(rng.random() < 0.6),
        border=tuple(margins.tolist()),
    )


def _develop(thorax: Thorax, pose: Pose, rng: np.random.Generator) -> Array:
    """The film's characteristic curve, the side marker, the unexposed margins, and grain."""
    density = thorax.density()
    steepness = np.float32(4.2 * pose.contrast)
    grey = 1 / (1 + np.exp(steepness * (np.float32(0.78 + pose.exposure) - density)))
    if pose.marker:
        _mark_left(grey)
    grey += np.float32(pose.grain) * rng.standard_normal(grey.shape, dtype=np.float32)
    _collimate(grey, pose.border)
    return (np.clip(grey, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _mark_left(grey: Array) -> None:
    """A lead letter L beside the patient's left shoulder."""
    size = len(grey)
    top, bottom = round(0.05 * size), round(0.11 * size)
    left, right = round(0.91 * size), round(0.95 * size)
    stroke = max(1, round(0.012 * size))
    grey[top:bottom, left : left + stroke] = 0.95
    grey[bottom - stroke : bottom, left:right] = 0.95


def _collimate(grey: Array, border: tuple[float, float, float, float]) -> None:
    left, right, top, bottom = (round(0.5 * margin * len(grey)) for margin in border)
    grey[:, :left], grey[:, len(grey) - right :] = 0.02, 0.02
    grey[:top], grey[len(grey) - bottom :] = 0.02, 0.02
