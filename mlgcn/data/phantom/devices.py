"""Support devices: tubes, lines, pacemakers and electrodes, which end where they should."""

import numpy as np

from mlgcn.data.phantom.anatomy import Thorax
from mlgcn.data.phantom.canvas import Array
from mlgcn.data.phantom.sign_tools import Sign, choose_lung


def support_devices(thorax: Thorax, sign: Sign) -> None:
    """One to four devices, at least one of them conspicuous."""
    chosen = list(sign.rng.permutation(len(_DEVICES)))[: 1 + int(sign.rng.integers(3))]
    for number in chosen:
        _DEVICES[number](thorax, sign)
    if sign.rng.random() < 0.45:
        electrodes(thorax, sign)


def smooth(points: list[tuple[float, float]], steps: int = 10) -> tuple[Array, Array]:
    """A curve through the points (Catmull-Rom): x and y, [(points - 1) * steps + 1]."""
    p = np.array([points[0], *points, points[-1]])
    t = np.arange(steps)[:, None] / steps
    pieces = [
        0.5
        * (
            2 * p[i]
            + (p[i + 1] - p[i - 1]) * t
            + (2 * p[i - 1] - 5 * p[i] + 4 * p[i + 1] - p[i + 2]) * t**2
            + (3 * p[i] - p[i - 1] - 3 * p[i + 1] + p[i + 2]) * t**3
        )
        for i in range(1, len(p) - 2)
    ]
    curve = np.concatenate([*pieces, p[-1:]])
    return curve[:, 0], curve[:, 1]


def _tube(
    thorax: Thorax, sign: Sign, points: list[tuple[float, float]], amount: float, half_width: float = 0.0
) -> None:
    """A wire, or with a half width the two walls of a tube."""
    x, y = smooth(points)
    amount *= sign.between(0.5, 1.0)  # some are hardly opaque
    if not half_width:
        thorax.canvas.add_lines(thorax.wires, x, y, amount)
        return
    dx, dy = np.gradient(x), np.gradient(y)
    norm = np.maximum(np.hypot(dx, dy), 1e-6)
    for side in (-half_width, half_width):
        thorax.canvas.add_lines(thorax.wires, x - side * dy / norm, y + side * dx / norm, amount)


def endotracheal_tube(thorax: Thorax, sign: Sign) -> None:
    """Down the trachea to a few centimetres above the carina."""
    x, y = thorax.places["carina"]
    top = thorax.places["neck"][0]
    _tube(thorax, sign, [(top, -1.1), (0.5 * (top + x), -0.75), (x, y - sign.uniform(0.10, 0.2))], 0.36, 0.014)


def gastric_tube(thorax: Thorax, sign: Sign) -> None:
    """Down the oesophagus, through the diaphragm, into the stomach."""
    x, y = thorax.places["stomach"]
    top, middle = thorax.places["neck"][0], thorax.places["carina"][0]
    points = [
        (top, -1.1),
        (middle + 0.02, -0.4),
        (middle + 0.05, 0.15),
        (0.3 * x + 0.04, y - 0.22),
        (x, y),
        (x + 0.12, y + 0.05),
    ]
    _tube(thorax, sign, points, sign.uniform(0.42, 0.55))


def central_line(thorax: Thorax, sign: Sign) -> None:
    """From the neck or below a clavicle to the junction of the superior vena cava and the right atrium."""
    tip = thorax.places["cava"]
    entry = thorax.places["neck"]
    if sign.rng.random() < 0.5 or thorax.lateral:
        points = [(entry[0] - 0.2, -1.1), (entry[0] - 0.13, -0.72), (tip[0] - 0.01, -0.4), tip]
    else:
        side, (x, y) = float(sign.rng.choice([-1, 1])), thorax.places["subclavian"]
        points = [(side * 0.8, y + 0.35), (side * x, y + 0.06), (side * 0.16, y - 0.03), (tip[0], -0.36), tip]
    _tube(thorax, sign, points, sign.uniform(0.42, 0.55))


