"""Signs around the lungs: pleura, mediastinum, heart and aorta, ribs, and air where none belongs."""

import numpy as np

from mlgcn.data.phantom.anatomy import Build, Lung, Thorax, bump
from mlgcn.data.phantom.canvas import Array
from mlgcn.data.phantom.sign_tools import Sign, choose_lung, choose_lungs, fill, own_side, rough_disc


def enlarge_heart(build: Build, sign: Sign) -> None:
    """Cardiomegaly: the heart wider than half the chest."""
    growth = sign.between(1.10, 1.55) + sign.uniform(-0.05, 0.05)
    build.heart_left *= growth
    build.heart_right *= growth


def widen_mediastinum(build: Build, sign: Sign) -> None:
    """Enlarged cardiomediastinum."""
    build.mediastinum += sign.between(0.01, 0.05)
    build.widening = sign.between(0.02, 0.10)
    build.heart_left *= 1.06


def pleural_effusion(thorax: Thorax, sign: Sign) -> None:
    """Fluid that blunts the costophrenic angle and climbs along the wall (meniscus)."""
    canvas = thorax.canvas
    for lung in choose_lungs(thorax, sign, both=0.45):
        rise = sign.between(-0.02, 0.45) * sign.uniform(0.8, 1.3)
        across = np.clip(lung.across(canvas), 0, 1.2)
        level = np.float32(lung.base + 0.20 - rise) - np.float32(0.5 * rise + 0.08) * (across**3 - np.float32(0.2))
        fluid = canvas.edge(canvas.y - level, 0.05) * own_side(thorax, lung)
        fill(thorax, np.float32(0.97) * fluid)
        thorax.soft += np.float32(0.05) * fluid


def pneumothorax(thorax: Thorax, sign: Sign) -> None:
    """The lung's edge as a fine white line, and beyond it air without any vessel."""
    canvas, lung = thorax.canvas, choose_lung(thorax, sign)
    gap, drop = sign.between(0.09, 0.33), sign.between(0.06, 0.22)
    top = lung.apex + drop
    medial, lateral = (edge.astype(np.float32) for edge in _collapsed(lung, canvas.y, gap, drop))
    inside = canvas.edge(lung.side * (lateral - canvas.x), 0.01) * canvas.edge(lung.side * (canvas.x - medial), 0.01)
    inside *= canvas.edge(canvas.y - np.float32(top), 0.01)
    own = own_side(thorax, lung)
    free = own * (1 - inside)
    thorax.fine *= 1 - free
    thorax.broad *= 1 - free
    thorax.air *= 1 + np.float32(0.15) * free
    fill(thorax, np.float32(sign.between(0.04, 0.18)) * own * inside)
    y = top + (lung.base + 0.1 - top) * np.linspace(0, 1, 48) ** 2
    medial, lateral = _collapsed(lung, y, gap, drop)
    canvas.add_lines(thorax.fine, lateral, y, 0.32)
    canvas.add_lines(thorax.fine, medial[:20], y[:20], 0.32)


def _collapsed(lung: Lung, y: Array, gap: float, drop: float) -> tuple[Array, Array]:
    """Borders, medial and lateral, of a lung that has left its wall by a share `gap` and its apex by `drop`."""
    share = gap * np.clip(1.2 - 0.9 * (y - lung.apex) / (lung.base - lung.apex), 0.2, 1)  # widest at the top
    medial = lung.medial(y - drop)
    return medial, medial + (lung.lateral(y - drop) - medial) * (1 - share)


def pleural_thickening(thorax: Thorax, sign: Sign) -> None:
    """A smooth rind along the wall and over the apex."""
    canvas = thorax.canvas
    for lung in choose_lungs(thorax, sign, both=0.3):
        thick = sign.between(0.06, 0.095)
        _, lateral = _collapsed(lung, canvas.y, 0.0, 1.5 * thick)
        rind = canvas.edge(lung.side * (canvas.x - lateral.astype(np.float32)) + np.float32(thick), 0.025)
        rind = np.maximum(rind, canvas.edge(np.float32(lung.apex + 1.5 * thick) - canvas.y, 0.025))
        outside = canvas.edge(lung.side * (canvas.x - lung.lateral(canvas.y).astype(np.float32)), 0.03)
        rind *= canvas.edge(np.float32(lung.apex + sign.uniform(0.7, 1.0)) - canvas.y, 0.2) * own_side(thorax, lung)
        fill(thorax, np.float32(0.85) * rind)
        thorax.soft += np.float32(0.06) * rind * (1 - outside) * canvas.edge(canvas.y - np.float32(lung.apex))


