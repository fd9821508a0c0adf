"""CXR-LT 2024: files for three tasks that tell of the same images, in the published format."""

import csv
import gzip
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.sources import read_source
from mlgcn.data.sources.cxr_lt_2024 import LABELS, read_cxr_lt_2024

IDS = ["dicom_id", "subject_id", "study_id", "ViewPosition", "ViewCodeSequence_CodeMeaning", "fpath"]
HEADER_1 = (
    "Adenopathy,Atelectasis,Azygos Lobe,Calcification of the Aorta,Cardiomegaly,Clavicle Fracture,Consolidation,Edema,"
    "Emphysema,Enlarged Cardiomediastinum,Fibrosis,Fissure,Fracture,Granuloma,Hernia,Hydropneumothorax,Infarction,"
    "Infiltration,Kyphosis,Lobar Atelectasis,Lung Lesion,Lung Opacity,Mass,Nodule,Normal,Pleural Effusion,"
    "Pleural Other,Pleural Thickening,Pneumomediastinum,Pneumonia,Pneumoperitoneum,Pneumothorax,Pulmonary Embolism,"
    "Pulmonary Hypertension,Rib Fracture,Round(ed) Atelectasis,Subcutaneous Emphysema,Support Devices,Tortuous Aorta,"
    "Tuberculosis"
)
HEADER_2 = (  # Normal before Nodule, where 2023 had No Finding
    "Atelectasis,Calcification of the Aorta,Cardiomegaly,Consolidation,Edema,Emphysema,Enlarged Cardiomediastinum,"
    "Fibrosis,Fracture,Hernia,Infiltration,Lung Lesion,Lung Opacity,Mass,Normal,Nodule,Pleural Effusion,Pleural Other,"
    "Pleural Thickening,Pneumomediastinum,Pneumonia,Pneumoperitoneum,Pneumothorax,Subcutaneous Emphysema,"
    "Support Devices,Tortuous Aorta"
)
TASK_1, TASK_2 = HEADER_1.split(","), HEADER_2.split(",")
TASK_3 = ["Bulla", "Cardiomyopathy", "Hilum", "Osteopenia", "Scoliosis"]
ALL = sorted([*TASK_1, *TASK_3])
COLUMNS = {1: TASK_1, 2: TASK_2, 3: TASK_3}


def image(name, patient=1, study=None, split="", **values):
    """One row as published: an image and the labels that are not 0."""
    subject, study = f"1{patient:07}", f"s5{patient if study is None else study:07}"
    path = f"files/p{subject[:2]}/p{subject}/{study}/{name}.jpg"
    row = dict(zip(IDS, (name, subject, study, "AP", "antero-posterior", path), strict=True)) | {"split": split}
    return row | dict.fromkeys(ALL, "0") | {label.replace("_", " "): str(value) for label, value in values.items()}


