"""Draws docs/network.svg, the network of the README.

Run: python docs/draw_network.py
"""

from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

WIDTH, HEIGHT = 900, 440  # in CSS pixels, which are the units of everything below
INK, MUTED = "#1F2933", "#5B6673"
# Line, fill: images, labels, what both share, what comes out.
IMAGE, LABEL, SHARED, OUT = ("#004488", "#E3EBF4"), ("#B8860B", "#FBF1D9"), ("#A8435A", "#F7E4E8"), (INK, "#EEF0F3")
EXPERTS = 4
IMAGE_ROWS = [54 + 36 * expert for expert in range(EXPERTS)]
LABEL_ROWS = [248 + 36 * expert for expert in range(EXPERTS)]
ROW = 26  # height of a row


def main() -> None:
    """Writes network.svg beside this script."""
    figure = Figure(figsize=(WIDTH / 96, HEIGHT / 96))
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axis.set_axis_off()
    box(axis, 2, 2, WIDTH - 4, HEIGHT - 4, ("#D0D6DE", "white"), radius=14)
    draw_images(axis)
    draw_labels(axis)
    draw_attention(axis)
    draw_output(axis)
    # Letters as outlines look the same everywhere; a fixed salt and no date keep the file the same on every run.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "mlgcn"}):
        figure.savefig(
            Path(__file__).with_name("network.svg"),
            transparent=True,
            metadata=dict.fromkeys(["Creator", "Date", "Format", "Type"]),
        )


def draw_images(axis: Axes) -> None:
    """Upper lane: X-ray, trunk, one layer4 and one pooled vector for each expert."""
    middle = (IMAGE_ROWS[0] + IMAGE_ROWS[-1] + ROW) / 2
    draw_xray(axis, 24, middle - 48, 96)
    write(axis, 72, middle + 72, "chest X-ray", MUTED)
    trunk = [(160, middle - 56), (254, middle - 40), (254, middle + 40), (160, middle + 56)]
    axis.add_patch(
        Polygon(trunk, closed=True, facecolor=IMAGE[1], edgecolor=IMAGE[0], linewidth=1.2, joinstyle="round")
    )
    write(axis, 207, middle - 9, "ResNet", weight="bold")
    write(axis, 207, middle + 9, "conv1 – layer3", MUTED, size=8)
    write(axis, 207, middle + 72, "shared trunk", MUTED)
    arrow(axis, (124, middle), (157, middle))
    for expert, top in enumerate(IMAGE_ROWS):
        centre = top + ROW / 2
        arrow(axis, (257, middle), (303, centre), IMAGE[0])
        box(axis, 306, top, 92, ROW, IMAGE, f"layer4, expert {expert + 1}", size=8)
        arrow(axis, (400, centre), (414, centre), IMAGE[0])
        box(axis, 417, top, 40, ROW, IMAGE, "LSE", size=8)
        arrow(axis, (459, centre), (473, centre), IMAGE[0])
        cells(axis, 476, top + 6, 1, 14, IMAGE[0], seed=expert)
    write(axis, 382, IMAGE_ROWS[0] - 14, "four branches", MUTED, size=8)
    write(axis, 504, IMAGE_ROWS[0] - 14, "image vector", INK, size=8)


def draw_labels(axis: Axes) -> None:
    """Lower lane: label graph, one graph network and one set of classifiers for each expert."""
    middle = (LABEL_ROWS[0] + LABEL_ROWS[-1] + ROW) / 2
    draw_graph(axis, 140, middle)
    write(axis, 140, middle + 80, "label co-occurrence graph,\nnodes with GloVe vectors", MUTED)
    for expert, top in enumerate(LABEL_ROWS):
        centre = top + ROW / 2
        arrow(axis, (252, middle), (303, centre), LABEL[0])
        box(axis, 306, top, 151, ROW, LABEL, f"two-layer GCN, expert {expert + 1}", size=8)
        arrow(axis, (459, centre), (473, centre), LABEL[0])
        cells(axis, 476, top + 1.5, 4, 5.75, LABEL[0], seed=10 + expert)
    write(axis, 382, LABEL_ROWS[-1] + ROW + 14, "300 → 1024 → D", MUTED, size=8)
    write(axis, 504, LABEL_ROWS[-1] + ROW + 14, "classifiers", INK, size=8)


