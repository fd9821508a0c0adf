"""The figures of an evaluation and of a training run.

Each function returns a matplotlib Figure of its own; nothing here touches pyplot's global state.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from matplotlib import style as plot_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from mlgcn.metrics.ranking import PositiveRanks, rank_positives
from mlgcn.predictions import Predictions
from mlgcn.reporting.tables import by_frequency, number

# Paul Tol's high-contrast scheme: distinct for every kind of colour vision and in grey. The page uses the same.
GROUP_COLOURS = {"head": "#004488", "medium": "#DDAA33", "tail": "#BB5566"}
GROUP_MARKERS = {"head": "o", "medium": "s", "tail": "^"}
INK, MUTED, PALE = "#222222", "#6B6B6B", "#D3D3D3"
# Of a target: its name, and the colour of what concerns it.
SIGNS = {1.0: ("positive", "#004488"), 0.0: ("negative", "#BB5566")}
WIDTH = 10.0
DASHES = (0, (4, 2))
MOST_DRAWN = 60
# Of a file's metadata, what changes with the day or the version.
DATED = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "grid.color": "#ECECEC",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
}

# The panels of the training figure: column of metrics.csv, name in the legend, colour.
TRAINING_PANELS = {
    "loss": {
        "train/loss": ("training, total", INK),
        "train/classification": ("training, classification", "#6699CC"),
        "val/loss": ("validation", "#BB5566"),
    },
    "diversity term, unweighted (below 0: the experts differ)": {"train/diversity": ("training", INK)},
    "validation mAP": {
        "val/mAP": ("all labels", INK),
        **{f"val/mAP_{group}": (group, colour) for group, colour in GROUP_COLOURS.items()},
    },
    "validation mAUC and mF1": {"val/mAUC": ("mAUC", INK), "val/mF1": ("mF1", "#6699CC")},
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """The same function, drawing in the house style whatever style the caller has set."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _house_style():
            return draw(*args, **kwargs)

    return inner


