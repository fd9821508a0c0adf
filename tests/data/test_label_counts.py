"""Whatever holds labels gives the counts that counting its images one by one gives."""

import pickle
from datetime import date

import numpy as np
import pandas as pd
import pytest

from mlgcn.data.label_counts import base_name, read_counts
from mlgcn.data.sources import read_source
from mlgcn.graph import cooccurrence, label_graph, save_graph
from mlgcn.run_directory import RunDirectory

NAMES = ["Effusion", "Lung Mass", "[red]Hernia[/red]"]
SPLIT = ["train"] * 20 + ["val"] * 8 + ["test"] * 12


@pytest.fixture
def values():
    """Forty images of three labels, some values unknown."""
    rng = np.random.default_rng(0)
    values = (rng.uniform(size=(40, 3)) < [0.6, 0.4, 0.2]).astype(float)
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    return values


def written(path, values, **columns):
    """A CSV file of labels, blank where a value is unknown, with further columns."""
    rows = pd.DataFrame(values, columns=NAMES)
    rows.insert(0, "path", [f"{row}.png" for row in range(len(rows))])
    rows.assign(**columns).to_csv(path, index=False)
    return path


def counted(values):
    """Images positive for both of each pair of labels, and images positive for one with the other known."""
    rows, labels = np.asarray(values).tolist(), range(np.shape(values)[1])
    both = [[sum(row[i] == 1 and row[j] == 1 for row in rows) for j in labels] for i in labels]
    told = [[sum(row[i] == 1 and row[j] == row[j] for row in rows) for j in labels] for i in labels]
    return both, told


def same(cooc, values, names=NAMES):
    both, told = counted(values)
    return (cooc.counts.tolist(), cooc.known.tolist(), cooc.images, list(cooc.names)) == (
        both,
        told,
        len(values),
        names,
    )


def test_phantoms_are_counted_as_the_options_of_their_reader_say():
    cooc, table = read_counts("phantom", options={"images": 30, "seed": 3})
    expected = read_source("phantom", images=30, seed=3)
    assert same(cooc, expected.values, list(expected.names))
    assert table.images.image_id.tolist() == expected.images.image_id.tolist()
    told = dict(cooc.provenance)
    assert date.fromisoformat(told.pop("date"))
    assert told == {"source": "phantom", "split": "all", "options": {"images": 30, "seed": 3}}


@pytest.mark.parametrize(
    ("split", "part"), [(None, "train"), ("train", "train"), ("val", "val"), ("test", "test"), ("all", "")]
)
def test_of_a_csv_with_splits_the_training_images_are_counted_unless_others_are_asked_for(
    tmp_path, values, split, part
):
    cooc, table = read_counts(written(tmp_path / "labels.csv", values, split=SPLIT), split=split)
    rows = [name.startswith(part) for name in SPLIT]
    assert same(cooc, values[rows])
    np.testing.assert_array_equal(table.values, values[rows])
    assert (cooc.provenance["source"], cooc.provenance["split"]) == ("labels.csv", part or "all")


@pytest.mark.parametrize("columns", [{}, {"split": ""}, {"split": "test"}])
@pytest.mark.parametrize("name", ["labels.csv", "labels.csv.gz", "LABELS.CSV"])
def test_of_a_csv_without_a_training_split_every_image_is_counted(tmp_path, values, name, columns):
    cooc, _ = read_counts(str(written(tmp_path / name, values, **columns)))
    assert same(cooc, values) and cooc.provenance["split"] == "all"


def test_options_of_the_reader_reach_a_csv(tmp_path, values):
    path = written(tmp_path / "labels.csv", values, age=60)
    cooc, _ = read_counts(path, options={"labels": [NAMES[2], NAMES[0]], "blank": "negative"})
    assert same(cooc, np.nan_to_num(values[:, [2, 0]]), [NAMES[2], NAMES[0]])


def test_a_source_is_read_from_its_folder(tmp_path, values):
    written(tmp_path / "labels.csv", values)
    cooc, _ = read_counts("table", tmp_path, split="all")
    assert same(cooc, values) and cooc.provenance["source"] == "table"


def test_runs_and_label_graphs_give_the_counts_that_were_saved(tmp_path, values):
    saved = cooccurrence(values, NAMES, {"source": "nih", "split": "train"})
    save_graph(RunDirectory(tmp_path).label_graph, saved, label_graph(saved, 0.1))
    for what in (tmp_path, RunDirectory(tmp_path).label_graph):
        cooc, table = read_counts(what, options={})
        assert same(cooc, values) and table is None
        assert cooc.provenance == {"source": "nih", "split": "train"}


