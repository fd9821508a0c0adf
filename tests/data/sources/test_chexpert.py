"""CheXpert: its four tables, where root and images may be, and what stops the reading."""

import csv
import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mlgcn.data.sources import read_source
from mlgcn.data.sources.chexpert import LABELS, read_chexpert

NAN = float("nan")
DETAILS = ["Sex", "Age", "Frontal/Lateral", "AP/PA"]
SMALL = "CheXpert-v1.0-small"
# The first rows of the published training table, with labels as they stand there, and a lateral image.
TRAIN = [
    ("train/patient00001/study1/view1_frontal.jpg", "Female,68,Frontal,AP", "1.0,,,,,,,,,0.0,,,,1.0"),
    ("train/patient00002/study2/view1_frontal.jpg", "Female,87,Frontal,AP", ",,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,"),
    ("train/patient00002/study1/view2_lateral.jpg", "Female,83,Lateral,", ",,,1.0,,,-1.0,,,,,,1.0,"),
]
VALID = [("valid/patient64541/study1/view1_frontal.jpg", "Male,73,Frontal,AP", ",".join(["0.0", "1.0"] + ["0.0"] * 12))]
TEST = [
    ("test/patient64741/study1/view1_frontal.jpg", "Female,62,Frontal,AP", ",".join(["0.0"] * 13 + ["1.0"])),
    ("test/patient64741/study1/view2_lateral.jpg", "Female,62,Lateral,", ",".join(["0.0"] * 13 + ["1.0"])),
]
STUDIES = "Study," + ",".join(LABELS) + "\n"


def table(rows, release=SMALL, details=True, labels=True):
    header = ["Path", *(DETAILS if details else []), *(LABELS if labels else [])]
    lines = [
        ",".join([f"{release}/{path}", *([about] if details else []), *([values] if labels else [])])
        for path, about, values in rows
    ]
    return "\n".join([",".join(header), *lines]) + "\n"


