"""PadChest: lists as they stand in the published table, damaged files, and what stops the reading."""

import ast
import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.sources import read_source
from mlgcn.data.sources.padchest import CORRUPT, read_padchest

NAME = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
# As published: the first column has no name.
PUBLISHED = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,PhotometricInterpretation_DICOM,"
    "PixelRepresentation_DICOM,PixelAspectRatio_DICOM,SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,"
    "WindowWidth_DICOM,Rows_DICOM,Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,ExposureTime,"
    "RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,LabelsLocalizationsBySentence,"
    "labelCUIS,LocalizationsCUIS"
)
HEADER = PUBLISHED.split(",")
BROKEN = "216840111366964012989926673512011083134050913_00-168-009.png"
ROWS = [
    (
        "20536686640136348236148679891455886468_k6ga29.png",
        "0",
        "839860488694292331637988235681460987",
        "PA",
        "['normal']",
    ),
    ("a_1.png", "13", "3135727", "L", "['pulmonary fibrosis', ' pleural effusion', 'COPD signs']"),
    ("a_2.png", "13", "3135727", "AP_horizontal", "['pleural effusion', ' pleural effusion', '', 'unchanged']"),
    ("b_1.png", "54", "77", "EXCLUDE", "['']"),
    ("b_2.png", "54", "77", "COSTAL", "nan"),
    ("b_3.png", "54", "77", "UNK", "[]"),
    ("c_1.png", "1", "78", "AP", "['suboptimal study', ' exclude']"),
]


