"""CXR-LT 2023: its three files, in the published format."""

import csv
import gzip
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.datamodule import check_present
from mlgcn.data.sources import read_source
from mlgcn.data.sources.cxr_lt_2023 import LABELS, read_cxr_lt_2023
from mlgcn.data.splits import complete_split

HEADER = (
    "dicom_id,subject_id,study_id,ViewPosition,ViewCodeSequence_CodeMeaning,path,Atelectasis,"
    "Calcification of the Aorta,Cardiomegaly,Consolidation,Edema,Emphysema,Enlarged Cardiomediastinum,Fibrosis,"
    "Fracture,Hernia,Infiltration,Lung Lesion,Lung Opacity,Mass,No Finding,Nodule,Pleural Effusion,Pleural Other,"
    "Pleural Thickening,Pneumomediastinum,Pneumonia,Pneumoperitoneum,Pneumothorax,Subcutaneous Emphysema,"
    "Support Devices,Tortuous Aorta"
)
PUBLISHED = HEADER.split(",")
IDS = PUBLISHED[:6]
FIRST = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"
SECOND = "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962"


def image(name=FIRST, subject="10000032", study="50414267", view="PA", code="postero-anterior", **values):
    """One row as published: an image and the labels that are not 0."""
    path = f"files/p{subject[:2]}/p{subject}/s{study}/{name}.jpg"
    row = dict(zip(IDS, (name, subject, study, view, code, path), strict=True))
    return row | dict.fromkeys(PUBLISHED[6:], "0") | {name.replace("_", " "): str(v) for name, v in values.items()}


