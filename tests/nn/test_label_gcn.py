import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers
from torch_geometric.data import Data

from mlgcn.graph import propagation
from mlgcn.nn import LabelGCN, LinearClassifiers


def random_graph(rng, labels, density=0.4):
    """A directed graph with weighted loops, as label_graph makes them."""
    adjacency = np.where(rng.random((labels, labels)) < density, rng.uniform(0.1, 1, (labels, labels)), 0)
    np.fill_diagonal(adjacency, rng.uniform(0.1, 1, labels))
    source, target = np.nonzero(adjacency)
    edges = torch.from_numpy(np.stack([source, target]))
    return adjacency, Data(edge_index=edges, edge_weight=torch.from_numpy(adjacency[source, target]), num_nodes=labels)


def plain_classifiers(adjacency, vectors, first, second):
    """A_hat leaky_relu(A_hat X W1) W2 with full matrices in float64."""
    inverse_root = np.diag(adjacency.sum(axis=1) ** -0.5)
    matrix = inverse_root @ adjacency.T @ inverse_root
    hidden = matrix @ vectors @ first
    return matrix @ np.where(hidden > 0, hidden, 0.2 * hidden) @ second


def numpy_weights(classifiers):
    """W1 and W2 as the equations have them, inputs by outputs."""
    return [layer.lin.weight.detach().numpy().T for layer in (classifiers.first, classifiers.second)]


@given(seed=integers(0, 2**32 - 1), labels=integers(1, 8), density=floats(0, 1))
@settings(max_examples=40)
def test_the_classifiers_equal_two_dense_graph_convolutions(seed, labels, density):
    rng = np.random.default_rng(seed)
    adjacency, graph = random_graph(rng, labels, density)
    vectors = rng.normal(size=(labels, 5)).astype(np.float32)
    classifiers = LabelGCN(torch.from_numpy(vectors), *propagation(graph), features=6, hidden=7).double()
    # The constructor keeps edge weights in float32; the comparison is to be exact.
    classifiers.edge_weight = propagation(graph)[1]
    expected = plain_classifiers(adjacency, vectors.astype(np.float64), *numpy_weights(classifiers))
    np.testing.assert_allclose(classifiers().detach(), expected, rtol=1e-9, atol=1e-12)


def test_the_classifiers_are_float32_and_near_the_exact_ones():
    rng = np.random.default_rng(1)
    adjacency, graph = random_graph(rng, 26)
    vectors = torch.from_numpy(rng.normal(size=(26, 30)))
    classifiers = LabelGCN(vectors, *propagation(graph), features=16, hidden=32)
    found = classifiers()
    assert found.dtype == torch.float32 and found.shape == (26, 16)
    weights = [weight.astype(np.float64) for weight in numpy_weights(classifiers)]
    expected = plain_classifiers(adjacency, vectors.numpy(), *weights)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-4, atol=1e-5)


def test_only_the_two_weight_matrices_are_trained_and_they_start_as_in_ml_gcn():
    _, graph = random_graph(np.random.default_rng(2), 4)
    classifiers = LabelGCN(torch.randn(4, 300), *propagation(graph), features=400, hidden=100)
    shapes = {tuple(parameter.shape) for parameter in classifiers.parameters()}
    assert shapes == {(100, 300), (400, 100)}
    for weight in classifiers.parameters():
        bound = weight.shape[0] ** -0.5  # +-1/sqrt(outputs), uniform
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.05)


def test_the_gradients_of_the_graph_convolutions_are_right():
    _, graph = random_graph(np.random.default_rng(3), 4)
    classifiers = LabelGCN(torch.randn(4, 3), *propagation(graph), features=2, hidden=3).double()
    names, weights = zip(*classifiers.named_parameters(), strict=True)

    def rows(*values):
        return torch.func.functional_call(classifiers, dict(zip(names, values, strict=True)), ())

    assert torch.autograd.gradcheck(rows, tuple(weight.detach().requires_grad_() for weight in weights))


def test_the_label_graph_travels_with_the_weights():
    _, graph = random_graph(np.random.default_rng(4), 4)
    one = LabelGCN(torch.randn(4, 3), *propagation(graph), features=2, hidden=3)
    edges, weights = propagation(graph)
    other = LabelGCN(torch.zeros(4, 3), edges.clone(), torch.zeros_like(weights), features=2, hidden=3)
    assert not torch.equal(one(), other())
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other(), one(), rtol=0, atol=0)


def test_vectors_that_are_no_matrix_are_refused():
    with pytest.raises(ValueError, match=r"vectors have shape \(4,\), expected \[C, F\]"):
        LabelGCN(torch.zeros(4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), features=2)


@pytest.mark.parametrize("label", [3, -1])
def test_edges_of_labels_without_vectors_are_refused(label):
    edges = torch.tensor([[0, label], [1, 0]])
    with pytest.raises(ValueError, match=f"edge_index names label {label}, but there are vectors for 3"):
        LabelGCN(torch.zeros(3, 2), edges, torch.ones(2), features=2)


def test_linear_classifiers_are_free_weights_that_start_as_those_of_a_linear_layer():
    torch.manual_seed(0)
    classifiers = LinearClassifiers(30, 400)
    assert [tuple(parameter.shape) for parameter in classifiers.parameters()] == [(30, 400)]
    rows = classifiers()
    assert rows is classifiers.weight and rows.abs().max() <= 0.05  # 1/sqrt(400)
    assert rows.std().item() == pytest.approx(0.05 / np.sqrt(3), rel=0.05)
