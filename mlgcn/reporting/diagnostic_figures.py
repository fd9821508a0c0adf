"""The figures of what a trained model made of the label graph, from the JSON of its diagnostics."""

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from mlgcn.reporting.figures import DASHES, GROUP_COLOURS, INK, MOST_DRAWN, MUTED, WIDTH, short, styled
from mlgcn.reporting.tables import number

# Light to dark, so that they differ in grey too and from the colours of the groups.
EXPERT_COLOURS = ("#4C8FBF", "#0B2545", "#A5A5A5", "#7B4B94", "#1B998B", "#5C5C5C", "#B8860B", "#8DA9C4")
EXPERT_MARKERS = "osD^vP*X"
JOINED, NOT_JOINED = "#004488", "#9A9A9A"
MOST_EDGES = 20
MOST_CHANGED = 36  # columns whose names stay apart
MOST_PAIRS_NAMED = 8


def diagnostic_figures(diagnostics: dict[str, Any]) -> dict[str, Figure]:
    """The figures by name, in the order of the page, without those that the diagnostics say nothing about.

    Args:
        diagnostics: the JSON that mlgcn.prediction.Diagnostics writes.
    """
    figures = {"classifier_norms": classifier_norms_figure(diagnostics)}
    if len(diagnostics["norms"]) > 1:
        figures["expert_disagreement"] = expert_disagreement_figure(diagnostics)
    if diagnostics["similarity"]["spearman"] is not None:
        figures["classifier_similarity"] = classifier_similarity_figure(diagnostics)
    if diagnostics["edges"]["source"]:
        figures["edge_influence"] = edge_influence_figure(diagnostics)
    return figures


@styled
def classifier_norms_figure(diagnostics: dict[str, Any]) -> Figure:
    """The length of each label's classifier, from frequent to rare, one line an expert."""
    norms = np.array(diagnostics["norms"])[:, _order(diagnostics)]
    figure, axis = _row_of_labels(diagnostics, 4.3)
    for expert, line in enumerate(norms):
        again, look = divmod(expert, len(EXPERT_COLOURS))
        axis.plot(
            line, color=EXPERT_COLOURS[look], marker=EXPERT_MARKERS[look] if len(line) <= MOST_DRAWN else None,
            markersize=4, linewidth=1.3, linestyle=DASHES if again else "-", label=f"expert {expert + 1}",
        )  # fmt: skip
    axis.set_ylabel(f"length of the classifier{_before(diagnostics)}")
    _legend(figure, axis)
    return figure


@styled
def expert_disagreement_figure(diagnostics: dict[str, Any]) -> Figure:
    """A bar for each label, from frequent to rare: how much the experts' probabilities differ."""
    order = _order(diagnostics)
    spread = np.array(diagnostics["disagreement"], dtype=float)[order]
    figure, axis = _row_of_labels(diagnostics, 3.7)
    axis.bar(range(len(spread)), spread, width=0.62, color=_colours(diagnostics, order))
    axis.set_ylabel("standard deviation\nover experts")
    _legend(figure, axis)
    return figure


@styled
def classifier_similarity_figure(diagnostics: dict[str, Any]) -> Figure:
    """A point for each pair of labels: the cosine of their classifiers over how often they stand together.

    Pairs that no image tells are left out; some that lie far out are named.
    """
    similarity = diagnostics["similarity"]
    first, second = np.triu_indices(len(similarity["labels"]), k=1)
    cosine, lift = (np.array(similarity[name], dtype=float)[first, second] for name in ("cosine", "lift"))
    linked = np.array(similarity["linked"])
    linked = (linked | linked.T)[first, second]
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axis = figure.subplots()
    fade = 1.0 if len(lift) <= 1000 else 0.4
    looks = (~linked, "not joined", NOT_JOINED, 16, 0.5), (linked, "joined in the label graph", JOINED, 26, 0.9)
    for chosen, label, colour, size, alpha in looks:
        axis.scatter(
            lift[chosen], cosine[chosen], s=size * fade, color=colour, alpha=alpha * fade, linewidth=0, label=label
        )
    axis.set(xscale="log", xlabel="(images with both labels + 1) / (images that chance gives + 1)")
    axis.set_ylabel(f"cosine of the classifiers{_before(diagnostics)}, mean over experts")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.axvline(1, color=MUTED, linewidth=0.8)
    axis.axhline(0, color=MUTED, linewidth=0.8)
    axis.grid(True)
    names = np.array([short(name, 26) for name in diagnostics["names"]])[similarity["labels"]]
    _name_pairs(axis, lift, cosine, [f"{names[i]} – {names[j]}" for i, j in zip(first, second, strict=True)])
    handles = axis.get_legend_handles_labels()[0][::-1]
    correlation = f"Spearman's rank correlation {number(similarity['spearman'])}"
    handles.append(Line2D([], [], linestyle="none", label=correlation))
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


