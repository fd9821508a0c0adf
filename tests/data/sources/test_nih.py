"""NIH ChestX-ray14: both published forms of its table, both layouts of its images, its official lists."""

import csv
import gzip
from collections import Counter

import numpy as np
import pytest

from mlgcn.data.datamodule import check_present
from mlgcn.data.images import read_image
from mlgcn.data.sources.nih import FINDINGS, read_nih

# The header of 2020, and that of 2017, whose lines end with a comma.
NEW = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
)
OLD = NEW.replace("y]\n", "y],\n")
ROWS = [
    ("00000001_000.png", "Cardiomegaly", 0, 1, "PA"),
    ("00000001_001.png", "Cardiomegaly|Emphysema", 1, 1, "AP"),
    ("00000002_000.png", "No Finding", 0, 2, "PA"),
    ("00000013_005.png", "Pleural_Thickening|Mass|Hernia", 5, 13, "LL"),
]
# Positives of the whole data set as they are commonly published.
PUBLISHED = {"Atelectasis": 11559, "Effusion": 13317, "Infiltration": 19894, "Pneumonia": 1431, "Hernia": 227}


def written(folder, rows=ROWS, header=NEW, name="Data_Entry_2017_v2020.csv"):
    comma = "," if header == OLD else ""
    lines = [f"{i},{found},{f},{p},57,M,{view},2682,2749,0.143,0.143{comma}\n" for i, found, f, p, view in rows]
    text = (header + "".join(lines)).encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return folder


def positives(table, row):
    return {name for name, value in zip(table.names, table.values[row], strict=True) if value == 1}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (NEW, "Data_Entry_2017_v2020.csv"),
        (NEW, "Data_Entry_2017_v2020.csv.gz"),
        (OLD, "Data_Entry_2017.csv"),
    ],
)
def test_both_published_forms_of_the_table_are_read(tmp_path, header, name):
    table = read_nih(written(tmp_path, header=header, name=name))
    assert table.names == FINDINGS and len(FINDINGS) == 14
    assert [positives(table, row) for row in range(4)] == [
        {"Cardiomegaly"},
        {"Cardiomegaly", "Emphysema"},
        set(),
        {"Pleural_Thickening", "Mass", "Hernia"},
    ]
    assert not np.isnan(table.values).any()
    assert table.images.to_dict("list") == {
        "image_id": [row[0] for row in ROWS],
        "path": [str(tmp_path / "images" / row[0]) for row in ROWS],
        "patient_id": ["1", "1", "2", "13"],
        "study_id": ["1-0", "1-1", "2-0", "13-5"],
        "view": ["frontal", "frontal", "frontal", "lateral"],
        "split": [""] * 4,
    }


def test_no_finding_may_be_a_label_of_its_own(tmp_path):
    table = read_nih(written(tmp_path), no_finding=True)
    assert table.names == (*FINDINGS, "No Finding")
    assert [positives(table, row) == {"No Finding"} for row in range(4)] == [False, False, True, False]


def test_images_are_found_in_the_folders_they_were_unpacked_into(tmp_path):
    written(tmp_path)
    for folder, name in (("images_001", ROWS[0][0]), ("images_012", ROWS[3][0]), ("images", ROWS[1][0])):
        path = tmp_path / folder / ("images" if folder != "images" else "") / name
        path.parent.mkdir(parents=True)
        path.touch()
    assert read_nih(tmp_path).images.path.tolist() == [
        str(tmp_path / "images_001" / "images" / ROWS[0][0]),
        str(tmp_path / "images" / ROWS[1][0]),
        str(tmp_path / "images" / ROWS[2][0]),
        str(tmp_path / "images_012" / "images" / ROWS[3][0]),
    ]


