"""Readers found by name: which there are, what they need, and which options they take."""

import re

import numpy as np
import pytest

from mlgcn.data.sources import SOURCES, read_source


def test_a_source_is_read_with_its_options():
    table = read_source("phantom", images=5, seed=2)
    assert len(table) == 5 and table.images.path[3] == "phantom:2:3"


def test_a_folder_may_be_given_as_text(tmp_path):
    (tmp_path / "labels.csv").write_text("path,Mass\na.png,1\n")
    for root in (tmp_path, str(tmp_path)):
        np.testing.assert_array_equal(read_source("table", root).values, [[1]])


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown data source 'phantoms'; did you mean 'phantom'\? \(known: .*nih"):
        read_source("phantoms")


@pytest.mark.parametrize(
    ("source", "option", "message"),
    [
        ("phantom", "imagse", "unknown option of the data source 'phantom': 'imagse'; did you mean 'images'"),
        ("nih", "nofinding", "unknown option of the data source 'nih': 'nofinding'; did you mean 'no_finding'"),
        ("table", "blanks", "unknown option of the data source 'table': 'blanks'; did you mean 'blank'"),
        ("table", "root_", r"unknown option of the data source 'table': 'root_'.* \(known: blank, csv, images, labels"),
    ],
)
def test_an_unknown_option_names_the_nearest(tmp_path, source, option, message):
    with pytest.raises(ValueError, match=message):
        read_source(source, tmp_path, **{option: 1})


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"phantom"}))
def test_a_source_on_disk_needs_a_folder_that_is_there(name, tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=f"the data source '{name}' needs the folder of its tables: --data.root FOLDER"
    ):
        read_source(name)
    with pytest.raises(FileNotFoundError, match=r"data\.root: there is no .*nowhere"):
        read_source(name, tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"data\.root: there is no nowhere in {re.escape(str(tmp_path))}$"):
        read_source(name, "nowhere")


def test_phantoms_need_no_folder_and_take_none(tmp_path):
    with pytest.raises(ValueError, match="expected none: phantoms are drawn, not read from a folder"):
        read_source("phantom", tmp_path)
