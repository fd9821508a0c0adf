import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers
from scipy.spatial.distance import pdist, squareform

from embeddings import agreement, map_2d, nearest, neighbours, pmi
from embeddings.store import keyed_vectors


def keyed(rows):
    return keyed_vectors([f"label {i}" for i in range(len(rows))], rows)


def random_vectors(count, size, seed=0):
    return keyed(np.random.default_rng(seed).normal(size=(count, size)))


def cosine(first, second):
    first, second = first.astype(float).tolist(), second.astype(float).tolist()
    dot = math.fsum(a * b for a, b in zip(first, second, strict=True))
    return dot / math.sqrt(math.fsum(a * a for a in first) * math.fsum(b * b for b in second))


def label_counts(seed, images=200, labels=6, rate=0.3):
    """Co-occurrence counts of random labels, and the table they come from."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(size=(images, labels)) < rate * rng.uniform(size=labels)
    return values.T.astype(int) @ values.astype(int), values


@given(seed=integers(0, 1000), count=integers(1, 9))
def test_the_neighbours_are_those_of_a_sorted_list(seed, count):
    vectors = random_vectors(7, 4, seed)
    table = nearest(vectors, count=count)
    assert list(table.columns) == ["label", "rank", "neighbour", "cosine"]
    assert list(dict.fromkeys(table.label)) == vectors.index_to_key
    for label, rows in table.groupby("label"):
        others = [(-cosine(vectors[label], vectors[other]), other) for other in vectors.index_to_key if other != label]
        expected = sorted(others)[:count]
        assert rows["rank"].tolist() == list(range(1, min(count, 6) + 1))
        assert rows.neighbour.tolist() == [other for _, other in expected]
        np.testing.assert_allclose(rows.cosine, [-value for value, _ in expected], atol=1e-6)


def test_names_choose_whose_neighbours_to_give_among_all(monkeypatch):
    vectors = random_vectors(7, 4)
    whole = nearest(vectors, count=2).set_index("label")
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", 2)
    chosen = nearest(vectors, ["label 5", "label 0", "label 6"], count=2)
    assert chosen.label.tolist() == ["label 5"] * 2 + ["label 0"] * 2 + ["label 6"] * 2
    for name, rows in chosen.set_index("label").groupby(level=0):
        assert rows.equals(whole.loc[[name]])


def test_equal_cosines_keep_the_order_and_zero_vectors_have_no_neighbours():
    table = nearest(keyed([[0, 2], [0, 0], [3, 0], [5, 0], [0, 0]]))
    assert table[["label", "neighbour", "cosine"]].to_numpy().tolist() == [
        ["label 0", "label 2", 0.0], ["label 0", "label 3", 0.0],
        ["label 2", "label 3", 1.0], ["label 2", "label 0", 0.0],
        ["label 3", "label 2", 1.0], ["label 3", "label 0", 0.0],
    ]  # fmt: skip


def test_unknown_names_and_no_neighbours_are_refused():
    with pytest.raises(ValueError, match=r"no vectors of \['x', 'y'\]"):
        nearest(random_vectors(3, 2), ["x", "label 1", "y"])
    with pytest.raises(ValueError, match="count must be >= 1, got 0"):
        nearest(random_vectors(3, 2), count=0)


@given(seed=integers(0, 1000), rate=floats(0.02, 1))
def test_pmi_equals_its_definition_counted_image_by_image(seed, rate):
    counts, values = label_counts(seed, images=40, rate=rate)
    information = pmi(counts, 40)
    for i in range(6):
        for j in range(6):
            one, two = (sum(bool(row[k]) for row in values) / 40 for k in (i, j))
            both = sum(bool(row[i] and row[j]) for row in values) / 40
            if one == 0 or two == 0:
                assert math.isnan(information[i, j])
            elif both == 0:
                assert information[i, j] == -math.inf
            else:
                assert information[i, j] == pytest.approx(math.log(both / (one * two)), abs=1e-12)


@given(seed=integers(0, 1000))
def test_pmi_of_labels_that_are_unknown_in_some_images_rests_on_those_where_both_are_known(seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, 1.0, np.nan], size=(30, 4), p=[0.4, 0.4, 0.2])
    positive, told = values == 1, ~np.isnan(values)
    counts, images, known = (a.T.astype(int) @ b for a, b in ((positive, positive), (told, told), (positive, told)))
    information = pmi(counts, images, known)
    for i in range(4):
        for j in range(4):
            rows = values[told[:, i] & told[:, j]]
            one, two, both = rows[:, i].mean(), rows[:, j].mean(), (rows[:, i] * rows[:, j]).mean()
            expected = (math.log(both / (one * two)) if both else -math.inf) if one and two else math.nan
            np.testing.assert_allclose(information[i, j], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[5, 2], [1, 5]], "labels 0 and 1: 2 and 1 together, 5 and 5 alone, in 8 images"),
        ([[5, 4], [4, 3]], "labels 0 and 1: 4 and 4 together"),
        ([[5, -1], [-1, 3]], "labels 0 and 1: -1 and -1 together"),
        ([[9, 2], [2, 3]], "labels 0 and 0: 9 and 9 together, 9 and 9 alone, in 8 images"),
        ([[5, 1], [1, 5]], "labels 0 and 1: 1 and 1 together"),
        ([[5, np.nan], [np.nan, 5]], "labels 0 and 1: nan and nan together"),
        ([[5, 1, 1], [1, 3, 0]], r"counts have shape \(2, 3\), expected \[C, C\]"),
    ],
)
def test_counts_that_no_set_of_images_has_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        pmi(counts, 8)


def average_ranks(values):
    return [sum((other < value) + 0.5 * (other == value) for other in values) + 0.5 for value in values]


@given(seed=integers(0, 1000), rate=floats(0.05, 1))
def test_agreement_equals_the_correlation_of_the_ranks_of_pairs(seed, rate):
    counts, values = label_counts(seed, rate=rate)
    vectors = random_vectors(6, 4, seed)
    pairs = []
    for i in range(6):
        for j in range(i):
            if counts[i, i] and counts[j, j]:
                lift = float((values[:, i] & values[:, j]).mean() / values[:, i].mean() / values[:, j].mean())
                # Pairs never seen together have lift 0, the lowest; the logarithm changes no order.
                pairs.append((round(cosine(vectors.vectors[i], vectors.vectors[j]), 7), round(lift, 12)))
    first, second = (average_ranks(column) for column in zip(*pairs, strict=True)) if pairs else ([], [])
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert math.isnan(agreement(vectors, pmi(counts, 200)))
    else:
        expected = np.corrcoef(first, second)[0, 1]
        assert agreement(vectors, pmi(counts, 200)) == pytest.approx(expected, abs=1e-9)


def test_vectors_whose_cosines_order_the_pairs_as_pmi_does_agree_wholly():
    counts = [[10, 8, 2, 0], [8, 10, 3, 1], [2, 3, 10, 5], [0, 1, 5, 10]]  # equal totals: the counts order the pairs
    gram = np.eye(4) + (np.array(counts) / 100) * (1 - np.eye(4))
    vectors = keyed(np.linalg.cholesky(gram))  # their cosines are the entries of gram
    assert agreement(vectors, pmi(counts, 50)) == pytest.approx(1)
    opposite = keyed(np.linalg.cholesky(2 * np.eye(4) - gram))
    assert agreement(opposite, pmi(counts, 50)) == pytest.approx(-1)


def test_agreement_is_nan_where_it_cannot_be_told():
    counts, _ = label_counts(0, rate=1)
    assert math.isnan(agreement(keyed(np.eye(6)), pmi(counts, 200)))  # all cosines are 0
    assert math.isnan(agreement(keyed(np.outer(np.arange(1, 7), [0.1, 0.2, 0.3])), pmi(counts, 200)))  # all are 1
    assert math.isnan(agreement(random_vectors(6, 3), pmi(np.eye(6) * 4, 200)))  # no two labels ever stand together
    assert math.isnan(agreement(random_vectors(2, 3), pmi(counts[:2, :2], 200)))  # a single pair


def test_labels_without_images_or_with_zero_vectors_do_not_count():
    counts, _ = label_counts(0, rate=1)
    vectors = random_vectors(6, 4)
    expected = agreement(keyed(vectors.vectors[:4]), pmi(counts[:4, :4], 200))
    counts[4] = counts[:, 4] = 0
    rows = vectors.vectors.copy()
    rows[5] = 0
    assert agreement(keyed(rows), pmi(counts, 200)) == pytest.approx(expected, abs=1e-12)


def test_counts_of_other_labels_than_the_vectors_are_refused():
    with pytest.raises(ValueError, match=r"information of shape \(6, 6\) does not fit 5 vectors"):
        agreement(random_vectors(5, 3), pmi(label_counts(0)[0], 200))


def test_the_map_is_classical_scaling_of_cosine_distances():
    vectors = random_vectors(8, 5)
    table = map_2d(vectors)
    assert table.label.tolist() == vectors.index_to_key
    cosines = 1 - squareform(pdist(vectors.vectors.astype(np.float64), "cosine"))
    centre = np.eye(8) - 1 / 8
    values, axes = np.linalg.eigh(-0.5 * centre @ (2 - 2 * cosines) @ centre)  # Torgerson 1952
    for column, k in (("x", -1), ("y", -2)):
        expected = axes[:, k] * math.sqrt(values[k])
        expected *= np.sign(expected[np.abs(expected).argmax()])
        np.testing.assert_allclose(table[column], expected, atol=1e-7)


def test_labels_in_a_plane_keep_their_distances_on_the_map():
    angles = np.array([0.1, 1.0, 2.5, 4.0])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    table = map_2d(keyed(points * [[1], [5], [2], [0.3]]))  # lengths mean nothing
    np.testing.assert_allclose(pdist(table[["x", "y"]]), pdist(points), atol=1e-6)


@pytest.mark.parametrize("rows", [[[2.0, 1.0]], [[1.0], [3.0], [-2.0]]])
def test_the_map_has_two_axes_even_where_one_is_enough(rows):
    table = map_2d(keyed(rows))
    assert table[["x", "y"]].shape == (len(rows), 2)
    assert not table.y.any()


def test_zero_vectors_have_no_place_on_the_map():
    with pytest.raises(ValueError, match=r"zero vectors have no direction: \['label 1'\]"):
        map_2d(keyed([[1, 2], [0, 0]]))
