"""Several sources in one table, and values from elsewhere."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgcn.data.combine import combine, fill_from, fill_unknown, of_views, source_of
from mlgcn.data.sources import read_source
from mlgcn.data.sources.table import write_label_csv
from mlgcn.labels import IMAGE_COLUMNS, LabelTable

NAN = np.nan


def table(values, names=("a", "b"), **columns):
    return LabelTable(np.array(values), names, **{"image_id": [str(i) for i in range(len(values))], **columns})


def test_the_same_identifiers_in_two_sources_stay_two_patients():
    first = table([[1, 0], [NAN, 1]], patient_id=["7", "8"], study_id=["s", "t"], view=["frontal", "lateral"])
    second = table([[0, NAN]], patient_id=["7"], study_id=["s"], path=["x.png"], split="train")
    both = combine({"mimic": first, "nih": second})
    np.testing.assert_array_equal(both.values, np.array([[1, 0], [NAN, 1], [0, NAN]], dtype=np.float32))
    assert both.images.to_dict("list") == {
        "image_id": ["mimic:0", "mimic:1", "nih:0"],
        "path": ["0", "1", "x.png"],
        "patient_id": ["mimic:7", "mimic:8", "nih:7"],
        "study_id": ["mimic:s", "mimic:t", "nih:s"],
        "view": ["frontal", "lateral", "unknown"],
        "split": ["", "", "train"],
    }
    assert source_of(both).tolist() == ["mimic", "mimic", "nih"]


def test_a_colon_in_an_image_id_does_not_hide_its_source():
    assert source_of(combine({"x": table([[1, 0]], image_id=["a:b"])})).tolist() == ["x"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "no table to combine"),
        ({"a:b": table([[1, 0]])}, "a source is named 'a:b', expected a name without ':'"),
        ({"": table([[1, 0]])}, "a source is named ''"),
        ({"x": table([[1, 0]]), "y": table([[1, 0]], ["b", "a"])}, "the labels of y are not those of x"),
    ],
)
def test_tables_that_do_not_go_together_are_refused(tables, message):
    with pytest.raises(ValueError, match=message):
        combine(tables)


@given(seed=st.integers(0, 2**32 - 1))
def test_only_unknown_values_are_filled(seed):
    rng = np.random.default_rng(seed)
    own = rng.choice([0, 1, NAN], size=(5, 2))
    other = rng.choice([0.0, 0.25, 1.0, NAN], size=(5, 2))
    filled = fill_unknown(table(own), other)
    for row, column in np.ndindex(own.shape):
        expected = other[row, column] if np.isnan(own[row, column]) else own[row, column]
        np.testing.assert_array_equal(filled.values[row, column], np.float32(expected))
    assert filled.images.equals(table(own).images)


def test_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"values have shape \(1, 1\), expected \(2, 2\)"):
        fill_unknown(table([[1, 0], [0, 1]]), np.zeros((1, 1)))


def test_a_file_fills_by_image_and_label_name(tmp_path):
    filled = table([[0.2, 1], [0.4, 0]], ["b", "a"], image_id=["y", "x"], soft=True)
    write_label_csv(filled, tmp_path / "pseudo.csv")
    own = table([[NAN, NAN], [0, NAN]], ["a", "b"], image_id=["x", "y"])
    np.testing.assert_allclose(fill_from(own, tmp_path / "pseudo.csv").values, [[1e-6, 0.4], [0, 0.2]], rtol=1e-6)


@given(p=st.sampled_from([0.0, 1e-12, 0.5, 1 - 1e-12, 1.0]))
def test_what_a_file_fills_in_stays_soft_and_what_is_known_certain(tmp_path_factory, p):
    path = tmp_path_factory.mktemp("pseudo") / "pseudo.csv"
    write_label_csv(table([[p, 1]], soft=True), path)
    filled = fill_from(table([[NAN, 1]]), path)
    assert filled.known.tolist() == [0, 1] and filled.positives.tolist() == [0, 1]
    assert filled.values[0, 0] == pytest.approx(p, abs=1.1e-6)


def test_images_that_the_file_lacks_stay_unknown_and_are_counted(tmp_path, caplog):
    path = tmp_path / "pseudo.csv"
    write_label_csv(table([[0.2], [0.4]], ["a"], image_id=["x", "y"], soft=True), path)
    with caplog.at_level(logging.WARNING):
        filled = fill_from(table([[1], [NAN], [NAN]], ["a"], image_id=["w", "z", "x"]), path)
    np.testing.assert_allclose(filled.values[:, 0], [1, NAN, 0.2], rtol=1e-6)
    assert "pseudo.csv: lacks 2 of 3 images, the first ['w', 'z']" in caplog.text
    assert len(caplog.records) == 1


def test_a_file_of_pseudo_labels_that_is_not_there_is_named_as_it_was_given(tmp_path):
    for path in (tmp_path / "nosuch.csv", tmp_path):
        with pytest.raises(FileNotFoundError, match=rf"^there is no file {path}$"):
            fill_from(table([[1, NAN]]), path)


def test_a_file_that_lacks_every_image_or_a_label_is_refused(tmp_path):
    path = tmp_path / "pseudo.csv"
    write_label_csv(table([[0.2]], ["a"], image_id=["x"], soft=True), path)
    with pytest.raises(ValueError, match=r"pseudo\.csv: lacks the labels \['b'\]"):
        fill_from(table([[1, NAN]], image_id=["x"]), path)
    with pytest.raises(ValueError, match=r"pseudo\.csv: lacks 2 of 2 images, .*; its own are such as \['x'\]"):
        fill_from(table([[1], [NAN]], ["a"], image_id=["w", "z"]), path)


@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_written_is_read_again(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("table")
    written = table(
        rng.choice([0, 1, NAN, 1 / 3, 1e-7, 0.1], size=(4, 2)),
        image_id=[f"i{i}" for i in range(4)],
        path=["phantom:0:3", *(str(folder / f"{i}.png") for i in range(3))],
        patient_id=["007", "1.0", "a,b", "NA"],
        view=["frontal", "lateral", "unknown", "frontal"],
        split=["train", "", "val", "test"],
        soft=True,
    )
    write_label_csv(written, folder / "labels.csv")
    read = read_source("table", folder, soft=True)
    np.testing.assert_array_equal(read.values, written.values)
    assert read.names == written.names and read.images[list(IMAGE_COLUMNS)].equals(written.images)


def test_views_are_picked_by_name():
    images = table([[1, 0], [0, 1], [1, 1]], view=["frontal", "lateral", "unknown"])
    assert of_views(images, ["frontal", "unknown"]).images.image_id.tolist() == ["0", "2"]
    assert of_views(images, ["frontal", "lateral", "unknown"]) is images


def test_views_that_leave_no_image_are_refused():
    with pytest.raises(ValueError, match=r"no image is lateral; there are \{'frontal': 1\}"):
        of_views(table([[1, 0]], view="frontal"), ["lateral"])
    with pytest.raises(ValueError, match=r"unknown view 'front'.*; did you mean 'frontal'"):
        of_views(table([[1, 0]], view="frontal"), ["front"])
