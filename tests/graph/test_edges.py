import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import booleans, floats, none, sampled_from
from scipy import sparse

from mlgcn.graph import Cooccurrence, association, cooccurrence, dense, edge_table, label_graph

TABLES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=sampled_from([0.0, 1.0, np.nan]))


def both_known(values, i, j):
    return [(row[i], row[j]) for row in values.tolist() if not np.isnan(row[i]) and not np.isnan(row[j])]


def plain_p_value(values, i, j):
    """The hypergeometric tail as a sum of binomials; NaN where one is never positive with the other known."""
    pairs = both_known(values, i, j)
    first, second = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    if not first or not second:
        return math.nan
    together, total, first, second = int(sum(a * b for a, b in pairs)), len(pairs), int(first), int(second)
    ways = sum(math.comb(second, k) * math.comb(total - second, first - k) for k in range(together, first + 1))
    return ways / math.comb(total, first)


def plain_q_values(values):
    """Benjamini and Hochberg over the pairs i < j that have a p value: symmetric [C, C]."""
    size = values.shape[1]
    tested = sorted(
        (p, i, j) for i in range(size) for j in range(i + 1, size) if (p := plain_p_value(values, i, j)) == p
    )
    adjusted, least = np.full((size, size), np.nan), 1.0
    for rank in range(len(tested), 0, -1):
        p, i, j = tested[rank - 1]
        least = min(least, p * len(tested) / rank)
        adjusted[i, j] = adjusted[j, i] = least
    return adjusted


def plain_edges(values, threshold, shrinkage, significance, symmetric):
    """The edges from the values, pair by pair in float64."""
    size = values.shape[1]
    q_values, edges = plain_q_values(values), set()
    for i in range(size):
        for j in range(size):
            told = [row[j] for row in values.tolist() if row[i] == 1 and not np.isnan(row[j])]
            known = [row[j] for row in values.tolist() if not np.isnan(row[j])]
            prior = shrinkage * sum(known) / len(known) if known and shrinkage else 0.0
            if i == j or not len(told) + shrinkage or (shrinkage and not known):
                continue
            if (sum(told) + prior) / (len(told) + shrinkage) >= threshold and (
                significance is None or q_values[i, j] <= significance
            ):
                edges |= {(i, j), (j, i)} if symmetric else {(i, j)}
    return edges


@given(
    values=TABLES,
    threshold=sampled_from([0.0, 1 / 3, 0.4, 0.5, 1.0]),
    shrinkage=sampled_from([0.0, 0.5, 3.0]),
    significance=none() | sampled_from([0.05, 0.5, 1.0]),
    symmetric=booleans(),
)
@settings(max_examples=200)
def test_edges_equal_their_definition(values, threshold, shrinkage, significance, symmetric):
    table = edge_table(
        cooccurrence(values), threshold, shrinkage=shrinkage, significance=significance, symmetric=symmetric
    )
    found = [(int(row.source), int(row.target)) for row in table.itertuples()]
    assert found == sorted(plain_edges(values, threshold, shrinkage, significance, symmetric))


@given(values=TABLES)
@settings(max_examples=200)
def test_p_and_q_values_equal_their_definitions(values):
    size = values.shape[1]
    first, second = (places.ravel() for places in np.meshgrid(np.arange(size), np.arange(size)))
    first, second = first[first != second], second[first != second]
    p, q = association(cooccurrence(values), first, second)
    expected = [plain_p_value(values, i, j) for i, j in zip(first, second, strict=True)]
    np.testing.assert_allclose(p, expected, rtol=1e-9)
    np.testing.assert_allclose(q, plain_q_values(values)[first, second], rtol=1e-9)


def test_an_edge_is_described_by_what_it_rests_on():
    # Ten images: a in 4, b in 5, both in 3; in one of those with a alone b is unknown.
    values = np.array([[1, 1]] * 3 + [[1, np.nan]] + [[0, 1]] * 2 + [[0, 0]] * 4)
    row = edge_table(cooccurrence(values, ["a", "b"]), 0.9).iloc[0]
    assert (row.source, row.target, row.together, row.source_images, row.target_images) == ("a", "b", 3, 4, 5)
    assert row.probability == 1 and row.reverse == 3 / 5
    assert row.lift == pytest.approx(1 / (5 / 9))  # b is known in 9 images and positive in 5
    # Of 9 images with both known, 3 with a are drawn from 5 with b.
    assert row.q_value == pytest.approx(math.comb(5, 3) / math.comb(9, 3))


def test_chance_makes_no_significant_edge_but_true_links_do():
    rng = np.random.default_rng(0)
    values = rng.random((3000, 12)) < np.linspace(0.02, 0.6, 12)
    values[:, 0] = values[:, 1] & (rng.random(3000) < 0.9)
    plain = edge_table(cooccurrence(values), 0.4)
    kept = edge_table(cooccurrence(values), 0.4, significance=0.01)
    assert {("0", "1")} <= set(zip(kept.source, kept.target, strict=True))
    assert len(kept) < len(plain) / 5
    assert (kept.q_value <= 0.01).all()


@given(values=TABLES, shrinkage=floats(0, 100))
def test_the_graph_is_made_of_these_edges(values, shrinkage):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = label_graph(cooccurrence(values), 0.3, 0.2, shrinkage=shrinkage, symmetric=True)
    weights = dense(graph).numpy()
    joined = {(i, j) for i, j in np.argwhere(weights > 0).tolist() if i != j}
    assert joined == plain_edges(values, 0.3, shrinkage, None, True)
    assert ((weights > 0) == (weights > 0).T).all()
    assert graph.options["shrinkage"] == shrinkage and graph.options["symmetric"] is True


def test_ten_thousand_labels_give_edges_without_a_full_matrix():
    rng = np.random.default_rng(0)
    rows, columns = np.repeat(np.arange(3000), 4), rng.integers(10_000, size=12_000)
    values = sparse.csr_array((np.ones(12_000), (rows, columns)), shape=(3000, 10_000))
    values.data[:] = 1
    cooc = cooccurrence(values)
    table = edge_table(cooc, 0.4, shrinkage=1.0, significance=0.5)
    assert "counts" not in vars(cooc)  # the full matrix was never asked for
    assert (table.probability >= 0.4).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.1}, "threshold must be between 0 and 1, got 1.1"),
        ({"significance": -0.1}, "significance must be between 0 and 1, got -0.1"),
        ({"significance": float("nan")}, "significance must be between 0 and 1"),
        ({"shrinkage": -1.0}, "shrinkage must be a number of images >= 0, got -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        edge_table(cooccurrence(np.eye(3)), **options)


def test_what_needs_the_number_of_images_says_so():
    cooc = Cooccurrence(sparse.csr_array([[2, 1], [1, 2]]), ("a", "b"))
    assert list(edge_table(cooc, 0.4).columns)[-1] == "reverse"
    for options in ({"significance": 0.05}, {"shrinkage": 1.0}):
        with pytest.raises(ValueError, match="without the number of images"):
            edge_table(cooc, 0.4, **options)
