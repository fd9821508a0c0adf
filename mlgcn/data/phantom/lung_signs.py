"""Signs inside the lungs: opacities, collapse, nodules, masses, scars and destroyed lung."""

import numpy as np

from mlgcn.data.phantom.anatomy import Build, Lung, Thorax, bump
from mlgcn.data.phantom.canvas import Array
from mlgcn.data.phantom.sign_tools import Sign, choose_lung, choose_lungs, cloud, fill, own_side, rough_disc


def lung_opacity(thorax: Thorax, sign: Sign) -> None:
    """A hazy, even area, mostly in the middle or lower zone."""
    lung = choose_lung(thorax, sign)
    x, y = lung.point(sign.uniform(0.35, 0.7), sign.uniform(0.4, 0.85))
    radii = (sign.uniform(0.20, 0.28), sign.uniform(0.18, 0.30))
    cloud(thorax, x, y, radii, sign.between(0.22, 0.6), 0.9, sign.uniform(-0.8, 0.8))


def pneumonia(thorax: Thorax, sign: Sign) -> None:
    """Patches that run together around one focus, sometimes with a second focus on the other side."""
    canvas = thorax.canvas
    patches = canvas.noise(sign.rng, 22)
    for lung in choose_lungs(thorax, sign, both=0.3):
        x, y = lung.point(sign.uniform(0.35, 0.6), sign.uniform(0.45, 0.85))
        radii = sign.uniform(0.17, 0.24), sign.uniform(0.18, 0.28)
        window, dx, dy = canvas.around(x, y, 2.2 * max(radii))
        zone = bump(np.hypot(dx / radii[0], dy / radii[1]))
        share = np.clip(zone * (1.1 + 0.55 * patches[window]), 0, 1) * np.clip(3 * zone - 0.25, 0, 1)
        share *= own_side(thorax, lung)[window]
        fill(thorax, (np.float32(sign.between(0.35, 0.75)) * share).astype(np.float32), window)


def consolidation(thorax: Thorax, sign: Sign) -> None:
    """A dense lobe, sharp at its fissure, with air-filled bronchi that stay dark in it."""
    canvas, lung = thorax.canvas, choose_lung(thorax, sign)
    slope = lung.side * sign.uniform(-0.15, 0.25)
    if sign.rng.random() < 0.35:  # upper lobe
        top, bottom, soft_top, soft_bottom = -0.2, sign.uniform(0.38, 0.48), 0.05, 0.03
    else:
        top, bottom, soft_top, soft_bottom = sign.uniform(0.45, 0.62), sign.uniform(0.9, 1.2), 0.03, 0.3
    height = lung.base - lung.apex
    tilted = canvas.y - np.float32(slope) * (canvas.x - np.float32(lung.hilum[0]))
    lobe = canvas.edge(tilted - np.float32(lung.apex + top * height), soft_top)
    lobe *= canvas.edge(np.float32(lung.apex + bottom * height) - tilted, soft_bottom)
    lobe *= canvas.edge(lung.side * (canvas.x - np.float32(lung.hilum[0] - lung.side * 0.35)), 0.1)
    lobe *= np.clip(1.15 - 0.25 * (lung.across(canvas) - 0.4) ** 2, 0, 1)
    fill(thorax, np.float32(sign.between(0.5, 0.92)) * lobe)
    _bronchogram(thorax, sign, lung, lobe, upwards=top < 0)


def _bronchogram(thorax: Thorax, sign: Sign, lung: Lung, lobe: Array, upwards: bool) -> None:
    lines = thorax.canvas.zeros()
    for turn in np.linspace(-0.2, 1.0, 4) + sign.rng.uniform(-0.1, 0.1, 4):
        angle, t = -turn if upwards else turn, np.linspace(0, 1, 6)
        heading = angle + 0.4 * t
        x = lung.hilum[0] + lung.side * np.cumsum(np.cos(heading)) * 0.065
        y = lung.hilum[1] + np.cumsum(np.sin(heading)) * 0.065
        thorax.canvas.add_lines(lines, x, y, 0.24)
    thorax.soft -= thorax.canvas.blurred_lines(lines, 0.010) * lobe


