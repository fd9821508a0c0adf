"""Reading tables: everything as text, columns by name, nothing guessed."""

import csv
import gzip

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.sources.files import find_file, read_table


def written(folder, text, name="t.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("cell", ["007", "1.0", "1e5", "NA", "nan", "None", "TRUE", "", " padded ", "ü", "2020-01-01"])
def test_a_cell_comes_back_as_the_text_it_is(tmp_path, cell):
    rows = read_table(written(tmp_path, f"a,b\n{cell},x\ny,z\n"))
    assert rows.to_dict("list") == {"a": [cell, "y"], "b": ["x", "z"]}
    assert all(type(value) is str for value in rows.a)


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6) | st.sampled_from(['"', ",", "\n", "NA"])


@settings(max_examples=40)
@given(names=st.lists(CELLS.filter(bool), min_size=2, max_size=4, unique=True), data=st.data())
def test_what_another_writer_wrote_is_read(tmp_path_factory, names, data):
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), min_size=1, max_size=4))
    # A byte order mark in front of the first name would be taken for one of the file.
    names[0] = "a" + names[0]
    rows = [["r" + first, *others] for first, *others in rows]
    names = [name + str(place) for place, name in enumerate(names)]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    read = read_table(path, columns=names)
    assert list(read) == names and read.to_numpy().tolist() == rows


def test_a_compressed_table_is_read(tmp_path):
    path = written(tmp_path, gzip.compress(b"a,b\n1,2\n"), "t.csv.gz")
    assert read_table(path).to_dict("list") == {"a": ["1"], "b": ["2"]}


def test_a_byte_order_mark_belongs_to_no_name(tmp_path):
    assert list(read_table(written(tmp_path, "\ufeffa,b\n1,2\n"), columns=["a"])) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b,c\n1\n4,5,6\n", "line 2 has 1 of 3 cells"),
        ("a,b,c\n1,2,3\n\n4,5\n", "line 4 has 2 of 3 cells"),
        ('a,b,c\n"1\n1",2,\n4,5', "line 4 has 2 of 3 cells"),
        ("a,b,\n1,2,\n4\n", "line 3 has 1 of 2 cells"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_row_that_is_short_as_where_a_file_is_cut_is_refused(tmp_path, text, told, name):
    content = gzip.compress(text.encode()) if name.endswith("gz") else text
    with pytest.raises(ValueError, match=rf"{name}: {told}$"):
        read_table(written(tmp_path, content, name))


def test_blank_cells_blank_lines_and_commas_that_only_the_header_has_make_no_row_short(tmp_path):
    assert read_table(written(tmp_path, "a,b,,\n1,\n\n \n,4,\n")).to_dict("list") == {"a": ["1", ""], "b": ["", "4"]}


def test_columns_without_a_name_are_left_out(tmp_path):
    # As pandas writes row numbers, and as NIH's first table ends its lines.
    assert read_table(written(tmp_path, ",a,b,\n0,1,2,\n1,3,4,\n")).to_dict("list") == {
        "a": ["1", "3"],
        "b": ["2", "4"],
    }


def test_a_header_alone_is_refused_unless_it_may_be(tmp_path):
    with pytest.raises(ValueError, match=r"t\.csv: has no rows"):
        read_table(written(tmp_path, "a,b\n"))
    rows = read_table(tmp_path / "t.csv", may_be_empty=True)
    assert len(rows) == 0 and list(rows) == ["a", "b"]


@pytest.mark.parametrize("name", ["t.parquet", "t.pq"])
def test_what_pandas_wrote_as_an_index_is_a_column(tmp_path, name):
    rows = pd.DataFrame({"patient": ["1", "1", "2"], "study": ["a", "b", "c"], "Mass": ["1", "0", ""]})
    for index in (["patient"], ["patient", "study"]):
        rows.set_index(index).to_parquet(tmp_path / name)
        assert read_table(tmp_path / name)[list(rows)].to_dict() == rows.to_dict()
    rows.set_index("patient", drop=False).to_parquet(tmp_path / name)
    assert read_table(tmp_path / name).to_dict() == rows.to_dict()
    rows[rows.Mass != "0"].to_parquet(tmp_path / name)
    assert list(read_table(tmp_path / name)) == list(rows)


def test_booleans_of_parquet_are_1_and_0(tmp_path):
    written = pd.DataFrame({"a": [True, False, True], "b": [True, None, False], "c": ["True", "x", "y"]})
    written.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").to_dict("list") == {
        "a": ["1", "0", "1"],
        "b": ["1", "", "0"],
        "c": ["True", "x", "y"],
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [("a,b\n1,2,\n3,4,\n", 2), ("a,b\n1,2,3\n", 2), ("a,b\n1,2\n3,4,5\n", 3), ('a,b\n\n"1\n1",2\n3,4,5\n', 5)],
)
def test_rows_longer_than_the_header_are_refused_rather_than_shifted(tmp_path, text, line):
    with pytest.raises(ValueError, match=rf"t\.csv: line {line} has 3 cells, but the header 2$"):
        read_table(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "t.csv", "not readable as CSV"),
        ('a,b\n1,"2\n', "t.csv", "not readable as CSV: .*EOF inside string"),
        (b"a,b\n\xff\xfe,2\n", "t.csv", "not readable as CSV: .*decode byte"),
        (b"no archive", "t.csv.gz", "not readable as CSV: Not a gzipped file"),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-12], "t.csv.gz", "not readable as CSV: "),
        ("a,b,a\n1,2,3\n", "t.csv", r"columns repeat: \['a'\]"),
        ("a,b\n1,2\n", "t.csv", r"lacks the columns \['c', 'd'\]; it has \['a', 'b'\]"),
    ],
)
def test_a_file_that_is_no_such_table_is_named(tmp_path, text, name, message):
    with pytest.raises(ValueError, match=rf"{name}: {message}"):
        read_table(written(tmp_path, text, name), columns=["c", "b", "d"])


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.csv"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_table(tmp_path)


def test_the_one_file_that_matches_is_found(tmp_path):
    written(tmp_path, "", "other.txt")
    expected = written(tmp_path, "", "Data_2020.csv")
    assert find_file(tmp_path, "Data_*.csv", "Data_*.csv.gz", "Data*") == expected


def test_none_or_several_matching_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file matches Data_\*\.csv or Data_\*\.csv\.gz"):
        find_file(tmp_path, "Data_*.csv", "Data_*.csv.gz")
    for name in ("Data_b.csv", "Data_a.csv.gz"):
        written(tmp_path, "", name)
    with pytest.raises(ValueError, match=r"several files match .*: \['Data_a\.csv\.gz', 'Data_b\.csv'\]"):
        find_file(tmp_path, "Data_*.csv", "Data_*.csv.gz")
