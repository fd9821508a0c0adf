import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from torch_geometric.data import Data

from mlgcn.graph import dense, extend_graph, extended_propagation, propagation


def random_graph(rng, labels):
    """A graph as label_graph makes them, weights and loops apart: some labels without an edge."""
    adjacency = np.where(rng.random((labels, labels)) < 0.3, rng.uniform(0.1, 1, (labels, labels)), 0)
    np.fill_diagonal(adjacency, rng.uniform(0.1, 1, labels))
    source, target = np.nonzero(adjacency)
    edges = torch.from_numpy(np.stack([source, target]))
    return adjacency, Data(edge_index=edges, edge_weight=torch.from_numpy(adjacency[source, target]), num_nodes=labels)


def example(seed=0, seen=5, new=2):
    rng = np.random.default_rng(seed)
    adjacency, graph = random_graph(rng, seen)
    return adjacency, graph, rng.normal(size=(seen, 4)), rng.normal(size=(new, 4))


def nearest_by_hand(vectors, one, count):
    cosine = [row @ one / (np.linalg.norm(row) * np.linalg.norm(one)) for row in vectors]
    return np.argsort(cosine)[::-1][:count]


def full(edges, weights, size):
    """The matrix that message passing multiplies with: row j, column i for the edge i -> j."""
    matrix = np.zeros((size, size))
    for (source, target), weight in zip(edges.T.tolist(), weights.tolist(), strict=True):
        matrix[target, source] += weight
    return matrix


@given(seed=integers(0, 2**32 - 1), neighbours=integers(1, 7), variant=sampled_from(["paper", "released", "identity"]))
@settings(max_examples=40)
def test_a_new_label_takes_from_its_nearest_and_the_rest_of_the_matrix_stays(seed, neighbours, variant):
    adjacency, graph, vectors, new = example(seed)
    extended = extend_graph(
        graph, torch.from_numpy(vectors), torch.from_numpy(new), neighbours, reweight=0.3, variant=variant
    )
    count = min(neighbours, 5)
    expected = np.zeros((7, 7))
    expected[:5, :5] = adjacency
    for number, one in enumerate(new):
        expected[5 + number, 5 + number] = 0.7 if variant == "paper" else 1
        if variant != "identity":
            expected[nearest_by_hand(vectors, one, count), 5 + number] = 0.3 / count
    assert extended.num_nodes == 7
    np.testing.assert_allclose(dense(extended), expected, rtol=1e-12)


@given(seed=integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_propagation_brings_neighbours_to_the_new_label_and_nothing_back(seed):
    adjacency, graph, vectors, new = example(seed)
    extended = extend_graph(graph, torch.from_numpy(vectors), torch.from_numpy(new), 2, reweight=0.3)
    found = full(*extended_propagation(extended, 5), 7)
    scale = adjacency.sum(axis=1) ** -0.5
    expected = np.zeros((7, 7))
    expected[:5, :5] = np.diag(scale) @ adjacency.T @ np.diag(scale)
    for number, one in enumerate(new):
        near = nearest_by_hand(vectors, one, 2)
        expected[5 + number, near] = 0.15 * scale[near]
        expected[5 + number, 5 + number] = 0.7
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_was_propagated_before_is_propagated_bit_for_bit():
    _, graph, vectors, new = example()
    extended = extend_graph(graph, torch.from_numpy(vectors), torch.from_numpy(new))
    for before, after in zip(propagation(graph), extended_propagation(extended, 5), strict=True):
        assert torch.equal(after[..., : before.shape[-1]], before)


def test_at_reweight_1_a_new_label_is_made_of_its_neighbours_alone():
    edges = torch.tensor([[0, 1, 2], [1, 0, 2]])  # label 2 stands alone, with a loop of 0
    graph = Data(edge_index=edges, edge_weight=torch.tensor([1.0, 1.0, 0.0]), num_nodes=3)
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0]])
    extended = extend_graph(graph, vectors, torch.tensor([[1.0, 0.0]]), 2, reweight=1.0)
    matrix = full(*extended_propagation(extended, 3), 4)
    np.testing.assert_allclose(matrix[3], [0.5, 0.5, 0, 0])
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neighbours": 0}, "neighbours must be >= 1, got 0"),
        ({"reweight": 1.5}, "reweight must be between 0 and 1, got 1.5"),
        ({"variant": "none"}, r"variant is 'none', expected one of \['paper'"),
        ({"vectors": torch.ones(4, 4)}, r"vectors have shape \(4, 4\), expected \[5, F\] for 5 labels"),
        ({"new_vectors": torch.ones(2, 3)}, r"new_vectors have shape \(2, 3\), expected \[U, 4\] with U >= 1"),
        ({"new_vectors": torch.ones(0, 4)}, r"new_vectors have shape \(0, 4\)"),
        ({"new_vectors": torch.tensor([[1.0] * 4, [0.0] * 4])}, "new_vectors: the vector of label 1 is 0"),
        ({"vectors": torch.full((5, 4), torch.nan)}, "vectors: the vector of label 0 is 0 or not finite"),
    ],
)
def test_what_does_not_fit_the_graph_is_refused(change, message):
    _, graph, vectors, new = example()
    given = {"vectors": torch.from_numpy(vectors), "new_vectors": torch.from_numpy(new), **change}
    with pytest.raises(ValueError, match=message):
        extend_graph(graph, **given)
