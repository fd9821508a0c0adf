"""The figures of a label table: how often labels occur, and what a graph or a sampler makes of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from mlgcn.graph import Cooccurrence
from mlgcn.reporting.figures import (
    DASHES,
    GROUP_COLOURS,
    INK,
    MOST_DRAWN,
    MUTED,
    WIDTH,
    frequency_axis,
    frequency_bars,
    group_of,
    short,
    styled,
)

MOST_SHIFTS, MOST_BARS_NUMBERED = 30, 14
MORE, LESS = "#004488", "#BB5566"
# Paul Tol's muted scheme, for samplers side by side.
SAMPLER_COLOURS = ("#332288", "#CC6677", "#117733", "#DDCC77", "#88CCEE", "#882255", "#44AA99", "#999933")
SAMPLER_MARKERS = "osD^vP*X"


@styled
def label_distribution_figure(
    cooc: Cooccurrence, groups: Mapping[str, Sequence[str]], labels_per_image: Sequence[int] | None = None
) -> Figure:
    """Images of each label from head to tail on a log axis, beside it how many labels an image has.

    Above 60 labels all are drawn without their names.

    Args:
        groups: names of the head, medium and tail labels.
        labels_per_image: images with 0, 1, 2, ... labels; without it, the second panel is left out.
    Source: Seo et al. 2023, figures 1 and 2a.
    """
    images, group = dict(zip(cooc.names, cooc.totals.tolist(), strict=True)), group_of(groups, cooc.names)
    names = sorted(cooc.names, key=lambda name: -images[name])
    named = len(names) <= MOST_DRAWN
    height = max(0.235 * len(names) + 1.0, 3.2) if named else 5.0
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.06))
    if labels_per_image is None:
        axis = figure.subplots()
    else:
        beside = min(4.2, height - 0.1)
        grid = figure.add_gridspec(2, 2, width_ratios=[1.5, 1], height_ratios=[beside, height - beside])
        axis = figure.add_subplot(grid[:, 0])
        _labels_per_image(figure.add_subplot(grid[0, 1]), labels_per_image)
    (frequency_bars if named else _frequency_area)(axis, [(images[name], group[name]) for name in names])
    axis.set_xlabel("images with the label")
    axis.set_ylim(len(names) - 0.4, -0.6)
    if named:
        axis.set_yticks(range(len(names)), [short(name, 30) for name in names], color=INK)
    else:
        axis.set(yticks=[], ylabel=f"{len(names)} labels from head to tail")
    axis.tick_params(axis="y", length=0)
    handles = [Line2D([], [], color=colour, linewidth=5, label=name) for name, colour in GROUP_COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


@styled
def labels_per_image_figure(counts: Sequence[int]) -> Figure:
    """How many labels an image has: bars of the images with 0, 1, 2, ... labels, with their share.

    Source: Seo et al. 2023, figure 2a.
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    _labels_per_image(figure.subplots(), counts)
    return figure


@styled
def threshold_figure(thresholds: ArrayLike, edges: ArrayLike, isolated: ArrayLike, chosen: float) -> Figure:
    """Edges left and labels without an edge by the threshold on P(j|i), the nearest to the chosen one marked."""
    x, lines = np.asarray(thresholds), (np.asarray(edges), np.asarray(isolated))
    at = int(np.argmin(np.abs(x - chosen)))
    figure = Figure(figsize=(WIDTH, 3.2), layout=ConstrainedLayoutEngine(wspace=0.06))
    looks = (("edges left", GROUP_COLOURS["head"], 1), ("labels without an edge", GROUP_COLOURS["tail"], -1))
    for axis, values, (title, colour, side) in zip(figure.subplots(1, 2), lines, looks, strict=True):
        axis.set_title(title, color=INK, fontweight="bold")
        axis.plot(x, values, color=colour, linewidth=1.8)
        axis.fill_between(x, values, color=colour, alpha=0.1, linewidth=0)
        axis.axvline(chosen, color=INK, linewidth=0.8, linestyle=DASHES)
        axis.plot(x[at], values[at], marker="o", markersize=7, color=colour, markeredgecolor="white")
        axis.annotate(
            f"{values[at]:,} at {chosen:g}", (x[at], values[at]), xytext=(8 * side, 8), color=INK,
            textcoords="offset points", ha="left" if side == 1 else "right", fontsize=9, fontweight="bold",
        )  # fmt: skip
        axis.set(xlabel="threshold on P(j|i)", xlim=(x.min(), x.max()))
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(True)
    # Few edges at high thresholds would otherwise lie on the axis.
    figure.axes[0].set_yscale("symlog", linthresh=10)
    figure.axes[0].yaxis.set_major_formatter("{x:,.0f}")
    for axis in figure.axes:
        axis.set_ylim(bottom=0)
    return figure


