"""The thorax from the front: lungs, mediastinum and heart, diaphragm, ribs, shoulders."""

import numpy as np

from mlgcn.data.phantom.anatomy import Build, Curve, Lung, Thorax, bump, round_top
from mlgcn.data.phantom.canvas import Array, Canvas

APEX_X = 0.28  # distance of a lung's top from the midline
WIDEST = 0.25  # height at which the chest is widest
KNOB_Y = -0.36


def frontal_thorax(canvas: Canvas, build: Build) -> Thorax:
    """The thorax as seen on a PA or AP film; the patient's right lung (side -1) comes first."""
    lungs = [_lung(build, side) for side in (-1, 1)]
    air = sum(_aeration(canvas, lung) for lung in lungs)
    heart_left = _left_border(build)
    core = canvas.edge(canvas.x + _right_border(build)(canvas.y), 0.025) * canvas.edge(
        heart_left(canvas.y) - canvas.x, 0.025
    )
    soft = _body(canvas, build)
    soft += _abdomen(canvas, build, lungs)
    # The heart has lung in front of it and behind it, the upper mediastinum less.
    hidden = (0.62 + 0.2 * canvas.edge(-0.1 - canvas.y, 0.2)).astype(np.float32)
    air *= 1 - core * hidden
    depth = bump((canvas.y - np.float32(0.2)) / np.float32(0.35)) * bump((canvas.x - 0.08) / np.float32(0.3))
    core *= canvas.edge(np.float32(build.domes[1] + 0.02) - canvas.y, 0.08)
    soft += core * (np.float32(0.10) + np.float32(0.10) * depth)
    thickness = 1 - 0.28 * (np.abs(canvas.x) / build.width) ** 3
    air *= np.float32(build.aeration) * np.minimum(thickness, 1).astype(np.float32)
    bone = _rib_cage(canvas, build, lungs[1])
    places = {
        "carina": (-0.01, -0.27),
        "knob": (build.mediastinum - 0.02, KNOB_Y),
        "heart": (0.10, 0.18),
        "behind heart": (0.10, min(build.domes) - 0.1),
        "cava": (-build.mediastinum + 0.015, -0.02),
        "neck": (0.0, -0.92),
        "subclavian": (0.46, build.clavicle - 0.02),
        "stomach": (0.24, build.domes[1] + 0.24),
        "wall": (build.width, 0.0),
    }
    thorax = Thorax(
        canvas, build, False, soft, air, bone, lungs, places, heart_left, lambda n, s, x: _rib_height(build, n, x)
    )
    _airways(thorax)
    _bubble(thorax)
    return thorax


def _lung(build: Build, side: int) -> Lung:
    apex_x, inner = APEX_X, 0.062

    def lateral(y: Array) -> Array:
        t = (y - build.apex) / (WIDEST - build.apex)
        return side * (apex_x + (build.width - apex_x) * round_top(t, 2.3))

    def medial(y: Array) -> Array:
        return side * (apex_x - (apex_x - inner) * round_top((y - build.apex) / 0.42, 1.8))

    height = build.domes[0 if side < 0 else 1]
    peak = 0.5 * build.width

    def dome(x: Array) -> Array:
        reach = (side * x - peak) / (build.width - peak)  # 1 at the outer wall
        outward = 0.20 * np.maximum(reach, 0) ** 2.4 + 0.07 * np.maximum(-reach, 0) ** 2
        return height + build.curvature * outward

    hilum = (side * (build.mediastinum + 0.055), -0.13 - 0.03 * (side > 0))
    return Lung(side, build.apex, height, medial, lateral, dome, hilum)


def _aeration(canvas: Canvas, lung: Lung) -> Array:
    side = np.float32(lung.side)
    air = canvas.edge(side * (lung.lateral(canvas.y).astype(np.float32) - canvas.x), 0.03)
    air *= canvas.edge(side * (canvas.x - lung.medial(canvas.y).astype(np.float32)), 0.03)
    air *= canvas.edge(canvas.y - np.float32(lung.apex), 0.03)
    air *= canvas.edge(lung.dome(canvas.at_row(lung.base)).astype(np.float32) - canvas.y, 0.03)
    return air


def _right_border(build: Build) -> Curve:
    """Distance of the right border of heart and mediastinum from the midline, at heights y."""

    def border(y: Array) -> Array:
        atrium = build.heart_right * np.sqrt(np.maximum(1 - ((y - 0.2) / 0.40) ** 2, 0))
        widening = 0.04 * np.clip((-0.5 - y) / 0.3, 0, 1) + build.widening * bump((y + 0.36) / 0.3)
        return np.maximum(build.mediastinum + widening, atrium).astype(np.float32)

    return border


