"""The boxes of NIH ChestX-ray14: the published table with its odd header, and what stops the reading."""

import csv
import gzip
from pathlib import Path

import pandas as pd
import pytest

from mlgcn.data.sources.nih import read_nih
from mlgcn.data.sources.nih_boxes import read_boxes

# The header as published, and rows with and without the commas that go on with it.
HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
ROWS = [
    ("00013118_008.png", "Atelectasis", "225.084745762712", "547.019216763771", "86.7796610169491", "79.1864406779661"),
    ("00014716_007.png", "Infiltrate", "686.101694915254", "131.543498411017", "185.491525423729", "313.491525423729"),
    ("00013118_008.png", "Effusion", "0", "1000.5", "1024", "23.5"),
]


def written(folder: Path, rows=ROWS, header=HEADER, end="", name="BBox_List_2017.csv") -> Path:
    text = (header + "".join(",".join(row) + end + "\n" for row in rows)).encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return folder


@pytest.mark.parametrize("end", ["", ",,,"])
@pytest.mark.parametrize("name", ["BBox_List_2017.csv", "BBox_List_2017.csv.gz"])
def test_boxes_are_pixels_under_the_names_of_the_findings(tmp_path, end, name):
    boxes = read_boxes(written(tmp_path, end=end, name=name))
    assert boxes.to_dict("list") == {
        "image_id": [row[0] for row in ROWS],
        "finding": ["Atelectasis", "Infiltration", "Effusion"],
        "x": [225.084745762712, 686.101694915254, 0],
        "y": [547.019216763771, 131.543498411017, 1000.5],
        "width": [86.7796610169491, 185.491525423729, 1024],
        "height": [79.1864406779661, 313.491525423729, 23.5],
    }


def test_columns_go_by_name(tmp_path):
    (tmp_path / "a").mkdir()
    order = (1, 5, 3, 0, 2, 4)
    names = HEADER.strip(",\n").split(",")
    rows = [tuple(row[place] for place in order) for row in ROWS]
    permuted = written(tmp_path / "a", rows, header=",".join(names[place] for place in order) + "\n")
    pd.testing.assert_frame_equal(read_boxes(permuted), read_boxes(written(tmp_path)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a.png", "Covid", "1", "2", "3", "4"), "column 'Finding Label' holds 'Covid' in line 6, expected one of"),
        (("a.png", "Mass", "wide", "2", "3", "4"), r"column 'Bbox \[x' holds 'wide' in line 6, expected pixels"),
        (("a.png", "Mass", "1", "", "3", "4"), "column 'y' holds '' in line 6, expected pixels from 0 to 1024"),
        (("a.png", "Mass", "1", "-2", "3", "4"), "column 'y' holds '-2' in line 6, expected pixels"),
        (("a.png", "Mass", "1", "2", "0", "4"), "column 'w' holds '0' in line 6, expected a box inside the image"),
        (("a.png", "Mass", "1", "1000", "3", "25"), r"column 'h\]' holds '25' in line 6, expected a box inside .* y"),
        (ROWS[0], "the box in line 6 repeats an earlier one"),
    ],
)
def test_an_unexpected_box_stops_the_reading(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_boxes(written(tmp_path, [*ROWS, row], header=f"{HEADER}\n"))


def test_a_missing_file_and_missing_or_other_columns_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file matches BBox_List_2017\*\.csv"):
        read_boxes(tmp_path)
    with pytest.raises(ValueError, match=r"BBox_List_2017\.csv: lacks the columns \['h\]'\]"):
        read_boxes(written(tmp_path, header=HEADER.replace("h]", "height")))
    with pytest.raises(ValueError, match=r"has the unexpected columns \['Reader'\]"):
        read_boxes(written(tmp_path, header=HEADER.replace("h],", "h],Reader"), end=",R1"))


def test_the_published_boxes_are_984_on_880_images_of_the_table(xrv_tables, nih_table):
    boxes = read_boxes(xrv_tables)
    with gzip.open(xrv_tables / "BBox_List_2017.csv.gz", "rt") as lines:
        rows = list(csv.reader(lines))[1:]
    assert len(boxes) == len(rows) == 984 and boxes.image_id.nunique() == 880
    assert boxes.height.tolist() == [float(row[5]) for row in rows]
    assert (boxes.finding == "Infiltration").sum() == sum(row[1] == "Infiltrate" for row in rows) == 123
    assert set(boxes.image_id) <= set(read_nih(nih_table).images.image_id)
