import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import sampled_from

from mlgcn.graph import Cooccurrence, cooccurrence, label_graph, load_adjacency_pickle, load_graph, save_graph

TABLES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=sampled_from([0.0, 1.0, np.nan]))
BAD_EDGES = {"edges": {"source": [0], "target": [9], "weight": [1.0]}, "options": {}}
BAD_WEIGHTS = {"edges": {"source": [0], "target": [1], "weight": []}, "options": {}}
BAD_OPTIONS = {"edges": {"source": [0], "target": [1], "weight": [1.0]}, "options": [1]}
LOST_WEIGHT = {"edges": {"source": [0], "target": [1], "weight": [float("nan")]}, "options": {}}
SAME_EDGES = {"edges": {"source": [0, 0], "target": [1, 1], "weight": [1.0, 1.0]}, "options": {}}
NAMES = ["Edema, mild", "None", 'a "b"', "\u2265 2 </script>"]


def quiet_graph(cooc, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return label_graph(cooc, **options)


@given(values=TABLES, variant=sampled_from(["paper", "released", "identity"]))
def test_a_saved_graph_comes_back(tmp_path_factory, values, variant):
    path = tmp_path_factory.mktemp("graph") / "graph.json"
    saved = cooccurrence(values, provenance={"split": "train", "options": {"uncertain": "unknown"}})
    graph = quiet_graph(saved, variant=variant, shrinkage=1.5)
    save_graph(path, saved, graph)
    loaded, again = load_graph(path)
    for name in ("counts", "known", "prevalence"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
    for name in ("names", "images", "labels_per_image", "provenance"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert torch.equal(again.edge_index, graph.edge_index) and torch.equal(again.edge_weight, graph.edge_weight)
    assert (again.names, again.options, again.provenance) == (graph.names, graph.options, graph.provenance)


def test_counts_without_a_graph_come_back_with_any_names(tmp_path):
    saved = cooccurrence(np.random.default_rng(0).integers(2, size=(20, 4)), NAMES)
    save_graph(tmp_path / "graph.json", saved)
    loaded, graph = load_graph(tmp_path / "graph.json")
    assert loaded.names == tuple(NAMES) and graph is None
    np.testing.assert_array_equal(loaded.counts, saved.counts)


def test_a_graph_of_other_labels_is_not_saved_with_the_counts(tmp_path):
    counts = cooccurrence(np.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match="the graph is of the labels"):
        save_graph(tmp_path / "graph.json", counts, quiet_graph(cooccurrence(np.eye(2), ["b", "a"])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: "no JSON", "Expecting value"),
        (lambda content: content | {"format": "2"}, "expected a label graph"),
        (lambda content: {name: content[name] for name in content if name != "images"}, "there is no 'images'"),
        (lambda content: content | {"names": ["a", "a"]}, "label names repeat"),
        (lambda content: content | {"pairs": {"row": [0], "column": [0], "images": [0.5]}}, "whole numbers"),
        (lambda content: content | {"pairs": {"row": [0], "column": [1], "images": [3]}}, "impossible counts"),
        (lambda content: content | {"pairs": {"row": [0], "column": [7], "images": [3]}}, "index"),
        (lambda content: content | {"graph": BAD_EDGES}, "an edge leaves the 2 labels"),
        (lambda content: content | {"graph": BAD_WEIGHTS}, "1 edges have 0 weights"),
        (lambda content: content | {"graph": BAD_OPTIONS}, r"options is \[1\], expected dict"),
        (lambda content: content | {"graph": LOST_WEIGHT}, "weights that are not finite"),
        (lambda content: content | {"graph": SAME_EDGES}, "an edge stands twice"),
        (lambda content: content | {"images": "2"}, "images is '2', expected int"),
        (lambda content: content | {"images": 2.5}, "images is 2.5, expected int"),
        (lambda content: content | {"names": "ab"}, "names is 'ab', expected list"),
        (lambda content: content | {"names": [1, 2]}, "names holds 1, expected str"),
        (lambda content: content | {"labels_per_image": ["x"]}, "labels_per_image holds 'x', expected int"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, message):
    path = tmp_path / "graph.json"
    save_graph(path, cooccurrence([[1, 1], [1, 0]], ["a", "b"]))
    changed = change(json.loads(path.read_text()))
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(ValueError, match=rf"graph\.json is no label graph: .*{message}"):
        load_graph(path)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("diagonal", [False, True])
def test_pickled_adjacencies_of_others_are_read(tmp_path, protocol, diagonal):
    values = np.random.default_rng(0).integers(2, size=(30, 3))
    counts = (values.T @ values).astype(np.float32)
    content = {"nums": np.diag(counts).copy(), "adj": counts if diagonal else counts - np.diag(np.diag(counts))}
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    found = load_adjacency_pickle(tmp_path / "adj.pkl", ["a", "b", "c"], images=30)
    np.testing.assert_array_equal(found.counts, values.T @ values)
    np.testing.assert_array_equal(found.prevalence, values.mean(axis=0))
    assert found.names == ("a", "b", "c") and found.provenance == {"source": "adj.pkl"}
    unnamed = load_adjacency_pickle(tmp_path / "adj.pkl")
    assert unnamed.names == ("0", "1", "2") and unnamed.images is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a dictionary with adj"),
        ({"adj": np.eye(2)}, "expected a dictionary with adj"),
        ({"adj": np.eye(2), "nums": np.ones(3)}, r"adj has shape \(2, 2\) and nums \(3,\)"),
        ({"adj": np.eye(2) / 2, "nums": np.ones(2)}, "hold fractions"),
        ({"adj": np.ones((2, 2)) * np.nan, "nums": np.ones(2)}, "hold fractions"),
        ({"adj": [["x", "y"], ["y", "x"]], "nums": [1, 2]}, "expected whole numbers"),
        ({"adj": np.full((2, 2), 5), "nums": np.ones(2)}, "impossible counts"),
        ({"adj": np.eye(3), "nums": np.ones(3)}, "got 2 names for 3 labels"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_pickles_that_hold_something_else_are_refused(tmp_path, content, message):
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=rf"adj\.pkl: .*{message}"):
        load_adjacency_pickle(tmp_path / "adj.pkl", ["a", "b"])


def test_a_file_that_is_not_there_is_missing(tmp_path):
    for read in (load_graph, load_adjacency_pickle):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")


def test_counts_need_names():
    with pytest.raises(ValueError, match="expected"):
        Cooccurrence(cooccurrence(np.eye(2)).pairs, ("a",))