def pleural_plaques(thorax: Thorax, sign: Sign) -> None:
    """Calcified plaques on the ribs and the diaphragm: dense, sharp, like spilt wax."""
    canvas = thorax.canvas
    for lung in thorax.lungs:
        for _ in range(4):
            x, y = lung.point(sign.uniform(0.72, 0.93), sign.uniform(0.3, 0.85))
            _plaque(thorax, sign, x, y, sign.uniform(0.025, 0.04), sign.uniform(0.05, 0.10), lung.side * -0.25)
        x = float(lung.point(sign.uniform(0.4, 0.6), 1.0)[0])
        t = np.linspace(-0.12, 0.12, 9)
        canvas.add_lines(thorax.wires, x + t, lung.dome(x + t) - 0.008, sign.between(0.35, 0.5))


def _plaque(thorax: Thorax, sign: Sign, x: float, y: float, wide: float, high: float, tilt: float) -> None:
    window, dx, dy = thorax.canvas.around(x, y, 1.3 * high)
    dx = dx - np.float32(tilt) * dy
    bays = 0.14 * np.sin(dy / high * 5 + np.float32(sign.uniform(0, 6)))
    inside = thorax.canvas.edge(1 + bays - np.hypot(dx / wide, dy / high), 0.3)
    rim = np.float32(0.75) + np.float32(0.25) * np.hypot(dx / wide, dy / high)
    thorax.soft[window] += np.float32(sign.between(0.26, 0.40)) * inside * np.minimum(rim, 1)


def fracture(thorax: Thorax, sign: Sign) -> None:
    """Two or three neighbouring ribs broken and out of line, with a dark gap."""
    canvas = thorax.canvas
    lung = choose_lung(thorax, sign)
    first, across = int(sign.rng.integers(2, 5)), sign.uniform(0.6, 0.82)
    for number in range(first, first + 2 + int(sign.rng.integers(2))):
        place = across + sign.uniform(-0.04, 0.04)
        x = float(lung.point(place, 0.45)[0])
        y = float(thorax.rib(number, lung.side, x))
        slope = float(thorax.rib(number, lung.side, x + 0.02) - thorax.rib(number, lung.side, x - 0.02)) / 0.04
        window, dx, dy = canvas.around(x, y, 0.15)
        along = dy - np.float32(slope) * dx
        near = canvas.edge(0.045 - np.abs(along), 0.02) * canvas.edge(0.115 - np.abs(dx), 0.03)
        thorax.bone[window] *= 1 - near
        shift = sign.between(0.035, 0.055)
        for end in (-1, 1):
            band = np.abs(along - np.float32(end) * (np.float32(0.5 * shift) + np.float32(0.35) * end * dx))
            piece = canvas.edge(0.031 - band, 0.012) * canvas.edge(end * dx - 0.014, 0.010)
            piece *= canvas.edge(0.125 - end * dx, 0.04)
            thorax.bone[window] += np.float32(0.20) * piece
        thorax.soft[window] += np.float32(0.08) * bump(np.hypot(dx, dy) / 0.08)


def hiatal_hernia(thorax: Thorax, sign: Sign) -> None:
    """A pouch of stomach behind the heart: a wall, gas on top, a fluid level."""
    canvas = thorax.canvas
    x, y = thorax.places["behind heart"]
    x, radius = x + sign.uniform(-0.08, 0.08), sign.between(0.14, 0.20)
    window, depth = rough_disc(thorax, sign, x, y, radius, 0.08)
    above = np.float32(y + sign.uniform(-0.02, 0.04)) - canvas.y[window[0]]
    pouch = canvas.edge(depth, 0.025)
    gas = canvas.edge(depth - 0.03, 0.03) * canvas.edge(above, 0.01)
    fill(thorax, np.float32(0.85) * pouch, window)
    thorax.soft[window] += np.float32(0.05) * pouch - np.float32(0.38) * gas


def aortic_calcification(thorax: Thorax, sign: Sign) -> None:
    """A bright shell along the arch."""
    x, y = thorax.places["knob"]
    radius = thorax.build.knob + 0.02
    span = np.linspace(-1.9, sign.uniform(0.9, 1.5), 20)
    stretch = 1.4 if thorax.lateral else 1.0
    for inset, amount in ((0.0, sign.between(0.5, 0.75)), (0.012, 0.25)):
        xs = x + stretch * (radius - inset) * np.cos(span)
        ys = y + stretch * (radius - inset) * np.sin(span)
        thorax.canvas.add_lines(thorax.wires, xs, ys, amount)


def prominent_knob(build: Build, sign: Sign) -> None:
    """An aged arch is wide."""
    build.knob = max(build.knob, 0.055) + 0.015


def bend_aorta(build: Build, sign: Sign) -> None:
    """A tortuous aorta is long, and bulges."""
    build.knob += sign.between(0.02, 0.045)
    build.tortuous = sign.between(0.17, 0.26)


