"""The thorax from the side: the patient looks to the left of the image, both lungs lie on top of each other."""

import numpy as np

from mlgcn.data.phantom.anatomy import Build, Curve, Lung, Thorax, bump, round_top
from mlgcn.data.phantom.canvas import Array, Canvas

KNOB = (0.10, -0.36)


def lateral_thorax(canvas: Canvas, build: Build) -> Thorax:
    """The thorax of the same build on a left lateral film."""
    lung = _lung(build)
    air = _aeration(canvas, lung)
    heart, reach = _heart(canvas, build)
    soft = _body(canvas, build, lung)
    dome = lung.dome(canvas.at_row(0.5)).astype(np.float32)
    soft += np.float32(0.14) * canvas.edge(canvas.y - dome, 0.05)
    vessels = _great_vessels(canvas, build)
    air *= (1 - np.float32(0.62) * heart) * (1 - np.float32(0.34) * vessels)
    air *= np.float32(build.aeration)
    soft += np.float32(0.08) * heart
    places = {
        "carina": (0.06, -0.22),
        "knob": KNOB,
        "heart": (-0.18, 0.22),
        "behind heart": (0.16, lung.base - 0.10),
        "cava": (-0.06, -0.02),
        "neck": (-0.02, -0.92),
        "subclavian": (-0.30, -0.62),
        "stomach": (-0.05, lung.base + 0.24),
        "wall": (0.5, 0.0),
    }
    bone = _bones(canvas, build, lung)
    thorax = Thorax(
        canvas, build, True, soft, air, bone, [lung], places, lambda y: -reach(y), lambda n, s, x: _rib(build, n, x)
    )
    _airway(thorax)
    _bubble(thorax)
    return thorax


def _lung(build: Build) -> Lung:
    depth = 0.80 * build.width

    def lateral(y: Array) -> Array:  # the back
        t = (y - build.apex) / (0.25 - build.apex)
        return 0.12 + depth * round_top(t, 2.0) - 0.10 * np.maximum(y - 0.15, 0) ** 1.5

    def medial(y: Array) -> Array:  # behind the sternum
        t = (y - build.apex) / 0.75
        return 0.06 - (0.10 + depth) * round_top(t, 1.5) * (0.93 + 0.07 * np.clip(y + 0.3, 0, 1))

    height = float(np.mean(build.domes)) - 0.02

    def dome(x: Array) -> Array:
        behind, before = np.maximum(x + 0.12, 0), np.maximum(-x - 0.12, 0)
        return height + build.curvature * (0.55 * behind**1.7 + 0.16 * before**2)

    return Lung(1, build.apex, height, medial, lateral, dome, (0.03, -0.12))


def _aeration(canvas: Canvas, lung: Lung) -> Array:
    air = canvas.edge(lung.lateral(canvas.y).astype(np.float32) - canvas.x, 0.03)
    air *= canvas.edge(canvas.x - lung.medial(canvas.y).astype(np.float32), 0.05)
    air *= canvas.edge(lung.dome(canvas.at_row(lung.base)).astype(np.float32) - canvas.y, 0.03)
    # Muscle and the shoulders veil the top.
    return air * (np.float32(1.0) - np.float32(0.45) * canvas.edge(-0.52 - canvas.y, 0.3))


def _heart(canvas: Canvas, build: Build) -> tuple[Array, Curve]:
    """The heart against the sternum and the diaphragm, and the reach of its front border."""
    size = 0.5 * (build.heart_left + build.heart_right) / 0.30
    x, y = -0.19, 0.22 - 0.08 * (size - 1)
    dx, dy = canvas.x - np.float32(x), canvas.y - np.float32(y)
    along, across = 0.75 * dx + 0.66 * dy, 0.66 * dx - 0.75 * dy
    heart = canvas.edge(1 - np.hypot(along / (0.38 * size), across / (0.31 * size)), 0.30)

    def reach(height: Array) -> Array:
        return -x + 0.30 * size * np.sqrt(np.maximum(1 - ((height - y) / 0.4) ** 2, 0.05))

    return heart, reach


def _great_vessels(canvas: Canvas, build: Build) -> Array:
    """Ascending aorta, arch and descending aorta."""
    wide = 0.045 + 0.35 * build.knob + 0.35 * (build.mediastinum - 0.105) + 0.3 * build.widening
    dx, dy = canvas.x - np.float32(KNOB[0]), canvas.y - np.float32(KNOB[1] + 0.13)
    arch = canvas.edge(wide - np.abs(np.hypot(dx, dy) - 0.16), 0.05) * canvas.edge(-dy, 0.04)
    window = canvas.y - np.float32(KNOB[1] + 0.13)
    bow = build.tortuous * bump((canvas.y - 0.12) / 0.28)
    down = canvas.edge(wide - np.abs(canvas.x - (KNOB[0] + 0.16 + bow).astype(np.float32)), 0.06)
    front = canvas.edge(1.4 * wide - np.abs(canvas.x - np.float32(KNOB[0] - 0.18)), 0.08)
    down *= canvas.edge(window, 0.04)
    front *= canvas.edge(window, 0.04) * canvas.edge(0.05 - canvas.y, 0.2)
    return np.maximum(np.maximum(arch, np.float32(0.7) * down), front)


