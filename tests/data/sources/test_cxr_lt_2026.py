"""CXR-LT 2026: tables of PadChest and NIH images with names of any case, and identifiers written as floats."""

import csv
import gzip
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.datamodule import check_present
from mlgcn.data.sources import read_source
from mlgcn.data.sources.cxr_lt_2026 import SEEN, UNSEEN, read_cxr_lt_2026

IDS = ["ImageID", "StudyDate_DICOM", "PatientID"]
PADCHEST = "216840111366964012373310883942009111085446417_00-014-086.png"
NIH = "00000013_005.png"
PATIENT = "839860488694292331637988235681460987"


def image(name, date="20140915", patient="13", **values):
    """One row: an image and the classes that are not 0."""
    row = dict(zip(IDS, (name, date, patient), strict=True)) | dict.fromkeys([*SEEN, *UNSEEN], "0")
    return row | {label.replace("_", " "): str(value) for label, value in values.items()}


def write(folder, name, rows, columns=(*IDS, *SEEN), blank=0):
    """A CSV file, compressed where its name says so, with so many blank lines below its header."""
    with (gzip.open if name.endswith(".gz") else open)(folder / name, "wt", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        file.write("\n" * blank)
        writer.writerows(rows)
    return folder


# What is read


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_tables_are_read_as_they_are_named(tmp_path, suffix):
    write(
        tmp_path, f"CXRLT_2026_training.csv{suffix}", [image(PADCHEST, patient=PATIENT, Mass=1), image(NIH, Normal=1)]
    )
    write(tmp_path, f"CXRLT_2026_TEST_ALL_TASK1.csv{suffix}", [image("t1.png"), image("t2.png")], ["ImageID"])
    write(tmp_path, f"CXRLT_2026_DEV_TASK2.csv{suffix}", [image("d.png", goiter=1)], ["ImageID", *UNSEEN])
    table = read_source("cxr_lt_2026", tmp_path)
    assert table.names == (*SEEN, *UNSEEN) and (len(SEEN), len(UNSEEN)) == (30, 6)
    assert table.images.to_dict("list") == {
        "image_id": [PADCHEST, NIH, "d.png", "t1.png", "t2.png"],
        "path": [str(tmp_path / "images" / name) for name in (PADCHEST, NIH, "d.png", "t1.png", "t2.png")],
        "patient_id": [PATIENT, "13", "d.png", "t1.png", "t2.png"],
        "study_id": [f"{PATIENT}-20140915", "13-20140915", "d.png", "t1.png", "t2.png"],
        "view": ["unknown"] * 5,
        "split": ["train", "train", "val", "test", "test"],
    }
    assert np.isnan(table.values).sum(axis=1).tolist() == [6, 6, 30, 36, 36]
    positives = [{name for name, value in zip(table.names, row, strict=True) if value == 1} for row in table.values]
    assert positives == [{"Mass"}, {"Normal"}, {"goiter"}, set(), set()]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("development.csv", "val"),
        ("dev_task1.csv", "val"),
        ("val.csv", "val"),
        ("test.csv", "test"),
        ("cxr-lt-2026-Test.csv.gz", "test"),
    ],
)
def test_a_word_in_the_name_is_the_split(tmp_path, name, split):
    write(tmp_path, "train.csv", [image("a")])
    assert read_cxr_lt_2026(write(tmp_path, name, [image("b")])).images.split.tolist() == ["train", split]