@styled
def edge_influence_figure(diagnostics: dict[str, Any]) -> Figure:
    """The 20 edges that change their target most, a row each: what the cut does to all logits and to the target's AP.

    Labels stand from frequent to rare; above 36 those that change most are drawn.
    """
    edges, names = diagnostics["edges"], diagnostics["names"]
    source, target, change = (np.array(edges[name]) for name in ("source", "target", "change"))
    drawn = np.argsort(-change[np.arange(len(target)), target], kind="stable")[:MOST_EDGES]
    order = _order(diagnostics)
    most_changed = np.argsort(-change[drawn].max(axis=0), kind="stable")[:MOST_CHANGED]
    order = order[np.isin(order, most_changed)]
    figure = Figure(figsize=(WIDTH, 0.235 * len(drawn) + 2.9), layout=ConstrainedLayoutEngine(wspace=0.02))
    heat, precision = figure.subplots(1, 2, sharey=True, width_ratios=[4.5, 1])
    _change_of_logits(figure, heat, change[np.ix_(drawn, order)])
    heat.set_xticks(range(len(order)), [short(names[label], 26) for label in order], rotation=90, color=INK)
    arrows = [f"{short(names[source[edge]], 26)} → {short(names[target[edge]], 26)}" for edge in drawn]
    heat.set_yticks(range(len(drawn)), arrows, color=INK, fontsize=7.5)
    column = {label: place for place, label in enumerate(order)}
    for row, label in enumerate(target[drawn]):
        if label in column:
            corner = (column[label] - 0.5, row - 0.5)
            heat.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1))
    _change_of_ap(precision, np.array(edges["ap_change"], dtype=float)[drawn])
    return figure


def diagnostic_remarks(diagnostics: dict[str, Any]) -> dict[str, str]:
    """What a reader must know of each figure beyond its caption, by the figure's name; "" where there is nothing."""
    edges, similarity, labels = diagnostics["edges"], diagnostics["similarity"], len(diagnostics["names"])
    norms, alike, influence = [], [], []
    if len(diagnostics["norms"]) == 1:
        norms.append("With one expert there is no disagreement to show.")
    if similarity["spearman"] is None:
        norms.append("What the classifiers' similarity could be compared with is not known.")
    if len(similarity["labels"]) < labels:
        alike.append(f"Of {labels:,} labels the {len(similarity['labels'])} most frequent are compared.")
    if edges["missing"]:
        norms.append(f"No edge could be cut: {edges['missing']}.")
    if len(edges["source"]) < edges["edges"]:
        influence.append(f"Of {edges['edges']:,} edges the {len(edges['source'])} heaviest were cut.")
    if len(edges["source"]) > MOST_EDGES:
        influence.append(
            f"Of {len(edges['source'])} cut edges the {MOST_EDGES} that change their target most are drawn."
        )
    if labels > MOST_CHANGED:
        influence.append(f"Of {labels:,} labels the {MOST_CHANGED} that change most are drawn.")
    if edges["source"] and edges["images"] < diagnostics["images"]:
        influence.append(f"Measured on {edges['images']} of the {diagnostics['images']:,} images.")
    remarks = {"classifier_norms": norms, "classifier_similarity": alike, "edge_influence": influence}
    return {name: " ".join(sentences) for name, sentences in remarks.items()}


def _change_of_logits(figure: Figure, axis: Axes, change: np.ndarray) -> None:
    """The heat map of edges by labels; its colours go with the root, since most changes are small."""
    largest = max(float(change.max()), 1e-12)
    image = axis.imshow(
        change, aspect="auto", norm=PowerNorm(0.5, 0, largest),
        cmap=sns.blend_palette(["white", GROUP_COLOURS["head"]], as_cmap=True),
    )  # fmt: skip
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axis, location="top", shrink=0.4, aspect=35, pad=0.02)
    bar.set_ticks([largest * share**2 for share in (0, 1 / 3, 2 / 3, 1)])
    bar.ax.xaxis.set_major_formatter("{x:.2g}")
    bar.set_label("mean absolute change of the logit", color=INK)