def write(folder, name, rows, columns=PUBLISHED):
    """A CSV file, compressed where its name says so."""
    folder.mkdir(exist_ok=True)
    opened = gzip.open if name.endswith(".gz") else open
    with opened(folder / name, "wt", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def assert_equal(one, other):
    assert one.names == other.names
    np.testing.assert_array_equal(one.values, other.values)
    pd.testing.assert_frame_equal(one.images, other.images)


# What is read


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_the_three_files_are_the_three_splits(tmp_path, suffix):
    write(tmp_path, f"train{suffix}", [image(Edema=1, Lung_Opacity=1), image(SECOND, view="LATERAL", No_Finding=1)])
    write(tmp_path, f"development{suffix}", [image("c", "10000033", "50000001", "", "lateral", Tortuous_Aorta=1)])
    write(tmp_path, f"test{suffix}", [image("d", "19999999", "59999999", "", "")])
    table = read_source("cxr_lt_2023", tmp_path)
    assert table.names == LABELS == tuple(PUBLISHED[6:]) and len(LABELS) == 26
    found = [{name for name, value in zip(LABELS, row, strict=True) if value == 1} for row in table.values]
    assert found == [{"Edema", "Lung Opacity"}, {"No Finding"}, {"Tortuous Aorta"}, set()]
    assert not np.isnan(table.values).any() and not table.soft
    tree = tmp_path / "files"
    assert table.images.to_dict("list") == {
        "image_id": [FIRST, SECOND, "c", "d"],
        "path": [
            str(tree / "p10" / "p10000032" / "s50414267" / f"{FIRST}.jpg"),
            str(tree / "p10" / "p10000032" / "s50414267" / f"{SECOND}.jpg"),
            str(tree / "p10" / "p10000033" / "s50000001" / "c.jpg"),
            str(tree / "p19" / "p19999999" / "s59999999" / "d.jpg"),
        ],
        "patient_id": ["10000032", "10000032", "10000033", "19999999"],
        "study_id": ["50414267", "50414267", "50000001", "59999999"],
        "view": ["frontal", "lateral", "lateral", "unknown"],
        "split": ["train", "train", "val", "test"],
    }


def test_held_out_files_may_be_absent_or_have_no_labels(tmp_path):
    write(tmp_path, "train.csv", [image(Mass=1)])
    assert set(read_cxr_lt_2023(tmp_path).images.split) == {"train"}
    write(tmp_path, "test.csv", [image("d", "19999999", "59999999")], IDS)
    for blank in ("unknown", "negative"):  # no column is no blank
        table = read_cxr_lt_2023(tmp_path, blank=blank)
        assert table.images.split.tolist() == ["train", "test"]
        assert np.isnan(table.values).all(axis=1).tolist() == [False, True]


@settings(max_examples=25)
@given(columns=st.permutations(PUBLISHED), values=st.lists(st.sampled_from(["0", "1", "1.0", "", "-1"]), min_size=4))
def test_columns_in_another_order_give_the_same_table(tmp_path_factory, columns, values):
    folder = tmp_path_factory.mktemp("order")
    rows = [image(f"i{number}", Mass=value, Edema=values[0]) for number, value in enumerate(values)]
    one = write(folder / "one", "train.csv", rows)
    other = write(folder / "other", "train.csv", rows, columns)
    table = read_cxr_lt_2023(one, images="there")
    assert_equal(table, read_cxr_lt_2023(other, images="there"))
    meant = {"0": 0, "1": 1, "1.0": 1, "": np.nan, "-1": np.nan}
    np.testing.assert_array_equal(table.values[:, LABELS.index("Mass")], [meant[value] for value in values])


@pytest.mark.parametrize(
    ("uncertain", "blank", "expected"),
    [
        ("unknown", "unknown", [np.nan, np.nan]),
        ("positive", "negative", [1, 0]),
        ("negative", 0.1, [0, 0.1]),
        (0.6, "positive", [0.6, 1]),
    ],
)
def test_uncertain_and_blank_mean_what_the_policy_says(tmp_path, uncertain, blank, expected):
    write(tmp_path, "train.csv", [image(Edema=-1, Mass="")])
    table = read_cxr_lt_2023(tmp_path, uncertain=uncertain, blank=blank)
    read = [table.values[0, LABELS.index(name)] for name in ("Edema", "Mass")]
    np.testing.assert_allclose(read, expected, rtol=1e-6)
    assert table.soft == any(0 < value < 1 for value in expected)


def test_a_study_is_its_digits_with_or_without_the_letter(tmp_path):
    rows = [image(study="s50414267") | {"path": ""}, image(SECOND, subject="p10000032") | {"path": ""}]
    images = read_cxr_lt_2023(write(tmp_path, "train.csv", rows)).images
    assert images.study_id.tolist() == ["50414267"] * 2 and images.patient_id.tolist() == ["10000032"] * 2
    assert images.path[0] == str(tmp_path / "files/p10/p10000032/s50414267" / f"{FIRST}.jpg")


def test_numbers_that_were_saved_as_floats_are_the_same_patient_and_study(tmp_path):
    write(tmp_path, "train.csv", [image()])
    write(tmp_path, "development.csv", [image(SECOND, subject="10000032.0", study="s50414267.0")])
    with pytest.raises(ValueError, match="1 patients are in more than one split"):
        complete_split(read_cxr_lt_2023(tmp_path))
    assert read_cxr_lt_2023(tmp_path).images.study_id.tolist() == ["50414267"] * 2


# Where the images are


def test_images_may_stand_elsewhere_with_or_without_the_folder_files(tmp_path):
    tables = write(tmp_path / "tables", "train.csv", [image()])
    branch = f"p10/p10000032/s50414267/{FIRST}.jpg"
    whole, inner = tmp_path / "mimic", tmp_path / "mimic" / "files"
    assert read_cxr_lt_2023(tables, images=str(whole)).images.path[0] == str(inner / branch)
    (inner / "p10").mkdir(parents=True)
    for folder in (whole, inner):
        assert read_cxr_lt_2023(tables, images=str(folder)).images.path[0] == str(inner / branch)


def test_a_tree_that_the_table_names_is_taken_where_it_is_there(tmp_path):
    branch = f"p10/p10000032/s50414267/{FIRST}.jpg"
    write(tmp_path, "train.csv", [image() | {"path": f"small/{branch}"}])
    assert read_cxr_lt_2023(tmp_path).images.path[0] == str(tmp_path / "files" / branch)
    (tmp_path / "small").mkdir()
    assert read_cxr_lt_2023(tmp_path).images.path[0] == str(tmp_path / "small" / branch)


@pytest.mark.parametrize(
    "given", ["small/a.png", "/elsewhere/a.png", f"/elsewhere/p10/p10000032/s50414267/{FIRST}.jpg"]
)
def test_a_path_that_is_not_of_the_tree_is_taken_as_it_is(tmp_path, given):
    write(tmp_path, "train.csv", [image() | {"path": given}])
    assert read_cxr_lt_2023(tmp_path).images.path[0] == str(tmp_path / given)


def test_an_absent_image_is_no_matter_for_the_reader_and_named_when_the_data_set_is_built(tmp_path):
    table = read_cxr_lt_2023(write(tmp_path, "train.csv", [image(), image(SECOND)]))
    with pytest.raises(FileNotFoundError, match=rf"2 of 2 images are absent(.|\n)*{FIRST}\.jpg"):
        check_present(table)


# Bad input


def test_a_missing_training_file_is_named_with_the_folder(tmp_path):
    write(tmp_path, "test.csv", [image()])
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(str(tmp_path))}: no file matches train\.csv or train\."):
        read_cxr_lt_2023(tmp_path)