def written(folder: Path, **files: str) -> Path:
    """Writes NAME.csv, or NAME.csv.gz for NAME_gz."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        if name.endswith("_gz"):
            (folder / f"{name.removesuffix('_gz')}.csv.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{name}.csv").write_text(text)
    return folder


def groundtruth(*rows):
    return STUDIES + "".join(f"CheXpert-v1.0/test/{study},{values}\n" for study, values in rows)


def assert_equal(a, b):
    assert a.names == b.names
    np.testing.assert_array_equal(a.values, b.values)
    assert a.images.to_dict("list") == b.images.to_dict("list")


# What is read


def test_labels_identifiers_views_and_the_official_split(tmp_path):
    root = written(tmp_path, train=table(TRAIN), valid=table(VALID), test=table(TEST))
    read = read_source("chexpert", root)
    assert read.names == LABELS and len(LABELS) == 14
    expected = [
        [1, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0, NAN, NAN, NAN, 1],
        [NAN, NAN, NAN, 1, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 1, NAN],
        [NAN, NAN, NAN, 1, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 1, NAN],
        [0, 1, *[0] * 12],
        [0] * 13 + [1],
        [0] * 13 + [1],
    ]
    np.testing.assert_array_equal(read.values, expected)
    paths = [path for path, _, _ in (*TRAIN, *VALID, *TEST)]
    assert read.images.to_dict("list") == {
        "image_id": paths,
        "path": [str(tmp_path / path) for path in paths],
        "patient_id": ["patient00001", "patient00002", "patient00002", "patient64541", *["patient64741"] * 2],
        "study_id": [path.rsplit("/", 1)[0] for path in paths],
        "view": ["frontal", "frontal", "lateral", "frontal", "frontal", "lateral"],
        "split": ["train"] * 3 + ["val"] + ["test"] * 2,
    }


@pytest.mark.parametrize("uncertain", ["positive", "negative", 0.6])
@pytest.mark.parametrize("blank", ["unknown", "negative"])
def test_uncertain_and_blank_mean_what_their_policy_says(tmp_path, uncertain, blank):
    read = read_chexpert(written(tmp_path, train=table(TRAIN)), uncertain=uncertain, blank=blank)
    meaning = {"positive": 1, "negative": 0, "unknown": NAN}
    for row, (_, _, values) in enumerate(TRAIN):
        cells = {"-1.0": meaning.get(uncertain, uncertain), "": meaning[blank], "1.0": 1, "0.0": 0}
        np.testing.assert_allclose(read.values[row], [cells[cell] for cell in values.split(",")], rtol=1e-6)


def test_gz_and_permuted_columns_give_the_same_table(tmp_path):
    plain = read_chexpert(written(tmp_path / "a", train=table(TRAIN)))
    packed = read_chexpert(written(tmp_path / "b", train_gz=table(TRAIN)), images=str(tmp_path / "a"))
    rows = [line.split(",") for line in table(TRAIN).splitlines()]
    permuted = "\n".join(",".join(row[::-1]) for row in rows) + "\n"
    turned = read_chexpert(written(tmp_path / "c", train=permuted), images=str(tmp_path / "a"))
    for other in (packed, turned):
        assert other.names == plain.names
        assert_equal(other, plain)


def test_the_root_may_be_the_folder_around_the_release(tmp_path):
    release = written(tmp_path / SMALL, train=table(TRAIN))
    assert_equal(read_chexpert(tmp_path), read_chexpert(release))
    assert read_chexpert(tmp_path).images.path[0] == str(release / TRAIN[0][0])
    written(tmp_path / "CheXpert-v1.0", train=table(TRAIN, "CheXpert-v1.0"))
    with pytest.raises(ValueError, match=r"several releases have tables, expected one: \['CheXpert-v1\.0', 'CheXpert-"):
        read_chexpert(tmp_path)


def test_images_stand_in_the_folder_given_or_in_the_release_in_it(tmp_path):
    root = written(tmp_path / "tables", train=table(TRAIN))
    elsewhere = tmp_path / "elsewhere"
    assert read_chexpert(root, images=str(elsewhere)).images.path[0] == str(elsewhere / TRAIN[0][0])
    (elsewhere / SMALL).mkdir(parents=True)
    assert read_chexpert(root, images=str(elsewhere)).images.path[0] == str(elsewhere / SMALL / TRAIN[0][0])


BATCH = "CheXpert-v1.0 batch {}"


def batches(folder):
    """The full release as downloaded: patients in the batches of training images, valid/ beside the tables."""
    names = [BATCH.format(end) for end in ("1 (validate & csv)", "2 (train 1)", "3 (train 2)")]
    full = "CheXpert-v1.0"
    root = written(folder / names[0], train=table(TRAIN, full), valid=table(VALID, full))
    paths = [
        folder / names[1] / TRAIN[0][0].removeprefix("train/"),
        folder / names[2] / TRAIN[1][0].removeprefix("train/"),
        folder / names[2] / TRAIN[2][0].removeprefix("train/"),
        root / VALID[0][0],
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root, [str(path) for path in paths]


def test_the_full_release_is_read_as_it_was_downloaded_in_batches(tmp_path, monkeypatch):
    first, paths = batches(tmp_path)
    for root in (tmp_path, first):
        read = read_chexpert(root)
        assert read.images.path.tolist() == paths
        assert read.images.image_id.tolist() == [path for path, _, _ in (*TRAIN, *VALID)]
        assert read.images.split.tolist() == ["train"] * 3 + ["val"]
    tables = written(tmp_path / "elsewhere", train=table(TRAIN, "CheXpert-v1.0"))
    assert read_chexpert(tables, images=str(tmp_path)).images.path.tolist() == paths[:3]
    monkeypatch.chdir(first)
    here = read_chexpert(Path()).images.path
    assert [str(Path(path).resolve()) for path in here] == paths


def test_every_folder_of_the_release_is_listed_once(tmp_path, monkeypatch):
    first, _ = batches(tmp_path)
    rows = [(f"patient6474{i}/study1", ",".join(["0"] * 14)) for i in range(5)]
    written(first, groundtruth=groundtruth(*rows))
    listed, scandir = [], os.scandir
    monkeypatch.setattr("mlgcn.data.sources.chexpert.os.scandir", lambda path: listed.append(path) or scandir(path))
    assert len(read_chexpert(tmp_path)) == 9
    batch = [path for path in listed if Path(path).name.startswith("CheXpert")]
    assert max(Counter(map(str, batch)).values()) <= 2  # as a batch, and as the folder of the tables


# The test set


def test_a_test_table_without_labels_or_details_leaves_the_labels_unknown(tmp_path):
    read = read_chexpert(written(tmp_path, test=table(TEST, details=False, labels=False)))
    assert np.isnan(read.values).all() and read.images["view"].tolist() == ["frontal", "lateral"]


def test_the_released_labels_of_the_test_studies_go_to_their_images(tmp_path):
    values = "0,1,0,1,0,0,0,0,1,0,0,0,0,1"
    root = written(
        tmp_path,
        train=table(TRAIN),
        test=table(TEST, details=False, labels=False),
        groundtruth=groundtruth(("patient64741/study1", values)),
    )
    read = read_chexpert(root).split("test")
    np.testing.assert_array_equal(read.values, [[float(value) for value in values.split(",")]] * 2)
    assert read.images.image_id.tolist() == [path for path, _, _ in TEST]


def test_without_a_table_of_test_images_they_are_those_in_the_folder_of_the_study(tmp_path):
    rows = [(f"patient6474{i}/study1", ",".join(["0"] * 13 + [str(i % 2)])) for i in (1, 2)]
    written(tmp_path, groundtruth_gz=groundtruth(*rows))
    study = tmp_path / "test" / "patient64742" / "study1"
    study.mkdir(parents=True)
    for name in ("view1_frontal.jpg", "view2_lateral.jpg"):
        (study / name).touch()
    read = read_chexpert(tmp_path)
    assert read.images.image_id.tolist() == [
        "test/patient64741/study1/view1_frontal.jpg",
        "test/patient64742/study1/view1_frontal.jpg",
        "test/patient64742/study1/view2_lateral.jpg",
    ]
    assert read.values[:, -1].tolist() == [1, 0, 0] and set(read.images.split) == {"test"}
    assert read.images["view"].tolist() == ["frontal", "frontal", "lateral"]


def test_tables_that_disagree_about_a_study_are_refused(tmp_path):
    truth = groundtruth(("patient64741/study1", "0,0,1,0,0,0,0,0,0,0,0,0,0,1"))
    named = "groundtruth.csv: 'Cardiomegaly' of the study test/patient64741/study1 is 1, but 0 in the table of the ima"
    with pytest.raises(ValueError, match=named):
        read_chexpert(written(tmp_path, test=table(TEST), groundtruth=truth))


# Bad input


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "train/patient00002/study1",
            "train/00002/study1",
            r"column 'Path' holds .* in line 5, expected a path such as",
        ),
        ("Lateral,,", "Oblique,,", r"column 'Frontal/Lateral' holds 'Oblique' in line 5, expected 'Lateral'"),
        ("0.0,,,,1.0", "0.0,,,,2.0", r"column 'Support Devices' holds '2\.0' in line 3, expected 0, 1, -1 or blank"),
        ("0.0,,,,1.0", "0.0,,,,yes", r"column 'Support Devices' holds 'yes' in line 3"),
        ("Lung Lesion", "Lesion", r"has the unexpected columns \['Lesion'\]"),
        ("Frontal/Lateral", "", r"lacks the columns \['Frontal/Lateral'\]"),
        ("patient00002/study2/view1", "patient00001/study1/view1", r"image ids repeat: \['train/patient00001/study1/v"),
    ],
)
def test_what_is_not_chexperts_is_named(tmp_path, old, new, message):
    text = table(TRAIN)
    assert old in text
    with pytest.raises(ValueError, match=message):
        read_chexpert(written(tmp_path, train=text.replace(old, new).replace("\n", "\n\n", 1)))


def test_missing_columns_and_missing_or_doubled_files_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none of \['train\.csv', 'train\.csv\.gz', 'valid.*or in a folder CheX"
    ):
        read_chexpert(tmp_path)
    with pytest.raises(ValueError, match=r"train\.csv: lacks the columns \['No Finding', .*'Support Devices'\]"):
        read_chexpert(written(tmp_path, train=table(TRAIN, labels=False)))
    with pytest.raises(ValueError, match=r"several files match train\.csv or train\.csv\.gz"):
        read_chexpert(written(tmp_path, train_gz=table(TRAIN)))


def test_a_study_that_repeats_or_is_none_is_refused(tmp_path):
    row = ("patient64741/study1", ",".join(["0"] * 14))
    with pytest.raises(ValueError, match=r"the study test/patient64741/study1 repeats"):
        read_chexpert(written(tmp_path, groundtruth=groundtruth(row, row)))
    with pytest.raises(ValueError, match=r"column 'Study' holds 'CheXpert-v1\.0/test/x/study1' in line 2"):
        read_chexpert(written(tmp_path, groundtruth=groundtruth(("x/study1", row[1]))))


# The real data


def test_the_whole_training_table_is_223414_images_of_64540_patients(xrv_tables, tmp_path):
    (tmp_path / "train.csv.gz").symlink_to(xrv_tables / "chexpert_train.csv.gz")
    read = read_chexpert(tmp_path)
    cells, patients = Counter(), set()
    with gzip.open(tmp_path / "train.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            cells.update((label, row[label]) for label in LABELS)
            patients.add(row["Path"].split("/")[2])
    assert len(read) == 223_414 and set(read.images.patient_id) == patients and len(patients) == 64_540
    assert read.positives.tolist() == [cells[label, "1.0"] for label in LABELS]
    assert (read.known - read.positives).tolist() == [cells[label, "0.0"] for label in LABELS]
