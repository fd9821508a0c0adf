import csv
import io
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.ontology import label_space
from mlgcn.predictions import Predictions
from mlgcn.reporting.submission import FORMATS, check_submission, per_image, read_sample, write_submission

NAMES = ("Edema", "No Finding", "Effusion", "Round(ed) Atelectasis")
WANTED = ("Pleural Effusion", "Round(ed) Atelectasis", "Normal")
TAKEN = ("Effusion", "Round(ed) Atelectasis", "No Finding")
IDS = ("0007", "a-1", "c.3", "b,2")


def predicted(scores=None, ids=("0007", "a-1", "b,2", "c.3", "unasked"), names=NAMES):
    """Predictions in another order than the sample's, of one image and one label more."""
    shape = (len(ids), len(names))
    scores = np.random.default_rng(0).uniform(0.01, 0.99, size=shape) if scores is None else np.asarray(scores)
    images = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    return Predictions(images, names, scores, np.full(shape, np.nan))


def table_text(rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text(table_text([["dicom_id", *WANTED], *[[name, 0, 0, 0] for name in IDS]]))
    return path


def read_zip(path):
    """The rows of submission.csv, and all names in the zip."""
    with ZipFile(path) as archive:
        return list(csv.reader(io.StringIO(archive.read("submission.csv").decode()))), archive.namelist()


def check(rows, sample, tmp_path, form="cxr_lt_2024"):
    (tmp_path / "given.csv").write_text(table_text(rows))
    return check_submission(tmp_path / "given.csv", sample, form)


def fine():
    """Rows that the sample asks for, without fault."""
    return [["dicom_id", *WANTED]] + [
        [name, *(f"0.{row + 1}{column}" for column in range(3))] for row, name in enumerate(IDS)
    ]


def test_rows_and_columns_are_those_of_the_sample(sample, tmp_path):
    predictions, out = predicted(), tmp_path / "submission.zip"
    written = write_submission(predictions, sample, out, "cxr_lt_2024")
    scores = predictions.table().set_index("image_id")
    (header, *rows), names = read_zip(out)
    assert names == ["submission.csv"] and header == ["dicom_id", *WANTED]
    assert [row[0] for row in rows] == list(IDS)
    for row in rows:
        expected = [scores.loc[row[0], f"score/{name}"] for name in TAKEN]
        assert [np.float32(cell) for cell in row[1:]] == expected
    assert written.sources == dict(zip(WANTED, TAKEN, strict=True))
    assert (written.images, written.moved, written.unused_images, written.code) == (4, 0, 1, 0)
    assert written.unused_labels == ["Edema"]
    assert check_submission(out, sample, "cxr_lt_2024") == []


def test_the_same_scores_make_the_same_file_and_the_place_of_the_ids_is_the_samples(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text(table_text([["Nodule", "ImageID"], ["", "1.png"], ["", "0.png"]]))
    predictions = predicted([[0.25], [0.75]], ["0.png", "1.png"], ["nodule"])
    for name in ("first.zip", "second.zip"):
        write_submission(predictions, sample, tmp_path / name, "cxr_lt_2026")
    assert read_zip(tmp_path / "first.zip")[0] == [["Nodule", "ImageID"], ["0.75", "1.png"], ["0.25", "0.png"]]
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


NEAR = [0.0, 2.0**-149, 2.0**-126, 0.5, 1 - 2.0**-24, 1 - 2.0**-23, 1.0]


@settings(max_examples=30)
@given(drawn=st.lists(st.sampled_from(NEAR) | st.floats(0, 1, width=32), min_size=3, max_size=12))
def test_no_score_is_0_or_1_and_none_changes_its_place(tmp_path_factory, drawn):
    scores = [*drawn, 0.0, 0.25, 0.5, 0.75, 1.0]  # neither constant nor (nearly) binarised, whatever is drawn
    folder = tmp_path_factory.mktemp("submission")
    ids = [str(row) for row in range(len(scores))]
    (folder / "sample.csv").write_text(table_text([["dicom_id", "Mass"], *[[name, 0] for name in ids]]))
    predictions = predicted(np.array(scores)[:, None], ids, ["Mass"])
    written = write_submission(predictions, folder / "sample.csv", folder / "out.zip", "cxr_lt_2023")
    values = np.array([float(row[1]) for row in read_zip(folder / "out.zip")[0][1:]])
    assert ((values > 0) & (values < 1)).all()
    assert written.moved == scores.count(0.0) + scores.count(1.0)
    np.testing.assert_array_equal(np.sign(values[:, None] - values), np.sign(np.subtract.outer(scores, scores)))
    np.testing.assert_allclose(values, scores, rtol=4e-8, atol=1e-45)


def test_code_stands_in_a_folder_of_its_own(sample, tmp_path):
    code = tmp_path / "work"
    for name in ("main.py", "nets/gcn.py", "nets/__pycache__/gcn.pyc", ".git/config", ".env"):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(name)
    for _ in range(2):  # the second time the zip stands among the code
        written = write_submission(predicted(), sample, code / "out.zip", "cxr_lt_2024", code)
    assert read_zip(code / "out.zip")[1] == ["submission.csv", "code/main.py", "code/nets/gcn.py"]
    assert written.code == 2 and ZipFile(code / "out.zip").read("code/nets/gcn.py") == b"nets/gcn.py"


def test_a_label_that_is_not_predicted_is_named_and_never_0(sample, tmp_path):
    lacking = predicted(names=("Edema", "Normal", "Lung Opacity", "Mass"))
    with pytest.raises(ValueError, match=r"sample.csv: nothing .* labels \['Pleural Effusion', 'Round\(ed\) Atelec"):
        write_submission(lacking, sample, tmp_path / "out.zip", "cxr_lt_2024")
    assert not (tmp_path / "out.zip").exists()


def test_of_labels_that_mean_the_same_the_samples_own_name_counts(sample, tmp_path):
    twice = predicted(names=("Normal", "No Finding", "Effusion", "Round(ed) Atelectasis"))
    assert write_submission(twice, sample, tmp_path / "out.zip", "cxr_lt_2024").sources["Normal"] == "Normal"
    twice = predicted(names=("normal", "No Finding", "Effusion", "Round(ed) Atelectasis"))
    with pytest.raises(ValueError, match=r"label 'Normal' could be any of \['normal', 'No Finding'\]"):
        write_submission(twice, sample, tmp_path / "out.zip", "cxr_lt_2024")


def test_images_without_a_prediction_are_counted_and_ten_named(tmp_path):
    ids = [f"i{row:02d}" for row in range(14)]
    (tmp_path / "sample.csv").write_text(table_text([["dicom_id", "Edema"], *[[name, 0] for name in ids]]))
    with pytest.raises(
        ValueError, match=r"12 of its 14 images .* the 2 at hand: i01, i02, .*, i09, i10, \.\.\.; of predicted"
    ):
        write_submission(predicted(ids=["i00", "i13"]), tmp_path / "sample.csv", tmp_path / "out.zip", "cxr_lt_2023")


def test_decisions_and_constant_scores_are_not_written(sample, tmp_path):
    scores = np.random.default_rng(1).uniform(size=(5, 4))
    scores[:, 2], scores[:, 3] = [0, 1, 1, 0, 0.5], 0.5  # the last image is not in the sample
    with pytest.raises(ValueError, match="not written:") as refused:
        write_submission(predicted(scores), sample, tmp_path / "out.zip", "cxr_lt_2024")
    assert str(refused.value).splitlines()[1:] == [
        "  column 'Pleural Effusion' is binarised: it holds 0 and 1 alone, expected probabilities",
        "  column 'Round(ed) Atelectasis' is constant: 0.5 in every row",
    ]
    assert not (tmp_path / "out.zip").exists()


def test_bad_places_are_refused(sample, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"out.csv ends in '.csv', expected .zip"):
        write_submission(predicted(), sample, tmp_path / "out.csv", "cxr_lt_2024")
    with pytest.raises(ValueError, match="empty: has no files of code"):
        write_submission(predicted(), sample, tmp_path / "out.zip", "cxr_lt_2024", tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=r"no folder .*gone of code"):
        write_submission(predicted(), sample, tmp_path / "out.zip", "cxr_lt_2024", tmp_path / "gone")
    with pytest.raises(ValueError, match="unknown format 'cxr_lt_2025'; did you mean 'cxr_lt_202"):
        write_submission(predicted(), sample, tmp_path / "out.zip", "cxr_lt_2025")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ImageID,Mass\na,0\n", r"lacks the column 'dicom_id' of cxr_lt_2023; it has \['ImageID', 'Mass'\]"),
        ("dicom_id\na\n", "has no column beside 'dicom_id'"),
        ("dicom_id,Mass,Mass\na,0,0\n", r"columns repeat: \['Mass'\]"),
        ("dicom_id,Mass\na,0\na,0\n", r"1 rows repeat an id: 'a' \(lines 2 and 3\)"),
        ("dicom_id,Mass\n", "there are no rows"),
        ("dicom_id,Mass\na\n", "1 rows have another number of cells than the 2 of the header: 1 in line 2"),
        ("", "the CSV file is empty"),
    ],
)
def test_a_sample_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / "s.csv").write_text(content)
    with pytest.raises(ValueError, match=f"s.csv: {message}"):
        read_sample(tmp_path / "s.csv", "cxr_lt_2023")


