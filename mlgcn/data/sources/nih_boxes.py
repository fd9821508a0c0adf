"""The bounding boxes of NIH ChestX-ray14."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.columns import check_columns
from mlgcn.data.sources.files import find_file, read_table
from mlgcn.data.sources.nih import FINDINGS
from mlgcn.data.sources.row_place import row_place

# The header writes a box as one name with commas in it: Bbox [x,y,w,h],,,
SIDES = {"Bbox [x": "x", "y": "y", "w": "width", "h]": "height"}
SPELLING = {"Infiltrate": "Infiltration"}
SIZE = 1024


def read_boxes(root: Path) -> pd.DataFrame:
    """The boxes that radiologists drew around findings, one row a box: image_id, finding, x, y, width, height.

    Reads `BBox_List_2017*.csv` (plain or gz). x and y are the upper left corner; all are in pixels of the published
    images, which are 1024 x 1024. Findings are named as in read_nih.
    Raises: FileNotFoundError without the table; ValueError that names line and column of an unexpected finding or of a
        number that is none or lies outside the image, on missing or other columns, and on boxes that repeat.
    """
    file = find_file(root, "BBox_List_2017*.csv", "BBox_List_2017*.csv.gz")
    columns = ["Image Index", "Finding Label", *SIDES]
    rows = read_table(file, columns=columns)
    check_columns(file, rows, columns)
    finding = rows["Finding Label"].replace(SPELLING)
    _check(file, rows["Finding Label"], finding.isin(FINDINGS), f"one of {[*FINDINGS, *SPELLING]}")
    boxes = pd.DataFrame({"image_id": rows["Image Index"], "finding": finding})
    for column, side in SIDES.items():
        boxes[side] = pd.to_numeric(rows[column], errors="coerce").astype(np.float64)
        _check(file, rows[column], boxes[side].between(0, SIZE), f"pixels from 0 to {SIZE}")
    for corner, side, column in (("x", "width", "w"), ("y", "height", "h]")):
        inside = (boxes[side] > 0) & (boxes[corner] + boxes[side] <= SIZE)
        _check(file, rows[column], inside, f"a box inside the image of {SIZE} pixels, from {corner} on")
    if (repeated := boxes.duplicated()).any():
        raise ValueError(f"{file}: the box in {row_place(file, repeated.to_numpy().argmax())} repeats an earlier one")
    return boxes


def _check(file: Path, column: pd.Series, right: pd.Series, expected: str) -> None:
    if not right.all():
        row = int((~right).to_numpy().argmax())
        raise ValueError(
            f"{file}: column {column.name!r} holds {column.iloc[row]!r} in {row_place(file, row)}, expected {expected}"
        )
