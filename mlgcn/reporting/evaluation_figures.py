"""The figures of how far predictions can be believed: calibration, views, uncertainty, and what the loss asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from mlgcn.metrics import Reliability
from mlgcn.metrics.means import or_none
from mlgcn.reporting.figures import (
    DASHES,
    GROUP_COLOURS,
    GROUP_MARKERS,
    INK,
    MUTED,
    PALE,
    SIGNS,
    WIDTH,
    short,
    styled,
)
from mlgcn.reporting.tables import labels_by_group, number

# By kind of mlgcn.metrics.selective_report: name in the legend, colour, line.
UNCERTAINTIES: dict[str, tuple[str, str, Any]] = {
    "disagreement": ("experts' disagreement", "#004488", "-"),
    "probability": ("p (1 - p)", "#BB5566", DASHES),
    "oracle": ("the errors themselves", INK, (0, (1, 1.5))),
    "random": ("no order", MUTED, "-"),
}
COMPARED = {"disagreement": "o", "probability": "s"}
VIEW_PANELS = ("mAP", "mAUC", "mF1")


@styled
def reliability_figure(report: dict[str, Any]) -> Figure:
    """Share of positives by score, for all labels together and for each group, over how many scores each bin holds.

    The error in each title is that of the pooled curve.
    """
    groups = {group: members for group, members in labels_by_group(report).items() if members}
    names = {"all": list(report["per_label"]), **groups}
    figure = Figure(figsize=(WIDTH, 3.7), layout=ConstrainedLayoutEngine(wspace=0.04))
    grid = figure.subplots(2, len(names), sharex=True, sharey="row", height_ratios=[3, 1], squeeze=False)
    for (group, members), (curve, bars) in zip(names.items(), grid.T, strict=True):
        pooled = _pooled([report["reliability"][name] for name in members])
        colour = GROUP_COLOURS.get(group, INK)
        curve.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=DASHES)
        told = pooled.images[0] > 0
        curve.plot(
            pooled.predicted[0, told], pooled.observed[0, told], color=colour, linewidth=1.5,
            marker=GROUP_MARKERS.get(group, "D"), markersize=4.5,
        )  # fmt: skip
        many = f"{len(members)} label" + ("s" if len(members) > 1 else "")
        curve.set_title(f"{group}, {many}: ECE {number(or_none(pooled.error()[0]))}", color=INK)
        edges = np.linspace(0, 1, pooled.images.shape[1] + 1)
        bars.bar(edges[:-1], pooled.images[0], width=np.diff(edges), align="edge", color=colour, edgecolor="white")
        bars.set_xlabel("score")
        for axis in (curve, bars):
            axis.grid(True)
    grid[0, 0].set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of positives")
    grid[1, 0].set(yscale="log", ylabel="scores")
    grid[1, 0].set_ylim(bottom=0.8)
    return figure


@styled
def views_figure(report: dict[str, Any]) -> Figure:
    """A row for each view with its numbers of images and of labels that have an AP, a panel for each metric."""
    views = report["per_view"]
    figure = Figure(figsize=(WIDTH, 0.42 * len(views) + 1.2), layout=ConstrainedLayoutEngine(wspace=0.04))
    axes = figure.subplots(1, len(VIEW_PANELS), sharey=True)
    for axis, metric in zip(axes, VIEW_PANELS, strict=True):
        for row, of in enumerate(views.values()):
            no_skill = {"mAP": of["no_skill_mAP"], "mAUC": 0.5}.get(metric)
            if of[metric] is None:
                axis.text(0.02, row, "undefined", va="center", fontsize=7.5, color=MUTED)
                continue
            if no_skill is not None:
                axis.plot([no_skill, of[metric]], [row, row], color=GROUP_COLOURS["head"], linewidth=2, alpha=0.45)
                axis.plot(no_skill, row, marker="|", markersize=9, color=INK, linestyle="none")
            axis.plot(of[metric], row, marker="o", color=GROUP_COLOURS["head"])
            axis.annotate(
                number(of[metric]), (of[metric], row), xytext=(0, 5), textcoords="offset points", ha="center",
                fontsize=8, color=INK,
            )  # fmt: skip
        axis.set_title(metric, color=INK, fontweight="bold")
        axis.set_xlim(0, 1)
        axis.grid(True)
        axis.tick_params(axis="y", length=0)
    labels = len(report["per_label"])
    defined = {view: labels - of["undefined_count"]["AP"] for view, of in views.items()}
    rows = [f"{view}\n{of['images']:,} images, {defined[view]} labels" for view, of in views.items()]
    axes[0].set_yticks(range(len(views)), rows, color=INK)
    axes[0].set_ylim(len(views) - 0.5, -0.5)
    handle = Line2D([], [], color=INK, marker="|", markersize=9, linestyle="none", label="no skill")
    figure.legend(handles=[handle], loc="outside upper right")
    return figure


@styled
def risk_coverage_figure(uncertainty: Mapping[str, Any]) -> Figure:
    """Error of the least uncertain images by their share; beside it, by group, how much of the possible is reached.

    The right panel has (random - AURC) / (random - oracle): 0 says nothing about the errors, 1 puts them in order.

    Args:
        uncertainty: what mlgcn.metrics.selective_report says.
    """
    figure = Figure(figsize=(WIDTH, 3.9), layout=ConstrainedLayoutEngine(wspace=0.06))
    curves, gains = figure.subplots(1, 2, width_ratios=[1.7, 1])
    for kind, (name, colour, line) in UNCERTAINTIES.items():
        values = np.array(uncertainty["curves"][kind], dtype=float)
        area, marker = number(uncertainty["AURC"][kind]), COMPARED.get(kind)
        curves.plot(
            uncertainty["coverage"], values, color=colour, linestyle=line, linewidth=1.0 if kind == "random" else 1.8,
            label=f"{name} (area {area})", marker=marker, markevery=(9, 10), markersize=5.5,
        )  # fmt: skip
    curves.set(
        xlim=(0, 1.01), xlabel="images kept, the least uncertain first", ylabel="squared error, mean over labels"
    )
    curves.set_ylim(bottom=0)
    curves.xaxis.set_major_formatter(PercentFormatter(1))
    curves.grid(True)
    rows = {"all": uncertainty["AURC"], **uncertainty["groups"]}
    for kind, marker in COMPARED.items():
        colour = UNCERTAINTIES[kind][1]
        found = [_gain(areas, kind) for areas in rows.values()]
        gains.scatter(found, range(len(rows)), marker=marker, s=40, color=colour, zorder=3)
    gains.axvline(0, color=MUTED, linewidth=0.8)
    gains.set_yticks(range(len(rows)), list(rows), color=INK)
    gains.set(ylim=(len(rows) - 0.4, -0.6), xlabel="reached of the possible gain")
    gains.set_xlim(min(-0.05, gains.get_xlim()[0]), 1.05)
    gains.tick_params(axis="y", length=0)
    gains.grid(True)
    figure.legend(*curves.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


@styled
def loss_gradients_figure(gradients: Mapping[str, Any]) -> Figure:
    """What the training loss pulls at a logit with, for a label of each group; the cross-entropy's behind it.

    Args:
        gradients: the loss, its groups, and what mlgcn.losses.loss_gradients says, as the run's file has them.
    """
    logits, groups = np.array(gradients["logits"]), gradients["groups"]
    figure = Figure(figsize=(WIDTH, 3.6), layout=ConstrainedLayoutEngine(wspace=0.04))
    axes = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    probability = 1 / (1 + np.exp(-logits))
    for axis, (group, name) in zip(axes, groups.items(), strict=True):
        axis.set_title(short(name, 30), color=INK, fontweight="bold")
        axis.set_title(group, color=MUTED, loc="right")
        axis.axhline(0, color=MUTED, linewidth=0.8)
        for target, (sign, colour) in SIGNS.items():
            line = "-" if target else DASHES
            axis.plot(logits, probability - target, color=PALE, linewidth=1.4, linestyle=line)
            axis.plot(logits, gradients["labels"][name][sign], color=colour, linewidth=1.8, linestyle=line)
        axis.grid(True)
        _probabilities_below(axis, logits)
    axes[0].set_ylabel("gradient of the loss in the logit")
    handles = [
        Line2D([], [], color=colour, linestyle="-" if target else DASHES, label=f"{gradients['loss']}, {sign}")
        for target, (sign, colour) in SIGNS.items()
    ]
    figure.legend(
        handles=[*handles, Line2D([], [], color=PALE, label="cross-entropy")], loc="outside upper left", ncols=3
    )
    return figure


def _probabilities_below(axis: Axes, logits: np.ndarray) -> None:
    """Ticks at whole logits with the probability below each."""
    ticks = np.linspace(logits[0], logits[-1], 7)
    axis.set_xlim(logits[0], logits[-1])
    axis.set_xticks(ticks, [f"{tick:g}\n{1 / (1 + np.exp(-tick)):.1%}" for tick in ticks])
    axis.set_xlabel("logit, probability")


def _pooled(curves: Sequence[Mapping[str, Any]]) -> Reliability:
    """The curves of several labels as one, from what a report holds of each."""
    images, predicted, observed = (
        np.array([curve[key] for curve in curves], dtype=float) for key in ("images", "predicted", "observed")
    )
    return Reliability(images, np.nan_to_num(predicted) * images, np.nan_to_num(observed) * images).pooled()


def _gain(areas: Mapping[str, float | None], kind: str) -> float:
    """Of what an oracle gains over no order, the share that an uncertainty does; NaN where there is nothing to gain."""
    area, random, oracle = areas[kind], areas["random"], areas["oracle"]
    if area is None or random is None or oracle is None or random <= oracle:
        return np.nan
    return (random - area) / (random - oracle)