def infiltration(thorax: Thorax, sign: Sign) -> None:
    """A faint haze without borders and with coarse strands, over a large part of the lung."""
    canvas = thorax.canvas
    for lung in choose_lungs(thorax, sign, both=0.6):
        mottle = np.clip(0.55 + 0.4 * canvas.noise(sign.rng, 34), 0, 1.3)
        zone = bump((lung.down(canvas) - np.float32(sign.uniform(0.5, 0.75))) / np.float32(0.28))
        share = np.float32(sign.between(0.35, 0.55)) * mottle * zone * own_side(thorax, lung)
        fill(thorax, np.minimum(share, 0.9).astype(np.float32))


def atelectasis(thorax: Thorax, sign: Sign) -> None:
    """Plate-like bands above the diaphragm, and a wedge of collapsed lung with lost volume at the base."""
    for lung in choose_lungs(thorax, sign, both=0.4):
        for number in range(1 + int(sign.rng.integers(3))):
            x, y = lung.point(sign.uniform(0.35, 0.6), 0.90 - 0.13 * number - sign.uniform(0, 0.06))
            half, tilt = sign.uniform(0.14, 0.24), lung.side * sign.uniform(-0.35, 0.45)
            cloud(thorax, x, y, (half, sign.uniform(0.026, 0.04)), sign.between(0.3, 0.7), 0.9, tilt)
        x, y = lung.point(0.22, 0.99)
        cloud(thorax, x, y, (0.28, 0.14), sign.between(0.3, 0.8), 0.7, lung.side * 0.55)


def raise_dome(build: Build, sign: Sign) -> None:
    """A collapsed base pulls its dome up."""
    build.domes[sign.side] -= sign.between(0.01, 0.08)


def edema(thorax: Thorax, sign: Sign) -> None:
    """Haze around both hila like a bat's wings, and short septal lines at the outer bases (Kerley B)."""
    canvas = thorax.canvas
    wide, strength = sign.uniform(0.26, 0.36), sign.between(0.18, 0.6)
    for lung in thorax.lungs:
        x, y = lung.hilum
        dx, dy = (canvas.x - np.float32(x + lung.side * 0.10)) / wide, (canvas.y - np.float32(y + 0.10)) / 0.36
        fill(thorax, (np.float32(strength) * bump(np.hypot(dx, dy))).astype(np.float32))
        heights = np.linspace(0.55, 0.95, 9) + sign.rng.uniform(-0.02, 0.02, 9)
        ends = [lung.point(0.98, down) for down in heights]
        outer = np.array([x for x, _ in ends])
        level = np.array([y for _, y in ends])
        reach = lung.side * sign.rng.uniform(0.05, 0.10, 9)
        canvas.add_lines(thorax.fine, np.stack([outer, outer - reach], 1), np.stack([level, level - 0.01], 1), 0.19)


def congest(build: Build, sign: Sign) -> None:
    """Fuller vessels."""
    build.vessels *= sign.between(1.15, 1.8)


def nodule(thorax: Thorax, sign: Sign) -> None:
    """One to three small round spots (a centimetre is about 0.045)."""
    for _ in range(1 + int(sign.rng.integers(3))):
        lung = thorax.lungs[int(sign.rng.integers(2)) % len(thorax.lungs)]
        x, y = lung.point(sign.uniform(0.3, 0.8), sign.uniform(0.2, 0.85))
        radius = sign.uniform(0.042, 0.062)
        cloud(thorax, x, y, (radius, radius), sign.between(0.65, 0.85), 0.45)


def mass(thorax: Thorax, sign: Sign) -> None:
    """One large lobulated body of more than 3 cm."""
    lung = choose_lung(thorax, sign)
    x, y = lung.point(sign.uniform(0.35, 0.7), sign.uniform(0.2, 0.75))
    window, depth = rough_disc(thorax, sign, x, y, sign.uniform(0.11, 0.18), 0.12)
    fill(thorax, np.float32(sign.between(0.75, 0.92)) * thorax.canvas.edge(depth, 0.03), window)


