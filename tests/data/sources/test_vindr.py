"""VinDr-CXR and VinBigData: what several readers say together, official parts, and what stops the reading."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.sources import read_source
from mlgcn.data.sources.vindr import VINBIGDATA_LABELS, VINDR_LABELS, read_vindr

NAN = float("nan")
# The published headers: the test table has no readers, and writes "Other disease".
FINDINGS = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,"
    "Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,"
    "Tuberculosis,Other diseases,No finding"
)
TRAIN = f"image_id,rad_id,{FINDINGS}"
TEST = f"image_id,{FINDINGS.replace('Other diseases', 'Other disease')}"
BOXES = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
A, B, C = "50a418190bc3fb1ef1633bf9678929b3", "21a10246a5ec7af151081d0cd6d65dc9", "9a5094b2563a1ef3ff50dc5c7ff71345"


def row(*labels, image=A, reader=None, blank=()):
    """A row of a table with a column a label."""
    values = ["" if name in blank else str(int(name in labels)) for name in FINDINGS.split(",")]
    return ",".join([image, *([reader] if reader else []), *values])


def box(image, name, reader):
    number = VINBIGDATA_LABELS.index(name)
    where = ",,," if name == "No finding" else "691.0,1375.0,1653.0,1831.0"
    return f"{image},{name},{number},{reader},{where}"


def written(folder: Path, name: str, header: str, *rows: str) -> Path:
    text = "\n".join([header, *rows]) + "\n"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder


def found(table, image):
    place = table.images.image_id.tolist().index(image)
    return {name for name, value in zip(table.names, table.values[place], strict=True) if value == 1}


READ = [
    row("Cardiomegaly", "Other diseases", image=A, reader="R9"),
    row("No finding", image=B, reader="R1"),
    row("Cardiomegaly", "Edema", image=A, reader="R10"),
    row("No finding", image=B, reader="R2"),
    row("No finding", image=A, reader="R8"),
    row("Lung tumor", image=B, reader="R3"),
]
AGREED = [row("Pneumonia", "Other diseases", image=C)]


# VinDr-CXR


def test_most_readers_or_any_of_them_decide_about_a_label(tmp_path):
    root = written(tmp_path, "image_labels_train.csv", TRAIN, *READ)
    most, some = read_source("vindr", root), read_source("vindr", root, readers="any")
    assert most.names == VINDR_LABELS == tuple(FINDINGS.split(",")) and len(VINDR_LABELS) == 28
    assert [found(most, A), found(most, B)] == [{"Cardiomegaly"}, {"No finding"}]
    # One reader's finding contradicts that nothing was found.
    assert [found(some, A), found(some, B)] == [{"Cardiomegaly", "Edema", "Other diseases"}, {"Lung tumor"}]
    assert not np.isnan(most.values).any()


def test_both_parts_are_read_and_are_the_official_split(tmp_path):
    written(tmp_path, "annotations/image_labels_train.csv.gz", TRAIN, *READ)
    written(tmp_path, "annotations/image_labels_test.csv", TEST, *AGREED)
    table = read_vindr(tmp_path)
    assert table.images.to_dict("list") == {
        "image_id": [A, B, C],
        "path": [str(tmp_path / part / f"{image}.dicom") for part, image in (("train", A), ("train", B), ("test", C))],
        "patient_id": [A, B, C],
        "study_id": [A, B, C],
        "view": ["frontal"] * 3,
        "split": ["train", "train", "test"],
    }
    assert found(table, C) == {"Pneumonia", "Other diseases"}


@settings(max_examples=40)
@given(
    # A reader who finds something and nothing is refused.
    votes=st.lists(st.tuples(*[st.sampled_from([0, 1, None])] * 2).filter((1, 1).__ne__), min_size=1, max_size=5),
    rule=st.sampled_from(["majority", "any"]),
)
def test_each_label_is_decided_by_the_readers_who_gave_it(tmp_path_factory, votes, rule):
    names = ("Cardiomegaly", "No finding")
    rows = [
        row(
            *(name for name, vote in zip(names, both, strict=True) if vote),
            reader=f"R{number}",
            blank=[name for name, vote in zip(names, both, strict=True) if vote is None],
        )
        for number, both in enumerate(votes)
    ]
    table = read_vindr(written(tmp_path_factory.mktemp("v"), "image_labels_train.csv", TRAIN, *rows), readers=rule)
    for place, name in enumerate(names):
        given_ = [both[place] for both in votes if both[place] is not None]
        value = table.values[0, table.names.index(name)]
        if not given_:
            assert np.isnan(value)
        elif rule == "majority":
            assert value == (2 * sum(given_) > len(given_))
        else:
            assert value == (all(given_) if name == "No finding" else any(given_))


def test_blank_cells_mean_what_the_policy_says(tmp_path):
    rows = [row("Edema", image=C, blank=["ILD"])]
    root = written(tmp_path, "image_labels_test.csv", TEST, *rows)
    place = VINDR_LABELS.index("ILD")
    values = [read_vindr(root, blank=policy).values[0, place] for policy in ("unknown", "negative", "positive")]
    np.testing.assert_array_equal(values, [NAN, 0, 1])
    with pytest.raises(ValueError, match=r"blank is '0\.5', expected positive, negative or unknown: readers vote"):
        read_vindr(root, blank="0.5")


def test_permuted_columns_give_the_same_table(tmp_path):
    plain = read_vindr(written(tmp_path, "image_labels_train.csv", TRAIN, *READ))
    turned = [",".join(line.split(",")[::-1]) for line in (TRAIN, *READ)]
    again = read_vindr(written(tmp_path, "image_labels_train.csv", *turned))
    np.testing.assert_array_equal(again.values, plain.values)
    assert again.names == plain.names and again.images.equals(plain.images)


def test_images_are_found_under_any_of_their_endings(tmp_path):
    written(tmp_path, "image_labels_train.csv", TRAIN, *READ)
    written(tmp_path, "image_labels_test.csv", TEST, *AGREED)
    elsewhere = tmp_path / "elsewhere"
    for path in (elsewhere / "train" / f"{A}.dcm", elsewhere / f"{C}.png", elsewhere / "train" / "notes.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert read_vindr(tmp_path, images=str(elsewhere)).images.path.tolist() == [
        str(elsewhere / "train" / f"{A}.dcm"),
        str(elsewhere / "train" / f"{B}.dicom"),
        str(elsewhere / f"{C}.png"),
    ]


# VinBigData

DRAWN = [
    box(A, "Cardiomegaly", "R10"),
    box(B, "No finding", "R11"),
    box(A, "Cardiomegaly", "R9"),
    box(A, "ILD", "R9"),
    box(A, "ILD", "R9"),
    box(A, "No finding", "R8"),
    box(B, "No finding", "R2"),
    box(B, "Pneumothorax", "R3"),
]


def test_rows_of_boxes_become_one_row_an_image(tmp_path):
    root = written(tmp_path, "train.csv", BOXES, *DRAWN)
    most, some = read_vindr(root), read_vindr(root, readers="any")
    assert most.names == VINBIGDATA_LABELS and len(VINBIGDATA_LABELS) == 15
    assert [found(most, A), found(most, B)] == [{"Cardiomegaly"}, {"No finding"}]
    assert [found(some, A), found(some, B)] == [{"Cardiomegaly", "ILD"}, {"Pneumothorax"}]
    assert most.images.image_id.tolist() == [A, B] and set(most.images.split) == {""}
    assert most.images.path[1] == str(tmp_path / "train" / f"{B}.dicom")


def test_where_both_releases_are_there_one_must_be_named(tmp_path):
    written(tmp_path, "train.csv.gz", BOXES, *DRAWN)
    written(tmp_path, "image_labels_train.csv", TRAIN, *READ)
    with pytest.raises(ValueError, match=r"holds the tables of both \['vindr_cxr', 'vinbigdata'\]; say which as the o"):
        read_vindr(tmp_path)
    assert len(read_vindr(tmp_path, release="vinbigdata").names) == 15
    assert len(read_vindr(tmp_path, release="vindr_cxr").names) == 28


# Bad input


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (box(A, "ILD", "R8"), f"reader 'R8' of image '{A}' has both 'No finding' and a finding"),
        (box(A, "ILD", "R9").replace(",5,", ",6,"), r"hold 'ILD' and '6' in line 11, expected one of \{'Aortic"),
        (box("", "ILD", "R9"), r"train\.csv: column 'image_id' is blank in line 11"),
        (f"{A},Covid,5,R9,1,2,3,4", "hold 'Covid' and '5' in line 11, expected one of"),
    ],
)
def test_an_unexpected_box_stops_the_reading(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read_vindr(written(tmp_path, "train.csv", BOXES, "", *DRAWN, line))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row(reader="R9"), f"reader 'R9' has several rows for image '{A}'"),
        (row(reader="R7")[:-1] + "2", "column 'No finding' holds '2' in line 9, expected 0, 1"),
        (row(reader="R7")[:-1] + "-1", "column 'No finding' holds '-1' in line 9, expected 0, 1 or blank"),
        (row(image="", reader="R7"), r"image_labels_train\.csv: column 'image_id' is blank in line 9"),
        (row(reader=" "), "column 'rad_id' is blank in line 9"),
        (row("Edema", "No finding", reader="R7"), f"image '{A}' has both 'No finding' and 'Edema' in line 9"),
    ],
)
def test_an_unexpected_row_stops_the_reading(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read_vindr(written(tmp_path, "image_labels_train.csv", TRAIN, "", *READ, line))


def test_a_test_image_with_a_finding_and_none_is_refused_but_not_for_what_a_blank_means(tmp_path):
    rows = [row("Edema", "No finding", image=B)]
    with pytest.raises(ValueError, match=f"image '{B}' has both 'No finding' and 'Edema' in line 2"):
        read_vindr(written(tmp_path, "image_labels_test.csv", TEST, *rows))
    root = written(tmp_path, "image_labels_test.csv", TEST, row("Edema", image=B, blank=["No finding"]))
    assert found(read_vindr(root, blank="positive"), B) == {"Edema", "No finding"}


def test_an_image_in_both_parts_or_twice_in_the_test_part_is_refused(tmp_path):
    written(tmp_path, "image_labels_train.csv", TRAIN, *READ)
    for rows in ([row(image=A)], [row(image=C), row("Edema", image=C)]):
        with pytest.raises(ValueError, match=rf"image ids repeat: \['{rows[0][:32]}'\]"):
            read_vindr(written(tmp_path, "image_labels_test.csv", TEST, *rows))


def test_missing_files_and_missing_or_other_columns_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of \['image_labels_train\.csv', .*'train\.csv'\] \(or \.gz\)"):
        read_vindr(tmp_path)
    with pytest.raises(ValueError, match=r"train\.csv: lacks the columns \['rad_id'\]"):
        read_vindr(written(tmp_path / "a", "train.csv", BOXES.replace("rad_id", "reader"), *DRAWN))
    with pytest.raises(ValueError, match=r"has the unexpected columns \['width'\]"):
        read_vindr(written(tmp_path / "b", "train.csv", f"{BOXES},width", *(f"{line},9" for line in DRAWN)))
    with pytest.raises(ValueError, match=r"lacks the columns \['ILD'\]"):
        read_vindr(written(tmp_path / "c", "image_labels_test.csv", TEST.replace("ILD", "Ild"), *AGREED))
    with pytest.raises(ValueError, match=r"has the unexpected columns \['Covid'\]"):
        read_vindr(written(tmp_path / "d", "image_labels_test.csv", f"{TEST},Covid", AGREED[0] + ",0"))
    with pytest.raises(FileNotFoundError, match=r"none of \['train\.csv'\]"):
        read_vindr(written(tmp_path / "e", "image_labels_test.csv", TEST, *AGREED), release="vinbigdata")


def test_another_rule_or_release_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown rule for readers: 'most'"):
        read_vindr(tmp_path, readers="most")
    with pytest.raises(ValueError, match="unknown release 'vindr'; did you mean 'vindr_cxr'"):
        read_vindr(tmp_path, release="vindr")


# The real data


def test_the_whole_training_table_is_15000_images_of_three_readers_each(xrv_tables, tmp_path):
    (tmp_path / "train.csv.gz").symlink_to(xrv_tables / "vinbigdata-train.csv.gz")
    said = defaultdict(lambda: defaultdict(set))
    with gzip.open(tmp_path / "train.csv.gz", "rt") as lines:
        for line in csv.DictReader(lines):
            said[line["image_id"]][line["class_name"]].add(line["rad_id"])
    table = read_vindr(tmp_path)
    assert len(table) == len(said) == 15_000
    for image, values in zip(table.images.image_id, table.values, strict=True):
        assert values.tolist() == [len(said[image][name]) >= 2 for name in table.names]
    assert table.positives[-1] == 10_606
