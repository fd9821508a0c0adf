"""Where labels and their names stand in a drawing, so that what belongs together is near and nothing collides."""

import warnings
from functools import lru_cache

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

FARTHEST = 1.05  # distance of labels that never come together; above 1, so that those that always do stay apart
STEPS = 300
PUSHES = 3000  # of boxes that start at one place some take more than 300
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7))
GAPS = (3.0, 10.0, 20.0, 32.0)


def closeness(conditional: np.ndarray) -> np.ndarray:
    """The larger of P(j|i) and P(i|j), [C, C]; 0 on the diagonal and where neither can be told."""
    told = np.nan_to_num(conditional)
    larger = np.maximum(told, told.T)
    np.fill_diagonal(larger, 0)
    return larger


def near_positions(similarity: np.ndarray) -> np.ndarray:
    """Positions in the plane, [C, 2] between -1 and 1, at which similar labels stand close together.

    The weighted stress of the distances `1.05 - similarity` is majorised from a circle; the same input gives the same
    positions.

    Args:
        similarity: symmetric [C, C] between 0 and 1.
    Source: Gansner, Koren and North 2005, Graph drawing by stress majorization.
    """
    size = len(similarity)
    angle = 2 * np.pi * np.arange(size) / size
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if size < 3:
        return points if size == 2 else np.zeros((size, 2))
    wanted = FARTHEST - similarity
    np.fill_diagonal(wanted, np.inf)  # no distance to itself
    weight = wanted**-2
    solve = np.linalg.pinv(_laplacian(weight))
    for _ in range(STEPS):
        found = np.linalg.norm(points[:, None] - points, axis=2)
        np.fill_diagonal(found, np.inf)
        moved = solve @ (_laplacian(weight * np.where(np.isinf(wanted), 0, wanted) / np.maximum(found, 1e-9)) @ points)
        still = np.abs(moved - points).max() < 1e-4
        points = moved
        if still:
            break
    points = points - (points.max(axis=0) + points.min(axis=0)) / 2
    return points / np.abs(points).max()


def _laplacian(weight: np.ndarray) -> np.ndarray:
    return np.diag(weight.sum(axis=1)) - weight


def fitted(points: np.ndarray, sizes: np.ndarray, room: tuple[float, float]) -> np.ndarray:
    """Points between -1 and 1 stretched over a room, and then apart until their boxes no longer overlap.

    Args:
        points: [C, 2]; sizes: width and height of the box around each, [C, 2]; room: width and height, the same unit.
    Returns: [C, 2], every box inside the room. Boxes that the room can't hold side by side still overlap.
    """
    low, high = sizes / 2, np.asarray(room) - sizes / 2
    points = low + (high - low) * (points + 1) / 2
    apart = (sizes[:, None] + sizes) / 2
    # Boxes of the same centre part in the order of the labels.
    order = np.sign(np.arange(len(points))[:, None] - np.arange(len(points)))
    for _ in range(PUSHES):
        between = points[:, None] - points
        overlap = apart - np.abs(between)
        touching = (overlap > 0.5).all(axis=2)
        np.fill_diagonal(touching, False)
        if not touching.any():
            break
        sideways = overlap[..., 0] < overlap[..., 1]
        along = np.stack([touching & sideways, touching & ~sideways], axis=2)
        push = np.where(along, overlap * np.where(between == 0, order[..., None], np.sign(between)), 0)
        points = np.clip(points + 0.4 * push.sum(axis=1), low, high)
    return points


def beside(points: np.ndarray, radius: float, sizes: np.ndarray, room: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Free places for names beside points: centres [C, 2], and whether each overlaps nothing, bool [C].

    Points take their names in order; each takes the nearest of 8 directions and 4 distances that is free, or the one
    with the least overlap.

    Args:
        points: [C, 2]; radius: of their marks; sizes: width and height of each name, [C, 2]; room: width and height.
    """
    taken = np.concatenate([points - radius, points + radius], axis=1)
    centres, free = np.zeros_like(points), np.zeros(len(points), dtype=bool)
    directions = np.array(DIRECTIONS)
    for at, (point, size) in enumerate(zip(points, sizes, strict=True)):
        places = np.concatenate([point + directions * (radius + gap + size / 2) for gap in GAPS])
        cost = shared_area(places, size, taken)
        cost += 1e3 * ((places < size / 2) | (places > room - size / 2)).any(axis=1)
        best = int(np.argmin(cost))
        centres[at], free[at] = places[best], cost[best] == 0
        taken = np.vstack([taken, np.concatenate([centres[at] - size / 2, centres[at] + size / 2])])
    return centres, free


def shared_area(places: np.ndarray, size: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The area that a box of some size shares with others, were it at each of the places: [n].

    Args:
        places: centres, [n, 2]; size: width and height; taken: left, bottom, right and top of the others, [m, 4].
    """
    low = np.maximum((places - size / 2)[:, None], taken[:, :2])
    high = np.minimum((places + size / 2)[:, None], taken[:, 2:])
    return np.clip(high - low, 0, None).prod(axis=2).sum(axis=1)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Width of a text in points, in the font of the figures."""
    font = FontProperties(family="DejaVu Sans", size=size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # as in figures
        return float(text_to_path.get_text_width_height_descent(text.replace(r"\$", "$"), font, ismath=False)[0])
