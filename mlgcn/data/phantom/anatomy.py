"""The body: how a patient is built, and the thorax as fields of density that signs then change."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlgcn.data.phantom.canvas import Array, Canvas

Curve = Callable[[Any], Any]  # from numbers or arrays to the same
AIR = 0.66  # density that a full lung takes away from soft tissue


@dataclass
class Build:
    """What makes one patient's chest: lengths in body units, where the lungs together are about 1.3 wide.

    Signs that change the shape of organs (a large heart, a flat diaphragm) change these before the thorax is drawn.
    """

    width: float  # from the midline to the outer wall of a lung
    apex: float  # height of the lung tops
    domes: list[float]  # height of the right and left dome of the diaphragm
    curvature: float  # how strongly the diaphragm arches
    mediastinum: float  # half width above the heart
    heart_right: float  # reach of the right atrium
    heart_left: float  # reach of the left ventricle
    knob: float  # bulge of the aortic arch
    wall: float  # soft tissue outside the ribs
    breast: float  # density of the breasts, 0 without
    rib_spacing: float
    rib_phase: float
    rib_slope: float
    rib_strength: float
    clavicle: float  # height of the inner end
    bubble: float  # size of the gas in the stomach
    vessels: float = 1.0
    aeration: float = 1.0
    widening: float = 0.0  # further bulge of the upper mediastinum
    tortuous: float = 0.0  # bulge of the descending aorta


@dataclass
class Lung:
    """The outline of a lung. From the front: `lateral` lies at the ribs; from the side it lies at the back."""

    side: int  # 1 where lateral means a larger x, else -1
    apex: float
    base: float  # height of the dome
    medial: Curve  # x of the medial border at heights y
    lateral: Curve
    dome: Curve  # y of the diaphragm at x
    hilum: tuple[float, float]

    def point(self, across: float, down: float) -> tuple[float, float]:
        """A place in the lung: across 0 medial to 1 lateral, down 0 at the apex to 1 at the dome."""
        y = self.apex + down * (self.base - self.apex)
        medial, lateral = float(self.medial(y)), float(self.lateral(y))
        return medial + across * (lateral - medial), y

    def across(self, canvas: Canvas) -> Array:
        """0 at the medial to 1 at the lateral border, float32 [n, n]."""
        medial, lateral = self.medial(canvas.y), self.lateral(canvas.y)
        wide = self.side * np.maximum(np.abs(lateral - medial), 0.02)
        return (canvas.x - medial) / wide.astype(np.float32)

    def down(self, canvas: Canvas) -> Array:
        """0 at the apex to 1 at the dome, float32 [n, 1]."""
        return (canvas.y - np.float32(self.apex)) / np.float32(self.base - self.apex)


@dataclass
class Thorax:
    """A chest as fields [n, n] of density, before they are added up (`density`).

    Attributes:
        soft: soft tissue and whatever else adds or takes density.
        air: aeration of the lungs, 0 to 1.
        bone: ribs, spine and shoulders.
        fine, broad: lines inside the aerated lung (small vessels, reticulation; large vessels), not yet blurred.
        wires: thin lines on top of all, not yet blurred.
        places: landmarks by name, (x, y).
    """

    canvas: Canvas
    build: Build
    lateral: bool
    soft: Array
    air: Array
    bone: Array
    lungs: list[Lung]
    places: dict[str, tuple[float, float]]
    heart_edge: Curve  # x of the border that faces the left lung, or the front
    rib: Callable[[int, float, Any], Any]  # height of rib `number` on side -1 or 1 at x
    fine: Array = field(init=False)
    broad: Array = field(init=False)
    wires: Array = field(init=False)

    def __post_init__(self) -> None:
        self.fine, self.broad, self.wires = self.canvas.zeros(), self.canvas.zeros(), self.canvas.zeros()

    def density(self) -> Array:
        """The sum of all fields, float32 [n, n]: about 0 outside the body, 0.35 in the lung, 1 in soft tissue."""
        canvas = self.canvas
        strands = canvas.blurred_lines(self.fine, 0.007) + canvas.blurred_lines(self.broad, 0.016)
        total = self.soft + self.bone
        total += self.air * (strands - np.float32(AIR))
        total += canvas.blurred_lines(self.wires, 0.007)
        return total


def patient_build(rng: np.random.Generator) -> Build:
    """The chest of a healthy patient in full inspiration, seen from the front."""
    r = rng.uniform(-1, 1, 16)
    return Build(
        width=0.74 + 0.05 * r[0],
        apex=-0.74 + 0.04 * r[1],
        domes=[0.44 + 0.05 * r[2], 0.49 + 0.05 * r[2] + 0.02 * r[3]],
        curvature=1 + 0.25 * r[4],
        mediastinum=0.105 + 0.018 * r[5],
        heart_right=0.185 + 0.025 * r[6],
        heart_left=0.42 + 0.055 * r[7],
        knob=0.055 + 0.02 * r[8],
        wall=0.13 + 0.05 * r[9],
        breast=max(0.0, 0.14 * r[10]),
        rib_spacing=0.150 + 0.010 * r[11],
        rib_phase=0.5 * r[12],
        rib_slope=0.27 + 0.06 * r[13],
        rib_strength=0.105 + 0.025 * r[14],
        clavicle=-0.50 + 0.03 * r[15],
        bubble=max(0.0, rng.uniform(-0.4, 1)),
    )


def lie_down(build: Build, depth: float) -> None:
    """The same chest in a portable AP film: shallower breath by `depth` (0 to 1), wider heart and mediastinum."""
    build.domes = [dome - 0.04 - 0.07 * depth for dome in build.domes]
    build.heart_left *= 1.08
    build.heart_right *= 1.06
    build.mediastinum *= 1.12
    build.clavicle -= 0.03


def round_top(t: Array, power: float) -> Array:
    """0 to 1 as t goes from 0 to 1, rising steeply first like a dome, float32."""
    return np.sqrt(np.maximum(1 - (1 - np.clip(t, 0, 1)) ** power, 0))


def bump(t: Array) -> Array:
    """A bell of height 1 around 0."""
    return np.exp(-(t * t))


def add_vessels(thorax: Thorax, rng: np.random.Generator, strength: float) -> None:
    """Arteries and veins that leave each hilum, branch twice and taper."""
    for lung in thorax.lungs:
        trunks = 11
        x0, y0 = lung.hilum
        turn = np.linspace(-1.15, 1.25, trunks) + rng.uniform(-0.2, 0.2, trunks)
        length = rng.uniform(0.38, 0.62, trunks) * (1 + 0.25 * np.abs(turn))
        bend = rng.uniform(-0.3, 0.3, trunks) + 0.5 * turn
        starts, angles = np.array([[x0], [y0]]), turn
        for level, (amount, share) in enumerate([(0.13, 0.8), (0.10, 0.6), (0.07, 0.6)]):
            x, y = _branches(starts, angles, length * share, bend, lung.side)
            taper = np.linspace(1, 0.25, x.shape[-1] - 1)
            thorax.canvas.add_lines(thorax.broad if level == 0 else thorax.fine, x, y, strength * amount * taper)
            if level == 0:  # the thin core that the large vessels keep further out
                thorax.canvas.add_lines(thorax.fine, x, y, strength * 0.05 * taper)
            children = rng.permutation(np.tile(np.arange(x.shape[0]), 2))
            at = rng.integers(2, 6, len(children))
            starts = np.array([x[children, at], y[children, at]])
            side = rng.choice([-1.0, 1.0], len(children)) * rng.uniform(0.35, 0.8, len(children))
            angles, length, bend = angles[children] + side, length[children], rng.uniform(-0.6, 0.6, len(children))
    _add_hila(thorax, rng, strength)


def _branches(starts: Array, angles: Array, length: Array, bend: Array, side: int) -> tuple[Array, Array]:
    """Curved lines [branches, 8] from their starts; an angle of 0 points away from the midline, positive down."""
    t = np.linspace(0, 1, 8)
    heading = angles[:, None] + bend[:, None] * t
    step = length[:, None] / 7
    x = starts[0][:, None] + side * np.cumsum(np.cos(heading) * step, axis=1)
    y = starts[1][:, None] + np.cumsum(np.sin(heading) * step, axis=1)
    return x, y


def _add_hila(thorax: Thorax, rng: np.random.Generator, strength: float) -> None:
    for lung in thorax.lungs:
        for dx, dy, radius, amount in ((0.0, 0.0, 0.085, 0.17), (0.01, 0.10, 0.07, 0.13), (-0.01, -0.08, 0.05, 0.07)):
            jitter = rng.uniform(-0.012, 0.012, 2)
            x, y = lung.hilum[0] + lung.side * dx + jitter[0], lung.hilum[1] + dy + jitter[1]
            window, ox, oy = thorax.canvas.around(x, y, radius * 2.2)
            thorax.soft[window] += np.float32(strength * amount) * bump(np.hypot(ox * 1.25, oy * 0.8) / radius)