def write(folder, stem, rows, labels=None, extra=(), suffix=".csv", blank=0):
    """A file of the release, with the columns that it has there, and blank lines below its header."""
    if labels is None:
        labels = {"labels": ["split", *ALL], "train_labeled": TASK_1}.get(stem)
    if labels is None:
        labels = COLUMNS[int(stem[-1])] if "labeled" in stem else []
    with (gzip.open if suffix.endswith("gz") else open)(folder / f"{stem}{suffix}", "wt", newline="") as file:
        writer = csv.DictWriter(file, [*IDS, *labels, *extra], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        file.write("\n" * blank)
        writer.writerows(rows)
    return folder


def values_of(table, name):
    row = table.images.image_id.tolist().index(name)
    return dict(zip(table.names, table.values[row].tolist(), strict=True))


def known(table, name):
    return {label for label, value in values_of(table, name).items() if not np.isnan(value)}


def release(folder, suffix=".csv"):
    """Every file: two training images, two for development, two for the test, one of these labelled by hand too."""
    train = [image("a", 1, split="train", Edema=1, Bulla=1), image("b", 2, split="train", Normal=1)]
    development = [
        image("c", 3, split="development", Mass=1, Hilum=1),
        image("d", 4, split="development", Tuberculosis=1),
    ]
    test = [image("e", 5, split="test", Edema=1, Scoliosis=1), image("f", 6, split="test", Kyphosis=1)]
    write(folder, "labels", [*train, *development, *test], suffix=suffix)
    write(folder, "train_labeled", train, suffix=suffix)
    for part, rows in (("development", development), ("test", test)):
        for task in (1, 2, 3):
            hand = [image("e", 5, Edema=0, Fracture=1)]
            write(folder, f"{part}_labeled_task{task}", hand if (part, task) == ("test", 2) else rows, suffix=suffix)
            write(folder, f"{part}_task{task}", rows[:1] if (part, task) == ("test", 2) else rows, suffix=suffix)
    return folder


# What is read


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_the_whole_release_is_one_row_an_image_with_45_labels(tmp_path, suffix):
    table = read_source("cxr_lt_2024", release(tmp_path, suffix))
    assert list(table.names) == ALL == list(LABELS) and len(ALL) == 45
    assert table.images.image_id.tolist() == list("abcdef")
    assert table.images.split.tolist() == ["train", "train", "val", "val", "test", "test"]
    assert table.images.study_id.tolist() == [f"5000000{number}" for number in range(1, 7)]
    assert table.images.patient_id.tolist() == [f"1000000{number}" for number in range(1, 7)]
    assert table.images.path[0] == str(tmp_path / "files/p10/p10000001/s50000001/a.jpg")
    assert set(table.images.view) == {"frontal"}
    assert not np.isnan(table.values).any()
    positive = {name: {label for label, value in values_of(table, name).items() if value == 1} for name in "abcdef"}
    assert positive == {
        "a": {"Edema", "Bulla"}, "b": {"Normal"}, "c": {"Mass", "Hilum"}, "d": {"Tuberculosis"},
        "e": {"Edema", "Scoliosis"}, "f": {"Kyphosis"},
    }  # fmt: skip


def test_an_image_in_the_files_of_several_tasks_is_one_row_with_the_labels_of_all(tmp_path):
    write(tmp_path, "train_labeled", [image("a")])
    write(tmp_path, "development_labeled_task1", [image("c", 3, Mass=1), image("d", 4)])
    write(tmp_path, "development_labeled_task2", [image("d", 4), image("c", 3, Mass=1)])
    write(tmp_path, "development_labeled_task3", [image("c", 3, Hilum=1)])
    table = read_cxr_lt_2024(tmp_path)
    assert table.images.image_id.tolist() == ["a", "c", "d"]
    assert table.images.split.tolist() == ["train", "val", "val"]
    assert known(table, "a") == known(table, "d") == set(TASK_1)
    assert known(table, "c") == set(ALL) and values_of(table, "c")["Hilum"] == values_of(table, "c")["Mass"] == 1


@pytest.mark.parametrize("part", ["development", "test"])
@pytest.mark.parametrize("task", [1, 2, 3])
def test_a_file_without_labels_gives_images_with_unknown_labels(tmp_path, part, task):
    write(tmp_path, "train_labeled", [image("a")])
    write(tmp_path, f"{part}_task{task}", [image("z", 9)])
    for blank in ("unknown", "negative"):
        table = read_cxr_lt_2024(tmp_path, blank=blank)
        assert table.images.split.tolist() == ["train", {"development": "val", "test": "test"}[part]]
        assert known(table, "z") == set()


@pytest.mark.parametrize("split", ["development", "val", "validate"])
def test_development_is_the_split_val(tmp_path, split):
    table = read_cxr_lt_2024(write(tmp_path, "labels", [image("a", split=split)]))
    assert table.images.split.tolist() == ["val"]


@settings(max_examples=20)
@given(order=st.permutations(["split", *ALL]), other=st.permutations(TASK_1), data=st.data())
def test_columns_in_another_order_give_the_same_table(tmp_path_factory, order, other, data):
    cells = data.draw(st.lists(st.sampled_from(["0", "1", "", "-1"]), min_size=3, max_size=3))
    rows = [image(name, split="train", Mass=cell, Hilum=cells[0]) for name, cell in zip("abc", cells, strict=True)]
    tables = []
    for columns, inner in ((None, None), (order, other)):
        folder = tmp_path_factory.mktemp("order")
        write(folder, "labels", rows, columns)
        write(folder, "train_labeled", rows, inner)
        tables.append(read_cxr_lt_2024(folder, images="there", uncertain="positive"))
    np.testing.assert_array_equal(tables[0].values, tables[1].values)
    pd.testing.assert_frame_equal(tables[0].images, tables[1].images)


def test_soft_policies_make_a_soft_table(tmp_path):
    write(tmp_path, "train_labeled", [image("a", Mass=-1, Edema="")])
    table = read_cxr_lt_2024(tmp_path, uncertain=0.6, blank="negative")
    assert table.soft and values_of(table, "a")["Edema"] == 0
    assert values_of(table, "a")["Mass"] == pytest.approx(0.6)


# One task


@pytest.mark.parametrize("task", [1, 2, 3])
def test_a_task_has_its_labels_and_its_held_out_images(tmp_path, task):
    table = read_cxr_lt_2024(release(tmp_path), task=task)
    assert list(table.names) == COLUMNS[task]
    assert table.images.image_id.tolist() == (list("abcde") if task == 2 else list("abcdef"))


def test_labels_by_hand_hold_for_task_2_and_elsewhere_fill_gaps(tmp_path, caplog):
    release(tmp_path)
    with caplog.at_level(logging.WARNING):
        by_hand = read_cxr_lt_2024(tmp_path, task=2)
    assert "test_labeled_task2.csv: 2 labels of 1 images differ from those of other files, which are replaced" in (
        caplog.text
    )
    assert values_of(by_hand, "e")["Fracture"] == 1 and values_of(by_hand, "e")["Edema"] == 0
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        mined = read_cxr_lt_2024(tmp_path)
    assert "which are kept" in caplog.text
    assert values_of(mined, "e")["Fracture"] == 0 and values_of(mined, "e")["Edema"] == 1
    for name in ("labels", "test_labeled_task1"):
        (tmp_path / f"{name}.csv").unlink()
    filled = read_cxr_lt_2024(tmp_path)
    assert known(filled, "e") == {*TASK_2, *TASK_3} and values_of(filled, "e")["Fracture"] == 1


def test_a_task_without_files_of_its_own_has_the_held_out_images_of_labels_csv(tmp_path):
    write(tmp_path, "labels", [image("a", 1, split="train"), image("c", 3, split="val"), image("e", 5, split="test")])
    write(tmp_path, "test_labeled_task1", [image("z", 9)])
    assert read_cxr_lt_2024(tmp_path, task=3).images.image_id.tolist() == ["a", "c", "e"]
    assert read_cxr_lt_2024(tmp_path, task=1).images.image_id.tolist() == ["a", "c", "z"]


@pytest.mark.parametrize("task", [0, 4, "one"])
def test_another_task_is_refused(tmp_path, task):
    with pytest.raises(ValueError, match=rf"task is {task!r}, expected one of \[1, 2, 3\] or none"):
        read_cxr_lt_2024(release(tmp_path), task=task)


# Files that disagree


@pytest.mark.parametrize(
    ("stem", "row", "message"),
    [
        ("train_labeled", image("a", Edema=0), r"label 'Edema' of image 'a' is 0 in line 3, but 1 in .*labels\.csv"),
        ("train_labeled", image("a", patient=8), r"patient_id of image 'a' is '10000008', but '10000001' in .*labels"),
        ("train_labeled", image("a", study=8, Edema=1), r"study_id of image 'a' is '50000008', but '50000001' in"),
        ("test_task1", image("a", Edema=1), r"split of image 'a' is 'test', but 'train' in .*labels\.csv"),
        (
            "development_labeled_task2",
            image("c", 3),
            r"label 'Mass' of image 'c' is 0 in line 3, but 1 in .*_task1\.csv",
        ),
    ],
)
def test_files_that_disagree_are_named_with_image_and_label(tmp_path, stem, row, message):
    write(tmp_path, "labels", [image("a", split="train", Edema=1)])
    write(tmp_path, "development_labeled_task1", [image("b", 2), image("c", 3, Mass=1)])
    write(tmp_path, stem, [row], blank=1)
    with pytest.raises(ValueError, match=rf"{stem}\.csv: {message}"):
        read_cxr_lt_2024(tmp_path)


def test_how_much_differs_is_counted(tmp_path):
    names = "abcd"
    write(tmp_path, "labels", [image(name, split="train", Edema=1, Mass=1) for name in names])
    write(tmp_path, "train_labeled", [image(name, Edema=1, Mass=int(name < "c")) for name in names])
    with pytest.raises(ValueError, match="2 labels of 2 images differ"):
        read_cxr_lt_2024(tmp_path)


def test_what_is_blank_in_one_file_is_filled_from_the_other(tmp_path):
    write(tmp_path, "labels", [image("a", split="train", Edema="", Mass=1)])
    write(tmp_path, "train_labeled", [image("a", Edema=1, Mass="")])
    table = read_cxr_lt_2024(tmp_path)
    assert values_of(table, "a")["Edema"] == values_of(table, "a")["Mass"] == 1


# Other bad input


def test_a_folder_without_training_labels_is_refused(tmp_path):
    write(tmp_path, "test_labeled_task1", [image("e")])
    with pytest.raises(FileNotFoundError, match=r"no file matches labels\.csv or train_labeled\.csv"):
        read_cxr_lt_2024(tmp_path)


@pytest.mark.parametrize(
    ("stem", "column"),
    [
        ("labels", "split"),
        ("labels", "Hilum"),
        ("train_labeled", "fpath"),
        ("train_labeled", "Normal"),
        ("development_labeled_task2", "Mass"),
        ("test_labeled_task3", "Bulla"),
        ("test_task3", "study_id"),
    ],
)
def test_a_missing_column_is_named_in_every_file(tmp_path, stem, column):
    path = release(tmp_path) / f"{stem}.csv"
    pd.read_csv(path, dtype=str).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(ValueError, match=rf"{stem}\.csv: lacks the columns \['{column}'\]"):
        read_cxr_lt_2024(tmp_path)


@pytest.mark.parametrize(
    ("stem", "column"), [("labels", "No Finding"), ("train_labeled", "split"), ("test_task1", "x")]
)
def test_an_unexpected_column_is_named_in_every_file(tmp_path, stem, column):
    write(release(tmp_path), stem, [image("e", 5, split="train") | {column: "1"}], extra=[column])
    with pytest.raises(ValueError, match=rf"{stem}\.csv: has the unexpected columns \['{column}'\]"):
        read_cxr_lt_2024(tmp_path)


def test_another_label_value_or_split_is_named_with_file_line_and_column(tmp_path):
    write(tmp_path, "train_labeled", [image("a"), image("b", Kyphosis="maybe")])
    with pytest.raises(ValueError, match=r"train_labeled\.csv: column 'Kyphosis' holds 'maybe' in line 3, expected 0"):
        read_cxr_lt_2024(tmp_path)
    write(tmp_path, "labels", [image("a", split="train"), image("b", split="dev")], blank=1)
    with pytest.raises(
        ValueError, match=r"labels\.csv: column 'split' holds 'dev' in line 4, expected one of \['train"
    ):
        read_cxr_lt_2024(tmp_path)


def test_an_image_that_stands_twice_in_a_file_is_named_with_both_lines(tmp_path):
    write(
        tmp_path, "labels", [image("a", split="train"), image("b", split="train"), image("a", split="train")], blank=1
    )
    with pytest.raises(ValueError, match=r"labels\.csv: image ids repeat: 'a' stands in line 3 and line 5"):
        read_cxr_lt_2024(tmp_path)
