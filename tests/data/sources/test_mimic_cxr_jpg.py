"""MIMIC-CXR-JPG: metadata, split and the labels of a study, in the published format."""

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
from mlgcn.data.sources.mimic_cxr_jpg import LABELS, read_mimic_cxr_jpg

METADATA_HEADER = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
FINDINGS_HEADER = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
METADATA, FINDINGS = METADATA_HEADER.split(","), FINDINGS_HEADER.split(",")
SPLIT = ["dicom_id", "study_id", "subject_id", "split"]
STUDIES = ["subject_id", "study_id", *FINDINGS]
COLUMNS = {"metadata": METADATA, "split": SPLIT, "chexpert": STUDIES, "negbio": STUDIES}
# dicom_id, subject_id, study_id, ViewPosition, ViewCodeSequence_CodeMeaning, split
IMAGES = [
    ("a", "10000032", "50414267", "PA", "postero-anterior", "train"),
    ("b", "10000032", "50414267", "LATERAL", "lateral", "train"),
    ("c", "10000764", "57375967", "", "antero-posterior", "validate"),
    ("d", "19999987", "58971208", "", "", "test"),
]


def tables(labels=None, other=None):
    """The rows of the four tables: labels of study 50414267 as chexpert and negbio have them; 58971208 has none."""
    rows = [
        dict(zip(("dicom_id", "subject_id", "study_id", "ViewPosition", METADATA[10], "split"), image, strict=True))
        | {"Rows": "3056", "Columns": "2544", "StudyDate": "21800506", "StudyTime": "213014.531"}
        for image in IMAGES
    ]
    studies = {"50414267": "10000032", "57375967": "10000764"}
    made = {"metadata": rows, "split": rows[::-1]}
    for labeler, given_ in (("chexpert", labels or {"No Finding": "1.0"}), ("negbio", other or {"Edema": "1.0"})):
        made[labeler] = [
            {"subject_id": subject, "study_id": study} | (given_ if study == "50414267" else {"Pneumonia": "0.0"})
            for study, subject in studies.items()
        ]
    return made