def test_other_files_are_left_alone(tmp_path):
    write(tmp_path, "train.csv", [image("a")])
    for name in ("latest.csv", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", "test_list.txt", "trains.csv"):
        write(tmp_path, name, [image("b")])
    assert read_cxr_lt_2026(tmp_path).images.image_id.tolist() == ["a"]


def test_images_may_stand_elsewhere_and_their_absence_shows_when_the_data_set_is_built(tmp_path):
    table = read_cxr_lt_2026(write(tmp_path, "train.csv", [image("a.png")]), images=str(tmp_path / "big"))
    assert table.images.path.tolist() == [str(tmp_path / "big" / "a.png")]
    with pytest.raises(FileNotFoundError, match=r"1 of 1 images are absent(.|\n)*a\.png"):
        check_present(table)


@pytest.mark.parametrize("name", ["Removal.csv", "corrupted_images.csv.gz"])
def test_withdrawn_images_are_left_out(tmp_path, name):
    write(tmp_path, "train.csv", [image("a"), image("b"), image("c")])
    write(tmp_path, name, [image("b"), image("z")], ["ImageID"])
    assert read_cxr_lt_2026(tmp_path).images.image_id.tolist() == ["a", "c"]


@settings(max_examples=20)
@given(order=st.permutations([*IDS, *SEEN, "Zebra", "Ape"]), cells=st.lists(st.sampled_from("01"), min_size=1))
def test_columns_in_another_order_give_the_same_table(tmp_path_factory, order, cells):
    rows = [image(f"i{n}", Mass=cell, Ape=1, Zebra=0) for n, cell in enumerate(cells)]
    tables = []
    for columns in ([*IDS, *SEEN, "Ape", "Zebra"], order):
        folder = write(tmp_path_factory.mktemp("order"), "train.csv", rows, columns)
        tables.append(read_cxr_lt_2026(folder, images="there", extra=["Ape", "Zebra"]))
    assert tables[0].names == tables[1].names == (*SEEN, "Ape", "Zebra")
    np.testing.assert_array_equal(tables[0].values, tables[1].values)
    pd.testing.assert_frame_equal(tables[0].images, tables[1].images)


def test_other_columns_are_refused_until_they_are_named_as_classes_or_as_none(tmp_path):
    columns = [*IDS, "Covid", *SEEN, "Age"]
    write(tmp_path, "train.csv", [image("a", Covid=1, Age=1)], columns)
    named = r"train\.csv: has the unexpected columns \['Covid', 'Age'\].*classes as option extra, .*as option ignore"
    with pytest.raises(ValueError, match=named):
        read_cxr_lt_2026(tmp_path)
    table = read_source("cxr_lt_2026", tmp_path, extra=["Covid"], ignore=["Age"])
    assert table.names == (*SEEN, "Covid") and table.values[0].tolist() == [0] * 30 + [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra": ["Mass"]}, r"option extra names \['Mass'\], expected columns that nothing else stands for"),
        ({"ignore": ["PatientID"]}, r"option ignore names \['PatientID'\]"),
        ({"extra": ["Covid"], "ignore": ["Covid"]}, r"option extra names \['Covid'\]"),
        ({"extra": ["Covid"]}, r"no table has the columns \['Covid'\], which the options extra and ignore name"),
    ],
)
def test_options_that_name_columns_in_vain_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        read_cxr_lt_2026(write(tmp_path, "train.csv", [image("a")]), **options)


def test_images_stand_side_by_side_or_as_padchest_and_nih_are_downloaded(tmp_path):
    write(tmp_path, "train.csv", [image(PADCHEST), image(NIH), image("flat.png"), image("absent.png")])
    folder = tmp_path / "images"
    places = [f"0/{PADCHEST}", f"images_001/images/{NIH}", "flat.png"]
    for place in (*places, "0/small/flat.png"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    expected = [str(folder / place) for place in (*places, "absent.png")]
    assert read_cxr_lt_2026(tmp_path).images.path.tolist() == expected
    (folder / "1").mkdir()
    (folder / "1" / PADCHEST).touch()
    with pytest.raises(ValueError, match=rf"image '{PADCHEST}' stands in .*images/0 and in .*images/1"):
        read_cxr_lt_2026(tmp_path)


@pytest.mark.parametrize(("uncertain", "blank", "expected"), [("unknown", "negative", [np.nan, 0]), (0.5, 1, [0.5, 1])])
def test_uncertain_and_blank_mean_what_the_policy_says(tmp_path, uncertain, blank, expected):
    write(tmp_path, "train.csv", [image("a", Mass=-1, Nodule="")])
    table = read_cxr_lt_2026(tmp_path, uncertain=uncertain, blank=blank)
    read = [table.values[0, table.names.index(name)] for name in ("Mass", "Nodule")]
    np.testing.assert_array_equal(read, np.array(expected, dtype=np.float32))


# Identifiers


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("12345", "12345"),
        ("12345.0", "12345"),
        ("12345.", "12345"),
        ("1.2345e+04", "12345"),
        ("1.23450E4", "12345"),
        (f"{PATIENT}.0", PATIENT),
        ("00013", "00013"),
        ("P-7", "P-7"),
    ],
)
def test_a_patient_written_as_a_float_keeps_all_digits(tmp_path, given, read):
    images = read_cxr_lt_2026(write(tmp_path, "train.csv", [image("a", "20140915.0", given)])).images
    assert images.patient_id.tolist() == [read] and images.study_id.tolist() == [f"{read}-20140915"]


def test_a_patient_rounded_in_places_is_the_one_whose_full_number_it_rounds(tmp_path, caplog):
    other, rounded = PATIENT[:-1] + "0", repr(float(PATIENT))
    assert float(other) == float(PATIENT)
    write(tmp_path, "train.csv", [image("a", patient=PATIENT), image("b", patient=rounded)])
    assert read_cxr_lt_2026(tmp_path).images.patient_id.tolist() == [PATIENT] * 2
    assert not caplog.text
    write(tmp_path, "dev.csv", [image("c", patient=other), image("d", patient="3.24e+38")])
    with caplog.at_level(logging.WARNING):
        assert read_cxr_lt_2026(tmp_path).images.patient_id.tolist() == [PATIENT, rounded, other, "3.24e+38"]
    assert "2 patients are known by a rounded number only, such as 3.24e+38" in caplog.text


