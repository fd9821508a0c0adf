"""The line at which a row stands, however the file is written."""

import csv
import gzip

import pandas as pd
import pytest

from mlgcn.data.sources.files import read_table
from mlgcn.data.sources.row_place import row_place
from mlgcn.data.sources.table import read_label_csv

LINES = ["", "path,Mass", "a,0", " ", "", '"b', "", 'c",1', "d,0", "", "e,1"]
BEGIN = {"a": 3, "b\n\nc": 6, "d": 9, "e": 11}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_blank_lines_and_line_breaks_in_cells_are_counted(tmp_path, end, name):
    file = tmp_path / name
    with (gzip.open if name.endswith("gz") else open)(file, "wt", newline="") as out:
        out.write(end.join(LINES))
    paths = read_table(file)["path"].str.replace("\r", "")
    assert {path: row_place(file, row) for row, path in enumerate(paths)} == {
        path: f"line {line}" for path, line in BEGIN.items()
    }


def test_a_quoted_blank_is_a_row_where_a_blank_line_is_none(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text('a\n\n""\nx\n')
    assert read_table(file)["a"].tolist() == ["", "x"]
    assert [row_place(file, row) for row in range(2)] == ["line 3", "line 4"]


def test_a_fault_is_told_with_its_line_in_a_csv_file_and_with_its_row_in_parquet(tmp_path):
    rows = pd.DataFrame({"path": ["a\na", "b"], "Mass": ["1", "7"]})
    rows.to_csv(tmp_path / "t.csv", index=False, quoting=csv.QUOTE_ALL)
    rows.to_parquet(tmp_path / "t.parquet")
    for name, place in (("t.csv", "line 4"), ("t.parquet", "row 2")):
        with pytest.raises(ValueError, match=rf"{name}: column 'Mass' holds '7' in {place}, expected"):
            read_label_csv(tmp_path / name)