def write(folder, made, suffix=".csv", columns=COLUMNS):
    folder.mkdir(exist_ok=True)
    for kind, rows in made.items():
        path = folder / f"mimic-cxr-2.0.0-{kind}{suffix}"
        with (gzip.open if suffix.endswith("gz") else open)(path, "wt", newline="") as file:
            writer = csv.DictWriter(file, columns[kind], extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return folder


def value(table, row, label):
    return table.values[row, table.names.index(label)]


# What is read


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_every_image_has_the_labels_of_its_study_and_the_official_split(tmp_path, suffix):
    write(tmp_path, tables({"No Finding": "1.0", "Edema": "0.0", "Fracture": "-1.0"}), suffix)
    table = read_source("mimic_cxr_jpg", tmp_path)
    assert table.names == LABELS == tuple(FINDINGS) and len(LABELS) == 14
    tree = tmp_path / "files"
    assert table.images.to_dict("list") == {
        "image_id": ["a", "b", "c", "d"],
        "path": [
            str(tree / "p10/p10000032/s50414267/a.jpg"),
            str(tree / "p10/p10000032/s50414267/b.jpg"),
            str(tree / "p10/p10000764/s57375967/c.jpg"),
            str(tree / "p19/p19999987/s58971208/d.jpg"),
        ],
        "patient_id": ["10000032", "10000032", "10000764", "19999987"],
        "study_id": ["50414267", "50414267", "57375967", "58971208"],
        "view": ["frontal", "lateral", "frontal", "unknown"],
        "split": ["train", "train", "val", "test"],
    }
    assert value(table, 0, "No Finding") == value(table, 1, "No Finding") == 1
    assert value(table, 0, "Edema") == value(table, 1, "Edema") == value(table, 2, "Pneumonia") == 0
    assert np.isnan(table.values).sum(axis=1).tolist() == [12, 12, 13, 14]


def test_the_labels_are_those_of_the_chosen_labeller_and_the_other_table_is_not_read(tmp_path):
    write(tmp_path, tables())
    assert value(read_mimic_cxr_jpg(tmp_path), 0, "No Finding") == 1
    table = read_mimic_cxr_jpg(tmp_path, labeler="negbio")
    assert value(table, 0, "Edema") == 1 and np.isnan(value(table, 0, "No Finding"))
    (tmp_path / "mimic-cxr-2.0.0-negbio.csv").write_text("nonsense")
    assert value(read_mimic_cxr_jpg(tmp_path), 0, "No Finding") == 1


def test_whose_labels_were_taken_is_told_where_others_are_there(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    root = write(tmp_path / "both", tables())
    read_mimic_cxr_jpg(root)
    assert "the labels are those of chexpert; for others, --data.options.labeler negbio" in caplog.text
    caplog.clear()
    read_mimic_cxr_jpg(root, labeler="chexpert")
    (root / "mimic-cxr-2.0.0-negbio.csv").unlink()
    read_mimic_cxr_jpg(root)
    assert "labeler" not in caplog.text


@pytest.mark.parametrize(
    ("uncertain", "blank", "expected"),
    [
        ("unknown", "unknown", [np.nan, np.nan]),
        ("positive", "negative", [1, 0]),
        ("negative", "positive", [0, 1]),
        (0.75, 0.25, [0.75, 0.25]),
    ],
)
def test_uncertain_and_blank_mean_what_the_policy_says(tmp_path, uncertain, blank, expected):
    write(tmp_path, tables({"Edema": "-1.0"}))
    table = read_mimic_cxr_jpg(tmp_path, uncertain=uncertain, blank=blank)
    np.testing.assert_array_equal([value(table, 1, "Edema"), value(table, 1, "Fracture")], expected)
    assert np.isnan(table.values[3]).all()  # no row of its study, which is no blank
    assert table.soft == isinstance(uncertain, float)


@settings(max_examples=20)
@given(metadata=st.permutations(METADATA), split=st.permutations(SPLIT), studies=st.permutations(STUDIES))
def test_columns_in_another_order_give_the_same_table(tmp_path_factory, metadata, split, studies):
    columns = {"metadata": metadata, "split": split, "chexpert": studies, "negbio": studies}
    one = read_mimic_cxr_jpg(write(tmp_path_factory.mktemp("one"), tables()), images="there")
    other = read_mimic_cxr_jpg(write(tmp_path_factory.mktemp("other"), tables(), columns=columns), images="there")
    np.testing.assert_array_equal(one.values, other.values)
    pd.testing.assert_frame_equal(one.images, other.images)


def test_images_may_stand_elsewhere_and_their_absence_shows_when_the_data_set_is_built(tmp_path):
    write(tmp_path / "tables", tables())
    branch = tmp_path / "jpg/files/p10/p10000032/s50414267"
    branch.mkdir(parents=True)
    for name in "ab":
        (branch / f"{name}.jpg").touch()
    for images in ("jpg", "jpg/files"):
        table = read_mimic_cxr_jpg(tmp_path / "tables", images=str(tmp_path / images))
        assert table.images.path[1] == str(branch / "b.jpg")
        with pytest.raises(FileNotFoundError, match=r"2 of 4 images are absent(.|\n)*c\.jpg\n(.|\n)*d\.jpg"):
            check_present(table)


def test_tables_of_version_2_1_are_read_too_but_not_both(tmp_path):
    write(tmp_path, tables())
    for path in sorted(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("2.0.0", "2.1.0"))
    assert value(read_mimic_cxr_jpg(tmp_path), 0, "No Finding") == 1
    write(tmp_path, tables())
    with pytest.raises(
        ValueError, match=r"several files match .*: \['mimic-cxr-2\.0\.0-metadata\.csv', 'mimic-cxr-2\.1"
    ):
        read_mimic_cxr_jpg(tmp_path)


HAND = "mimic-cxr-2.1.0-test-set-labeled.csv"


@pytest.mark.parametrize("opacity", ["Airspace Opacity", "Lung Opacity"])
def test_the_labels_of_the_radiologist_are_read_where_they_are_asked_for(tmp_path, caplog, opacity):
    write(tmp_path, tables())
    names = ["No Finding", opacity, *[name for name in LABELS if name not in ("No Finding", "Lung Opacity")]]
    cells = {"No Finding": "0.0", opacity: "1.0", "Edema": "-1.0"}
    row = ",".join(["58971208", *(cells.get(name, "") for name in names)])
    (tmp_path / HAND).write_text(",".join(["study_id", *names]) + f"\n{row}\n")
    assert value(read_mimic_cxr_jpg(tmp_path), 0, "No Finding") == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        table = read_mimic_cxr_jpg(tmp_path, labeler="radiologist", uncertain=0.5)
    assert table.names == LABELS
    assert {name: value(table, 3, name) for name in LABELS if not np.isnan(value(table, 3, name))} == {
        "No Finding": 0,
        "Lung Opacity": 1,
        "Edema": 0.5,
    }
    assert np.isnan(table.values[:3]).all() and f"{HAND}: lacks 2 of 3 studies" in caplog.text


# Bad input


@pytest.mark.parametrize("kind", ["metadata", "split", "chexpert"])
def test_a_missing_table_is_named(tmp_path, kind):
    write(tmp_path, tables())
    (tmp_path / f"mimic-cxr-2.0.0-{kind}.csv").unlink()
    with pytest.raises(FileNotFoundError, match=rf"no file matches mimic-cxr-2\.0\.0-{kind}\.csv or .*\.csv\.gz"):
        read_mimic_cxr_jpg(tmp_path)


def test_another_labeller_or_one_beside_labels_is_refused(tmp_path):
    write(tmp_path, tables())
    with pytest.raises(ValueError, match=r"labeler is 'chexbert', expected one of \['chexpert', 'negbio', 'radiolog"):
        read_mimic_cxr_jpg(tmp_path, labeler="chexbert")
    with pytest.raises(ValueError, match=r"labels 'x\.csv' stand in place of the labeler's, which is 'chexpert': give"):
        read_mimic_cxr_jpg(tmp_path, labeler="chexpert", labels="x.csv")


@pytest.mark.parametrize(
    ("kind", "column"),
    [("metadata", "ViewPosition"), ("metadata", "dicom_id"), ("split", "split"), ("chexpert", "Lung Opacity")],
)
def test_a_missing_column_is_named(tmp_path, kind, column):
    columns = COLUMNS | {kind: [name for name in COLUMNS[kind] if name != column]}
    with pytest.raises(ValueError, match=rf"{kind}\.csv: lacks the columns \['{column}'\]"):
        read_mimic_cxr_jpg(write(tmp_path, tables(), columns=columns))


@pytest.mark.parametrize(
    ("kind", "column"), [("metadata", "Edema"), ("split", "fold"), ("chexpert", "Airspace Opacity")]
)
def test_an_unexpected_column_is_named(tmp_path, kind, column):
    columns = COLUMNS | {kind: [*COLUMNS[kind], column]}
    with pytest.raises(ValueError, match=rf"{kind}\.csv: has the unexpected columns \['{column}'\]"):
        read_mimic_cxr_jpg(write(tmp_path, tables(), columns=columns))


def changed(kind, row, **cells):
    made = tables()
    made[kind][row] = made[kind][row] | cells
    return made


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            changed("chexpert", 1, Edema="2.0"),
            r"chexpert\.csv: column 'Edema' holds '2\.0' in line 3, expected 0, 1, -1",
        ),
        (changed("chexpert", 1, study_id="50414267"), r"chexpert\.csv: column 'study_id' repeats \['50414267'\]"),
        (
            changed("split", 3, split="dev"),
            r"split\.csv: column 'split' holds \['dev'\], expected \['train', 'validate'",
        ),
        (changed("split", 0, dicom_id="a"), r"split\.csv: column 'dicom_id' repeats \['a'\]"),
        (changed("split", 0, dicom_id="z"), r"split\.csv: lacks 1 images of the metadata, the first \['d'\]"),
        (
            changed("split", 1, subject_id="10000032"),
            r"split\.csv: subject_id of study '57375967' \(image 'c'\) is '10000032', but '10000764' in the metadata",
        ),
        (
            changed("chexpert", 1, subject_id="p10000032"),
            r"chexpert\.csv: subject_id of study '57375967' \(image 'c'\) is '10000032', but '10000764' in",
        ),
        (changed("metadata", 1, dicom_id="a"), r"metadata\.csv: image ids repeat: \['a'\]"),
        (changed("metadata", 2, subject_id=""), r"metadata\.csv: column 'subject_id' is blank in line 4"),
    ],
)
def test_a_cell_that_cannot_be_is_named_with_its_file(tmp_path, made, message):
    with pytest.raises(ValueError, match=message):
        read_mimic_cxr_jpg(write(tmp_path, made))