def test_a_submission_without_fault_has_no_problems(sample, tmp_path):
    assert check(fine(), sample, tmp_path) == []
    (tmp_path / "given.csv").write_text("\ufeff" + table_text(fine()).replace("\r\n", "\n\n"), encoding="utf-8")
    assert check_submission(tmp_path / "given.csv", sample, "cxr_lt_2024") == []


@pytest.mark.parametrize("form", FORMATS)
def test_without_a_sample_the_columns_are_those_of_a_task_of_the_challenge(tmp_path, form):
    for space in FORMATS[form].spaces:
        labels = label_space(space)
        rng = np.random.default_rng(0)
        rows = [[name, *rng.uniform(size=len(labels))] for name in ("x", "y", "z")]
        header = [FORMATS[form].id_column, *labels]
        assert check([header, *rows], None, tmp_path, form) == []
        assert check([header[:-1], *[row[:-1] for row in rows]], None, tmp_path, form) == [
            f"columns are missing: ['{labels[-1]}']"
        ]


def changed(row, column, value):
    """The rows without fault but for one cell."""
    rows = fine()
    rows[row][column] = value
    return rows


def ending(*values):
    """The rows without fault but for their last column."""
    (header, *rows) = fine()
    return [header, *[[*row[:-1], value] for row, value in zip(rows, values, strict=True)]]