def draw_attention(axis: Axes) -> None:
    """The transformer layer that both lanes pass."""
    top, bottom = IMAGE_ROWS[0] - 6, LABEL_ROWS[-1] + ROW + 6
    for rows, colour in ((IMAGE_ROWS, IMAGE[0]), (LABEL_ROWS, LABEL[0])):
        for row in rows:
            arrow(axis, (536, row + ROW / 2), (561, row + ROW / 2), colour)
    box(axis, 564, top, 92, bottom - top, SHARED, radius=10)
    middle = (top + bottom) / 2
    write(axis, 610, middle - 30, "transformer\nlayer", weight="bold", size=8.5)
    write(axis, 610, middle + 20, "one set of\nweights for all\nexperts and\nboth lanes", MUTED, size=8)


def draw_output(axis: Axes) -> None:
    """The product of both lanes, its mean, and the loss."""
    upper, lower = (IMAGE_ROWS[0] + IMAGE_ROWS[-1] + ROW) / 2, (LABEL_ROWS[0] + LABEL_ROWS[-1] + ROW) / 2
    middle = (upper + lower) / 2
    arrow(axis, (659, upper), (713, middle - 14), IMAGE[0], elbow=True)
    arrow(axis, (659, lower), (713, middle + 14), LABEL[0], elbow=True)
    write(axis, 700, upper + 22, "$u_e$", IMAGE[0], size=10)
    write(axis, 701, lower - 22, "$A_e$", LABEL[0], size=10)
    box(axis, 716, middle - 28, 160, 56, OUT)
    write(axis, 796, middle - 9, r"logits  $z_e = u_e A_e^{\mathsf{T}}$", size=10)
    write(axis, 796, middle + 13, "of each expert e", MUTED, size=8)

    top = IMAGE_ROWS[0]
    box(axis, 716, top, 160, 92, OUT)
    write(axis, 796, top + 15, "mean over experts", weight="bold")
    for row, (name, score) in enumerate({"Effusion": 0.83, "Edema": 0.46, "Hernia": 0.12}.items()):
        y = top + 38 + 19 * row
        axis.text(728, y + 4, name, color=INK, fontsize=8)
        axis.barh(y, 84, height=8, left=784, color="white")
        axis.barh(y, 84 * score, height=8, left=784, color=OUT[0])
    arrow(axis, (796, middle - 31), (796, top + 95))

    top = LABEL_ROWS[-1] + ROW - 66
    box(axis, 716, top, 160, 66, OUT)
    write(axis, 796, top + 15, "loss", weight="bold")
    write(axis, 796, top + 33, "BCE of each expert", MUTED, size=8)
    write(axis, 796, top + 50, "+ 0.2 × diversity", MUTED, size=8)
    arrow(axis, (796, middle + 31), (796, top - 3))


def draw_xray(axis: Axes, x: float, y: float, size: float) -> None:
    """A small chest X-ray: lungs, ribs, spine, heart."""
    frame = box(axis, x, y, size, size, ("#20262E", "#20262E"), radius=8)
    parts = [
        Ellipse((x + 0.5 * size, y + 0.62 * size), 0.86 * size, 1.05 * size, color="#8C96A3", alpha=0.55),
        Ellipse((x + 0.31 * size, y + 0.5 * size), 0.26 * size, 0.62 * size, angle=8, color="#20262E", alpha=0.85),
        Ellipse((x + 0.69 * size, y + 0.5 * size), 0.26 * size, 0.62 * size, angle=-8, color="#20262E", alpha=0.85),
        Ellipse((x + 0.57 * size, y + 0.64 * size), 0.3 * size, 0.32 * size, angle=30, color="#C3CAD3", alpha=0.9),
        Rectangle((x + 0.475 * size, y + 0.06 * size), 0.05 * size, 0.9 * size, color="#D5DAE1", alpha=0.8),
    ]
    for part in parts:
        part.set_linewidth(0)
        axis.add_patch(part)
        part.set_clip_path(frame)
    along = np.linspace(0, 1, 30)
    for rib, side in product(range(5), (-1, 1)):
        across = x + size * (0.5 + side * (0.05 + 0.33 * along))
        down = y + size * (0.2 + 0.13 * rib + 0.12 * along**2 - 0.05 * along)
        (line,) = axis.plot(across, down, color="#E6E9EE", alpha=0.45, linewidth=1.6, solid_capstyle="round")
        line.set_clip_path(frame)


