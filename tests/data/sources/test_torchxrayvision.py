"""torchxrayvision's data sets: what becomes of them, and its reading of NIH's table beside ours."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlgcn.data.sources import read_source, reader_options
from mlgcn.data.sources.nih import FINDINGS, read_nih
from mlgcn.data.sources.torchxrayvision import from_torchxrayvision, read_torchxrayvision

NAN = float("nan")
NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
    "00000001_000.png,Cardiomegaly|Emphysema,0,1,57,M,PA,2682,2749,0.143,0.143\n"
    "00000001_001.png,No Finding,1,1,58,M,AP,2682,2749,0.143,0.143\n"
    "00000002_000.png,Hernia,0,2,80,M,PA,2682,2749,0.143,0.143\n"
)
CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n"
    "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,,,,,,,,0.0,\n"
    "CheXpert-v1.0-small/train/patient00002/study2/view2_lateral.jpg,Female,87,Lateral,,,,,1.0,,,,,,,,,,\n"
)


def stub(kind, rows, labels, names, **attributes):
    """An object with what the data sets of torchxrayvision have."""
    made = type(kind, (SimpleNamespace,), {})
    labels = np.array(labels, dtype=np.float32)
    return made(csv=pd.DataFrame(rows), labels=labels, pathologies=list(names), **attributes)


def nih(patient="1"):
    rows = [
        {
            "Image Index": f"{patient}_{i}.png",
            "Patient ID": patient,
            "Follow-up #": i,
            "patientid": patient,
            "view": view,
        }
        for i, view in enumerate(("PA", "LL"))
    ]
    return stub("NIH_Dataset", rows, [[1, 0], [NAN, 1]], ["Mass", "Hernia"], imgpath="/nih")


# Objects, with or without torchxrayvision


def test_labels_paths_and_identifiers_are_those_of_the_object():
    table = from_torchxrayvision(nih())
    assert table.names == ("Mass", "Hernia")
    np.testing.assert_array_equal(table.values, [[1, 0], [NAN, 1]])
    assert table.images.to_dict("list") == {
        "image_id": ["1_0.png", "1_1.png"],
        "path": ["/nih/1_0.png", "/nih/1_1.png"],
        "patient_id": ["1", "1"],
        "study_id": ["1-0", "1-1"],
        "view": ["frontal", "lateral"],
        "split": ["", ""],
    }


@pytest.mark.parametrize(
    ("kind", "row", "image", "path"),
    [
        ("PC_Dataset", {"ImageID": "a.png", "StudyID": 7}, "a.png", "a.png"),
        ("CheX_Dataset", {"Path": "CheXpert-v1.0/train/p/s/v.jpg"}, "train/p/s/v.jpg", "train/p/s/v.jpg"),
        (
            "MIMIC_Dataset",
            {"subject_id": 10000032, "study_id": 50414267, "dicom_id": "a"},
            "a",
            "p10/p10000032/s50414267/a.jpg",
        ),
        ("Openi_Dataset", {"imageid": "CXR1", "uid": "1"}, "CXR1", "CXR1.png"),
        ("COVID19_Dataset", {"filename": "a.jpg"}, "a.jpg", "a.jpg"),
        ("NLMTB_Dataset", {"fname": "a.png"}, "a.png", "CXR_png/a.png"),
        ("TBX11K_Dataset", {"file_name": "tb/a.png"}, "tb/a.png", "imgs/tb/a.png"),
        ("VinDr_Dataset", {"image_id": "a"}, "a", "a.dicom"),
        ("BRAX_Dataset", {"PngPath": "images/id/a.png"}, "id/a.png", "id/a.png"),
        ("RSNA_Pneumonia_Dataset", {"patientId": "a"}, "a", "a.dcm"),
        ("SIIM_Pneumothorax_Dataset", {"ImageId": "a"}, "a", "deep/a.dcm"),
        ("StonyBrookCOVID_Dataset", {}, "0", "0.jpg"),
        ("Unheard_Dataset", {"file": "a"}, "0", "0"),
    ],
)
def test_each_class_says_where_its_images_stand(kind, row, image, path):
    data = stub(kind, [row | {"x": 0}], [[1]], ["Mass"], imgpath="/data", extension=".dcm")
    if kind.startswith("SIIM"):
        data.file_map = {"a.dcm": "/data/deep/a.dcm"}
    images = from_torchxrayvision(data).images
    assert (images.image_id[0], images.path[0]) == (image, f"/data/{path}")


def test_parts_and_merged_data_sets_lead_back_to_their_images():
    first, second = nih("1"), nih("2")
    merged = stub("MergeDataset", [], np.concatenate([first.labels, second.labels]), ["Mass", "Hernia"])
    merged.datasets = [first, second]
    part = stub("SubsetDataset", [], merged.labels[[3, 0]], ["Mass", "Hernia"], dataset=merged, idxs=[3, 0])
    table = from_torchxrayvision(part)
    assert table.images.image_id.tolist() == ["NIH_Dataset:2_1.png", "NIH_Dataset:1_0.png"]
    assert table.images.patient_id.tolist() == ["NIH_Dataset:2", "NIH_Dataset:1"]
    assert table.images.path.tolist() == ["/nih/2_1.png", "/nih/1_0.png"]
    np.testing.assert_array_equal(table.values, [[NAN, 1], [1, 0]])
    mixed = stub("CovariateDataset", [], [[1], [0], [1]], ["Custom"], d1=first, d2=second)
    mixed.imageids, mixed.site = np.array([1, 0, 1]), np.array([0, 1, 1])
    ids = from_torchxrayvision(mixed).images.image_id.tolist()
    assert ids == ["NIH_Dataset:1_1.png", "NIH_Dataset:2_0.png", "NIH_Dataset:2_1.png"]


def test_a_row_that_repeats_another_is_taken_once_but_not_one_that_contradicts_it():
    rows = [{"ImageId": name} for name in "aab"]
    made = {"names": ["Pneumothorax"], "file_map": {}, "imgpath": "/"}
    assert len(from_torchxrayvision(stub("SIIM_Pneumothorax_Dataset", rows, [[1], [1], [0]], **made))) == 2
    with pytest.raises(ValueError, match=r"SIIM_Pneumothorax_Dataset: image ids repeat: \['a'\]"):
        from_torchxrayvision(stub("SIIM_Pneumothorax_Dataset", rows, [[1], [0], [0]], **made))


def test_what_are_no_labels_or_not_as_many_is_refused():
    with pytest.raises(ValueError, match=r"label 'Extent' of image '0' is 5\.5, expected 0, 1 or NaN"):
        from_torchxrayvision(stub("StonyBrookCOVID_Dataset", [{"x": 0}], [[5.5]], ["Extent"]))
    with pytest.raises(ValueError, match="has labels for 1 images, expected 2"):
        from_torchxrayvision(stub("Some_Dataset", [{"x": 0}, {"x": 1}], [[1]], ["Mass"]))


def test_where_it_is_missing_the_reader_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    with pytest.raises(ImportError, match=r"needs torchxrayvision: pip install 'mlgcn\[xrv\]'"):
        read_source("torchxrayvision", tmp_path, dataset="NIH_Dataset")


def test_the_options_that_a_run_records_have_the_arguments_of_the_class():
    options = reader_options("torchxrayvision", {"dataset": "NIH_Dataset", "csvpath": "nih.csv"})
    assert options == {"dataset": "NIH_Dataset", "images": None, "csvpath": "nih.csv"}


# The library itself


@pytest.fixture(scope="module")
def xrv():
    return pytest.importorskip("torchxrayvision", reason="torchxrayvision is not installed")


def test_a_class_is_built_over_its_tables_with_all_views_and_images(xrv, tmp_path):
    (tmp_path / "nih.csv").write_text(NIH)
    table = read_source("torchxrayvision", tmp_path, dataset="NIH_Dataset", csvpath="nih.csv")
    assert table.images.image_id.tolist() == ["00000001_000.png", "00000001_001.png", "00000002_000.png"]
    found = [{n for n, v in zip(table.names, row, strict=True) if v} for row in table.values]
    assert found == [{"Cardiomegaly", "Emphysema"}, set(), {"Hernia"}]
    assert table.images.study_id.tolist() == ["1-0", "1-1", "2-0"]
    fewer = read_torchxrayvision(tmp_path, dataset="NIH_Dataset", csvpath="nih.csv", unique_patients=True, views=["PA"])
    assert fewer.images.image_id.tolist() == ["00000001_000.png", "00000002_000.png"]


def test_uncertain_labels_are_unknown_and_paths_lose_the_release(xrv, tmp_path):
    (tmp_path / "train.csv").write_text(CHEXPERT)
    table = read_torchxrayvision(tmp_path, dataset="CheX_Dataset", csvpath="train.csv", images=str(tmp_path))
    assert table.images.path[0] == str(tmp_path / "train/patient00002/study2/view1_frontal.jpg")
    assert table.images["view"].tolist() == ["frontal", "lateral"] and set(table.images.patient_id) == {"00002"}
    values = dict(zip(table.names, table.values[0].tolist(), strict=True))
    assert (values["Lung Opacity"], values["Fracture"]) == (1, 0) and np.isnan(values["Cardiomegaly"])


def test_merged_parts_of_its_data_sets_are_read(xrv, tmp_path):
    (tmp_path / "nih.csv").write_text(NIH)
    whole = xrv.datasets.NIH_Dataset(str(tmp_path), str(tmp_path / "nih.csv"), views=["*"], unique_patients=False)
    part = xrv.datasets.SubsetDataset(xrv.datasets.MergeDataset([whole]), [2, 1])
    xrv.datasets.relabel_dataset(["Hernia", "Mass", "Lung Lesion"], whole, silent=True)
    table = from_torchxrayvision(part)
    assert table.images.image_id.tolist() == ["00000002_000.png", "00000001_001.png"]
    np.testing.assert_array_equal(from_torchxrayvision(whole).values[2], [1, 0, NAN])


def test_numpys_global_generator_is_left_alone(xrv, tmp_path):
    (tmp_path / "nih.csv").write_text(NIH)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    read_torchxrayvision(tmp_path, dataset="NIH_Dataset", csvpath="nih.csv")
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"unknown data set of torchxrayvision \(the option dataset\): 'None'"),
        ({"dataset": "NIH_Datset"}, "'NIH_Datset'; did you mean 'NIH_Dataset'"),
        ({"dataset": "MergeDataset"}, "unknown data set"),
        (
            {"dataset": "NIH_Dataset", "csvpth": "a"},
            "argument of torchxrayvision's NIH_Dataset: 'csvpth'; did you mean 'c",
        ),
        ({"dataset": "MIMIC_Dataset", "csvpath": "a"}, r"MIMIC_Dataset needs the arguments \['metacsvpath'\] too"),
        ({"dataset": "NIH_Dataset", "csvpath": "a"}, "NIH_Dataset cannot read .*csvpath must be a file"),
        ({"dataset": "CheX_Dataset", "csvpath": "odd.csv"}, "cannot read .*: lacks the column 'Frontal/L"),
    ],
)
def test_what_it_cannot_build_is_named(xrv, tmp_path, options, message):
    (tmp_path / "odd.csv").write_text("Path\na\n")
    with pytest.raises(ValueError, match=message):
        read_source("torchxrayvision", tmp_path, **options)


def test_a_missing_table_is_named(xrv, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train\.csv"):
        read_torchxrayvision(tmp_path, dataset="CheX_Dataset", csvpath="train.csv")


def test_its_reading_of_the_whole_table_of_nih_is_ours(xrv, nih_table):
    ours = read_nih(nih_table, images=str(nih_table))
    theirs = read_torchxrayvision(nih_table, dataset="NIH_Dataset", csvpath="Data_Entry_2017_v2020.csv.gz")
    assert set(theirs.names) == set(FINDINGS)
    np.testing.assert_array_equal(theirs.reordered(FINDINGS).values, ours.values)
    assert theirs.images.equals(ours.images)


def test_its_reading_of_vinbigdata_is_ours_where_any_reader_counts(xrv, xrv_tables, tmp_path):
    (tmp_path / "train.csv.gz").symlink_to(xrv_tables / "vinbigdata-train.csv.gz")
    ours = read_source("vindr", tmp_path, readers="any")
    theirs = read_torchxrayvision(tmp_path, dataset="VinDr_Dataset")
    spelling = {"Effusion": "Pleural effusion", "Pleural_Thickening": "Pleural thickening"}
    spelling |= {"Other Lesion": "Other lesion", "Pulmonary Fibrosis": "Pulmonary fibrosis"}
    rows = pd.Index(ours.images.image_id).get_indexer(theirs.images.image_id)
    columns = [ours.names.index(spelling.get(name, name)) for name in theirs.names]
    np.testing.assert_array_equal(theirs.values, ours.values[np.ix_(rows, columns)])
    assert len(theirs) == len(ours)
