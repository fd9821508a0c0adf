"""What all signs share: who has which sign how badly, and the shapes that they are made of."""

from dataclasses import dataclass, field

import numpy as np

from mlgcn.data.phantom.anatomy import Lung, Thorax
from mlgcn.data.phantom.canvas import Array, Window


@dataclass
class Sign:
    """One finding of one study.

    Attributes:
        severity: 0 mild to 1 severe, of the study.
        rng: where and how, of the patient, so that a sign stays in its place from view to view and study to study.
        side: 0 for the right lung, 1 for the left.
    """

    label: str
    severity: float
    rng: np.random.Generator
    side: int = field(init=False)

    def __post_init__(self) -> None:
        self.side = int(self.rng.integers(2))

    def between(self, mild: float, severe: float) -> float:
        """A value that grows with severity."""
        return mild + (severe - mild) * self.severity

    def uniform(self, low: float, high: float) -> float:
        """A value that belongs to the patient."""
        return float(self.rng.uniform(low, high))


def choose_lung(thorax: Thorax, sign: Sign) -> Lung:
    """The lung on the sign's side; from the side both are one."""
    return thorax.lungs[sign.side % len(thorax.lungs)]


def choose_lungs(thorax: Thorax, sign: Sign, both: float) -> list[Lung]:
    """The lung on the sign's side, or with probability `both` both."""
    return thorax.lungs if sign.rng.random() < both else [choose_lung(thorax, sign)]


def own_side(thorax: Thorax, lung: Lung) -> Array:
    """1 on the lung's side of the midline, 0 on the other; from the side all 1."""
    if thorax.lateral:
        return np.ones_like(thorax.canvas.x)
    return thorax.canvas.edge(lung.side * thorax.canvas.x)


def fill(thorax: Thorax, share: Array, window: Window = (slice(None), slice(None))) -> None:
    """Replaces that share of the air by fluid or cells; ribs and vessels within lose their outline accordingly."""
    thorax.air[window] *= 1 - share


def cloud(
    thorax: Thorax, x: float, y: float, radii: tuple[float, float], amount: float, softness: float, tilt: float = 0.0
) -> None:
    """Fills an ellipse of lung; softness 0 is a sharp edge, 1 fades from the centre."""
    window, dx, dy = thorax.canvas.around(x, y, max(radii) * 1.3)
    along, across = np.cos(tilt) * dx + np.sin(tilt) * dy, np.cos(tilt) * dy - np.sin(tilt) * dx
    inside = 1 - np.hypot(along / radii[0], across / radii[1])
    least = 1.2 * thorax.canvas.pixel / min(radii)
    share = np.clip(inside / max(softness, least), 0, 1)
    fill(thorax, (np.float32(amount) * share * share * (3 - 2 * share)).astype(np.float32), window)


def rough_disc(thorax: Thorax, sign: Sign, x: float, y: float, radius: float, roughness: float) -> tuple[Window, Array]:
    """A window, and how deep its points lie in a lobulated disc, in body units; negative outside."""
    window, dx, dy = thorax.canvas.around(x, y, radius * (1.5 + roughness))
    angle = np.arctan2(dy, dx)
    phases = sign.rng.uniform(0, 2 * np.pi, 3)
    waves = sum(np.sin(k * angle + np.float32(phase)) / k for k, phase in zip((2, 3, 5), phases, strict=True))
    return window, np.float32(radius) * (1 + np.float32(roughness) * waves) - np.hypot(dx, dy)
