"""LTML-MIMIC-CXR: the authors' lists, pickles and table, how they fit together, and what stops the reading."""

import csv
import gzip
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlgcn.config import config_from_dict
from mlgcn.data.sources import read_source
from mlgcn.data.sources.ltml_mimic_cxr import GROUPS, LABELS, read_ltml_mimic_cxr
from mlgcn.labels import group_labels

NAN = float("nan")
# As Lai et al. publish them.
HEAD = "Cardiomegaly, Lung Opacity, Edema, Pneumonia, Atelectasis, Pleural Effusion, Support Devices"
MIDDLE = (
    "Enlarged Cardiomediastinum, Lung Lesion, Consolidation, Pneumothorax, Pleural Other, Fracture, Pleural Thickening"
)
# The published class_split.pkl, which counts in the order of class_name.pkl.
SPLIT = {
    "tail": {13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 32, 33, 34, 35, 36, 37, 38},
    "middle": {0, 2, 5, 8, 10, 11, 30},
    "head": {1, 3, 4, 6, 7, 9, 12},
}
# image, patient, study, split, labels that are 1, labels that are -1; all others are blank, but Edema is 0
IMAGES = [
    ("02aa804e-bde0afdd", "10000032", "50414267", "train", {"Hypertension"}, {"Pneumonia"}),
    ("2a2277a9-b0ded155", "10000032", "53189527", "test", {"Embolus", "Fracture"}, set()),
    ("68b5c4b1-227d0485", "10000764", "57375967", "val", set(), {"Atelectasis"}),
    ("096052b7-d256dc40", "10000898", "50771383", "train", {"Support Devices"}, set()),
    ("8959e402-2175d68d", "10000935", "50578979", "test", {"Pleural Thickening"}, set()),
]
TABLE = "LTML_MIMIC_CXR_label_.csv"
HEADER = ["location", "study", "Reports", "No Finding", *LABELS]


def cells(positive, doubtful):
    return {label: "1.0" if label in positive else "-1.0" if label in doubtful else "" for label in LABELS}


def location(image, patient, study, *_):
    return f"./files/p{patient[:2]}/p{patient}/s{study}/{image}.jpg"


def labels_of(split, images=IMAGES):
    """The array of a pickle: what is 1, as the authors make it of their table."""
    return np.array([[int(label in row[4]) for label in LABELS] for row in images if row[3] == split])