def draw_graph(axis: Axes, x: float, y: float) -> None:
    """A few labels and who comes with whom; the rare one stands alone."""
    places = {
        "Edema": (-74, -40),
        "Effusion": (4, -50),
        "Atelectasis": (72, -30),
        "Pneumonia": (-6, 4),
        "Consolidation": (-76, 30),
        "Hernia": (68, 34),
    }
    edges = ["Edema Effusion", "Effusion Atelectasis", "Edema Pneumonia", "Effusion Pneumonia"]
    edges += ["Pneumonia Consolidation", "Pneumonia Atelectasis"]
    for start, end in (edge.split() for edge in edges):
        (x0, y0), (x1, y1) = places[start], places[end]
        axis.plot([x + x0, x + x1], [y + y0, y + y1], color=LABEL[0], linewidth=1.2, alpha=0.6, zorder=1)
    for name, (dx, dy) in places.items():
        axis.add_patch(Circle((x + dx, y + dy), 8, facecolor=LABEL[1], edgecolor=LABEL[0], linewidth=1.4, zorder=2))
        write(axis, x + dx, y + dy + (17 if dy > -40 else -17), name, size=8)


def cells(axis: Axes, x: float, y: float, rows: int, height: float, colour: str, seed: int) -> None:
    """A vector or matrix of eight columns, as cells of different strength."""
    strengths = np.random.default_rng(seed).uniform(0.15, 0.85, size=(rows, 8))
    for (row, column), strength in np.ndenumerate(strengths):
        corner = (x + 7 * column, y + height * row)
        axis.add_patch(Rectangle(corner, 7, height, facecolor=colour, alpha=strength, edgecolor="white", linewidth=0.6))


def box(
    axis: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    colours: tuple[str, str],
    text: str = "",
    radius: float = 5,
    size: float = 9,
) -> FancyBboxPatch:
    """A rounded box with its text in the middle."""
    shape = f"round,pad=0,rounding_size={radius}"
    patch = FancyBboxPatch(
        (x, y), width, height, boxstyle=shape, edgecolor=colours[0], facecolor=colours[1], linewidth=1.2
    )
    axis.add_patch(patch)
    if text:
        write(axis, x + width / 2, y + height / 2, text, size=size)
    return patch


def arrow(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = MUTED, elbow: bool = False
) -> None:
    """An arrow, straight or with two rounded corners."""
    # The arms are in points: half of the 54 pixels that every elbow spans.
    path = "arc,angleA=0,angleB=180,armA=20.25,armB=20.25,rad=8" if elbow else "arc3"
    head = "-|>,head_width=2.2,head_length=4"
    axis.add_patch(
        FancyArrowPatch(
            start, end, connectionstyle=path, arrowstyle=head, color=colour, linewidth=1.2, shrinkA=0, shrinkB=0
        )
    )


def write(
    axis: Axes, x: float, y: float, text: str, colour: str = INK, size: float = 9, weight: str = "normal"
) -> None:
    """Text centred on x and y; one line by the height of its capitals, so that neighbours share a baseline."""
    one_line = "\n" not in text
    axis.text(x, y + 0.36 * size * 96 / 72 * one_line, text, color=colour, fontsize=size, fontweight=weight,
              ha="center", va="baseline" if one_line else "center", linespacing=1.35, zorder=3)  # fmt: skip


if __name__ == "__main__":
    main()
