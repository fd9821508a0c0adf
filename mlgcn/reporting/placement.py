"""Names beside the points of a figure, where they hide neither points nor each other."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

INK, LEADER = "#222222", "#A8A8A8"  # of text and of the lines that lead to it
DISTANCES = (7, 12, 18, 26, 36, 50)  # from point to text, in points of 1/72 inch
DIRECTIONS = [*product((1, -1), (0, 0.5, -0.5, 1, -1)), (0, 1), (0, -1)]
# How much further away a name may move rather than cross the stem of one point.
STEM_COST = 18.0


def name_points(axis: Axes, points: Mapping[str, tuple[float, float, float]], text_of: Mapping[str, str]) -> None:
    """Writes the text of each point beside it; a point without a free place stays without its name.

    Args:
        points: x, y, and the y at which the point's stem ends, in data coordinates; axis limits must be final.
        text_of: what to write, by the same keys.
    """
    figure = axis.get_figure(root=True)
    if figure is None or not points:
        return
    figure.draw_without_rendering()  # settles the layout, from which pixels follow
    pixel = figure.dpi / 72
    corners = axis.get_window_extent().extents
    spots = {key: axis.transData.transform([(x, foot), (x, y)]) for key, (x, y, foot) in points.items()}
    stems = np.array([[*foot, *spot] for foot, spot in spots.values()])
    taken: list[Any] = [[*(spot - 5 * pixel), *(spot + 5 * pixel)] for _, spot in spots.values()]
    if legend := axis.get_legend():
        taken.append(legend.get_window_extent().extents)

    for key, (_, spot) in spots.items():
        text = axis.text(0, 0, text_of[key], fontsize=7.5, color=INK, ha="center", va="center", zorder=5)
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        width, height = np.array(text.get_window_extent().size) + 2 * pixel
        boxes = _candidates(spot, width, height, pixel)
        inside = ((boxes[:, :2] >= corners[:2]) & (boxes[:, 2:] <= corners[2:])).all(axis=1)
        free = inside & ~_overlaps(boxes, np.array(taken)).any(axis=1)
        if not free.any():
            text.remove()
            continue
        cost = np.repeat(DISTANCES, len(DIRECTIONS)) + STEM_COST * _overlaps(boxes, stems).sum(axis=1)
        box = boxes[np.where(free, cost, np.inf).argmin()]
        taken.append(box)
        text.set_position(tuple(axis.transData.inverted().transform((box[:2] + box[2:]) / 2)))
        _lead(axis, spot, box, pixel)


def _candidates(spot: np.ndarray, width: float, height: float, pixel: float) -> np.ndarray:
    """Boxes around the spot, near to far, as x0, y0, x1, y1 in pixels."""
    half = np.array([width, height]) / 2
    places = np.array(list(product(DISTANCES, DIRECTIONS)), dtype=object)
    distance, direction = places[:, 0].astype(float)[:, None] * pixel, np.array([*places[:, 1]], dtype=float)
    centre = spot + direction * (distance + half)
    return np.hstack([centre - half, centre + half])


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which box overlaps which other: [K, M]."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    return np.all((low < others[None, :, 2:]) & (high > others[None, :, :2]), axis=2)


def _lead(axis: Axes, spot: np.ndarray, box: np.ndarray, pixel: float) -> None:
    """A thin line from the point to a name that does not stand right beside it."""
    nearest = np.clip(spot, box[:2], box[2:])
    if np.linalg.norm(nearest - spot) > 13 * pixel:
        line = axis.transData.inverted().transform([spot, nearest])
        axis.plot(*line.T, color=LEADER, linewidth=0.7, zorder=2)
