"""A contact sheet: for each label a few pictures that show it."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mlgcn.data.phantom.population import LABELS, Plan, shot
from mlgcn.data.phantom.radiograph import draw_shot

CELL = 208  # pixels of a picture
EXAMPLES = 4  # pictures a label
BLOCKS = 2  # labels side by side
GAP, TITLE, MARGIN = 4, 34, 20
PAPER, INK, FAINT = 16, 235, 120


def contact_sheet(seed: int, plan: Plan) -> Image.Image:
    """The sheet of the images of a plan: frontal ones, from other patients, with as few other labels as there are."""
    rows = -(-len(LABELS) // BLOCKS)
    block = EXAMPLES * (CELL + GAP) + MARGIN
    sheet = Image.new("L", (BLOCKS * block + MARGIN, rows * (CELL + TITLE) + 2 * MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, label in enumerate(LABELS):
        column, row = divmod(number, rows)
        left, top = MARGIN + column * block, MARGIN + row * (CELL + TITLE)
        count = int(plan.labels[:, number].sum())
        share = f"{count:,} of {len(plan.labels):,} images"
        pen.text((left, top + 8), label, fill=INK, font=ImageFont.load_default(19))
        pen.text(
            (left + block - MARGIN - GAP, top + 11), share, fill=FAINT, anchor="ra", font=ImageFont.load_default(14)
        )
        for place, index in enumerate(_examples(plan, number)):
            picture = Image.fromarray(draw_shot(shot(seed, index), CELL))
            sheet.paste(picture, (left + place * (CELL + GAP), top + TITLE))
    return sheet


def save_contact_sheet(path: Path, seed: int, plan: Plan) -> None:
    """Writes the sheet as PNG."""
    contact_sheet(seed, plan).save(path)


def _examples(plan: Plan, label: int) -> list[int]:
    """Images that show a label best: frontal, few other labels, each of another patient."""
    rows = np.flatnonzero(plan.labels[:, label] & (plan.projection != "lateral"))
    rows = rows[np.argsort(plan.labels[rows].sum(axis=1), kind="stable")]
    _, first = np.unique(plan.patient[rows], return_index=True)
    return rows[np.sort(first)][:EXAMPLES].tolist()
