"""The figure of a comparison: what one model gains over another, label by label."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from mlgcn.reporting.figures import GROUP_COLOURS, GROUP_MARKERS, INK, MOST_DRAWN, MUTED, WIDTH, short, styled

NOTHING_TO_DRAW = "no metric of single labels to draw, such as mAP or mAUC"
OTHER = "D"  # the marker of groups that are not head, medium or tail


@styled
def increments_figure(result: Mapping[str, Any]) -> Figure:
    """A - B of each label with its interval, from head to tail, a panel for each metric; filled where Holm p tells.

    Several comparisons stand below one another. Above 60 labels the 60 most frequent are drawn.

    Args:
        result: as mlgcn.reporting.compare.compare returns it, or its file holds it.
    Source: Lai et al. 2023, figure 4, there without intervals.
    Raises: ValueError if the comparison has no metric of single labels.
    """
    comparisons = result.get("comparisons", [result])
    metrics = list(next(iter(comparisons[0].get("per_label", {}).values()), {}))
    if not metrics:
        raise ValueError(f"the comparison has {NOTHING_TO_DRAW}")
    labels = comparisons[0]["settings"]["labels"]
    names = sorted(labels, key=lambda name: -labels[name]["positives"])[:MOST_DRAWN]
    height = len(comparisons) * (0.235 * len(names) + 0.9) + 0.4
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.04))
    grid = figure.subplots(len(comparisons), len(metrics), sharey=True, sharex="col", squeeze=False)
    groups = [labels[name]["group"] for name in names]
    for comparison, axes in zip(comparisons, grid, strict=True):
        for axis, metric in zip(axes, metrics, strict=True):
            _increments(axis, [comparison["per_label"][name][metric] for name in names], groups, comparison["level"])
            axis.set_title(metric, color=INK, fontweight="bold")
            axis.set_xlabel("A - B")
            axis.tick_params(labelbottom=True)
        axes[0].set_ylabel(f"A: {short(comparison['a'], 36)}    B: {short(comparison['b'], 36)}")
    cut = f" of {len(labels)} labels" if len(names) < len(labels) else ""
    written = [f"{short(name, 28)}  {labels[name]['positives']:,}" for name in names]
    grid[0, 0].set_yticks(range(len(names)), written)
    grid[0, 0].set_ylim(len(names) - 0.4, -0.6)
    figure.legend(handles=_handles(comparisons[0]["level"], set(groups), cut), loc="outside upper left", ncols=6)
    return figure


def increments_frame(result: Mapping[str, Any]) -> pd.DataFrame:
    """The same as a table: label, group, positives, metric, against, delta, low, high, p, p_holm, a, b.

    Rows go by comparison, metric and label, from head to tail.
    """
    rows = []
    for comparison in result.get("comparisons", [result]):
        labels = comparison["settings"]["labels"]
        rows += [
            {"label": name, **labels[name], "metric": metric, "against": comparison["b"], **entry}
            for name in sorted(labels, key=lambda name: -labels[name]["positives"])
            for metric, entry in comparison["per_label"][name].items()
        ]
    return pd.DataFrame(rows)


def _increments(axis: Axes, entries: Sequence[Mapping[str, Any]], groups: Sequence[str], level: float) -> None:
    """A point and its interval in each row; filled where the corrected p is at most 1 - level."""
    for row, (entry, group) in enumerate(zip(entries, groups, strict=True)):
        if entry["delta"] is None:
            axis.annotate(
                "undefined", (0, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, color=MUTED
            )
            continue
        colour = GROUP_COLOURS.get(group, INK)
        if entry["low"] is not None:
            axis.plot([entry["low"], entry["high"]], [row, row], color=colour, linewidth=1.4)
        told = entry["p_holm"] is not None and entry["p_holm"] <= 1 - level
        axis.plot(
            entry["delta"], row, marker=GROUP_MARKERS.get(group, OTHER), markersize=6, color=colour,
            markerfacecolor=colour if told else "white",
        )  # fmt: skip
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.grid(True)
    axis.tick_params(axis="y", length=0, labelcolor=INK)


def _handles(level: float, groups: set[str], cut: str) -> list[Line2D]:
    """What markers and lines mean."""
    look: dict[str, Any] = {"linestyle": "none", "markersize": 6}
    known = [group for group in GROUP_COLOURS if group in groups]
    handles = [
        Line2D([], [], color=GROUP_COLOURS[group], marker=GROUP_MARKERS[group], label=group, **look) for group in known
    ]
    if others := sorted(groups.difference(known)):
        handles.append(Line2D([], [], color=INK, marker=OTHER, label=", ".join(others), **look))
    handles.append(Line2D([], [], color=MUTED, marker="o", label=f"filled: Holm p ≤ {1 - level:.2g}", **look))
    handles.append(Line2D([], [], color=MUTED, label=f"{level:.0%} interval"))
    if cut:
        handles.append(Line2D([], [], linestyle="none", label=f"the most frequent{cut}"))
    return handles