def test_plain_and_gz_side_by_side_are_refused(tmp_path):
    for name in ("train.csv", "train.csv.gz"):
        write(tmp_path, name, [image()])
    with pytest.raises(ValueError, match=r"several files match .*\['train\.csv', 'train\.csv\.gz'\]"):
        read_cxr_lt_2023(tmp_path)


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("column", ["subject_id", "ViewPosition", "path", "Tortuous Aorta"])
def test_a_missing_column_is_named_in_every_file(tmp_path, name, column):
    write(tmp_path, "train.csv", [image()])
    write(tmp_path, f"{name}.csv", [image("z")], [known for known in PUBLISHED if known != column])
    with pytest.raises(ValueError, match=rf"{name}\.csv: lacks the columns \['{column}'\]; it has \['"):
        read_cxr_lt_2023(tmp_path)


@pytest.mark.parametrize("column", ["Normal", "split", "Covid"])
def test_an_unexpected_column_is_named(tmp_path, column):
    write(tmp_path, "train.csv", [image() | {column: "1"}], [*PUBLISHED, column])
    with pytest.raises(ValueError, match=rf"train\.csv: has the unexpected columns \['{column}'\]"):
        read_cxr_lt_2023(tmp_path)


@pytest.mark.parametrize("value", ["2", "yes", "0.5", "nan"])
def test_another_label_value_is_named_with_file_line_and_column(tmp_path, value):
    write(tmp_path, "train.csv", [image()])
    write(tmp_path, "development.csv", [image("b"), image("c", Lung_Lesion=value)])
    named = rf"development\.csv: column 'Lung Lesion' holds '{value}' in line 3, expected 0, 1, -1 or blank"
    with pytest.raises(ValueError, match=named):
        read_cxr_lt_2023(tmp_path)


@pytest.mark.parametrize("column", ["dicom_id", "subject_id", "study_id"])
def test_a_blank_identifier_is_named_with_file_line_and_column(tmp_path, column):
    write(tmp_path, "train.csv", [image(), image(SECOND) | {column: ""}])
    with pytest.raises(ValueError, match=rf"train\.csv: column '{column}' is blank in line 3"):
        read_cxr_lt_2023(tmp_path)


def test_an_image_that_stands_twice_in_a_file_is_named_with_both_lines(tmp_path):
    write(tmp_path, "train.csv", [image(SECOND), image(), image(SECOND)])
    with pytest.raises(ValueError, match=rf"train\.csv: image ids repeat: '{SECOND}' stands in line 2 and line 4"):
        read_cxr_lt_2023(tmp_path)


def test_an_image_of_two_splits_is_named_with_both_files(tmp_path):
    write(tmp_path, "train.csv", [image(SECOND), image()])
    write(tmp_path, "test.csv", [image()])
    with pytest.raises(
        ValueError, match=rf"test\.csv: split of image '{FIRST}' is 'test', but 'train' in .*train\.csv"
    ):
        read_cxr_lt_2023(tmp_path)
