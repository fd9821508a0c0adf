import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import floats, integers, sampled_from
from torch_geometric.nn import GCNConv

from mlgcn.graph import cooccurrence, dense, label_graph, propagation

TABLES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=sampled_from([0.0, 1.0, np.nan]))
THRESHOLDS = floats(0, 1) | sampled_from([1 / 3, 0.4, 0.5])
VARIANTS = sampled_from(["paper", "released", "identity"])


def quiet_graph(values, *options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return label_graph(cooccurrence(values), *options)


def plain_adjacency(values, threshold, reweight, variant):
    """A' entry by entry in float64, from the label values."""
    size = values.shape[1]
    binary = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            told = [row[j] for row in values.tolist() if row[i] == 1 and not np.isnan(row[j])]
            if i != j and told and sum(told) / len(told) >= threshold:
                binary[i, j] = 1
    result = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            if variant == "identity":
                result[i, j] = i == j
            elif variant == "paper" and i == j:
                result[i, j] = 1 - reweight
            elif variant == "paper" and binary[i, j]:
                result[i, j] = reweight * binary[i, j] / binary[i].sum()
            elif variant == "released":
                result[i, j] = binary[i, j] * reweight / (binary[:, j].sum() + 1e-6) + (i == j)
    return result


def plain_propagation(adjacency):
    """D^-1/2 A'^T D^-1/2 in float64; an all-zero row of A' counts as D^-1/2 = 0."""
    row_sums = adjacency.sum(axis=1)
    inverse_root = np.diag([0 if s == 0 else s**-0.5 for s in row_sums])
    return inverse_root @ adjacency.T @ inverse_root


@given(values=TABLES, threshold=THRESHOLDS, reweight=floats(0, 1), variant=VARIANTS)
def test_the_adjacency_equals_its_equations(values, threshold, reweight, variant):
    data = quiet_graph(values, threshold, reweight, variant)
    expected = plain_adjacency(values, threshold, reweight, variant)
    np.testing.assert_allclose(dense(data), expected, rtol=1e-6, atol=1e-12)
    assert data.num_nodes == values.shape[1] and data.names == [str(i) for i in range(values.shape[1])]
    assert data.edge_weight.dtype == torch.float32


@given(values=TABLES, threshold=THRESHOLDS, reweight=sampled_from([0.0, 0.2, 0.7, 1.0]), variant=VARIANTS)
def test_a_graph_convolution_multiplies_with_the_normalised_transpose(values, threshold, reweight, variant):
    data = quiet_graph(values, threshold, reweight, variant)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(data.num_nodes, 5))
    convolution = GCNConv(5, 3, normalize=False).double()
    edge_index, edge_weight = propagation(data)
    found = convolution(torch.from_numpy(features), edge_index, edge_weight.double())
    expected = plain_propagation(plain_adjacency(values, threshold, reweight, variant)) @ features
    expected = expected @ convolution.lin.weight.detach().numpy().T + convolution.bias.detach().numpy()
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-5, atol=1e-6)


@given(values=TABLES, seed=integers(0, 99), variant=VARIANTS)
def test_reordered_labels_give_the_reordered_graph(values, seed, variant):
    order = np.random.default_rng(seed).permutation(values.shape[1])
    here, there = (dense(quiet_graph(table, 0.4, 0.2, variant)) for table in (values, values[:, order]))
    np.testing.assert_array_equal(there, here[order][:, order])


@given(values=TABLES, times=integers(2, 4), threshold=THRESHOLDS)
def test_repeated_images_leave_the_graph_as_it_is(values, times, threshold):
    once, often = (dense(quiet_graph(np.tile(values, (n, 1)), threshold)) for n in (1, times))
    np.testing.assert_array_equal(often, once)


def test_labels_that_are_never_positive_or_never_known_break_nothing():
    values = np.array([[1, 1, 0, np.nan], [1, 0, 0, np.nan]])
    for variant in ("paper", "released", "identity"):
        data = quiet_graph(values, 0.4, 0.2, variant)
        assert torch.isfinite(dense(data)).all() and torch.isfinite(propagation(data)[1]).all()


def test_a_graph_takes_memory_for_its_edges_alone():
    data = quiet_graph(np.eye(200))
    assert data.edge_index.shape == (2, 200) and propagation(data)[1].shape == (200,)


def test_labels_without_an_edge_are_named_in_one_warning():
    values = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    with pytest.warns(UserWarning) as caught:
        label_graph(cooccurrence(values, ["a", "b", "c", "d"]), 0.6)
    assert [str(warning.message) for warning in caught] == [
        "label graph of 4 labels: 4 labels without an edge at threshold 0.6, so that the graph is close to the "
        "identity: 'a', 'b', 'c', 'd'"
    ]
    with pytest.warns(UserWarning) as caught:
        label_graph(cooccurrence(values, ["a", "b", "c", "d"]), 0.5)
    assert [str(warning.message) for warning in caught] == [
        "label graph of 4 labels: 2 labels without an edge at threshold 0.5: 'c', 'd'"
    ]
    assert caught[0].filename == __file__


def test_near_deterministic_edges_are_named_in_one_warning():
    values = np.ones((40, 2))
    values[0, 1], values[1:20, 0] = 0, 0
    with pytest.warns(UserWarning) as caught:
        label_graph(cooccurrence(values, ["a", "b"]))
    assert [str(warning.message) for warning in caught] == [
        "label graph of 2 labels: 1 edge with P(j|i) >= 0.95: 'a' -> 'b' (0.952)"
    ]
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_the_baseline_without_a_graph_warns_of_nothing():
    np.testing.assert_array_equal(dense(label_graph(cooccurrence(np.eye(3)), variant="identity")), np.eye(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": -0.1}, "threshold must be between 0 and 1, got -0.1"),
        ({"threshold": 1.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"reweight": 1.5}, "reweight must be between 0 and 1, got 1.5"),
        ({"variant": "authors"}, r"variant is 'authors', expected one of \['paper', 'released', 'identity'\]"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        label_graph(cooccurrence(np.eye(3)), **options)


def test_the_graph_of_nih_has_two_edges(nih_table):
    rows = pd.read_csv(nih_table / "Data_Entry_2017_v2020.csv.gz")
    findings = rows["Finding Labels"].str.get_dummies("|").drop(columns="No Finding")
    assert len(findings.columns) == 14
    with pytest.warns(UserWarning, match="11 labels without an edge") as caught:
        data = label_graph(cooccurrence(findings.to_numpy(), list(findings)))
    edges = [(data.names[i], data.names[j]) for i, j in data.edge_index.T.tolist() if i != j]
    assert sorted(edges) == [("Edema", "Infiltration"), ("Pneumonia", "Infiltration")]
    assert len(caught) == 1