def written(folder: Path, rows=ROWS, header=HEADER, name=NAME, blank=0) -> Path:
    """The table, with so many blank lines below its header."""
    folder.mkdir(exist_ok=True)
    opened = gzip.open if name.endswith(".gz") else open
    with opened(folder / name, "wt", newline="") as file:
        writer = csv.DictWriter(file, header, restval="None", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        file.write("\n" * blank)
        for number, (image, place, patient, projection, labels) in enumerate(rows):
            writer.writerow(
                {"": number, "ImageID": image, "ImageDir": place, "StudyID": image.split("_")[0], "PatientID": patient}
                | {"Projection": projection, "Labels": labels, "Report": " cambi pulmonar , cronic ."}
            )
    return folder


def found(table):
    return [
        None if np.isnan(values).all() else {name for name, value in zip(table.names, values, strict=True) if value}
        for values in table.values
    ]


@pytest.mark.parametrize("name", [NAME, f"{NAME}.gz"])
def test_lists_are_read_as_they_are_meant(tmp_path, name):
    table = read_source("padchest", written(tmp_path, name=name))
    assert table.names == (
        "COPD signs", "exclude", "normal", "pleural effusion", "pulmonary fibrosis", "suboptimal study", "unchanged",
    )  # fmt: skip
    assert found(table) == [
        {"normal"},
        {"pulmonary fibrosis", "pleural effusion", "COPD signs"},
        {"pleural effusion", "unchanged"},
        None,
        None,
        None,
        {"suboptimal study", "exclude"},
    ]
    assert not (np.isnan(table.values).any(axis=1) & ~np.isnan(table.values).all(axis=1)).any()
    images = table.images
    assert images.path.tolist() == [str(tmp_path / place / image) for image, place, *_ in ROWS]
    assert images.image_id.tolist() == [row[0] for row in ROWS]
    assert images.patient_id.tolist() == [row[2] for row in ROWS]
    assert images.study_id.tolist() == [row[0].split("_")[0] for row in ROWS]
    assert images["view"].tolist() == ["frontal", "lateral", "frontal", "unknown", "frontal", "unknown", "frontal"]
    assert set(images.split) == {""}


@settings(max_examples=40)
@given(
    lists=st.lists(
        st.lists(st.sampled_from(["a", " a", "b c", "d's", "", "  ", 'e"f']), max_size=4), min_size=1, max_size=6
    ).filter(lambda lists: any(label.strip() for one in lists for label in one))
)
def test_any_list_that_python_writes_is_read(tmp_path_factory, lists):
    rows = [(f"{number}_1.png", "0", "1", "PA", str(one)) for number, one in enumerate(lists)]
    table = read_padchest(written(tmp_path_factory.mktemp("p"), rows))
    expected = [{label.strip() for label in one} - {""} for one in lists]
    assert found(table) == [one or None for one in expected]
    assert table.names == tuple(sorted(set().union(*expected)))


def test_known_damaged_files_are_left_out_unless_they_are_wanted(tmp_path):
    root = written(tmp_path, [*ROWS, (BROKEN, "50", "79", "PA", "['mass']")])
    assert BROKEN in CORRUPT and len(CORRUPT) == 21
    assert len(read_padchest(root)) == len(ROWS) and "mass" not in read_padchest(root).names
    assert read_padchest(root, include_corrupt=True).images.image_id.tolist()[-1] == BROKEN


def test_labels_may_be_listed_or_must_have_enough_images(tmp_path):
    root = written(tmp_path)
    assert read_padchest(root, least=2).names == ("pleural effusion",)
    listed = read_padchest(root, labels=["unchanged", "normal"])
    assert listed.names == ("unchanged", "normal") and listed.positives.tolist() == [1, 1]
    with pytest.raises(ValueError, match="unknown label 'norml'; did you mean 'normal'"):
        read_padchest(root, labels=["norml"])
    with pytest.raises(ValueError, match="no label has 3 images among 7"):
        read_padchest(root, least=3)


def test_images_with_a_label_may_be_left_out(tmp_path):
    table = read_padchest(written(tmp_path), leave_out=["exclude"])
    assert "c_1.png" not in set(table.images.image_id) and len(table) == len(ROWS) - 1
    assert "exclude" not in table.names and "suboptimal study" not in table.names
    with pytest.raises(ValueError, match="unknown label 'excluded'; did you mean 'exclude'"):
        read_padchest(tmp_path, leave_out=["excluded"])


def test_images_stand_in_the_tables_folders_or_side_by_side(tmp_path):
    root, images = written(tmp_path / "tables"), tmp_path / "images"
    assert read_padchest(root, images=str(images)).images.path[1] == str(images / "13" / "a_1.png")
    (images / "0").mkdir(parents=True)
    (images / "a_1.png").touch()
    paths = read_padchest(root, images=str(images)).images.path
    assert paths[:2].tolist() == [str(images / "0" / ROWS[0][0]), str(images / "a_1.png")]


def test_permuted_columns_give_the_same_table(tmp_path):
    plain = read_padchest(written(tmp_path))
    again = read_padchest(written(tmp_path, header=HEADER[::-1]))
    np.testing.assert_array_equal(again.values, plain.values)
    assert again.names == plain.names and again.images.equals(plain.images)


# Bad input


@pytest.mark.parametrize(
    "cell", ["normal", "['normal'", "['a' 'b']", "[normal]", "['a', 3]", "__import__('os')", "[,]"]
)
def test_a_cell_that_holds_no_list_is_named(tmp_path, cell):
    rows = [*ROWS, ("z_1.png", "0", "1", "PA", cell)]
    with pytest.raises(ValueError, match=r"column 'Labels' holds .* in line 10, expected a list such as \['normal'\]"):
        read_padchest(written(tmp_path, rows, blank=1))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROWS[0], "image ids repeat"),
        (("z_1.png", "0", "", "PA", "['mass']"), "column 'PatientID' is blank in line 11"),
        (("_1.png", "0", "1", "PA", "['mass']"), "column 'StudyID' is blank in line 11"),
        (("", "0", "1", "PA", "['mass']"), "column 'ImageID' is blank in line 11"),
    ],
)
def test_images_that_repeat_or_are_not_identified_are_refused(tmp_path, row, message):
    left_out = (BROKEN, "0", "1", "PA", "['normal']")
    with pytest.raises(ValueError, match=rf"{NAME}: {message}"):
        read_padchest(written(tmp_path, [left_out, *ROWS, row], blank=1))


def test_a_missing_file_and_missing_or_other_columns_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file matches PADCHEST_chest_x_ray_images_labels\*\.csv or "):
        read_padchest(tmp_path)
    with pytest.raises(ValueError, match=r"lacks the columns \['Projection', 'Labels'\]"):
        read_padchest(written(tmp_path, header=[name for name in HEADER if name not in ("Labels", "Projection")]))
    with pytest.raises(ValueError, match=r"has the unexpected columns \['Covid'\]"):
        read_padchest(written(tmp_path, header=[*HEADER, "Covid"]))


# The real data


def test_the_whole_table_is_160861_images_with_193_labels(xrv_tables, tmp_path):
    (tmp_path / f"{NAME}.gz").symlink_to(xrv_tables / f"{NAME}.gz")
    counts, images, unlabelled = Counter(), 0, 0
    with gzip.open(tmp_path / f"{NAME}.gz", "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            cell = row["Labels"]
            labels = set() if cell == "nan" else {label.strip() for label in ast.literal_eval(cell)} - {""}
            counts.update(labels)
            images, unlabelled = images + 1, unlabelled + (not labels)
    table = read_padchest(tmp_path, include_corrupt=True)
    assert len(table) == images == 160_861 and len(table.names) == 193
    assert dict(zip(table.names, table.positives.tolist(), strict=True)) == dict(counts)
    assert np.isnan(table.values[:, 0]).sum() == unlabelled
    assert set(table.images.image_id) >= CORRUPT