def test_images_of_a_patient_on_a_day_are_a_study_and_without_either_are_their_own(tmp_path, caplog):
    rows = [image("a"), image("b"), image("c", "20150101"), image("d", ""), image("e", patient=""), image("f", "", "")]
    with caplog.at_level(logging.WARNING):
        images = read_cxr_lt_2026(write(tmp_path, "train.csv", rows)).images
    assert images.patient_id.tolist() == ["13", "13", "13", "13", "e", "f"]
    assert images.study_id.tolist() == ["13-20140915", "13-20140915", "13-20150101", "d", "e", "f"]
    assert "2 images have no PatientID" in caplog.text


@pytest.mark.parametrize("column", ["PatientID", "StudyDate_DICOM"])
def test_a_number_that_is_not_whole_is_named_with_file_line_and_column(tmp_path, column):
    write(tmp_path, "train.csv", [image("a"), image("b") | {column: "12345.5"}], blank=1)
    named = rf"train\.csv: column '{column}' holds '12345\.5' in line 4, expected a whole number"
    with pytest.raises(ValueError, match=named):
        read_cxr_lt_2026(tmp_path)


@pytest.mark.parametrize("columns", [["ImageID"], ["ImageID", "PatientID"], ["ImageID", "StudyDate_DICOM"]])
@pytest.mark.parametrize("first", [True, False])
def test_what_one_file_does_not_tell_of_an_image_another_does(tmp_path, columns, first):
    write(tmp_path, "train.csv", [image("a")])
    files = ("dev_1.csv", "dev_2.csv") if first else ("dev_2.csv", "dev_1.csv")
    write(tmp_path, files[0], [image("b", patient="7.0")], [*IDS, "Mass"])
    write(tmp_path, files[1], [image("b", patient="7", goiter=1)], [*columns, "goiter"])
    images = read_cxr_lt_2026(tmp_path).images
    assert images.patient_id.tolist() == ["13", "7"] and images.study_id.tolist() == ["13-20140915", "7-20140915"]


def test_nan_is_no_patient(tmp_path, caplog):
    write(tmp_path, "train.csv", [image("a", patient="nan"), image("b", patient="NaN"), image("c")])
    assert read_cxr_lt_2026(tmp_path).images.patient_id.tolist() == ["a", "b", "13"]
    assert "2 images have no PatientID" in caplog.text


# Bad input


def test_a_folder_without_a_training_table_is_refused(tmp_path):
    write(tmp_path, "test.csv", [image("a")])
    with pytest.raises(FileNotFoundError, match="no CSV file, plain or gz, has the word train or training in its name"):
        read_cxr_lt_2026(tmp_path)
    with pytest.raises(ValueError, match=r"test\.csv: is a file, expected the folder of the tables"):
        read_cxr_lt_2026(tmp_path / "test.csv")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("train", "PatientID"),
        ("train", "StudyDate_DICOM"),
        ("train", "ImageID"),
        ("train", "Mass"),
        ("test", "ImageID"),
    ],
)
def test_a_missing_column_is_named(tmp_path, name, column):
    write(tmp_path, "train.csv", [image("a")])
    write(tmp_path, f"{name}.csv", [image("b")], [known for known in (*IDS, *SEEN) if known != column])
    with pytest.raises(ValueError, match=rf"{name}\.csv: lacks the columns \['{column}'\]"):
        read_cxr_lt_2026(tmp_path)


@pytest.mark.parametrize(("column", "value", "extra"), [("Mass", "2", []), ("PatientAge", "57", ["PatientAge"])])
def test_a_column_that_holds_no_labels_is_named_with_file_line_and_value(tmp_path, column, value, extra):
    columns = dict.fromkeys([*IDS, *SEEN, column])
    write(tmp_path, "train.csv", [image("a") | {column: "1"}, image("b") | {column: value}], columns)
    with pytest.raises(
        ValueError, match=rf"train\.csv: column '{column}' holds '{value}' in line 3, expected 0, 1, -1"
    ):
        read_cxr_lt_2026(tmp_path, extra=extra)


def test_images_that_repeat_or_have_no_name_are_refused(tmp_path):
    write(tmp_path, "train.csv", [image("a"), image("b"), image("a")])
    with pytest.raises(ValueError, match=r"train\.csv: image ids repeat: 'a' stands in line 2 and line 4"):
        read_cxr_lt_2026(tmp_path)
    write(tmp_path, "train.csv", [image("a"), image("")])
    with pytest.raises(ValueError, match=r"train\.csv: column 'ImageID' is blank in line 3"):
        read_cxr_lt_2026(tmp_path)


def test_files_that_disagree_are_named(tmp_path):
    write(tmp_path, "train.csv", [image("a", Mass=1)])
    write(tmp_path, "train_2.csv", [image("a", Mass=0)])
    with pytest.raises(
        ValueError, match=r"train_2\.csv: label 'Mass' of image 'a' is 0 in line 2, but 1 in .*train\.csv"
    ):
        read_cxr_lt_2026(tmp_path)
    (tmp_path / "train_2.csv").unlink()
    write(tmp_path, "test.csv", [image("a", Mass=1)])
    with pytest.raises(ValueError, match=r"test\.csv: split of image 'a' is 'test', but 'train' in .*train\.csv"):
        read_cxr_lt_2026(tmp_path)
