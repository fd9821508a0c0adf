"""The files of a ladder: its numbers, its table in every form, a figure, and a page with both."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlgcn.reporting.figures import DASHES, GROUP_COLOURS, INK, MUTED, WIDTH, save_figures, short, styled
from mlgcn.reporting.ladder_tables import ladder_cells, ladder_frame, ladder_latex, ladder_lines, ladder_markdown
from mlgcn.reporting.templates import page_template
from mlgcn.run_directory import LadderDirectory

SEED, MEAN = "#6699CC", "#0B2545"


def write_ladder(report: Mapping[str, Any], ladder: LadderDirectory, settings: str) -> list[Path]:
    """Writes the numbers as JSON, the table as CSV, Markdown, LaTeX and HTML, and the figure; returns the files.

    Args:
        report: see ladder_frame.
        settings: what all rungs have in common, as text for the page.
    """
    files = {kind: ladder.table(kind) for kind in ("json", "csv", "md", "tex", "html")}
    files["json"].write_text(json.dumps(report, indent=2, allow_nan=False), encoding="utf-8")
    ladder_frame(report).to_csv(files["csv"], index=False)
    files["md"].write_text(ladder_markdown(report), encoding="utf-8")
    files["tex"].write_text(ladder_latex(report), encoding="utf-8")
    save_figures({ladder.figure.stem: ladder_figure(report)}, ladder.path)
    cells = ladder_cells(report)
    page = page_template("ladder.html").render(
        headings=list(cells),
        rows=cells.values.tolist(),
        lines=ladder_lines(report),
        figure=base64.b64encode(ladder.figure.read_bytes()).decode("ascii"),
        settings=settings,
        colours=GROUP_COLOURS,
    )
    files["html"].write_text(page, encoding="utf-8")
    return [*files.values(), ladder.figure]


@styled
def ladder_figure(report: Mapping[str, Any]) -> Figure:
    """A row a rung: its mAP with the interval and single seeds, beside its difference from the baseline, if any."""
    names = [name for name, rung in report["rungs"].items() if rung["metrics"]]
    rungs = [report["rungs"][name] for name in names]
    with_baseline = any(rung["baseline"] for rung in rungs)
    figure = Figure(figsize=(WIDTH, 0.42 * len(names) + 1.1), layout="constrained")
    axes = figure.subplots(1, 1 + with_baseline, sharey=True, squeeze=False)[0]
    for row, rung in enumerate(rungs):
        _interval(axes[0], row, rung["metrics"]["mAP"], "mean")
        seeds = [value for value in rung["metrics"]["mAP"]["by_seed"].values() if value is not None]
        axes[0].scatter(seeds, [row] * len(seeds), s=26, facecolor="none", edgecolor=SEED, linewidth=1.2, zorder=4)
        if with_baseline and rung["baseline"]:
            _interval(axes[1], row, rung["baseline"]["mAP"], "delta")
    level = f"{report['level'] * 100:g} %"
    axes[0].set_xlabel(f"mAP: mean over the seeds, its {level} interval; rings: single seeds")
    axes[0].set_yticks(range(len(names)), [short(name, 34) for name in names], color=INK)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    if with_baseline:
        axes[1].axvline(0, color=INK, linewidth=0.8, linestyle=DASHES)
        axes[1].set_xlabel(f"mAP less that of {report['baseline']}, {level} interval")
    for axis in axes:
        axis.grid(True, axis="x")
        axis.tick_params(axis="y", length=0)
    return figure


def _interval(axis: Axes, row: int, held: Mapping[str, Any], middle: str) -> None:
    if held[middle] is None:
        axis.annotate("undefined", (0, row), fontsize=7.5, color=MUTED, va="center")
        return
    axis.hlines(row, held["low"], held["high"], color=MEAN, linewidth=2)
    axis.scatter([held[middle]], [row], marker="D", s=30, color=MEAN, zorder=3)
