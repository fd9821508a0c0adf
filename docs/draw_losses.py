"""Draws the figures of the pages in docs/losses: loss and gradient against the logit.

Run: python docs/draw_losses.py
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from mlgcn.losses import (
    AdaptiveNegativeRegularizationLoss,
    AsymmetricLoss,
    BCELoss,
    ClassBalancedLoss,
    DistributionBalancedLoss,
    ExpertDiversity,
    FocalLoss,
    LargeLossReconsideration,
    LDAMLoss,
    LogitAdjustedLoss,
    MultiExpertLoss,
    NegativeRegularizationLoss,
    NVUMLoss,
    RobustAsymmetricLoss,
    WeightedBCELoss,
)
from mlgcn.reporting.figures import DASHES, INK, MUTED, PALE, SIGNS, styled

PAGES = Path(__file__).with_name("losses")
BLEND = LinearSegmentedColormap.from_list("signs", [SIGNS[0.0][1], "#999999", SIGNS[1.0][1]])
# A rare and a frequent label, drawn solid and dashed.
COUNTS, IMAGES = [100, 3000], 10_000
FREQUENCIES = ("a label that 1 % of the images have", "that 30 % have")
# Matplotlib leaves out what a straight line replaces, but only of lines that have enough points.
LOGITS = torch.linspace(-6, 6, 193)
BOTTOM = -0.4  # of the losses' axes, unless a loss goes lower
SHARE = 0.4  # of the negatives that are reconsidered, many so that it shows
FACTORS = (2.0, 3.0)
SOFT = (0.0, 0.25, 0.5, 0.75, 1.0)
EXPERTS, LABELS = 4, 14


@dataclass(frozen=True)
class Row:
    """One loss of a figure: (logits, targets) [L, K] -> [L, K], the first column drawn solid, a second one dashed."""

    title: str
    special: str
    loss: Callable[[Tensor, Tensor], Tensor]
    columns: int = 2


def main(folder: Path = PAGES) -> None:
    """Writes the figures beside the pages that show them."""
    for name, figure in figures().items():
        # Letters as outlines look the same everywhere; a fixed salt and no date keep the file the same on every run.
        with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "mlgcn"}):
            written = StringIO()
            metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
            figure.savefig(written, format="svg", facecolor="white", metadata=metadata)
        (folder / f"{name}.svg").write_text(shortened(written.getvalue()))


def shortened(svg: str) -> str:
    """The same drawing with coordinates to a hundredth of a point, without comments, unused names and white space."""
    svg = re.sub(r"(\d\d\.\d\d)\d+", r"\1", svg)  # smaller numbers are the scale of letters
    svg = re.sub(r"<!--.*?-->", "", svg)
    svg = re.sub(r'<g id="(?!axes|figure)[^"]*">', "<g>", svg)
    svg = re.sub(r"(?<=[:;]) ", "", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def figures() -> dict[str, Figure]:
    """The figures of the pages, every loss with its default values."""
    given = (COUNTS, IMAGES)
    rows = {
        "binary": [
            Row("BCE", "pale in all figures", BCELoss()),
            Row("weighted BCE", "", WeightedBCELoss(*given)),
            Row("focal", "gamma 2", FocalLoss()),
            Row("class-balanced", "beta 0.9999", ClassBalancedLoss(*given)),
        ],
        "asymmetric": [
            Row("ASL", "gamma 4 and 1, clip 0.05", AsymmetricLoss()),
            Row("RAL", "gamma 4 and 0, hill 1.5", RobustAsymmetricLoss()),
        ],
        "distribution_balanced": [Row("distribution-balanced", "", DistributionBalancedLoss(*given))],
        "softmax": [Row("softmax", "two labels, one of them positive", beside(-2.0, 2.0))],
        "negative_regularization": [
            Row("NR", "scale 2", NegativeRegularizationLoss(*given)),
            Row("ANR", "beta 10", AdaptiveNegativeRegularizationLoss(*given)),
        ],
        "nvum": [Row("NVUM", "", remembering(2.0, -2.0))],
        "margin": [
            Row("LDAM", "margin up to 0.5", LDAMLoss(*given)),
            Row("logit-adjusted", "tau 1", LogitAdjustedLoss(*given)),
        ],
        "large_loss": [Row(mode, "", reconsidered(mode), columns=1) for mode in ("abandon", "modify")],
        "hard_labels": [Row("BCE of a hard label", "", multiplied)],
    }
    meanings = dict.fromkeys(("binary", "distribution_balanced", "negative_regularization", "margin"), FREQUENCIES)
    meanings |= {"nvum": ("remembered at t = 2", "at t = −2"), "hard_labels": ("factor 2", "factor 3")}
    meanings["softmax"] = ("logit of the other label −2", "2")
    drawn = {name: signs_figure(of_page, meanings.get(name, ())) for name, of_page in rows.items()}
    return drawn | {"mixing": mixing_figure(), "multi_expert": diversity_figure()}


def beside(*others: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The cross-entropy of a softmax over each logit and another label's, whose target is the opposite."""

    def values(logits: Tensor, targets: Tensor) -> Tensor:
        pairs = torch.stack([logits, torch.tensor(others).expand_as(logits)], dim=-1)
        return -(torch.stack([targets, 1 - targets], dim=-1) * pairs.log_softmax(dim=-1)).sum(dim=-1)

    return values