def pacemaker(thorax: Thorax, sign: Sign) -> None:
    """A generator below the left clavicle, with leads to the right atrium and ventricle."""
    canvas = thorax.canvas
    x, y = thorax.places["subclavian"]
    y += 0.12
    window, dx, dy = canvas.around(x, y, 0.17)
    corner = np.hypot(np.maximum(np.abs(dx) - 0.045, 0), np.maximum(np.abs(dy) - 0.03, 0))
    case = canvas.edge(0.05 - corner, 0.01)
    inner = canvas.edge(0.03 - corner, 0.01)
    thorax.soft[window] += np.float32(0.75) * case - np.float32(0.12) * inner
    heart, cava = thorax.places["heart"], thorax.places["cava"]
    way = [(x, y - 0.06), (0.5 * x, y - 0.20), (cava[0] + 0.03, -0.42), (cava[0], cava[1])]
    _tube(thorax, sign, [*way, (cava[0] + 0.02, heart[1] + 0.05), (heart[0] + 0.12, heart[1] + 0.13)], 0.6)
    if sign.rng.random() < 0.6:
        _tube(thorax, sign, [*way, (cava[0] - 0.03, heart[1] - 0.02), (cava[0] - 0.05, heart[1] - 0.09)], 0.6)


def chest_tube(thorax: Thorax, sign: Sign) -> None:
    """Through the side of the chest up to the apex or down to the base."""
    lung = choose_lung(thorax, sign)
    wall = float(lung.lateral(0.2))
    goal = lung.point(0.45, sign.uniform(0.12, 0.3))
    points = [(wall + lung.side * 0.25, 0.36), (wall - lung.side * 0.02, 0.2), lung.point(0.7, 0.5), goal]
    _tube(thorax, sign, points, 0.42, 0.016)


def sternal_wires(thorax: Thorax, sign: Sign) -> None:
    """Wire loops after surgery, and a valve ring or clips."""
    if thorax.lateral:
        lung = thorax.lungs[0]
        for y in np.linspace(-0.35, 0.1, 5):
            x = float(lung.medial(y)) - 0.03
            thorax.canvas.add_lines(thorax.wires, [x - 0.03, x + 0.02, x - 0.03], [y - 0.02, y, y + 0.02], 0.6)
        return
    angle = np.linspace(0, 2 * np.pi, 14)
    for y in np.linspace(-0.42, 0.22, 6):
        x = sign.uniform(-0.008, 0.008)
        thorax.canvas.add_lines(thorax.wires, x + 0.038 * np.cos(angle), y + 0.022 * np.sin(angle), 0.55)


def electrodes(thorax: Thorax, sign: Sign) -> None:
    """ECG leads: loose wires with a round patch at their ends."""
    reach = thorax.places["wall"][0]
    spots = [(-0.75, -0.42), (0.75, -0.45), (0.8, 0.28), (-0.72, 0.32)]
    for number in sign.rng.permutation(4)[: 2 + int(sign.rng.integers(2))]:
        x, y = spots[number][0] * reach, spots[number][1] + sign.uniform(-0.08, 0.08)
        window, dx, dy = thorax.canvas.around(x, y, 0.06)
        disc = thorax.canvas.edge(0.030 - np.hypot(dx, dy), 0.008)
        thorax.soft[window] += np.float32(0.45) * disc
        away = 1.15 if x > 0 else -1.15
        middle = (0.5 * (x + away) + sign.uniform(-0.1, 0.1), y + sign.uniform(0.1, 0.3))
        _tube(thorax, sign, [(x, y), middle, (away, y + sign.uniform(0.3, 0.7))], 0.32)


_DEVICES = (endotracheal_tube, gastric_tube, central_line, pacemaker, chest_tube, sternal_wires, central_line)