@styled
def precision_recall_figure(predictions: Predictions, report: dict[str, Any]) -> Figure:
    """A small precision-recall panel for each label, from frequent to rare, with its AP and the no-skill line.

    The area under the stepped curve is the AP. Above 60 labels the 60 most frequent are drawn.
    """
    names = by_frequency(report)[:MOST_DRAWN]
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH, 1.7 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    drawn = predictions.aligned(list(report["per_label"]))
    ranks = dict(zip(drawn.names, rank_positives(drawn.scores, drawn.targets), strict=True))
    for axis, name in zip(axes.flat, names, strict=False):
        _precision_recall(axis, name, report["per_label"][name], ranks[name])
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis in axes.flat[max(0, len(names) - columns) : len(names)]:
        axis.tick_params(labelbottom=True)  # the last panel of its column, in the last row or above a gap
    axes[0, 0].set(xlim=(0, 1), ylim=(0, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    cut = f" (the {len(names)} most frequent of {len(ranks)} labels)" if len(names) < len(ranks) else ""
    figure.supxlabel(f"recall{cut}", color=INK, fontsize=9)
    figure.supylabel("precision", color=INK, fontsize=9)
    no_skill = Line2D([], [], color=INK, linewidth=0.8, linestyle=DASHES, label="no skill (prevalence)")
    handles = [Line2D([], [], color=colour, label=group) for group, colour in GROUP_COLOURS.items()]
    figure.legend(handles=[*handles, no_skill], loc="outside upper left", ncols=4)
    return figure


@styled
def frequency_figure(report: dict[str, Any], train_positives: Mapping[str, int] | None = None) -> Figure:
    """A row for each label, from frequent to rare: its training images on a log axis, beside its AP over no skill.

    The AP has its interval where the report does. Without train_positives the positives of the evaluated images are
    drawn. Above 60 labels the 60 most frequent are.
    """
    labels = report["per_label"]
    counts = train_positives or {name: label["positives"] for name, label in labels.items()}
    names = sorted(labels, key=lambda name: -counts[name])[:MOST_DRAWN]
    figure = Figure(figsize=(WIDTH, 0.235 * len(names) + 1.0), layout=ConstrainedLayoutEngine(wspace=0.05))
    frequency, precision = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1.8])
    frequency_bars(frequency, [(counts[name], labels[name]["group"]) for name in names])
    _precision_points(precision, [labels[name] for name in names])
    _precision_intervals(precision, [_ap_interval(report, name) for name in names])
    cut = f" ({len(names)} of {len(labels)} labels)" if len(names) < len(labels) else ""
    frequency.set_xlabel(f"{'training' if train_positives else 'evaluated'} images with the label{cut}")
    frequency.set_yticks(range(len(names)), [short(name, 30) for name in names], color=INK)
    frequency.set_ylim(len(names) - 0.4, -0.6)
    for axis in (frequency, precision):
        axis.tick_params(axis="y", length=0)
    figure.legend(*precision.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


@styled
def training_figure(metrics: pd.DataFrame) -> Figure:
    """Losses, the diversity term with its sign, and the validation metrics, each in its own panel by training step.

    Args:
        metrics: the run's metrics.csv; columns may be missing and rows sparse.
    """
    found = {
        title: {column: look for column, look in lines.items() if column in metrics and metrics[column].notna().any()}
        for title, lines in TRAINING_PANELS.items()
    }
    found = {title: lines for title, lines in found.items() if lines}
    rows = max(1, -(-len(found) // 2))
    figure = Figure(figsize=(WIDTH, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False, sharex=True)
    for axis, (title, lines) in zip(axes.flat, found.items(), strict=False):
        axis.set_title(title, color=INK, fontweight="bold")
        axis.set_xlabel("step")
        axis.tick_params(labelbottom=True)
        axis.grid(True)
        for column, (label, colour) in lines.items():
            _plot_sparse(axis, metrics, column, label, colour)
        if len(lines) > 1:
            axis.legend(loc="best")
        if "train/diversity" in lines:
            axis.axhline(0, color=MUTED, linewidth=0.8)
        if "val/mAP" in lines:
            _mark_best(axis, metrics)
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    return figure


def save_figures(figures: Mapping[str, Figure], folder: Path) -> dict[str, Path]:
    """Writes each figure as <name>.png into the folder, made where it is missing; returns the files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.png" for name in figures}
    for name, figure in figures.items():
        save_figure(figure, paths[name])
    return paths


def check_figure_file(path: Path, option: str) -> None:
    """Raises ValueError unless save_figure knows the file's ending, FileNotFoundError without its folder."""
    if path.suffix not in DATED:
        raise ValueError(f"{option}: {path} ends in {path.suffix!r}, expected one of {list(DATED)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{option}: there is no folder {path.parent}")


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, SVG or PDF, by the file's ending; the same figure gives the same bytes."""
    # Ticks are made when they are drawn, so the style must still stand.
    with _house_style(), plot_style.context({"svg.hashsalt": "mlgcn"}):
        figure.savefig(path, dpi=160, facecolor="white", metadata={DATED[path.suffix]: None})


def frequency_bars(axis: Axes, rows: list[tuple[int, str]]) -> None:
    """A bar for each count and group, with its number; on a log axis bars start at 1."""
    for row, (count, group) in enumerate(rows):
        axis.barh(row, count, height=0.62, color=GROUP_COLOURS[group])
        axis.annotate(
            f"{count:,}", (max(count, 1), row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7,
            color=MUTED,
        )  # fmt: skip
    frequency_axis(axis, max(count for count, _ in rows))


def frequency_axis(axis: Axes, most: int) -> None:
    """Makes x a log axis of counts that starts at 1 and ends beyond the most, where the numbers of the bars stand."""
    axis.set_xlim(1, 3 * max(10, most))
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.grid(True, axis="x")


def group_of(groups: Mapping[str, Sequence[str]], names: Iterable[str]) -> dict[str, str]:
    """The group of each label. Raises: ValueError naming the labels that no group holds."""
    found = {name: group for group in GROUP_COLOURS for name in groups[group]}
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"no group holds the labels {missing[:10]}")
    return found


def short(name: str, length: int) -> str:
    """A label's name as a figure writes it, cut to a length."""
    # The dollar sign would start a formula.
    return (name if len(name) <= length else name[: length - 1] + "…").replace("$", r"\$")


@contextmanager
def _house_style() -> Iterator[None]:
    with plot_style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box, and said once a glyph
        yield


def _plot_sparse(axis: Axes, metrics: pd.DataFrame, column: str, label: str, colour: str) -> None:
    """A line through the steps that have a value; a long noisy one pale, with its running mean on top."""
    line = metrics[["step", column]].dropna()
    if len(line) > 60:
        axis.plot(line["step"], line[column], color=colour, alpha=0.22, linewidth=0.8)
        smooth = line[column].ewm(span=len(line) / 15).mean()
        axis.plot(line["step"], smooth, color=colour, linewidth=1.6, label=label)
    else:
        marker = "o" if len(line) <= 40 else None
        axis.plot(line["step"], line[column], color=colour, linewidth=1.6, marker=marker, markersize=3, label=label)


def _mark_best(axis: Axes, metrics: pd.DataFrame) -> None:
    best = metrics.iloc[int(np.nanargmax(metrics["val/mAP"]))]
    axis.plot(best["step"], best["val/mAP"], marker="o", markersize=9, markerfacecolor="none", color=INK)
    axis.annotate(
        f"best {best['val/mAP']:.3f}", (best["step"], best["val/mAP"]), xytext=(0, 9), textcoords="offset points",
        ha="center", fontsize=8, color=INK,
    )  # fmt: skip


def _precision_recall(axis: Axes, name: str, label: dict[str, Any], rank: PositiveRanks) -> None:
    """One panel; the points at the positives' scores are all that a stepped curve needs."""
    axis.set_title(short(name, 27), color=INK, fontsize=8.5)
    if label["AP"] is None:
        axis.text(0.5, 0.5, "no positive", ha="center", va="center", color=MUTED)
        return
    recall, precision = rank.hits / len(rank.hits), rank.hits / (rank.hits + rank.false_alarms)
    recall, precision = np.append(0, recall[::-1]), np.append(precision[-1], precision[::-1])
    colour = GROUP_COLOURS[label["group"]]
    axis.fill_between(recall, precision, step="pre", color=colour, alpha=0.16, linewidth=0)
    axis.step(recall, precision, where="pre", color=colour, linewidth=1.3)
    axis.axhline(label["prevalence"], color=INK, linewidth=0.8, linestyle=DASHES)
    axis.text(0.97, 0.93, f"AP {number(label['AP'])}", ha="right", va="top", color=INK, fontsize=8.5)


def _precision_points(axis: Axes, rows: list[dict[str, Any]]) -> None:
    """Each label's AP, joined to its prevalence."""
    for group, colour in GROUP_COLOURS.items():
        at = [row for row, label in enumerate(rows) if label["group"] == group and label["AP"] is not None]
        ap, no_skill = ([rows[row][key] for row in at] for key in ("AP", "prevalence"))
        axis.hlines(at, no_skill, ap, color=colour, linewidth=2, alpha=0.45)
        axis.scatter(no_skill, at, marker="|", s=70, color=INK, linewidth=1.2, zorder=3)
        axis.scatter(ap, at, marker=GROUP_MARKERS[group], s=38, color=colour, zorder=4, label=group)
    axis.scatter([], [], marker="|", s=70, color=INK, linewidth=1.2, label="no skill (prevalence)")
    for row, label in enumerate(rows):
        if label["AP"] is None:
            axis.text(0.01, row, "no positive to find", va="center", fontsize=7.5, color=MUTED)
    axis.set(xlim=(0, 1), xlabel="average precision")
    axis.grid(True)


def _precision_intervals(axis: Axes, intervals: Sequence[Sequence[float] | None]) -> None:
    """A thin line with ends below the point of each label that has an interval."""
    for row, interval in enumerate(intervals):
        if interval is not None:
            axis.plot(interval, [row + 0.3] * 2, color=INK, linewidth=0.9, marker="|", markersize=4)


def _ap_interval(report: dict[str, Any], name: str) -> Sequence[float] | None:
    """Both ends of the interval of a label's AP, None where the report has none."""
    return report.get("intervals", {}).get("per_label", {}).get(name, {}).get("AP")
