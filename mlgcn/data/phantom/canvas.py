"""Where density is drawn: body coordinates on a pixel grid, soft edges, lines, blurs and smooth noise, at any size."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
Window = tuple[slice, slice]

COARSEST = 0.6  # blur in pixels below which a line would break up


class Canvas:
    """A square grid with body coordinates: x to the image's right and y down, both about -1 to 1 over the image.

    `lean` shears the body sideways, so that y stays one value a row and every outline x(y) one value a row too.

    Attributes: x float32 [n, n]; y float32 [n, 1]; pixel, the side of a pixel in body units.
    """

    def __init__(self, size: int, scale: float = 1.0, centre: tuple[float, float] = (0.0, 0.0), lean: float = 0.0):
        grid = pixel_centres(size)
        self.size, self.scale, self.centre, self.lean = size, scale, centre, lean
        self.y = (grid[:, None] - np.float32(centre[1])) * np.float32(1 / scale)
        self.x = (grid[None, :] - (np.float32(centre[0]) + np.float32(lean) * grid[:, None])) * np.float32(1 / scale)
        self.pixel = 2 / size / scale

    def zeros(self) -> Array:
        """An empty layer, float32 [n, n]."""
        return np.zeros((self.size, self.size), dtype=np.float32)

    def at_row(self, y: float) -> Array:
        """The body's x along the row at height y, float32 [1, n]: for shapes that hardly feel the lean."""
        v = y * self.scale + self.centre[1]
        return (pixel_centres(self.size)[None, :] - np.float32(self.centre[0] + self.lean * v)) * np.float32(
            1 / self.scale
        )

    def to_pixels(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Column and row, in pixels, of points of the body."""
        v = np.asarray(y) * self.scale + self.centre[1]
        u = np.asarray(x) * self.scale + self.centre[0] + self.lean * v
        return (u + 1) * (self.size / 2) - 0.5, (v + 1) * (self.size / 2) - 0.5

    def window(self, left: float, right: float, top: float, bottom: float) -> Window:
        """Rows and columns that hold a box of the body; empty where the box lies outside the image."""
        half, lean = self.size / 2, self.lean
        # Plain numbers: this is called dozens of times a picture.
        v0, v1 = (y * self.scale + self.centre[1] for y in (top, bottom))
        u0, u1 = (x * self.scale + self.centre[0] for x in (left, right))
        u0, u1 = u0 + min(lean * v0, lean * v1), u1 + max(lean * v0, lean * v1)
        spans = (((v0 + 1) * half - 0.5, (v1 + 1) * half - 0.5), ((u0 + 1) * half - 0.5, (u1 + 1) * half - 0.5))
        low, high = zip(*((math.floor(first), math.ceil(last) + 1) for first, last in spans), strict=True)
        rows, columns = (slice(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True))
        return rows, columns

    def around(self, x: float, y: float, radius: float) -> tuple[Window, Array, Array]:
        """A window about a point, with the offsets from it: dx [h, w] and dy [h, 1]."""
        window = self.window(x - radius, x + radius, y - radius, y + radius)
        return window, self.x[window] - np.float32(x), self.y[window[0]] - np.float32(y)

    def edge(self, distance: Array, softness: float = 0.0) -> Array:
        """1 where the distance is well above 0, 0 well below, a ramp of width `softness` (at least a pixel) between."""
        width = max(softness, 1.2 * self.pixel)
        ramp = distance * np.float32(1 / width)
        ramp += np.float32(0.5)
        return np.clip(ramp, 0, 1, out=ramp)

    def ridge(self, distance: Array, half_width: float) -> Array:
        """1 along distance 0, falling to 0 at `half_width` (at least 0.8 pixel)."""
        return np.maximum(1 - np.abs(distance) * np.float32(1 / max(half_width, 0.8 * self.pixel)), 0)

    def add_lines(self, layer: Array, x: ArrayLike, y: ArrayLike, amount: Array | float = 1.0) -> None:
        """Adds thin lines, to be blurred later, through points [..., m]; amount broadcasts over [..., m - 1]."""
        columns, rows = self.to_pixels(np.asarray(x), np.asarray(y))
        dx, dy = np.diff(columns, axis=-1), np.diff(rows, axis=-1)
        length = np.hypot(dx, dy)
        steps = max(1, math.ceil(float(length.max(initial=0)) / 0.7))
        fraction = (np.arange(steps) + 0.5) / steps
        columns = columns[..., :-1, None] + dx[..., None] * fraction
        rows = rows[..., :-1, None] + dy[..., None] * fraction
        weight = np.broadcast_to((length * amount / steps)[..., None], columns.shape)
        self._splat(layer, columns.ravel(), rows.ravel(), weight.ravel())

    def _splat(self, layer: Array, columns: Array, rows: Array, weight: Array) -> None:
        inside = (columns >= 0) & (columns < self.size - 1) & (rows >= 0) & (rows < self.size - 1)
        columns, rows, weight = columns[inside], rows[inside], weight[inside]
        left, top = columns.astype(int), rows.astype(int)
        right_share, bottom_share = columns - left, rows - top
        corner = top * self.size + left
        places = np.concatenate([corner, corner + 1, corner + self.size, corner + self.size + 1])
        upper, lower = weight * (1 - bottom_share), weight * bottom_share
        shares = np.concatenate(
            [upper * (1 - right_share), upper * right_share, lower * (1 - right_share), lower * right_share]
        )
        layer += np.bincount(places, shares, minlength=self.size**2).reshape(layer.shape).astype(np.float32)

    def blurred_lines(self, layer: Array, width: float) -> Array:
        """Lines of add_lines with a Gaussian profile of that width; their height is their amount."""
        true = width * self.size / 2
        sigma = max(true, COARSEST)
        kernel = blur_matrix(self.size, round(sigma, 3))
        # A line finer than the pixels is drawn wider, and fainter: midway between keeping its height and its sum.
        height = math.sqrt(2 * math.pi) * math.sqrt(sigma * true)
        return (kernel @ layer @ kernel.T) * np.float32(height)

    def noise(self, rng: np.random.Generator, cells: int) -> Array:
        """Smooth noise of unit variance with about `cells` bumps across the image, the same at every size."""
        rise = upsampling_matrix(self.size, cells)
        return rise @ rng.standard_normal((cells, cells), dtype=np.float32) @ rise.T


@lru_cache(maxsize=32)
def pixel_centres(size: int) -> Array:
    """Centres of the pixels of a row from -1 to 1, float32 [size]."""
    return ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)


@lru_cache(maxsize=32)
def blur_matrix(size: int, sigma: float) -> Array:
    """Gaussian blur of a column of pixels as a matrix, float32 [size, size]; sigma in pixels."""
    offset = np.arange(size)[:, None] - np.arange(size)[None, :]
    return (np.exp(-0.5 * (offset / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))).astype(np.float32)


@lru_cache(maxsize=32)
def upsampling_matrix(size: int, cells: int) -> Array:
    """From noise on `cells` points to `size` pixels with unit variance, float32 [size, cells]."""
    points = (np.arange(cells) + 0.5) * (2 / cells) - 1
    weights = np.exp(-0.5 * ((pixel_centres(size)[:, None] - points) * (cells / 2) / 0.55) ** 2)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