PROBLEMS = [
    (fine()[:-2], "2 of the sample's 4 ids are missing: c.3, b,2"),
    ([*fine(), ["new", "0.1", "0.2", "0.3"]], "1 ids are not in the sample: 'new' (line 6)"),
    ([*fine(), fine()[2]], "1 rows repeat an id: 'a-1' (lines 3 and 6)"),
    ([*fine(), ["", "0.1", "0.2", "0.3"]], "the id is blank in line 6\n1 ids are not in the sample: '' (line 6)"),
    (changed(1, 0, "7"), "1 of the sample's 4 ids are missing: 0007\n1 ids are not in the sample: '7' (line 2)"),
    (
        [fine()[0], *fine()[:0:-1]],
        "rows are in another order than the sample's: line 2 is 'b,2', expected '0007'",
    ),
    ([row[:-1] for row in fine()], "columns are missing: ['Normal']"),
    ([["", *fine()[0]], *[["0", *row] for row in fine()[1:]]], "columns are not asked for: ['']"),
    ([[*row, row[1]] for row in fine()], "columns repeat: ['Pleural Effusion']"),
    (
        [[row[0], *row[:0:-1]] for row in fine()],
        "columns are in another order than the sample's: column 2 is 'Normal', expected 'Pleural Effusion'",
    ),
    (
        changed(2, 1, "high"),
        "column 'Pleural Effusion': 1 of 4 values are no number: 'high' in line 3 (image 'a-1')",
    ),
    (
        changed(2, 1, "0_1"),
        "column 'Pleural Effusion': 1 of 4 values are no number: '0_1' in line 3 (image 'a-1')",
    ),
    (
        changed(2, 1, "٠.٥"),
        "column 'Pleural Effusion': 1 of 4 values are no number: '٠.٥' in line 3 (image 'a-1')",
    ),
    (changed(3, 3, "nan"), "column 'Normal': 1 of 4 values are blank or NaN: 'nan' in line 4 (image 'c.3')"),
    (changed(3, 3, " "), "column 'Normal': 1 of 4 values are blank or NaN: ' ' in line 4 (image 'c.3')"),
    (changed(4, 3, "-1e-9"), "column 'Normal': 1 of 4 values are outside [0, 1]: '-1e-9' in line 5 (image 'b,2')"),
    (changed(4, 3, "inf"), "column 'Normal': 1 of 4 values are outside [0, 1]: 'inf' in line 5 (image 'b,2')"),
    (
        ending("50", "51", "52", "53"),
        "column 'Normal': 4 of 4 values are outside [0, 1]: '50' in line 2 (image '0007'), '51' in line 3 "
        "(image 'a-1'), '52' in line 4 (image 'c.3'), ...",
    ),
    (ending("0.5", ".5", "5e-1", "0.50"), "column 'Normal' is constant: 0.5 in every row"),
    (ending("0", "1", "0", "1.0"), "column 'Normal' is binarised: it holds 0 and 1 alone, expected probabilities"),
    (
        ending("0.1", "0.9", "0.1", "0.9"),
        "column 'Normal' is binarised: it holds 0.1 and 0.9 alone, expected probabilities",
    ),
    ([*fine(), ["x", "0.1"]], "1 rows have another number of cells than the 4 of the header: 2 in line 6"),
    ([], "the CSV file is empty"),
    (fine()[:1], "there are no rows"),
]


