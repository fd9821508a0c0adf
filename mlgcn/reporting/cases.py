"""The images that predictions are most wrong and most right about, as a sheet of thumbnails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlgcn.data.images import UnreadableImageError, read_image
from mlgcn.data.studies import study_table
from mlgcn.labels import LabelTable, middle_labels
from mlgcn.metrics.calibration import squared_errors
from mlgcn.metrics.means import mean_defined
from mlgcn.metrics.thresholded import decide
from mlgcn.predictions import Predictions
from mlgcn.reporting.figures import GROUP_COLOURS, INK, MUTED, WIDTH, short, styled
from mlgcn.reporting.tables import labels_by_group, number

SIDE = 80  # pixels of a thumbnail, half as many as it has in the PNG
SHOWN, BLOCKS = 3, 3
PER_GROUP = 2
ROW = 1.8  # inches
OVERALL = "all labels"


@dataclass(frozen=True)
class Block:
    """A few images that are shown for the same reason: what they are, and of each its row and what is said of it."""

    title: str
    rows: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Cases:
    """The images of one label, or of all labels together, whose group is then empty."""

    title: str
    group: str
    blocks: tuple[Block, ...]


def worst_and_best(predictions: Predictions, report: dict[str, Any]) -> list[Cases]:
    """Images to look at: for all labels together, then for two labels of each group, from head to tail.

    Of all labels: the largest and the smallest mean squared error, the latter among images with a finding, and where
    spreads are known the largest disagreement of the experts. Of a label: positives below its threshold from the
    lowest score, negatives above it from the highest, positives above it from the highest.

    Args:
        report: of multilabel_report, whose thresholds decide.
    """
    labels = report["per_label"]
    chosen = middle_labels(
        labels_by_group(report), {name: label["positives"] for name, label in labels.items()}, PER_GROUP
    )
    named = [(group, name) for group, names in chosen.items() for name in names]
    return [_overall(predictions), *(_of_label(predictions, name, group, labels[name]) for group, name in named)]


def read_thumbnails(
    cases: Sequence[Cases], predictions: Predictions, table: LabelTable
) -> tuple[dict[int, np.ndarray], list[str]]:
    """The images of the cases by their row, uint8 [80, 80], and messages about those that cannot be read.

    Args:
        table: that was scored; of studies the first image stands for all.
    Raises: ValueError if the table lacks images of the predictions.
    """
    ids = predictions.images.image_id
    paths = dict(zip(table.images.image_id, table.images.path, strict=True))
    if not ids.isin(paths).all():
        studies = study_table(table).images
        paths = dict(zip(studies.image_id, studies.path, strict=True))
    if lone := [image for image in ids if image not in paths]:
        raise ValueError(f"the table has none of the images {lone[:3]} of the predictions")
    found, failed = {}, []
    for row in dict.fromkeys(row for case in cases for block in case.blocks for row in block.rows):
        try:
            found[row] = read_image(paths[ids[row]], SIDE)[0].numpy()
        except UnreadableImageError as error:
            failed.append(str(error))
    return found, failed


@styled
def case_figure(cases: Sequence[Cases], images: Mapping[int, np.ndarray]) -> Figure:
    """A row of thumbnails for all labels together and for each label; under each its score, image and findings.

    Args:
        images: by row of the predictions; in place of one that is missing stands that it could not be read.
    """
    figure = Figure(figsize=(WIDTH, ROW * len(cases)))
    # In inches from the upper left corner, on one axis: sixty of them take seconds.
    axis = figure.add_axes((0, 0, 1, 1))
    for at, case in enumerate(cases):
        top = ROW * at + 0.06
        axis.plot([0.03, 0.03], [top, top + ROW - 0.14], color=GROUP_COLOURS.get(case.group, INK), linewidth=3)
        axis.text(0.1, top, case.title, color=INK, fontweight="bold", va="top")
        for place, block in enumerate(case.blocks):
            left = 0.1 + 3.33 * place
            axis.text(left, top + 0.18, block.title, color=MUTED, fontsize=7, va="top")
            if not block.rows:
                axis.text(left, top + 0.8, "none", color=MUTED, fontsize=8)
            for column, (row, text) in enumerate(zip(block.rows, block.texts, strict=True)):
                _thumbnail(axis, left + 1.08 * column, top + 0.34, images.get(row), text)
    axis.set(xlim=(0, WIDTH), ylim=(ROW * len(cases), 0), aspect="auto")
    axis.set_axis_off()
    return figure


def _thumbnail(axis: Axes, left: float, top: float, image: np.ndarray | None, text: str) -> None:
    """An inch wide, with a few lines below."""
    if image is None:
        axis.add_patch(Rectangle((left, top), 1, 1, color="#DDDDDD", linewidth=0))
        axis.text(left + 0.5, top + 0.5, "not readable", ha="center", va="center", fontsize=6.5)
    else:
        # Doubled pixels and 64 shades keep the file small.
        where = (left, left + 1, top + 1, top)
        axis.imshow(image & 0xFC, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=where)
    axis.text(left, top + 1.03, text, va="top", fontsize=5.8, color=INK, linespacing=1.15)


def _overall(predictions: Predictions) -> Cases:
    errors = mean_defined(squared_errors(predictions.scores, predictions.targets), axis=1)
    found = (predictions.targets == 1).any(axis=1)
    blocks = [
        ("most wrong: mean squared error", errors, ~np.isnan(errors)),
        ("most right of those with a finding", -errors, found),
    ]
    if predictions.spreads is not None:
        blocks.append(("experts differ most: mean spread", predictions.spreads.mean(axis=1), ~np.isnan(errors)))
    made = (_block(predictions, title, values, among) for title, values, among in blocks)
    return Cases(OVERALL, "", tuple(made))


def _of_label(predictions: Predictions, name: str, group: str, label: dict[str, Any]) -> Cases:
    column = predictions.names.index(name)
    scores, targets = predictions.scores[:, column], predictions.targets[:, column]
    called = decide(scores[:, None], label["threshold"])[:, 0]
    blocks = (
        _block(predictions, "missed: present, lowest scores", -scores, (targets == 1) & ~called, column),
        _block(predictions, "false alarms: absent, highest scores", scores, (targets == 0) & called, column),
        _block(predictions, "found: present, highest scores", scores, (targets == 1) & called, column),
    )
    many = f"{label['positives']:,} positive" + ("s" if label["positives"] > 1 else "")
    about = f"{group}, {many}, threshold {number(label['threshold'])}"
    return Cases(f"{short(name, 40)}  ({about})", group, blocks)


def _block(
    predictions: Predictions, title: str, values: np.ndarray, among: np.ndarray, column: int | None = None
) -> Block:
    """The images with the largest values; with their score for the column's label, else with the size of the value."""
    rows = np.flatnonzero(among)
    rows = rows[np.argsort(-values[rows], kind="stable")][:SHOWN]
    says = np.abs(values) if column is None else predictions.scores[:, column]
    texts = []
    for row in rows:
        positive = np.flatnonzero(predictions.targets[row] == 1)
        findings = ", ".join(predictions.names[place] for place in positive if place != column)
        lines = (number(float(says[row])), short(predictions.images.image_id[row], 22), short(findings, 20) or "–")
        texts.append("\n".join(lines))
    return Block(f"{title} ({int(among.sum()):,})" if column is not None else title, tuple(rows.tolist()), tuple(texts))