def _left_border(build: Build) -> Curve:
    """x of the left border: aortic knob, pulmonary trunk, left ventricle."""

    def border(y: Array) -> Array:
        upper = build.mediastinum + 0.04 * np.clip((-0.5 - y) / 0.3, 0, 1)
        upper = (
            upper
            + build.widening * bump((y + 0.30) / 0.3)
            + build.knob * bump((y - KNOB_Y) / 0.075)
            + 0.035 * bump((y + 0.18) / 0.09)
        )
        tip = build.domes[1] - 0.05
        t = (y + 0.22) / (tip + 0.22)
        ventricle = build.heart_left * np.sin(np.pi / 2 * np.clip(t, 0, 1)) ** 1.15
        under = np.sqrt(np.maximum(1 - (np.maximum(y - tip, 0) / 0.22) ** 2, 0))
        return np.maximum(upper, ventricle * under).astype(np.float32)

    return border


def _body(canvas: Canvas, build: Build) -> Array:
    """Soft tissue: neck, shoulders, chest wall, breasts; 0 outside the skin."""
    row = np.abs(canvas.at_row(0.0))
    shoulder = -1.05 + 0.40 * np.maximum(row - 0.24, 0) ** 0.8 - 2 * np.maximum(0.26 - row, 0)
    side = build.width + build.wall + 0.38 * np.maximum(-canvas.y - 0.05, 0)
    reach = np.abs(canvas.x)
    body = canvas.edge(canvas.y - shoulder, 0.05) * canvas.edge(side.astype(np.float32) - reach, 0.06)
    body *= np.float32(1.0) - np.float32(0.14) * np.minimum(reach * reach, 1)
    if build.breast:
        for side_sign in (-1, 1):
            dx, dy = (canvas.x - np.float32(side_sign * 0.40)) / 0.30, (canvas.y - np.float32(0.26)) / 0.30
            fall = 1 - dx * dx - np.where(dy > 0, dy * dy, 0.35 * dy * dy)
            body += np.float32(build.breast) * np.sqrt(np.clip(fall, 0, 1)).astype(np.float32)
    return body


def _abdomen(canvas: Canvas, build: Build, lungs: list[Lung]) -> Array:
    row = canvas.at_row(0.5)
    right, left = (np.asarray(lung.dome(row), dtype=np.float32) for lung in lungs)
    dome = np.where(row < 0, right, left)
    inside = canvas.edge(np.float32(build.width + 0.05) - np.abs(canvas.x), 0.05)
    return np.float32(0.16) * canvas.edge(canvas.y - dome, 0.05) * inside


def _bubble(thorax: Thorax) -> None:
    """Gas under the left dome, with a flat bottom when the patient stands."""
    size = thorax.build.bubble
    if size < 0.15:
        return
    x, y = 0.26, thorax.build.domes[1] + 0.075 + 0.03 * size
    window, dx, dy = thorax.canvas.around(x, y, 0.2)
    inside = thorax.canvas.edge(1 - np.hypot(dx / (0.07 + 0.07 * size), dy / (0.03 + 0.03 * size)), 0.35)
    thorax.soft[window] -= np.float32(0.34) * inside


def _rib_height(build: Build, number: int, x: Array) -> Array:
    """Height of the back part of a rib at x."""
    reach = np.abs(x) / build.width
    start = build.apex + build.rib_spacing * (number + 0.2 + 0.4 * build.rib_phase)
    return start - 0.05 * bump((reach - 0.3) / 0.25) + build.rib_slope * reach**2


def _rib_cage(canvas: Canvas, build: Build, lung: Lung) -> Array:
    """Ribs as one periodic field each for the back and the front parts, the spine, clavicles and shoulders."""
    row = canvas.at_row(0.0)
    reach = np.abs(row) / np.float32(build.width)
    spacing = np.float32(build.rib_spacing)
    back = (canvas.y - _rib_height(build, 0, row).astype(np.float32)) / spacing
    front = (canvas.y + np.float32(0.34) * (reach - 1.1) - np.float32(build.apex - 0.02)) / spacing / 1.3
    field = _rib_profile(canvas, back, spacing) * canvas.edge(back + 0.45, 0.1)
    field += np.float32(0.35) * (
        _rib_profile(canvas, front - 0.5, spacing) * canvas.edge(front, 0.1) * np.clip(3 * reach - 0.9, 0, 1)
    )
    outside = np.abs(canvas.x) - lung.lateral(canvas.y).astype(np.float32)
    field *= canvas.edge(np.float32(0.025) - outside, 0.03) * canvas.edge(np.float32(0.62) - canvas.y, 0.5)
    field *= np.float32(build.rib_strength) * (1 + np.float32(0.9) * bump(outside / 0.07))
    _add_spine(canvas, field)
    _add_shoulders(canvas, build, field)
    return field