def test_images_may_stand_elsewhere(tmp_path):
    written(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    assert read_nih(tmp_path, images=str(elsewhere)).images.path[0] == str(elsewhere / ROWS[0][0])
    (elsewhere / "images").mkdir(parents=True)
    path = elsewhere / "images_012" / "images" / ROWS[3][0]
    path.parent.mkdir(parents=True)
    path.touch()
    paths = read_nih(tmp_path, images=str(elsewhere)).images.path
    assert (paths[0], paths[3]) == (str(elsewhere / "images" / ROWS[0][0]), str(path))


def lists(folder, train, test):
    (folder / "train_val_list.txt").write_text("\n".join(train))
    (folder / "test_list.txt").write_text("\n".join(test))


def test_the_official_lists_are_the_split(tmp_path):
    names = [row[0] for row in ROWS]
    # The lists hold other images too where the table is a part of the whole.
    lists(written(tmp_path), [names[3], "00000099_000.png", names[0], names[1]], [names[2], "00000098_000.png"])
    assert read_nih(tmp_path).images.split.tolist() == ["train", "train", "test", "train"]


@pytest.mark.parametrize(
    ("there", "absent"), [("test_list.txt", "train_val_list.txt"), ("train_val_list.txt", "test_list.txt")]
)
def test_one_list_alone_is_refused(tmp_path, there, absent):
    (written(tmp_path) / there).write_text(ROWS[0][0])
    with pytest.raises(ValueError, match=rf"lacks {absent}, the other of the two official lists"):
        read_nih(tmp_path)


def test_images_in_both_lists_are_counted_and_named(tmp_path):
    names = [row[0] for row in ROWS]
    lists(written(tmp_path), names, [names[3], names[1], names[2], names[0]])
    three = r"\['00000001_000\.png', '00000001_001\.png', '00000002_000\.png'\]"
    with pytest.raises(ValueError, match=rf"4 images are in both official lists, the first {three}"):
        read_nih(tmp_path)


def test_images_in_neither_list_are_counted_and_named(tmp_path):
    lists(written(tmp_path), [ROWS[0][0]], [ROWS[3][0]])
    named = r"2 images are in neither official list, the first \['00000001_001\.png', '00000002_000\.png'\]"
    with pytest.raises(ValueError, match=named):
        read_nih(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("x.png", "Mass|Covid", 0, 3, "PA"), r"column 'Finding Labels' holds \['Covid'\], expected \['Atelectasis', "),
        (("x.png", "mass", 0, 3, "PA"), r"column 'Finding Labels' holds \['mass'\], expected .*; see line 7"),
        (("x.png", "", 0, 3, "PA"), "column 'Finding Labels' is blank in line 7"),
        (("x.png", "No Finding|Mass", 0, 3, "PA"), r"holds 'No Finding\|Mass' in line 7, expected findings or 'No Fi"),
        (("x.png", "Mass", 0, 3, "XX"), r"holds \['XX'\], expected \['PA', 'AP', 'LL', ''\]; see line 7"),
        (("x.png", "Mass", 0, "", "PA"), "column 'Patient ID' is blank in line 7"),
        (("x.png", "Mass", "", 3, "PA"), "column 'Follow-up #' is blank in line 7"),
        (("", "Mass", 0, 3, "PA"), "column 'Image Index' is blank in line 7"),
        (ROWS[0], r"image ids repeat: \['00000001_000\.png'\]"),
    ],
)
def test_an_unexpected_cell_stops_the_reading(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_nih(written(tmp_path, [*ROWS, row], header=f"{NEW}\n"))


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Data_Entry_2017_v2020\.csv: lacks the columns \['View Position'\]"):
        read_nih(written(tmp_path, header=NEW.replace("View Position", "View")))


def test_another_column_is_named_and_the_later_name_of_patient_gender_is_known(tmp_path):
    assert len(read_nih(written(tmp_path, header=NEW.replace("Patient Gender", "Patient Sex")))) == 4
    with pytest.raises(ValueError, match=r"has the unexpected columns \['Covid'\]"):
        read_nih(written(tmp_path, header=NEW.replace("Patient Gender", "Covid")))


def test_permuted_columns_give_the_same_table(tmp_path):
    plain = read_nih(written(tmp_path))
    csv = tmp_path / "Data_Entry_2017_v2020.csv"
    csv.write_text("".join(",".join(line.split(",")[::-1]) + "\n" for line in csv.read_text().splitlines()))
    again = read_nih(tmp_path)
    assert again.names == plain.names and again.images.equals(plain.images)
    np.testing.assert_array_equal(again.values, plain.values)


def test_a_folder_with_no_table_or_with_two_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file matches Data_Entry_2017\*\.csv"):
        read_nih(tmp_path)
    written(tmp_path)
    written(tmp_path, name="Data_Entry_2017_v2020.csv.gz")
    with pytest.raises(ValueError, match="several files match"):
        read_nih(tmp_path)


# The real data


def counted(lines):
    """Images of each finding and images by patient, counted line by line."""
    findings, patients = Counter(), Counter()
    for row in csv.DictReader(lines):
        findings.update(row["Finding Labels"].split("|"))
        patients[row["Patient ID"]] += 1
    return findings, patients


def assert_counts(table, lines):
    findings, patients = counted(lines)
    assert dict(zip(table.names, table.positives.tolist(), strict=True)) == dict(findings)
    assert table.images.patient_id.value_counts().to_dict() == dict(patients)


def test_the_sample_is_723_images_of_205_patients_all_of_them_there(nih_sample):
    table = read_nih(nih_sample, no_finding=True)
    assert len(table) == 723 and table.images.patient_id.nunique() == 205
    with (nih_sample / "Data_Entry_2017_v2020.csv").open() as lines:
        assert_counts(table, lines)
    assert table.positives[table.names.index("No Finding")] == 326
    assert table.positives[table.names.index("Effusion")] == 141
    assert table.positives[table.names.index("Hernia")] == 9
    check_present(table)
    image = read_image(table.images.path[700], 64)
    assert image.shape == (1, 64, 64) and image.float().std() > 10


def test_the_whole_table_is_112120_images_of_30805_patients(nih_table):
    table = read_nih(nih_table, no_finding=True)
    assert len(table) == 112_120 and table.images.patient_id.nunique() == 30_805
    with gzip.open(nih_table / "Data_Entry_2017_v2020.csv.gz", "rt") as lines:
        assert_counts(table, lines)
    for name, count in PUBLISHED.items():
        assert table.positives[table.names.index(name)] == count