def _change_of_ap(axis: Axes, change: np.ndarray) -> None:
    """A bar for each row, around 0; NaN where the target has no positive."""
    axis.barh(range(len(change)), change, height=0.55, color="#6699CC")
    for row in np.flatnonzero(np.isnan(change)):
        axis.annotate("no positive", (0, row), ha="center", va="center", fontsize=7, color=MUTED)
    defined = np.abs(change[~np.isnan(change)])
    widest = 1.1 * float(defined.max(initial=0)) or 0.01
    axis.set(xlim=(-widest, widest), xlabel="change of the\ntarget's AP")
    axis.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    axis.axvline(0, color=MUTED, linewidth=0.8)
    axis.tick_params(axis="y", length=0, labelleft=False)
    axis.spines["left"].set_visible(False)
    axis.grid(True, axis="x")


def _name_pairs(axis: Axes, lift: np.ndarray, cosine: np.ndarray, names: list[str]) -> None:
    """Names a few points far from the middle of all, from the farthest on, that leave room for each other's names."""
    told = np.flatnonzero(~np.isnan(lift))
    height = np.ptp(axis.get_ylim())
    far = sum(
        ((values[told] - np.median(values[told])) / np.ptp(values[told])) ** 2 for values in (np.log(lift), cosine)
    )
    named: list[int] = []
    for pair in told[np.argsort(-far, kind="stable")]:
        if len(named) == MOST_PAIRS_NAMED or any(abs(cosine[pair] - cosine[other]) < 0.04 * height for other in named):
            continue
        named.append(pair)
        rightwards = lift[pair] < 1  # into the figure
        axis.annotate(
            names[pair], (lift[pair], cosine[pair]), xytext=(5 if rightwards else -5, 0), textcoords="offset points",
            ha="left" if rightwards else "right", va="center", fontsize=7, color=INK,
            path_effects=[withStroke(linewidth=2, foreground="white", alpha=0.8)],
        )  # fmt: skip


def _before(diagnostics: dict[str, Any]) -> str:
    """Which classifiers, where that is not clear: behind joint attention they differ from image to image."""
    return " before the attention" if diagnostics["attention"] == "joint" else ""


def _order(diagnostics: dict[str, Any]) -> np.ndarray:
    """The places of the labels, from frequent to rare in training."""
    return np.argsort(-np.array(diagnostics["positives"]), kind="stable")


def _group_of(diagnostics: dict[str, Any]) -> dict[str, str]:
    return {name: group for group, members in diagnostics["groups"].items() for name in members}


def _colours(diagnostics: dict[str, Any], order: np.ndarray) -> list[str]:
    """The colours of the labels' groups."""
    group_of = _group_of(diagnostics)
    return [GROUP_COLOURS[group_of[diagnostics["names"][place]]] for place in order]


def _row_of_labels(diagnostics: dict[str, Any], height: float) -> tuple[Figure, Axes]:
    """A figure whose labels stand below its axis, from frequent to rare, each under the colour of its group."""
    order = _order(diagnostics)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axis = figure.subplots()
    for column, colour in enumerate(_colours(diagnostics, order)):
        below = Rectangle((column - 0.5, -0.03), 1, 0.03, color=colour, linewidth=0, clip_on=False)
        below.set_transform(axis.get_xaxis_transform())
        axis.add_artist(below)
    axis.set_xlim(-0.6, len(order) - 0.4)
    if len(order) <= MOST_DRAWN:
        names = [short(diagnostics["names"][place], 26) for place in order]
        axis.set_xticks(range(len(order)), names, rotation=90, color=INK)
    else:
        axis.set_xlabel(f"{len(order):,} labels, from frequent to rare in training")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.tick_params(axis="x", length=0, pad=9)
    axis.spines["bottom"].set_visible(False)
    axis.grid(True, axis="y")
    return figure, axis


def _legend(figure: Figure, axis: Axes) -> None:
    """What the axis names, then the groups."""
    handles = axis.get_legend_handles_labels()[0]
    groups = [Patch(color=colour, label=group) for group, colour in GROUP_COLOURS.items()]
    figure.legend(handles=[*handles, *groups], loc="outside upper left", ncols=8)