def written(root: Path, images=IMAGES, table=TABLE, header=HEADER, pickles=True, change=None, **lists) -> Path:
    """The authors' repository, with the table where they put it."""
    folder = root / "appendix" / "mimic"
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("val", "test"):
        ids = lists.get(split, [row[0] for row in images if row[3] == split])
        (folder / f"{split}.txt").write_text("".join(f"{image}\n" for image in ids))
        if pickles:
            (folder / f"{split}.pkl").write_bytes(pickle.dumps(labels_of(split, images)))
    (folder / "class_name.pkl").write_bytes(pickle.dumps(list(LABELS), protocol=4))
    groups = {group: {np.int64(number) for number in numbers} for group, numbers in SPLIT.items()}
    (folder / "class_split.pkl").write_bytes(pickle.dumps(groups, protocol=4))
    if table:
        path = root / "data" / "mimicall" / table
        path.parent.mkdir(parents=True, exist_ok=True)
        with (gzip.open if table.endswith("gz") else open)(path, "wt", newline="") as file:
            writer = csv.DictWriter(file, header, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            for row in images:
                line = cells(row[4], row[5]) | {"Edema": "0.0", "location": location(*row), "study": f"s{row[2]}"}
                writer.writerow(line | {"Reports": "No acute,\n process.", "No Finding": ""} | (change or {}))
    return root


def by_image(table):
    return {
        image: dict(zip(table.names, values.tolist(), strict=True))
        for image, values in zip(table.images.image_id, table.values, strict=True)
    }


# The labels and groups


def test_the_labels_are_39_in_7_head_7_medium_and_25_tail(tmp_path):
    assert len(LABELS) == len(set(LABELS)) == 39
    assert GROUPS["head"] == HEAD.split(", ") and GROUPS["medium"] == MIDDLE.split(", ")
    assert [len(GROUPS[group]) for group in ("head", "medium", "tail")] == [7, 7, 25]
    for group, numbers in SPLIT.items():
        assert {LABELS[number] for number in numbers} == set(GROUPS[{"middle": "medium"}.get(group, group)])


def test_the_groups_are_what_the_evaluation_takes_as_given():
    evaluation = config_from_dict({"evaluation": {"groups": "given", "given_groups": GROUPS}}).evaluation
    groups = group_labels(LABELS, np.linspace(0.5, 0.01, 39), evaluation.groups, evaluation.given_groups)
    assert {group: set(names) for group, names in groups.items()} == {group: set(GROUPS[group]) for group in GROUPS}
    assert yaml.safe_load(yaml.safe_dump(GROUPS)) == GROUPS


# What is read


def test_identifiers_paths_and_the_authors_split(tmp_path):
    table = read_source("ltml_mimic_cxr", written(tmp_path))
    assert table.names == LABELS
    assert table.images.to_dict("list") == {
        "image_id": [row[0] for row in IMAGES],
        "path": [str(tmp_path / location(*row)) for row in IMAGES],
        "patient_id": [row[1] for row in IMAGES],
        "study_id": [row[2] for row in IMAGES],
        "view": ["frontal"] * 5,
        "split": [row[3] for row in IMAGES],
    }


@pytest.mark.parametrize("uncertain", ["unknown", "positive", "negative", 0.3])
@pytest.mark.parametrize("blank", ["unknown", "negative"])
def test_the_table_follows_the_policy(tmp_path, uncertain, blank):
    table = read_ltml_mimic_cxr(written(tmp_path, pickles=False), uncertain=uncertain, blank=blank)
    meaning = {"unknown": NAN, "positive": 1, "negative": 0}
    for (*_, positive, doubtful), values in zip(IMAGES, table.values, strict=True):
        expected = [
            1 if label in positive
            else meaning.get(uncertain, uncertain) if label in doubtful
            else 0 if label == "Edema"
            else meaning[blank]
            for label in LABELS
        ]  # fmt: skip
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_the_pickles_settle_what_the_table_leaves_unknown(tmp_path):
    table = read_ltml_mimic_cxr(written(tmp_path))
    for (_, _, _, split, positive, _), values in zip(IMAGES, table.values, strict=True):
        expected = [1 if label in positive else 0 if label == "Edema" or split != "train" else NAN for label in LABELS]
        np.testing.assert_array_equal(values, expected)


def test_without_the_table_the_lists_are_read_and_training_labels_are_unknown(tmp_path):
    root = written(tmp_path, table=None)
    (root / "appendix/mimic/img_id.txt").write_text("02aa804e-bde0afdd\n096052b7-d256dc40\n")
    table = read_ltml_mimic_cxr(root, images="/elsewhere")
    assert table.images.split.tolist() == ["train", "train", "val", "test", "test"]
    assert np.isnan(table.values[:2]).all()
    np.testing.assert_array_equal(table.values[2:], np.concatenate([labels_of("val"), labels_of("test")]))
    assert table.images.path[0] == "/elsewhere/02aa804e-bde0afdd.jpg"
    assert table.images.patient_id.tolist() == table.images.image_id.tolist()


def test_images_may_stand_side_by_side_under_their_identifiers(tmp_path):
    root, images = written(tmp_path / "a"), tmp_path / "images"
    images.mkdir()
    (images / f"{IMAGES[0][0]}.jpg").touch()
    table = read_ltml_mimic_cxr(root, images=str(images))
    assert table.images.path.tolist() == [str(images / f"{row[0]}.jpg") for row in IMAGES]
    assert table.images.patient_id.tolist() == [row[1] for row in IMAGES]
    # An earlier form of the table has the bare identifier as location.
    path = root / "data" / "mimicall" / TABLE
    text = path.read_text()
    for row in IMAGES:
        text = text.replace(location(*row), row[0])
    path.write_text(text)
    table = read_ltml_mimic_cxr(root, images="/elsewhere")
    assert table.images.image_id.tolist() == table.images.patient_id.tolist() == [row[0] for row in IMAGES]
    assert table.images.path[4] == f"/elsewhere/{IMAGES[4][0]}.jpg"


def test_images_that_only_a_list_has_are_unlabelled(tmp_path):
    root = written(tmp_path, pickles=False, val=["68b5c4b1-227d0485", "feaf7903"])
    values = by_image(read_ltml_mimic_cxr(root))
    assert np.isnan(list(values["feaf7903"].values())).all() and values["2a2277a9-b0ded155"]["Embolus"] == 1


def test_the_labelled_test_set_that_mimic_has_beside_it_is_left_alone(tmp_path):
    plain = read_ltml_mimic_cxr(written(tmp_path))
    (tmp_path / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text("study_id,Edema\n50414267,1\n")
    again = read_ltml_mimic_cxr(tmp_path)
    np.testing.assert_array_equal(again.values, plain.values)
    assert again.images.equals(plain.images)
    (tmp_path / "labels.csv").touch()
    with pytest.raises(ValueError, match=rf"several files match .*\['{TABLE}', 'labels\.csv'\]"):
        read_ltml_mimic_cxr(tmp_path)


def test_the_metadata_of_mimic_tell_patients_studies_and_views(tmp_path):
    root = written(tmp_path, table=None)
    view = {"68b5c4b1-227d0485": ("", "left anterior oblique"), "8959e402-2175d68d": ("LATERAL", "lateral")}
    lines = ["study_id,subject_id,dicom_id,ViewPosition,ViewCodeSequence_CodeMeaning,Rows"]
    for image, patient, study, *_ in (*IMAGES, ("other", "1", "2")):
        lines.append(",".join([study, patient, image, *view.get(image, ("AP", "antero-posterior")), "3056"]))
    (root / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    table = read_ltml_mimic_cxr(root)
    assert table.images.image_id.tolist() == ["68b5c4b1-227d0485", "2a2277a9-b0ded155", "8959e402-2175d68d"]
    assert table.images.patient_id.tolist() == ["10000764", "10000032", "10000935"]
    assert table.images.study_id.tolist() == ["57375967", "53189527", "50578979"]
    assert table.images["view"].tolist() == ["unknown", "frontal", "lateral"]
    assert table.images.path[0] == str(root / location(*IMAGES[2])).replace("/./", "/")
    blank = "\n".join([*lines, *lines[1:3], lines[3].replace("10000764", "")]).encode()
    (root / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(gzip.compress(blank))
    with pytest.raises(ValueError, match=r"metadata\.csv\.gz: column 'subject_id' is blank in line 10"):
        read_ltml_mimic_cxr(root)
    (root / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(gzip.compress("\n".join(lines[:3]).encode()))
    with pytest.raises(ValueError, match=r"metadata\.csv\.gz: lacks 2 images, the first \['68b5c4b1-227d0485'"):
        read_ltml_mimic_cxr(root)


def test_gz_permuted_columns_and_the_lists_own_folder_give_the_same_table(tmp_path):
    plain = read_ltml_mimic_cxr(written(tmp_path / "a"), images="x")
    for number, change in enumerate(({"table": f"{TABLE}.gz"}, {"header": HEADER[::-1]})):
        again = read_ltml_mimic_cxr(written(tmp_path / str(number), **change), images="x")
        np.testing.assert_array_equal(again.values, plain.values)
        assert again.names == plain.names and again.images.equals(plain.images)
    folder = tmp_path / "a" / "appendix" / "mimic"
    (tmp_path / "a" / "data" / "mimicall" / TABLE).rename(folder / "other.csv")
    np.testing.assert_array_equal(read_ltml_mimic_cxr(folder, csv="other.csv", images="x").values, plain.values)


def test_the_columns_of_the_pickles_go_by_the_names_that_stand_beside_them(tmp_path):
    root = written(tmp_path, table=None)
    plain, folder = read_ltml_mimic_cxr(root), root / "appendix" / "mimic"
    (folder / "class_name.pkl").write_bytes(pickle.dumps(list(LABELS[::-1])))
    turned = {group: {38 - number for number in numbers} for group, numbers in SPLIT.items()}
    (folder / "class_split.pkl").write_bytes(pickle.dumps(turned))
    for split in ("val", "test"):
        (folder / f"{split}.pkl").write_bytes(pickle.dumps(labels_of(split)[:, ::-1].copy()))
    again = read_ltml_mimic_cxr(root)
    np.testing.assert_array_equal(again.values, plain.values)
    assert again.names == LABELS


def test_patients_in_two_parts_are_counted_in_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read_ltml_mimic_cxr(written(tmp_path))
    assert "split has 1 of 4 patients in more than one part" in caplog.text


# Bad input


def test_table_and_pickles_that_disagree_are_refused_until_one_is_believed(tmp_path):
    root = written(tmp_path)
    values = labels_of("test")
    values[1, LABELS.index("Embolus")] = 1
    (root / "appendix/mimic/test.pkl").write_bytes(pickle.dumps(values))
    named = (
        "label 'Embolus' of image '8959e402-2175d68d' is not positive in line 10, but 1 in val.pkl or test.pkl; 1 ima"
    )
    with pytest.raises(ValueError, match=named):
        read_ltml_mimic_cxr(root, blank="negative")
    for believe, value in (("csv", 0), ("pickle", 1)):
        table = read_ltml_mimic_cxr(root, blank="negative", believe=believe)
        assert by_image(table)["8959e402-2175d68d"]["Embolus"] == value
    with pytest.raises(ValueError, match="unknown option believe: 'cvs'; did you mean 'csv'"):
        read_ltml_mimic_cxr(root, believe="cvs")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "test.pkl",
            labels_of("test")[:1],
            r"test\.pkl: holds an array of shape \(1, 39\), expected \(2 images of tes",
        ),
        (
            "test.pkl",
            labels_of("test") * 2,
            "test.pkl: label 'Fracture' of image '2a2277a9-b0ded155' is .*2.*, expected 0",
        ),
        (
            "class_name.pkl",
            [*LABELS[:-1], "Covid"],
            r"class_name\.pkl: .* lacks \['Unilaterally .*unexpected \['Covid'\]",
        ),
        ("class_split.pkl", SPLIT | {"head": {1, 3}}, r"class_split\.pkl: .* lacks \['Edema', 'Pneumonia', "),
        ("class_split.pkl", [1, 2], r"class_split\.pkl: holds list, expected groups with numbers .* as dict"),
        ("class_split.pkl", {"head": 1}, r"class_split\.pkl: holds int, expected numbers .* in group 'head' as list"),
        ("class_split.pkl", {"head": [99]}, r"class_split\.pkl: holds 99, expected numbers of labels from 0 to 38"),
        ("class_split.pkl", {"head": [-38]}, r"class_split\.pkl: holds -38, expected numbers of labels from 0 to 38"),
        ("class_split.pkl", {"head": ["a"]}, r"class_split\.pkl: holds 'a', expected numbers of labels from 0 to 38"),
        ("class_name.pkl", 5, r"class_name\.pkl: holds int, expected names of labels as list or tuple"),
        ("class_name.pkl", np.array(5), r"class_name\.pkl: holds int, expected names of labels as list or tuple"),
        ("val.pkl", [[0] * 39, [0] * 38], r"val\.pkl: holds no array: "),
        ("val.pkl", {"a": 1}, r"val\.pkl: holds an array of shape \(\), expected \(1 images of val"),
    ],
)
def test_pickles_that_do_not_fit_are_refused(tmp_path, name, content, message):
    root = written(tmp_path)
    (root / "appendix" / "mimic" / name).write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_ltml_mimic_cxr(root)


class Hostile:
    def __reduce__(self):
        return print, ("run",)


def test_no_code_of_a_pickle_runs(tmp_path, capsys):
    root = written(tmp_path)
    (root / "appendix" / "mimic" / "val.pkl").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match=r"val\.pkl cannot be read as a pickle: it holds builtins\.print"):
        read_ltml_mimic_cxr(root)
    assert capsys.readouterr().out == ""


def test_images_in_two_lists_twice_in_one_or_in_none_are_refused(tmp_path):
    first, second = "68b5c4b1-227d0485", "2a2277a9-b0ded155"
    with pytest.raises(ValueError, match=rf"test\.txt: '{first}' is in val\.txt as well"):
        read_ltml_mimic_cxr(written(tmp_path, pickles=False, test=[second, first]))
    with pytest.raises(ValueError, match=rf"test\.txt: '{second}' is there twice"):
        read_ltml_mimic_cxr(written(tmp_path, pickles=False, test=[second, second]))
    (written(tmp_path) / "appendix/mimic/img_id.txt").write_text("02aa804e-bde0afdd")
    with pytest.raises(ValueError, match=r"1 images are in no list of .*mimic, the first \['096052b7-d256dc40'\]"):
        read_ltml_mimic_cxr(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"change": {"Embolus": "2.0"}}, "column 'Embolus' holds '2.0' in line 2, expected 0, 1, -1 or blank"),
        ({"change": {"location": ""}}, "column 'location' is blank in line 2"),
        ({"header": HEADER[:-1]}, r"lacks the columns \['Unilaterally Elevated Diaphragm'\]"),
        ({"header": [*HEADER, "Covid"], "change": {"Covid": "1.0"}}, r"has the unexpected columns \['Covid'\]"),
        ({"images": [*IMAGES, IMAGES[0]]}, r"image ids repeat: \['02aa804e-bde0afdd'\]"),
    ],
)
def test_what_is_not_in_the_authors_form_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_ltml_mimic_cxr(written(tmp_path, **change))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"lacks val\.txt, which LTML-MIMIC-CXR's repository has in appendix/mi"
    ):
        read_ltml_mimic_cxr(tmp_path)
    root = written(tmp_path, table=None, pickles=False)
    with pytest.raises(FileNotFoundError, match=r"no \*label\*\.csv there or in data/mimicall/, and no val\.pkl or te"):
        read_ltml_mimic_cxr(root)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*labels\.csv"):
        read_ltml_mimic_cxr(root, csv="labels.csv")