# Labels from elsewhere


def test_labels_may_come_from_a_file_with_a_row_a_study(tmp_path):
    write(tmp_path / "mimic", tables())
    (tmp_path / "annotated.csv").write_text(
        "study_id,patient_id,Hernia,Edema\ns57375967,p10000764,1.0,-1.0\n50414267,10000032,,0.0\n"
    )
    table = read_source(
        "mimic_cxr_jpg", tmp_path / "mimic", labels=str(tmp_path / "annotated.csv"), uncertain="positive"
    )
    assert table.names == ("Hernia", "Edema")
    nan = np.nan
    np.testing.assert_array_equal(table.values, [[nan, 0], [nan, 0], [1, 1], [nan, nan]])


def test_studies_without_a_row_of_labels_are_counted(tmp_path, caplog):
    write(tmp_path, tables())
    with caplog.at_level(logging.WARNING):
        read_mimic_cxr_jpg(tmp_path)
        assert "mimic-cxr-2.0.0-chexpert.csv: lacks 1 of 3 studies, whose labels are unknown" in caplog.text
        caplog.clear()
        (tmp_path / "own.csv").write_text("study_id,Edema\n50414267,1\n57375967,0\n58971208,1\n")
        read_mimic_cxr_jpg(tmp_path, labels=str(tmp_path / "own.csv"))
    assert not caplog.records


def test_labels_of_none_of_the_studies_are_refused(tmp_path):
    write(tmp_path, tables())
    (tmp_path / "own.csv").write_text("study_id,Edema\n10000032,1\n")
    named = (
        r"own\.csv: has no study of the metadata; its own are such as \['10000032'\], theirs such as \['50414267', '5"
    )
    with pytest.raises(ValueError, match=named):
        read_mimic_cxr_jpg(tmp_path, labels=str(tmp_path / "own.csv"))


def test_a_file_of_labels_without_labels_is_refused(tmp_path):
    write(tmp_path / "mimic", tables())
    (tmp_path / "annotated.csv").write_text("study_id,patient_id\n1,2\n")
    with pytest.raises(ValueError, match=r"annotated\.csv: has no label column beside \['study_id', 'patient_id'\]"):
        read_source("mimic_cxr_jpg", tmp_path / "mimic", labels=str(tmp_path / "annotated.csv"))
    with pytest.raises(FileNotFoundError, match=r"there is no file .*other\.csv"):
        read_source("mimic_cxr_jpg", tmp_path / "mimic", labels=str(tmp_path / "other.csv"))