@styled
def comparison_figure(changes: pd.DataFrame, name_a: str, name_b: str, most: int = MOST_SHIFTS) -> Figure:
    """The largest shifts of P(target|source) between two graphs, a row each: a ring on side a, a dot on side b.

    Args:
        changes: rows of source, target, probability_a and probability_b; those without a number on both sides are left
            out.
        name_a, name_b: what the sides are called.
        most: rows drawn.
    """
    told = changes.dropna(subset=["probability_a", "probability_b"])
    shift = (told["probability_b"] - told["probability_a"]).abs().to_numpy()
    rows = told.iloc[np.argsort(-shift, kind="stable")[:most]]
    figure = Figure(figsize=(WIDTH, 0.26 * len(rows) + 1.3), layout="constrained")
    axis = figure.subplots()
    for at, (before, after) in enumerate(rows[["probability_a", "probability_b"]].itertuples(index=False)):
        colour = MORE if after > before else LESS
        axis.plot([before, after], [at, at], color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="butt", zorder=2)
        axis.scatter(before, at, s=34, facecolor="white", edgecolor=colour, linewidth=1.4, zorder=3)
        axis.scatter(after, at, s=38, color=colour, zorder=4)
        axis.annotate(
            f"{after - before:+.2f}".replace("-", "−"), (max(before, after), at), xytext=(8, 0),
            textcoords="offset points", va="center", fontsize=7.5, color=MUTED,
        )  # fmt: skip
    names = [
        f"{short(source, 24)} → {short(target, 24)}"
        for source, target in zip(rows["source"], rows["target"], strict=True)
    ]
    reach = float(rows[["probability_a", "probability_b"]].to_numpy().max(initial=0.01))
    axis.set_yticks(range(len(rows)), names, color=INK)
    axis.tick_params(axis="y", length=0)
    axis.set(
        ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1.1 * reach), xlabel=f"P(target | source){_of(len(rows), len(told))}"
    )
    axis.grid(True)
    ring = Line2D([], [], linestyle="none", marker="o", color=MUTED, markerfacecolor="white", label=short(name_a, 40))
    dot = Line2D([], [], linestyle="none", marker="o", color=MUTED, label=short(name_b, 40))
    more, less = (
        Line2D([], [], color=colour, linewidth=3, label=label) for colour, label in ((MORE, "more"), (LESS, "less"))
    )
    figure.legend(handles=[ring, dot, more, less], loc="outside upper left", ncols=4)
    return figure


@styled
def sampling_figure(simulations: Mapping[str, pd.DataFrame], draws: int = 512) -> Figure:
    """Positives of each label among the images drawn, from head to tail: mean and standard deviation by sampler.

    Above 60 labels without their names.

    Args:
        simulations: for each sampler a frame by label of images, expected, mean and std; what was expected is a tick,
            left out where it is NaN.
        draws: images drawn, for the axis.
    """
    first = next(iter(simulations.values()))
    labels = first.sort_values("images", ascending=False, kind="stable").index
    named = len(labels) <= MOST_DRAWN
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axis = figure.subplots()
    for at, (name, frame) in enumerate(simulations.items()):
        shift = 0.8 * ((at + 0.5) / len(simulations) - 0.5)
        kind = at % len(SAMPLER_COLOURS)
        look: dict[str, Any] = {"color": SAMPLER_COLOURS[kind], "marker": SAMPLER_MARKERS[kind]}
        _draw_sampler(axis, name, frame.loc[labels], shift, named, look)
    axis.scatter([], [], s=60, marker="_", color=INK, linewidth=1, label="expected")
    axis.set_yscale("symlog", linthresh=1)
    axis.set(ylim=(0, None), xlim=(-0.7, len(labels) - 0.3), ylabel=f"positives in {draws:,} draws")
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.grid(True, axis="y")
    if named:
        slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor", "color": INK}
        axis.set_xticks(range(len(labels)), [short(label, 26) for label in labels], **slanted)
    else:
        axis.set(xticks=[], xlabel=f"{len(labels)} labels from head to tail")
    axis.tick_params(axis="x", length=0)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


def _draw_sampler(axis: Axes, name: str, frame: pd.DataFrame, shift: float, named: bool, look: dict[str, Any]) -> None:
    """Mean, deviation and expectation of each label, moved aside so that samplers stand next to each other."""
    at, mean, spread = np.arange(len(frame)) + shift, frame["mean"], frame["std"].fillna(0)
    axis.vlines(
        at, np.maximum(mean - spread, 0), mean + spread, color=look["color"], alpha=0.35, linewidth=3 if named else 1.5
    )
    axis.scatter(at, mean, s=26 if named else 8, zorder=3, label=name, **look)
    axis.scatter(at, frame["expected"], s=60 if named else 10, marker="_", color=INK, linewidth=1, zorder=4)


def _frequency_area(axis: Axes, rows: list[tuple[int, str]]) -> None:
    """Many bars as one area for each group."""
    counts = np.array([count for count, _ in rows])
    edges = np.arange(len(rows) + 1) - 0.5
    for name, colour in GROUP_COLOURS.items():
        width = np.where([group == name for _, group in rows], counts, 0)
        axis.fill_betweenx(edges, np.append(width, width[-1:]), step="post", color=colour, linewidth=0)
    frequency_axis(axis, int(counts.max()))


def _labels_per_image(axis: Axes, counts: Sequence[int]) -> None:
    """Bars of the images with 0, 1, 2, ... labels, with their share."""
    total = max(sum(counts), 1)
    axis.bar(range(len(counts)), counts, width=0.72, color=MUTED)
    for at, count in enumerate(counts if len(counts) <= MOST_BARS_NUMBERED else []):
        share = f"{count / total:.0%}" if count >= 0.005 * total else "<1%" if count else ""
        axis.annotate(
            share, (at, count), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=7, color=MUTED
        )
    mean = sum(at * count for at, count in enumerate(counts)) / total
    axis.set(xlabel=f"labels of an image (mean {mean:.2f})", ylabel="images")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=14))
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.grid(True, axis="y")


def _of(drawn: int, whole: int) -> str:
    return f" (the {drawn} largest of {whole:,} shifts)" if drawn < whole else ""