def _body(canvas: Canvas, build: Build, lung: Lung) -> Array:
    back = lung.lateral(canvas.y) + 0.16 + build.wall - 0.10 * canvas.edge(-0.45 - canvas.y, 0.4)
    front = lung.medial(canvas.y) - 0.09 - 0.5 * build.wall
    front -= 0.9 * build.breast * bump((canvas.y - 0.3) / 0.25)
    neck = canvas.edge(canvas.y + 0.80, 0.5)
    front, back = np.minimum(front, -0.22 - 0.15 * neck), np.maximum(back, 0.30 + 0.2 * neck)
    body = canvas.edge(canvas.x - front.astype(np.float32), 0.05)
    body *= canvas.edge(back.astype(np.float32) - canvas.x, 0.06)
    middle = (front + back) / 2
    away = (canvas.x - middle.astype(np.float32)) / (np.float32(0.5) * (back - front).astype(np.float32))
    body *= np.float32(1.02) - np.float32(0.22) * away * away
    # Raised arms.
    body += np.float32(0.16) * canvas.edge(-0.62 - canvas.y + np.float32(0.3) * np.abs(canvas.x - 0.1), 0.2) * body
    return body


def _spine_x(build: Build, y: Array) -> Array:
    return 0.12 + 0.80 * build.width * round_top((y - build.apex + 0.35) / (0.6 - build.apex), 2.0) - 0.10


def _rib(build: Build, number: int, x: Array) -> Array:
    """Height of a rib, which runs down from the spine to the front."""
    start = build.apex + build.rib_spacing * (number - 0.8 + 0.4 * build.rib_phase)
    return start + 0.42 * np.maximum(0.5 - x, 0) ** 1.2


def _bones(canvas: Canvas, build: Build, lung: Lung) -> Array:
    row = canvas.at_row(0.0)
    spacing = np.float32(build.rib_spacing)
    phase = (canvas.y - _rib(build, 0, row).astype(np.float32)) / spacing
    away = np.abs(phase - np.rint(phase))
    ribs = canvas.edge((np.float32(0.22) - away) * spacing, 0.015)
    ribs *= canvas.edge(lung.lateral(canvas.y).astype(np.float32) + 0.05 - canvas.x, 0.03)
    ribs *= canvas.edge(canvas.x - np.float32(0.02) - lung.medial(canvas.y).astype(np.float32), 0.2)
    bone = np.float32(0.7 * build.rib_strength) * ribs * canvas.edge(0.75 - canvas.y, 0.4)
    centre = _spine_x(build, canvas.y).astype(np.float32)
    step = 0.125 + 0.02 * canvas.y
    gap = np.abs(canvas.y / step - np.rint(canvas.y / step))
    block = canvas.edge(0.085 - np.abs(canvas.x - centre), 0.02)
    bone += block * (np.float32(0.13) - np.float32(0.08) * canvas.edge((gap - 0.40) * step, 0.01))
    bone += np.float32(0.10) * canvas.edge(0.03 - np.abs(canvas.x - centre - np.float32(0.15)), 0.03)
    sternum = canvas.x - lung.medial(canvas.y).astype(np.float32) + np.float32(0.035)
    bone += np.float32(0.16) * canvas.ridge(sternum, 0.035) * canvas.edge(0.22 - np.abs(canvas.y + 0.18), 0.05)
    return bone


def _airway(thorax: Thorax) -> None:
    canvas = thorax.canvas
    (x, y), lines = thorax.places["carina"], canvas.zeros()
    canvas.add_lines(lines, [x - 0.10, x - 0.03, x], [-1.1, -0.55, y], 0.22)
    canvas.add_lines(lines, [x, x + 0.01], [y, y + 0.10], 0.12)
    thorax.soft -= canvas.blurred_lines(lines, 0.028)


def _bubble(thorax: Thorax) -> None:
    size = thorax.build.bubble
    if size < 0.15:
        return
    window, dx, dy = thorax.canvas.around(-0.12, thorax.lungs[0].base + 0.10, 0.2)
    inside = thorax.canvas.edge(1 - np.hypot(dx / (0.08 + 0.07 * size), dy / (0.03 + 0.03 * size)), 0.35)
    thorax.soft[window] -= np.float32(0.30) * inside
