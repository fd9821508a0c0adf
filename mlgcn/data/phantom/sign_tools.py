"""What all signs share: who has which sign how badly, and the shapes that they are made of."""

from dataclasses import dataclass

import numpy as np

from mlgcn.data.phantom.anatomy import Lung, Thorax
from mlgcn.data.phantom.canvas import Array


@dataclass
class Sign:
    """One finding of one study.

    Attributes:
        severity: 0 mild to 1 severe, of the study.
        rng: where and how, of the patient, so that a sign stays in its place from view to view and study to study.
    """

    label: str
    severity: float
    rng: np.random.Generator

    def between(self, mild: float, severe: float) -> float:
        """A value that grows with severity."""
        return mild + (severe - mild) * self.severity

    def uniform(self, low: float, high: float) -> float:
        """A value that belongs to the patient."""
        return float(self.rng.uniform(low, high))


def choose_lung(thorax: Thorax, sign: Sign) -> Lung:
    """The right or the left lung; from the side both are one."""
    number = int(sign.rng.integers(2))
    return thorax.lungs[number % len(thorax.lungs)]


def choose_lungs(thorax: Thorax, sign: Sign, both: float) -> list[Lung]:
    """One lung, or with probability `both` both."""
    lung, all_of_them = choose_lung(thorax, sign), sign.rng.random() < both
    return thorax.lungs if all_of_them else [lung]


def fill(thorax: Thorax, share: Array, window: tuple[slice, slice] = (slice(None), slice(None))) -> None:
    """Replaces that share of the air by fluid or cells; ribs and vessels within lose their outline accordingly."""
    thorax.air[window] *= 1 - share


def cloud(
    thorax: Thorax, x: float, y: float, radii: tuple[float, float], amount: float, softness: float, tilt: float = 0.0
) -> None:
    """Fills an ellipse of lung; softness 0 is a sharp edge, 1 fades from the centre."""
    window, dx, dy = thorax.canvas.around(x, y, max(radii) * 1.3)
    along, across = np.cos(tilt) * dx + np.sin(tilt) * dy, np.cos(tilt) * dy - np.sin(tilt) * dx
    inside = 1 - np.hypot(along / radii[0], across / radii[1])
    # The ramp is centred at half its width inside the rim, so that a soft cloud is no larger than a sharp one.
    least = 1.2 * thorax.canvas.pixel / min(radii)
    share = np.clip(inside / max(softness, least), 0, 1)
    fill(thorax, (np.float32(amount) * share * share * (3 - 2 * share)).astype(np.float32), window)


def outline(sign: Sign, roughness: float, points: int = 40) -> tuple[Array, Array, Array]:
    """A closed irregular curve around 0: angles, and its radius about 1, and the sines' phases that made it."""
    angle = np.linspace(0, 2 * np.pi, points)
    phases = sign.rng.uniform(0, 2 * np.pi, 3)
    waves = sum(np.sin(k * angle + phase) / k for k, phase in zip((2, 3, 5), phases, strict=True))
    return angle, 1 + roughness * waves, phases


def rough_disc(thorax: Thorax, sign: Sign, x: float, y: float, radius: float, roughness: float) -> tuple:
    """A window, and the distance inside a lobulated disc in body units (positive within): (window, depth)."""
    window, dx, dy = thorax.canvas.around(x, y, radius * (1.5 + roughness))
    _, _, phases = outline(sign, roughness)
    angle = np.arctan2(dy, dx)
    waves = sum(np.sin(k * angle + np.float32(phase)) / k for k, phase in zip((2, 3, 5), phases, strict=True))
    return window, np.float32(radius) * (1 + np.float32(roughness) * waves) - np.hypot(dx, dy)
