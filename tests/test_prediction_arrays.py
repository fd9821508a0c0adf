"""Predictions from arrays: what others hold in an .npz file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgcn.predictions import Predictions

TARGETS = np.array([[1, 0], [0, np.nan], [1, 1]])
LOGITS = np.array([[3.0, -800.0], [0.0, 40.0], [-0.5, 2.0]])


def saved(folder, **arrays):
    np.savez(folder / "p.npz", **arrays)
    return folder / "p.npz"


def test_arrays_alone_are_enough(tmp_path):
    found = Predictions.read(saved(tmp_path, targets=TARGETS, scores=np.full((3, 2), 0.25)))
    assert found.names == ("0", "1") and found.images.image_id.tolist() == ["0", "1", "2"]
    assert found.images.patient_id.tolist() == ["0", "1", "2"] and set(found.images.view) == {"unknown"}
    np.testing.assert_array_equal(found.targets, TARGETS)


@given(seed=st.integers(0, 2**32 - 1))
def test_logits_become_probabilities_in_their_order(tmp_path_factory, seed):
    logits = np.random.default_rng(seed).normal(scale=4, size=(3, 2))
    found = Predictions.read(saved(tmp_path_factory.mktemp("npz"), targets=TARGETS, logits=logits))
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-logits)), rtol=1e-6)


def test_extreme_logits_stay_in_range(tmp_path):
    found = Predictions.read(saved(tmp_path, targets=TARGETS, logits=LOGITS))
    assert found.scores[0, 1] == 0 and found.scores[1, 1] == 1 and np.isfinite(found.scores).all()


def test_names_and_identifiers_are_taken_where_they_are_there(tmp_path):
    path = saved(
        tmp_path, targets=TARGETS, logits=LOGITS, names=["Edema", "Mass"], image_id=["a", "b", "c"],
        patient_id=[7, 7, 8], view=["frontal", "lateral", "unknown"],
    )  # fmt: skip
    found = Predictions.read(path)
    assert found.names == ("Edema", "Mass")
    assert found.images.to_dict("list") == {
        "image_id": ["a", "b", "c"], "patient_id": ["7", "7", "8"], "study_id": ["a", "b", "c"],
        "view": ["frontal", "lateral", "unknown"],
    }  # fmt: skip


def test_bytes_are_text_in_utf_8(tmp_path):
    names, ids = [name.encode() for name in ("Ödem", "Mass")], np.array([b"a", b"b", b"c"])
    found = Predictions.read(saved(tmp_path, targets=TARGETS, logits=LOGITS, names=names, image_id=ids, patient_id=ids))
    assert found.names == ("Ödem", "Mass") and found.images.image_id.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("identifiers", "told"),
    [
        ({}, ["has no array patient_id: every image counts as a patient and study of its own"]),
        ({"study_id": ["s", "t", "u"]}, ["has no array patient_id: every image counts as a patient of its own"]),
        ({"patient_id": ["p", "p", "q"]}, []),
    ],
)
def test_that_every_image_counts_as_a_patient_is_told_once(tmp_path, caplog, identifiers, told):
    path = saved(tmp_path, targets=TARGETS, logits=LOGITS, **identifiers)
    Predictions.read(path)
    assert caplog.messages == [f"{path} {line}" for line in told]


def test_further_arrays_are_columns_of_text(tmp_path):
    found = Predictions.read(saved(tmp_path, targets=TARGETS, logits=LOGITS, age=[60, 7, 41], sex=["F", "M", ""]))
    assert list(found.images)[4:] == ["age", "sex"]
    assert found.images.age.tolist() == ["60", "7", "41"] and found.images.sex.tolist() == ["F", "M", ""]


def test_what_is_not_known_is_blank_of_further_arrays_and_refused_of_identifiers(tmp_path):
    arrays = {"age": [60, np.nan, 41], "taken": np.array(["2020-01-01", "NaT", "2021-01-01"], dtype="datetime64[D]")}
    found = Predictions.read(saved(tmp_path, targets=TARGETS, logits=LOGITS, **arrays))
    assert found.images.age.tolist() == ["60.0", "", "41.0"]
    assert found.images.taken.tolist() == ["2020-01-01", "", "2021-01-01"]
    with pytest.raises(ValueError, match=r"p\.npz: column 'patient_id', row 1: '', expected text that is not empty"):
        Predictions.read(saved(tmp_path, targets=TARGETS, logits=LOGITS, patient_id=[1, np.nan, 1]))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"scores": LOGITS * 0}, r"holds the arrays \['scores'\], expected targets and either scores or logits"),
        ({"targets": TARGETS}, "expected targets and either scores or logits"),
        ({"targets": TARGETS, "scores": LOGITS * 0, "logits": LOGITS}, "either scores or logits"),
        ({"targets": TARGETS, "scores": LOGITS}, r"column 'score/0', row 0 \(image '0'\): 3\.0, expected a number in"),
        ({"targets": TARGETS[:2], "logits": LOGITS}, r"scores have shape \(3, 2\) and targets \(2, 2\)"),
        (
            {"targets": TARGETS, "logits": LOGITS, "image_ids": ["a"]},
            "unknown array 'image_ids'; did you mean 'image_id'",
        ),
        (
            {"targets": TARGETS, "logits": LOGITS, "image_id": ["a"]},
            r"array 'image_id' has shape \(1,\), expected one",
        ),
        (
            {"targets": TARGETS, "logits": LOGITS, "features": TARGETS},
            r"array 'features' has shape \(3, 2\)",
        ),
        ({"targets": TARGETS, "logits": LOGITS, "names": "abc"}, r"array 'names' has shape \(\), .* each of 2 labels"),
        (
            {"targets": TARGETS, "logits": LOGITS, "patient_id": [b"a", b"b", b"\xff"]},
            r"array 'patient_id', row 2: b'\\xff', expected text in UTF-8",
        ),
        ({"targets": TARGETS, "scores": LOGITS * 0j}, "array 'scores' is of type complex128, expected real numbers"),
        ({"targets": TARGETS, "logits": LOGITS * 1j}, "array 'logits' is of type complex128, expected real numbers"),
        ({"targets": TARGETS.astype(str), "logits": LOGITS}, "array 'targets' is of type <U.*, expected real numbers"),
        ({"targets": TARGETS[:, :0], "logits": LOGITS[:, :0]}, "there are no labels"),
        ({"targets": TARGETS[:0], "logits": LOGITS[:0]}, "there are no images"),
        ({"targets": TARGETS + 2, "logits": LOGITS}, "column 'target/0', row 0 .*: 3.0, expected 0, 1 or blank"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=rf"p\.npz: .*{message}"):
        Predictions.read(saved(tmp_path, **arrays))


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "p.npz").write_text("nothing")
    with pytest.raises(ValueError, match=r"p\.npz: not readable as \.npz"):
        Predictions.read(tmp_path / "p.npz")
    with (tmp_path / "p.npz").open("wb") as file:
        np.save(file, LOGITS)
    with pytest.raises(ValueError, match=r"p\.npz: not readable as \.npz: it is an \.npy file"):
        Predictions.read(tmp_path / "p.npz")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*q\.npz"):
        Predictions.read(tmp_path / "q.npz")
    with pytest.raises(ValueError, match=r"ends in '\.npz', expected \.parquet or \.csv"):
        Predictions.read(saved(tmp_path, targets=TARGETS, logits=LOGITS)).write(tmp_path / "p.npz")
