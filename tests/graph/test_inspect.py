import itertools
import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import booleans, sampled_from

from mlgcn.graph import Cooccurrence, cooccurrence, dense, edge_table, label_graph
from mlgcn.graph.inspect import (
    compare_graphs,
    export_graph,
    label_statistics,
    mixing,
    strongest_pairs,
    threshold_table,
    to_networkx,
)
from mlgcn.labels import group_labels

TABLES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=sampled_from([0.0, 1.0, np.nan]))
VALUES = np.array([[1, 1, 0, 0]] * 12 + [[1, 0, 0, 0]] * 8 + [[0, 0, 1, 0]] * 3 + [[0, 0, 0, 0]] * 77)
NAMES = ["Edema", "Effusion", "Mass", "Hernia"]


@pytest.fixture
def cooc():
    return cooccurrence(VALUES, NAMES, {"split": "train"})


def test_the_label_table_counts_from_frequent_to_rare(cooc):
    groups = group_labels(cooc.names, cooc.prevalence)
    table = label_statistics(cooc, edge_table(cooc, 0.5), groups)
    assert table.label.tolist() == NAMES and table.images.tolist() == [20, 12, 3, 0]
    assert table.prevalence.tolist() == [0.2, 0.12, 0.03, 0.0]
    assert table.group.tolist() == ["head", "head", "medium", "tail"]
    np.testing.assert_allclose(table.labels_per_image, [32 / 20, 2, 1, np.nan])
    assert table.out_degree.tolist() == [1, 1, 0, 0] and table.in_degree.tolist() == [1, 1, 0, 0]


def test_the_strongest_pairs_rest_on_enough_images(cooc):
    table = strongest_pairs(cooc)
    assert list(zip(table.source, table.target, table.probability, strict=True)) == [
        ("Effusion", "Edema", 1.0),
        ("Edema", "Effusion", 0.6),
    ]
    assert strongest_pairs(cooc, least_images=13).source.tolist() == ["Edema"]
    assert len(strongest_pairs(cooc, 1)) == 1


@given(values=TABLES, symmetric=booleans(), shrinkage=sampled_from([0.0, 2.0]))
def test_the_threshold_table_counts_what_each_graph_has(values, symmetric, shrinkage):
    found = cooccurrence(values)
    options = {"symmetric": symmetric, "shrinkage": shrinkage}
    for row in threshold_table(found, [0.01, 0.3, 0.5, 0.9, 1.0], **options).itertuples():
        table = edge_table(found, row.threshold, **options)
        assert row.edges == len(table)
        assert row.isolated == values.shape[1] - len({*table.source, *table.target})


@given(values=TABLES, variant=sampled_from(["paper", "released", "identity"]))
def test_mixing_is_the_share_of_others_in_the_propagated_vector(values, variant):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = label_graph(cooccurrence(values), 0.3, 0.2, variant)
    weights = dense(graph).double().numpy()
    scale = np.diag(weights.sum(axis=1) ** -0.5)
    matrix = scale @ weights.T @ scale
    expected = 1 - np.diag(matrix) / matrix.sum(axis=1)
    np.testing.assert_allclose(mixing(graph), expected, atol=1e-6)


def test_two_graphs_differ_by_edges_and_shifts():
    names = ["a", "b", "c"]
    first = cooccurrence([[1, 1, 0]] * 6 + [[1, 0, 0]] * 4 + [[0, 0, 1]] * 5, names)
    second = cooccurrence([[1, 1, 0]] * 1 + [[1, 0, 0]] * 9 + [[1, 0, 1]] * 5, names)
    table = compare_graphs(first, second, 0.5)
    found = {(row.source, row.target): row for row in table.itertuples()}
    assert found["a", "b"].change == "lost" and found["a", "b"].shift == pytest.approx(1 / 15 - 0.6)
    assert found["c", "a"].change == "gained" and found["c", "a"].shift == pytest.approx(1.0)
    assert found["b", "a"].change == "kept" and found["b", "a"].shift == 0
    assert found["a", "c"].change == "" and found["a", "c"].shift == pytest.approx(1 / 3)
    assert (found["a", "b"].images_a, found["a", "b"].images_b) == (10, 15)
    assert table["shift"].abs().is_monotonic_decreasing
    assert ("b", "c") not in found  # never together in either


def test_an_edge_that_one_side_cannot_tell_of_is_neither_gained_nor_lost():
    here = cooccurrence([[1, 1]] * 4, ["a", "b"])
    there = cooccurrence([[1, np.nan]] * 4 + [[0, 1]], ["a", "b"])
    for sides in ((here, there), (there, here)):
        found = {(row.source, row.target): row.change for row in compare_graphs(*sides).itertuples()}
        assert found["a", "b"] == "untold"


@given(values=TABLES, other=TABLES)
def test_a_comparison_turned_round_has_the_opposite_sign(values, other):
    shared = min(values.shape[1], other.shape[1])
    if shared < 2:
        return
    one, two = cooccurrence(values), cooccurrence(other)
    there, back = (
        compare_graphs(*sides).set_index(["source", "target"]).sort_index() for sides in ((one, two), (two, one))
    )
    pd.testing.assert_series_equal(there["shift"], -back["shift"])
    turned = {"gained": "lost", "lost": "gained"}
    assert there.change.tolist() == [turned.get(change, change) for change in back.change]


def test_only_shared_labels_are_compared():
    first = cooccurrence(np.ones((3, 3)), ["a", "b", "c"])
    table = compare_graphs(first, cooccurrence(np.ones((3, 3)), ["c", "x", "a"]))
    assert set(itertools.chain(table.source, table.target)) == {"a", "c"}
    with pytest.raises(ValueError, match=r"share the labels \['a'\], expected at least two"):
        compare_graphs(first, cooccurrence(np.ones((3, 2)), ["x", "a"]))


def test_networkx_knows_what_nodes_and_edges_rest_on(cooc):
    graph = to_networkx(cooc, edge_table(cooc, 0.5), group_labels(cooc.names, cooc.prevalence))
    assert graph.nodes["Edema"] == {"images": 20, "prevalence": 0.2, "group": "head"}
    assert set(graph.edges) == {("Effusion", "Edema"), ("Edema", "Effusion")}
    assert graph.edges["Edema", "Effusion"]["probability"] == 0.6


def test_other_tools_read_what_is_exported(cooc, tmp_path):
    edges = edge_table(cooc, 0.5)
    csv, graphml, gexf = export_graph(tmp_path, cooc, edges, group_labels(cooc.names, cooc.prevalence))
    pd.testing.assert_frame_equal(pd.read_csv(csv), edges)
    for graph in (nx.read_graphml(graphml), nx.read_gexf(gexf)):
        assert set(graph.nodes) == set(NAMES)
        assert graph.nodes["Edema"]["images"] == 20 and graph.nodes["Mass"]["group"] == "medium"
        assert graph.edges["Effusion", "Edema"]["together"] == 12


def test_counts_without_the_number_of_images_can_be_inspected(cooc, tmp_path):
    bare = Cooccurrence(cooc.pairs, cooc.names)
    edges = edge_table(bare, 0.5)
    assert label_statistics(bare, edges, {}).prevalence.isna().all()
    assert export_graph(tmp_path, bare, edges, {})[1].is_file()