@pytest.mark.parametrize(("rows", "expected"), PROBLEMS)
def test_each_fault_is_told_with_its_place(rows, expected, sample, tmp_path):
    assert check(rows, sample, tmp_path) == expected.split("\n")


@pytest.mark.parametrize("hard", [45, 44])
def test_a_column_of_which_nine_tenths_are_exactly_0_or_1_is_nearly_binarised(hard, tmp_path):
    labels = label_space("cxr_lt_2024_task1")
    soft = np.linspace(0.1, 0.9, 50).round(3)
    mixed = np.where(np.arange(50) < hard, np.arange(50) % 2, soft)
    rows = [[str(row), mixed[row], *[soft[row]] * (len(labels) - 1)] for row in range(50)]
    expected = [
        f"column {labels[0]!r} is nearly binarised: 45 of 50 scores are exactly 0 or 1, expected probabilities, fewer "
        "than 90 % of them 0 or 1"
    ]
    assert check([["dicom_id", *labels], *rows], None, tmp_path) == (expected if hard == 45 else [])


def test_all_faults_are_told_at_once(sample, tmp_path):
    rows = changed(1, 1, "x")
    rows[2][2], rows[3] = "2", ["other", "0.1", "0.2", "0.3"]
    assert [problem.split(":")[0] for problem in check(rows, sample, tmp_path)] == [
        "1 of the sample's 4 ids are missing",
        "1 ids are not in the sample",
        "column 'Pleural Effusion'",
        "column 'Round(ed) Atelectasis'",
    ]


def zipped(path, *entries):
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def test_the_zip_has_the_file_at_its_root(sample, tmp_path):
    good, bad = table_text(fine()), table_text(changed(1, 1, "x"))
    path = zipped(tmp_path / "deep.zip", ("work/", ""), ("work/submission.csv", bad))
    folder, value = check_submission(path, sample, "cxr_lt_2024")
    assert folder == "submission.csv stands in a folder, 'work/submission.csv', expected at the root of the zip"
    assert value.startswith("column 'Pleural Effusion': 1 of 4 values are no number: 'x' in line 2")
    path = zipped(tmp_path / "other.zip", ("predictions.csv", good), ("code/main.py", ""))
    assert check_submission(path, sample, "cxr_lt_2024") == [
        "the zip has no submission.csv at its root; it has predictions.csv, code/main.py"
    ]
    path = zipped(tmp_path / "good.zip", ("code/submission.csv", bad), ("submission.csv", good))
    assert check_submission(path, sample, "cxr_lt_2024") == []
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zipped(tmp_path / "twice.zip", ("submission.csv", good), ("submission.csv", good))
    assert check_submission(path, sample, "cxr_lt_2024") == ["the zip has 2 files submission.csv"]


def test_what_is_no_zip_and_no_table_is_told(sample, tmp_path):
    cut = (zipped(tmp_path / "a.zip", ("submission.csv", table_text(fine()) * 9))).read_bytes()
    damaged = bytearray(cut)
    damaged[60:70] = bytes(10)
    for name, content, message in [
        ("cut.zip", cut[:-30], "the zip cannot be read: File is not a zip file"),
        ("damaged.zip", bytes(damaged), "the zip cannot be read: "),
        ("a.tar", b"", "the file ends in '.tar', expected .zip or .csv"),
        ("latin.csv", "dicom_id,Ödem".encode("latin-1"), "the CSV file is not text in UTF-8"),
    ]:
        (tmp_path / name).write_bytes(content)
        (problem,) = check_submission(tmp_path / name, sample, "cxr_lt_2024")
        assert problem.startswith(message)
    with pytest.raises(FileNotFoundError, match=r"no file .*gone.zip"):
        check_submission(tmp_path / "gone.zip", sample, "cxr_lt_2024")


def test_each_image_gets_the_scores_of_its_study():
    ids, studies = ["i1", "i2", "i3"], ["s2", "s1", "s2"]
    images = pd.DataFrame({"image_id": ids, "patient_id": "p", "study_id": studies, "view": "frontal"})
    found = per_image(predicted([[0.1], [0.2]], ["s1", "s2"], ["Mass"]), images)
    assert found.images.image_id.tolist() == ids and np.isnan(found.targets).all()
    np.testing.assert_array_equal(found.scores[:, 0], np.float32([0.2, 0.1, 0.2]))
    with pytest.raises(ValueError, match="study 's2' has no scores"):
        per_image(predicted([[0.1]], ["s1"], ["Mass"]), images)