def _rib_profile(canvas: Canvas, phase: Array, spacing: np.floating) -> Array:
    """A rib about every whole number: a flat band with denser margins."""
    away = np.abs(phase - np.rint(phase))
    half = np.float32(0.24)
    band = canvas.edge((half - away) * spacing, 0.012)
    return band * (np.float32(0.75) + np.float32(0.5) * canvas.edge((away - half + 0.07) * spacing, 0.012))


def _add_spine(canvas: Canvas, bone: Array) -> None:
    """Vertebrae with their discs, pedicles and spinous processes, seen through the mediastinum."""
    window = canvas.window(-0.16, 0.16, -1.1, 1.1)
    x, y = canvas.x[window], canvas.y[window[0]]
    step = 0.118 + 0.02 * y
    away = np.abs(y / step - np.rint(y / step))
    body = canvas.edge(0.078 + 0.02 * (away - 0.25) - np.abs(x), 0.02)
    bone[window] += body * (np.float32(0.10) - np.float32(0.05) * canvas.edge((away - 0.42) * step, 0.01))
    pedicle = np.hypot(np.abs(x) - 0.05, (away - 0.15) * step)
    bone[window] += np.float32(0.05) * canvas.edge(0.016 - pedicle, 0.012)


def _add_shoulders(canvas: Canvas, build: Build, bone: Array) -> None:
    """Clavicles, shoulder blades and the heads of the upper arms."""
    for side in (-1, 1):
        left, right = sorted((side * 0.05, side * 0.86))
        window = canvas.window(left, right, build.clavicle - 0.3, build.clavicle + 0.12)
        reach, y = side * canvas.x[window], canvas.y[window[0]]
        t = np.clip((reach - 0.07) / 0.75, 0, 1)
        centre = build.clavicle - 0.24 * t**0.75 + 0.035 * np.sin(2 * np.pi * t)
        half = 0.024 + 0.014 * (1 - t) ** 3
        away = np.abs(y - centre)
        band = canvas.edge(half - away, 0.015) * canvas.edge(reach - 0.07, 0.03) * canvas.edge(0.84 - reach, 0.03)
        bone[window] += band * (0.15 + 0.10 * canvas.edge(away - half + 0.012, 0.012)).astype(np.float32)
        window, dx, dy = canvas.around(side * 0.98, -0.66, 0.2)
        bone[window] += np.float32(0.22) * canvas.edge(0.14 - np.hypot(dx, dy), 0.03)
        left, right = sorted((side * 0.6, side * 0.95))
        window = canvas.window(left, right, -0.72, 0.1)
        reach, y = side * canvas.x[window], canvas.y[window[0]]
        border = 0.66 + 0.10 * (y + 0.3) ** 2 - 0.05 * (y + 0.3)
        blade = canvas.edge(reach - border, 0.02) * canvas.edge(0.10 - y - 0.9 * (reach - 0.66), 0.05)
        blade *= canvas.edge(y + 0.70 - 0.3 * (reach - 0.66), 0.04)
        bone[window] += np.float32(0.05) * blade + np.float32(0.05) * blade * canvas.ridge(reach - border, 0.02)


def _airways(thorax: Thorax) -> None:
    """The dark trachea and main bronchi."""
    canvas = thorax.canvas
    x, y = thorax.places["carina"]
    window = canvas.window(x - 0.09, x + 0.09, -1.1, y + 0.02)
    away = np.abs(canvas.x[window] - np.float32(x))
    trachea = canvas.edge(0.042 - away, 0.02) * canvas.edge(y - canvas.y[window[0]], 0.05)
    thorax.soft[window] -= np.float32(0.17) * trachea
    lines = canvas.zeros()
    for lung in thorax.lungs:
        canvas.add_lines(lines, [x, lung.hilum[0]], [y - 0.02, lung.hilum[1] - 0.01], 0.05)
    thorax.soft -= canvas.blurred_lines(lines, 0.02)