def lung_lesion(thorax: Thorax, sign: Sign) -> None:
    """A cavity with a thick irregular wall, spicules, and sometimes a fluid level."""
    canvas, lung = thorax.canvas, choose_lung(thorax, sign)
    x, y = lung.point(sign.uniform(0.4, 0.65), sign.uniform(0.2, 0.65))
    radius, wall = sign.uniform(0.11, 0.15), sign.uniform(0.04, 0.055)
    window, depth = rough_disc(thorax, sign, x, y, radius, 0.14)
    ring = canvas.edge(depth, 0.035) * canvas.edge(wall - depth, 0.035)
    if sign.rng.random() < 0.5:
        level = canvas.edge(canvas.y[window[0]] - np.float32(y + 0.3 * radius)) * canvas.edge(depth, 0.03)
        ring = np.maximum(ring, level)
    fill(thorax, np.float32(sign.between(0.7, 0.9)) * ring, window)
    angle = sign.rng.uniform(0, 2 * np.pi, 13)
    far = radius * sign.rng.uniform(1.15, 1.7, 13)
    rays_x = x + np.stack([0.9 * radius * np.cos(angle), far * np.cos(angle + 0.1)], 1)
    rays_y = y + np.stack([0.9 * radius * np.sin(angle), far * np.sin(angle + 0.1)], 1)
    canvas.add_lines(thorax.fine, rays_x, rays_y, 0.13)


def inflate(build: Build, sign: Sign) -> None:
    """Emphysema: long dark lungs, flat low diaphragm, slim heart, few vessels."""
    build.domes = [dome + sign.between(0.08, 0.14) for dome in build.domes]
    build.curvature *= sign.between(0.45, 0.2)
    build.apex -= 0.03
    build.heart_left *= 0.85
    build.heart_right *= 0.88
    build.aeration *= sign.between(1.10, 1.18)
    build.vessels *= 0.6


def emphysema(thorax: Thorax, sign: Sign) -> None:
    """Bullae: round dark holes with hairline walls, mostly at the top."""
    canvas = thorax.canvas
    for lung in choose_lungs(thorax, sign, both=0.8):
        for _ in range(2):
            x, y = lung.point(sign.uniform(0.35, 0.75), sign.uniform(0.12, 0.5))
            window, depth = rough_disc(thorax, sign, x, y, sign.uniform(0.09, 0.15), 0.12)
            inside = canvas.edge(depth, 0.03)
            thorax.air[window] *= 1 + np.float32(0.09) * inside - np.float32(0.09) * canvas.ridge(depth, 0.014)
            thorax.broad[window] *= 1 - inside
            thorax.fine[window] *= 1 - inside


def fibrosis(thorax: Thorax, sign: Sign) -> None:
    """A net of irregular lines, densest at the bases and in the outer lung, over a haze."""
    canvas, count = thorax.canvas, 150
    for lung in thorax.lungs:
        across = 0.05 + 0.95 * np.sqrt(sign.rng.random(count))
        down = 0.25 + 0.80 * np.sqrt(sign.rng.random(count))
        places = np.array([lung.point(a, d) for a, d in zip(across, down, strict=True)])
        radius = sign.rng.uniform(0.012, 0.05, (count, 1)) * sign.rng.uniform(0.75, 1.25, (count, 6))
        angle = np.linspace(0, 0.8 * np.pi, 6) + sign.rng.uniform(0, 2 * np.pi, (count, 1))
        x, y = places[:, :1] + radius * np.cos(angle), places[:, 1:] + radius * np.sin(angle)
        canvas.add_lines(thorax.fine, x, y, sign.between(0.15, 0.24))
        haze = np.float32(sign.between(0.2, 0.35)) * np.clip(2.2 * lung.down(canvas) - 1.2, 0, 1)
        fill(thorax, haze * own_side(thorax, lung))


def shrink(build: Build, sign: Sign) -> None:
    """Stiff lungs stay small."""
    build.domes = [dome - sign.between(0.04, 0.10) for dome in build.domes]