def tortuous_aorta(thorax: Thorax, sign: Sign) -> None:
    """The descending aorta swings out to the left, the ascending one bulges to the right."""
    if thorax.lateral:
        return  # drawn with the great vessels
    canvas, y = thorax.canvas, thorax.canvas.y
    reach = thorax.places["knob"][0] + 0.065 + thorax.build.tortuous * bump((y + 0.05) / 0.26)
    tube = canvas.edge(reach.astype(np.float32) - canvas.x, 0.02) * canvas.edge(canvas.x)
    tube *= canvas.edge(y + 0.40, 0.06) * canvas.edge(np.float32(thorax.lungs[1].base + 0.05) - y, 0.1)
    fill(thorax, np.float32(0.75) * tube)
    thorax.soft += np.float32(0.10) * tube * np.clip(canvas.x * np.float32(6), 0, 1)
    right = thorax.build.mediastinum + (0.075 * bump((y + 0.24) / 0.15)).astype(np.float32)
    fill(thorax, np.float32(0.8) * canvas.edge(canvas.x + right, 0.025) * canvas.edge(-canvas.x) * canvas.edge(-y, 0.1))


def subcutaneous_emphysema(thorax: Thorax, sign: Sign) -> None:
    """Dark feathery streaks in the soft tissue of the chest wall and the neck."""
    canvas, lines = thorax.canvas, thorax.canvas.zeros()
    amount, turn = sign.between(0.16, 0.24), np.linspace(-1, 1, 5)
    sides = (-1, 1) if sign.rng.random() < 0.5 else (int(sign.rng.choice([-1, 1])),)
    for side in sides:
        lung, count = thorax.lungs[0 if side < 0 or thorax.lateral else 1], 44
        y = sign.rng.uniform(-0.75, 0.42, count)
        x = lung.lateral(y) + lung.side * (0.02 + 0.22 * sign.rng.random(count))
        length = sign.rng.uniform(0.05, 0.15, count)[:, None]
        # The fibres of the great muscles fan out from the upper arm.
        tilt = -lung.side * (0.55 * (0.3 - y[:, None])) + sign.rng.uniform(-0.15, 0.15, (count, 1))
        canvas.add_lines(lines, x[:, None] + length * (tilt * turn + 0.1 * turn**2), y[:, None] + length * turn, amount)
        y = sign.rng.uniform(-1.0, -0.70, 16)[:, None]
        x = thorax.places["neck"][0] + side * sign.rng.uniform(0.10, 0.36, 16)[:, None]
        canvas.add_lines(lines, x + 0.03 * side * turn, y + 0.09 * turn, amount)
    streaks = np.minimum(canvas.blurred_lines(lines, 0.009), 0.6)
    thorax.soft -= streaks * np.clip(thorax.soft, 0, 1)


def pneumomediastinum(thorax: Thorax, sign: Sign) -> None:
    """Dark stripes along the heart and up into the neck, each with the lifted pleura as a white line beside it."""
    canvas, dark, bright = thorax.canvas, thorax.canvas.zeros(), thorax.canvas.zeros()
    amount, out = sign.between(0.38, 0.55), sign.uniform(0.0, 0.012)
    y = np.linspace(-0.50, 0.36, 24)
    left = np.asarray(thorax.heart_edge(y))
    right = left - 0.03 if thorax.lateral else -thorax.build.mediastinum - 0.02 * bump(y / 0.3)
    for edge, outward, end in ((left, -1 if thorax.lateral else 1, 24), (right, 1 if thorax.lateral else -1, 15)):
        canvas.add_lines(dark, edge[:end] - outward * (0.012 - out), y[:end], amount)
        canvas.add_lines(bright, edge[:end] + outward * 0.022, y[:end], 0.22)
    neck = np.linspace(-1.0, -0.50, 10)
    x = thorax.places["neck"][0]
    for side in (-1, 1):
        wave = 0.02 * np.sin(9 * neck + sign.uniform(0, 6))
        canvas.add_lines(dark, x + side * (0.115 + wave), neck, amount)
        canvas.add_lines(dark, x + side * (0.165 + wave[:7]), neck[:7], 0.7 * amount)
    thorax.soft += canvas.blurred_lines(bright, 0.008) - canvas.blurred_lines(dark, 0.011)


def pneumoperitoneum(thorax: Thorax, sign: Sign) -> None:
    """A dark crescent of free air between the diaphragm, left as a thin line, and the liver."""
    canvas = thorax.canvas
    lungs = thorax.lungs if sign.rng.random() < 0.5 else thorax.lungs[:1]
    for lung in lungs:
        row = canvas.at_row(lung.base)
        x = lung.point(0.5, 1.0)[0]
        half, thick = sign.uniform(0.24, 0.32), sign.between(0.07, 0.13)
        dome = lung.dome(row).astype(np.float32)
        crescent = np.float32(thick) * np.maximum(1 - ((row - np.float32(x)) / np.float32(half)) ** 2, 0)
        depth = canvas.y - dome - np.float32(0.022)
        free = canvas.edge(depth, 0.012) * canvas.edge(crescent - depth, 0.015)
        free *= canvas.edge(crescent - 0.01, 0.02)
        thorax.soft -= np.float32(0.72) * free