@pytest.mark.parametrize("name", ["adjacency.pkl", "adjacency.pickle"])
def test_a_pickle_is_told_names_and_images(tmp_path, values, name):
    both, _ = counted(values)
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"adj": np.array(both) * (1 - np.eye(3, dtype=int)), "nums": np.diag(both)}))
    cooc, table = read_counts(path, names=NAMES, images=40)
    assert (cooc.counts.tolist(), list(cooc.names), cooc.images, table) == (both, NAMES, 40, None)
    cooc, _ = read_counts(path)
    assert (cooc.names, cooc.images) == (("0", "1", "2"), None)


def test_a_label_that_no_image_tells_is_counted_as_such(tmp_path, values):
    values[:, 1] = np.nan
    cooc, _ = read_counts(written(tmp_path / "labels.csv", values))
    assert same(cooc, values) and cooc.totals[1] == 0
    np.testing.assert_array_equal(np.isnan(cooc.prevalence), [False, True, False])


@pytest.mark.parametrize(
    ("what", "given", "message"),
    [
        ("phantom", {"names": NAMES}, r"\['names'\] do not apply to phantom, a data source; \['root', 'split', 'opt"),
        ("labels.csv", {"root": "x", "images": 4}, r"\['root', 'images'\] do not apply to .*labels\.csv, a CSV file;"),
        ("graph.json", {"split": "train"}, r"\['split'\] do not apply to .*graph\.json, a label graph$"),
        (".", {"options": {"images": 9}}, r"\['options'\] do not apply to .*, a run$"),
        ("adjacency.pkl", {"split": "all"}, r"\['split'\] do not apply to .*, a pickle; \['names', 'images'\] would"),
    ],
)
def test_options_that_do_not_apply_are_named_with_those_that_would(tmp_path, values, what, given, message):
    written(tmp_path / "labels.csv", values)
    for name in ("graph.json", "label_graph.json", "adjacency.pkl"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        read_counts(what if what == "phantom" else tmp_path / what, **given)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("phantm", ValueError, "unknown data source or file 'phantm'; did you mean 'phantom'"),
        ("folder", ValueError, r"folder is no run's folder and no file that ends in one of \['\.csv', "),
        ("labels.tsv", ValueError, r"labels\.tsv is no run's folder and no file that ends in one of"),
        ("missing.csv", FileNotFoundError, r"there is no file missing\.csv"),
        ("missing.json", FileNotFoundError, r"there is no file missing\.json"),
        ("missing.pkl", FileNotFoundError, r"there is no file missing\.pkl"),
        ("header.csv", ValueError, r"header\.csv: has no rows"),
        ("path.csv", ValueError, r"path\.csv: has no label column"),
        ("other.json", ValueError, r"other\.json is no label graph"),
        ("nih", ValueError, "needs the folder of its tables: --data.root FOLDER"),
    ],
)
def test_what_holds_no_labels_is_refused_by_name(tmp_path, monkeypatch, what, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "labels.tsv").touch()
    (tmp_path / "header.csv").write_text("path,Effusion,Mass\n")
    (tmp_path / "path.csv").write_text("path\na.png\n")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(error, match=message):
        read_counts(what)


def test_an_empty_split_is_refused_with_the_name_of_the_file(tmp_path, values):
    path = written(tmp_path / "labels.csv", values, split=["train", "test"] * 20)
    with pytest.raises(ValueError, match=r"labels\.csv: the val split is empty; the table has \{'train': 20,"):
        read_counts(path, split="val")
    with pytest.raises(ValueError, match=r"labels\.csv: split is 'tset', expected one of"):
        read_counts(path, split="tset")


def test_an_unknown_option_of_the_reader_names_the_nearest():
    with pytest.raises(ValueError, match="'phantom': 'image'; did you mean 'images'"):
        read_counts("phantom", options={"image": 9})


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("nih", "nih"),
        ("a/labels.csv", "labels"),
        ("labels.v2.CSV.gz", "labels.v2"),
        ("runs/lr0.01/", "lr0.01"),
        ("reports.tar.gz", "reports"),
        ("NLMCXR_reports.tgz", "NLMCXR_reports"),
    ],
)
def test_what_is_made_of_it_is_named_without_folders_and_endings(what, name):
    assert base_name(what) == name


def test_the_folder_one_stands_in_has_a_name_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert base_name(".") == tmp_path.name
