"""Heat maps of how labels come together, and of which are taken for one another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform
from scipy.stats import norm

from mlgcn.graph import Cooccurrence
from mlgcn.metrics import label_confusion
from mlgcn.predictions import Predictions
from mlgcn.reporting.figures import GROUP_COLOURS, INK, MOST_DRAWN, MUTED, short, styled
from mlgcn.reporting.tables import by_frequency

KINDS, ORDERS = ("conditional", "counts"), ("frequency", "clustering")
MOST_NUMBERED = 30  # labels on a side, above which cells carry no number
FEWEST_CONFUSED = 10  # images with one label but not the other, below which a rate says too little
MOST_PAIRS = 3


@styled
def cooccurrence_figure(cooc: Cooccurrence, kind: str = "conditional", order: str = "frequency") -> Figure:
    """Heat map of how labels come together; above 60 labels without their names.

    Args:
        kind: "conditional": P(column|row), of the images with the row's label the share that has the column's too;
            "counts": images that have both, on a logarithmic scale.
        order: "frequency": from frequent to rare; "clustering": labels that come together side by side, under the tree
            of their average linkage by `n_ij / sqrt(n_i n_j)`.
    Raises: ValueError on an unknown kind or order.
    """
    for name, value, known in (("kind", kind, KINDS), ("order", order, ORDERS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, expected one of {list(known)}")
    tree = _tree(cooc) if order == "clustering" and len(cooc.names) > 1 else None
    rows = tree["leaves"] if tree else np.argsort(-cooc.totals, kind="stable")
    values = cooc.conditional() if kind == "conditional" else cooc.counts.astype(float)
    np.fill_diagonal(values, np.nan)
    frame = pd.DataFrame(values[np.ix_(rows, rows)])
    names = [cooc.names[row] for row in rows]
    figure, axis = _heat_map(
        frame,
        [f"{short(name, 30)}  {cooc.totals[row]:,}" for name, row in zip(names, rows, strict=True)],
        [short(name, 30) for name in names],
        "images with both" if kind == "counts" else "P(column | row)",
        "counts" if kind == "counts" else "shares",
    )
    if tree:
        _draw_tree(axis, tree)
    return figure


@styled
def head_cooccurrence_figure(shares: pd.DataFrame) -> Figure:
    """Heat map of what comes with each head label; above 60 labels without their names.

    Args:
        shares: as head_cooccurrence gives it.
    Source: Seo et al. 2023, figure 2b.
    Raises: ValueError if there is no head label.
    """
    if shares.empty:
        raise ValueError("no head label to draw: the shares have no column")
    rows, columns = ([short(name, 30) for name in names] for names in (shares.index, shares.columns))
    return _heat_map(shares, rows, columns, "share of the column's pairs")[0]


def head_cooccurrence(
    cooc: Cooccurrence, groups: Mapping[str, Sequence[str]], without: Sequence[str] = ("No Finding",)
) -> pd.DataFrame:
    """Of the pairs of each head label with the others, the share of each label: a row a label, a column a head label.

    Both go from frequent to rare. A column adds up to 1, the label itself being NaN; one without pairs is NaN.

    Args:
        groups: names of the labels by group; without a group "head" there is no column.
        without: labels to leave out.
    """
    rows = [at for at in np.argsort(-cooc.totals, kind="stable") if cooc.names[at] not in without]
    columns = [at for at in rows if cooc.names[at] in groups.get("head", ())]
    pairs = cooc.counts.astype(float)
    np.fill_diagonal(pairs, np.nan)
    pairs = pairs[np.ix_(rows, columns)]
    sums = np.nansum(pairs, axis=0)
    down, across = ([cooc.names[at] for at in side] for side in (rows, columns))
    return pd.DataFrame(pairs / np.where(sums > 0, sums, np.nan), down, across)


@styled
def confusion_figure(confusion: pd.DataFrame) -> Figure:
    """Heat map of what a label that is there adds to how often another is called although it is absent.

    Args:
        confusion: as confused_labels gives it.
    """
    names = list(dict.fromkeys(confusion.present))
    values = np.full((len(names), len(names)), np.nan)
    values[~np.eye(len(names), dtype=bool)] = confusion.difference
    written = [short(name, 30) for name in names]
    meaning = "called although absent: rate with the row's label less rate without"
    return _heat_map(pd.DataFrame(values), written, written, meaning, "differences")[0]


def confused_labels(predictions: Predictions, report: dict[str, Any]) -> pd.DataFrame:
    """How often a label is called where it is absent, by whether another is present; the 30 most frequent labels.

    Columns, a row for each pair of different labels: present and label, their names; images that have the one but not
    the other; rate, the share of these that counts as positive for label; rate_without, that of the images that have
    neither; difference of the two. NaN below 10 images.

    Args:
        report: of mlgcn.metrics.multilabel_report, whose thresholds decide.
    """
    names = by_frequency(report)[:MOST_NUMBERED]
    columns = [predictions.names.index(name) for name in names]
    thresholds = [report["per_label"][name]["threshold"] for name in names]
    rates = label_confusion(predictions.scores[:, columns], predictions.targets[:, columns], thresholds)
    present, label = np.nonzero(~np.eye(len(names), dtype=bool))
    rate, without, images = (values[present, label] for values in rates)
    rate = np.where(images >= FEWEST_CONFUSED, rate, np.nan)
    held = np.array(names, dtype=object)
    return pd.DataFrame(
        {
            "present": held[present],
            "label": held[label],
            "images": images,
            "rate": rate,
            "rate_without": without,
            "difference": rate - without,
        }
    )


def confusion_remark(confusion: pd.DataFrame) -> str:
    """The pairs whose difference chance explains least, in a sentence; "" where it could explain all of them.

    Taken off the difference is what chance gives one of so many pairs in 5 % of cases (Bonferroni), were all images
    independent.
    """
    # Of the rate with two hits and two misses more, which few images cannot make certain (Agresti and Coull 1998).
    images = confusion.images + 4
    rate = (confusion.rate * confusion.images + 2) / images
    errors = norm.isf(0.025 / max(1, confusion.difference.notna().sum()))
    sure = confusion.difference - errors * np.sqrt(rate * (1 - rate) / images)
    pairs = [
        f"{row.label} in {row.rate:.0%} of the {row.images:,} images with {row.present} but without it, against "
        f"{row.rate_without:.0%} with neither"
        for row in confusion.loc[sure[sure > 0].nlargest(MOST_PAIRS).index].itertuples()
    ]
    return f"Most often called for another: {'; '.join(pairs)}." if pairs else ""


def clustered(cooc: Cooccurrence) -> list[int]:
    """The places of the labels in an order that puts those that come together side by side."""
    return _tree(cooc)["leaves"] if len(cooc.names) > 1 else [0]


def _heat_map(
    frame: pd.DataFrame, rows: Sequence[str], columns: Sequence[str], meaning: str, kind: str = "shares"
) -> tuple[Figure, Axes]:
    """Shares, differences of shares, or counts on a log scale, with what they mean beside the colours; NaN is grey."""
    counts, signed = kind == "counts", kind == "differences"
    width, height = (min(8.0, max(1.8, 0.3 * size)) for size in (len(columns), len(rows)))
    figure = Figure(figsize=(width + 3.0, height + 1.6), layout="constrained")
    axis = figure.subplots()
    most = float(np.abs(np.nan_to_num(frame)).max(initial=0.01))
    ends = (-most, most) if signed else (0, 1 if most > 0.5 else most)
    scale = LogNorm(1, max(10, most)) if counts else Normalize(*ends)
    lowest = [GROUP_COLOURS["tail"], "white"] if signed else ["#EAF0F7" if counts else "white"]
    colours = sns.blend_palette([*lowest, GROUP_COLOURS["head"]], as_cmap=True)
    longest = max(len(rows), len(columns))
    sns.heatmap(
        frame.clip(lower=0.5) if counts else frame,  # a logarithm has no 0
        ax=axis,
        mask=frame.isna().to_numpy(),
        norm=scale,
        vmin=scale.vmin,
        vmax=scale.vmax,
        cmap=colours.with_extremes(under="white"),
        annot=_texts(frame.to_numpy(), kind) if longest <= MOST_NUMBERED else False,
        fmt="",
        annot_kws={"fontsize": 6.5},
        linecolor="#E9E9E9",
        linewidths=0.4 if longest <= MOST_DRAWN else 0,
        xticklabels=columns if len(columns) <= MOST_DRAWN else False,
        yticklabels=rows if len(rows) <= MOST_DRAWN else False,
        cbar_kws={
            "shrink": 0.5, "aspect": 30, "pad": 0.02, "label": meaning,
            "format": "{x:,.0f}" if counts else PercentFormatter(1, decimals=0),
        },
    )  # fmt: skip
    axis.set_facecolor("#DDDDDD")
    axis.set_xlabel("" if len(columns) <= MOST_DRAWN else f"{len(columns)} labels")
    axis.set_ylabel("" if len(rows) <= MOST_DRAWN else f"{len(rows)} labels")
    axis.tick_params(length=0, labelcolor=INK)
    axis.tick_params(axis="x", rotation=90)
    axis.tick_params(axis="y", rotation=0)
    return figure, axis


def _texts(values: np.ndarray, kind: str) -> np.ndarray:
    """What stands in the cells: whole percentages, differences signed, blank below 1 %, or counts of three digits."""
    sign = "+" if kind == "differences" else ""
    write = _short_count if kind == "counts" else (lambda v: f"{100 * v:{sign}.0f}" if abs(v) >= 0.01 else "")
    return np.array([[write(value) for value in row] for row in values])


def _short_count(value: float) -> str:
    """1234 as 1.2k; nothing for 0 and NaN."""
    if not value > 0:
        return ""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * unit:
            return f"{value / unit:.1f}{letter}" if value < 9.95 * unit else f"{value / unit:.0f}{letter}"
    return f"{value:.0f}"


def _tree(cooc: Cooccurrence) -> dict[str, Any]:
    """The dendrogram of the labels, its leaves in an order that puts the closest side by side."""
    scale = np.sqrt(np.maximum(cooc.totals, 1))
    distance = 1 - cooc.counts / np.outer(scale, scale)
    np.fill_diagonal(distance, 0)
    return dendrogram(linkage(squareform(distance), "average", optimal_ordering=True), no_plot=True)


def _draw_tree(axis: Axes, tree: dict[str, Any]) -> None:
    """The tree above the columns."""
    above = axis.inset_axes((0, 1.005, 1, 0.09))
    lines = [np.stack([np.array(x) / 10, y], axis=1) for x, y in zip(tree["icoord"], tree["dcoord"], strict=True)]
    lowest = min(line[:, 1].max() for line in lines)
    above.add_collection(LineCollection(lines, colors=MUTED, linewidths=0.7))
    above.set(xlim=(0, len(tree["leaves"])), ylim=(0.95 * lowest, 1.01))
    above.set_axis_off()