def remembering(*memories: float) -> Callable[[Tensor, Tensor], Tensor]:
    """NVUM with these memories of the only image that it is shown, one a label."""
    loss = NVUMLoss(COUNTS, IMAGES).eval()
    loss.memory[0] = torch.tensor(memories)
    return lambda logits, targets: loss(logits, targets, torch.zeros(len(logits), dtype=torch.int64))


def reconsidered(mode: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The cross-entropy of a batch in which large losses are."""
    loss = LargeLossReconsideration(BCELoss(), mode)
    return lambda logits, targets: loss(logits, targets, SHARE)


def multiplied(logits: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy with the factor of each column, the total of one image, label and expert at a time."""
    losses = [MultiExpertLoss(BCELoss(), factors=[factor]) for factor in FACTORS]
    pairs = zip(logits.flatten(), targets.flatten(), losses * len(logits), strict=True)
    return torch.stack([loss(z.view(1, 1, 1), y.view(1, 1))["loss"] for z, y, loss in pairs]).view_as(logits)


@styled
def signs_figure(rows: Sequence[Row], meanings: Sequence[str] = ()) -> Figure:
    """A row for each loss, its values and its gradients for a positive and a negative, the cross-entropy behind them.

    Args:
        meanings: of the solid and the dashed lines.
    """
    figure, grid = paper(len(rows))
    for row, axes in zip(rows, grid, strict=True):
        for target in SIGNS:
            plot(axes, curves(BCELoss(), target, 1), PALE)
        for target, (_, colour) in SIGNS.items():
            plot(axes, curves(row.loss, target, row.columns), colour)
        head(axes, row.title, row.special)
    frame_losses(grid)
    handles = [Line2D([], [], color=colour, label=name) for name, colour in SIGNS.values()]
    legend(figure, [*handles, *styles(meanings), Line2D([], [], color=PALE, label="BCE")])
    return figure


@styled
def mixing_figure() -> Figure:
    """The cross-entropy of soft targets."""
    figure, grid = paper(1)
    for target in SOFT:
        plot(grid[0], curves(BCELoss(), target, 1), to_hex(BLEND(target)))
    head(grid[0], "BCE of mixed targets", "")
    frame_losses(grid)
    legend(figure, [Line2D([], [], color=to_hex(BLEND(target)), label=f"y = {target:g}") for target in SOFT])
    return figure


@styled
def diversity_figure() -> Figure:
    """The diversity term while one logit of one expert moves, all others 0: for both distributions, and its bound."""
    figure, grid = paper(2, span=8)
    for axes, distribution in zip(grid, ("softmax", "bernoulli"), strict=True):
        plot(axes, curves(moving(distribution), 0.0, 2, LOGITS * 4 / 3), INK, jump=0.08)
        head(axes, distribution, "over the labels" if distribution == "softmax" else "of each label")
        axes[0].set(ylabel=r"$L_{\mathrm{div}}$", ylim=(-1.15, 0.05), yticks=[-1, 0])
        axes[1].set(ylim=(-0.26, 0.26), yticks=[-0.2, 0, 0.2])
    for axis in grid[-1]:
        axis.set_xlabel("logit of one expert for one label, all others 0")
    legend(figure, styles(("bound of 1 nat", "without bound, as published")))
    return figure


def moving(distribution: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The term with and without a bound, one image a logit."""
    terms = [ExpertDiversity(distribution, bound=bound) for bound in (1.0, None)]

    def values(logits: Tensor, _: Tensor) -> Tensor:
        experts = torch.zeros(len(logits), len(terms), EXPERTS, 1, LABELS)
        experts[:, :, 0, 0, 0] = logits
        return torch.stack([torch.stack([term(x) for term, x in zip(terms, row, strict=True)]) for row in experts])

    return values


def curves(
    loss: Callable[[Tensor, Tensor], Tensor], target: float, columns: int, at: Tensor = LOGITS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [L], and at each the loss and its gradient [L, K], all targets of an image being the same."""
    logits = at[:, None].repeat(1, columns).requires_grad_()
    values = loss(logits, torch.full(logits.shape, target))
    values.sum().backward()
    return at.numpy(), values.detach().numpy(), np.asarray(logits.grad)


def paper(rows: int, span: int = 6) -> tuple[Figure, np.ndarray]:
    """A figure and its axes [rows, 2]: left for losses, right for gradients."""
    height = 0.95 + 2.0 * rows
    figure = Figure(figsize=(7.4, height))
    grid = figure.subplots(rows, 2, sharex=True, squeeze=False)
    figure.subplots_adjust(0.075, 0.5 / height, 0.985, 1 - 0.62 / height, wspace=0.24, hspace=0.3)
    for axis in grid.flat:
        axis.set(xlim=(-span, span), xticks=np.linspace(-span, span, 5))
        axis.tick_params(left=False, bottom=False)
        axis.grid(True, axis="y", linewidth=0.6)
        axis.axvline(0, color="#ECECEC", linewidth=0.6, zorder=0)
        axis.axhline(0, color=MUTED, linewidth=0.6)
    for axis in grid[-1]:
        axis.set_xlabel("logit")
    for axes in grid:
        axes[0].set_ylabel("loss")
        axes[1].set_ylabel("gradient")
    return figure, grid


def plot(
    axes: Sequence[Axes], lines: tuple[np.ndarray, np.ndarray, np.ndarray], colour: str, jump: float = 0.4
) -> None:
    """Values on the left, gradients on the right; the second column, where it differs, is dashed below the first.

    Args:
        jump: between two logits; the line is broken there.
    """
    logits, *both = lines
    for axis, drawn in zip(axes, both, strict=True):
        for column in reversed(range(drawn.shape[1])):
            if column == 0 or not np.allclose(drawn[:, 0], drawn[:, column]):
                jumps = np.flatnonzero(np.abs(np.diff(drawn[:, column])) > jump) + 1
                line = [np.insert(values, jumps, np.nan) for values in (logits, drawn[:, column])]
                style = {"linewidth": 1.2, "linestyle": DASHES} if column else {"linewidth": 1.6}
                axis.plot(*line, color=colour, **style)


def head(axes: Sequence[Axes], title: str, special: str) -> None:
    """Above a row, what it draws."""
    axes[0].set_title(title, color=INK, fontweight="bold", pad=5)
    axes[0].set_title(special, color=MUTED, fontsize=8, loc="right", pad=5)


def frame_losses(grid: np.ndarray) -> None:
    """The same range for the losses of a figure, and for its gradients, that no line leaves."""
    lowest, _ = extent(grid[:, 0])
    steepest = max(1.2, 1.05 * max(map(abs, extent(grid[:, 1]))))
    for left, right in grid:
        left.set(ylim=(min(BOTTOM, lowest - 0.3), 6), yticks=range(0 if lowest > -2 else -2, 7, 2))
        right.set(ylim=(-steepest, steepest), yticks=range(-int(steepest), int(steepest) + 1))


def extent(axes: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value of any line."""
    values = np.concatenate([line.get_ydata() for axis in axes for line in axis.lines])
    return float(np.nanmin(values)), float(np.nanmax(values))


def styles(meanings: Sequence[str]) -> list[Line2D]:
    """What solid and dashed lines mean, for the legend."""
    lines = [Line2D([], [], color=INK, label=meaning) for meaning in meanings]
    for line in lines[1:]:
        line.set_linestyle(DASHES)
    return lines


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """One line above all panels."""
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), bbox_to_anchor=(0.06, 1.0), columnspacing=1.5)


if __name__ == "__main__":
    main()
