import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import floats, integers, sampled_from
from scipy import sparse

from mlgcn.graph import Cooccurrence, cooccurrence

MODULE = sys.modules["mlgcn.graph.cooccurrence"]  # of the same name as the function in it
TABLES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=sampled_from([0.0, 1.0, np.nan]))


def conditional(values):
    """P(j|i) by definition in float64: the mean of the known labels j of the images that are positive for i."""
    size = values.shape[1]
    expected = np.full((size, size), np.nan)
    for i in range(size):
        for j in range(size):
            known = [float(row[j]) for row in values if row[i] == 1 and not np.isnan(row[j])]
            if known:
                expected[i, j] = sum(known) / len(known)
    return expected


@given(values=TABLES)
def test_counts_and_conditional_probabilities_equal_their_definitions(values):
    found = cooccurrence(values)
    size = values.shape[1]
    for i in range(size):
        assert found.totals[i] == sum(row[i] == 1 for row in values)
        for j in range(size):
            assert found.counts[i, j] == sum(row[i] == 1 and row[j] == 1 for row in values)
    assert found.counts.dtype == np.int64
    np.testing.assert_allclose(found.conditional(), conditional(values), rtol=1e-15)


@given(values=TABLES, seed=integers(0, 99))
def test_reordered_labels_give_reordered_counts(values, seed):
    order = np.random.default_rng(seed).permutation(values.shape[1])
    here, there = cooccurrence(values), cooccurrence(values[:, order])
    np.testing.assert_array_equal(there.counts, here.counts[np.ix_(order, order)])
    np.testing.assert_array_equal(there.conditional(), here.conditional()[np.ix_(order, order)])


@given(values=TABLES, times=integers(2, 4))
def test_repeated_images_leave_the_conditional_probabilities_as_they_are(values, times):
    once, often = cooccurrence(values), cooccurrence(np.tile(values, (times, 1)))
    np.testing.assert_array_equal(often.counts, times * once.counts)
    np.testing.assert_allclose(often.conditional(), once.conditional(), rtol=1e-15)


def test_an_image_whose_label_is_unknown_does_not_make_that_label_less_likely():
    # Of four images positive for a, b is known in two, and positive in one of them.
    values = np.array([[1, 1], [1, 0], [1, np.nan], [1, np.nan], [0, 1]])
    found = cooccurrence(values, ["a", "b"])
    np.testing.assert_array_equal(found.conditional(), [[1, 1 / 2], [1 / 2, 1]])
    np.testing.assert_array_equal(found.totals, [4, 2])


def test_what_no_image_tells_is_nan():
    values = np.array([[1, np.nan, 0], [1, np.nan, 0]])
    np.testing.assert_array_equal(cooccurrence(values).conditional(), [[1, np.nan, 0], [np.nan] * 3, [np.nan] * 3])


def test_blocks_add_up_to_the_whole(monkeypatch):
    monkeypatch.setattr(MODULE, "VALUES_AT_ONCE", 300)
    rng = np.random.default_rng(2)
    values = rng.integers(2, size=(207, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    positive, known = (values == 1).astype(np.float64), (~np.isnan(values)).astype(np.float64)
    for table in (values, sparse.csr_array(values)):
        found = cooccurrence(table)
        np.testing.assert_array_equal(found.counts, positive.T @ positive)
        np.testing.assert_array_equal(found.known, positive.T @ known)


@pytest.mark.parametrize("kind", [bool, np.int8, np.int64, np.float16, np.float64, np.ndarray.tolist, pd.DataFrame])
def test_the_type_of_the_values_does_not_matter(kind):
    values = np.random.default_rng(0).integers(2, size=(50, 4))
    given_values = values.astype(kind) if isinstance(kind, type) and kind is not pd.DataFrame else kind(values)
    np.testing.assert_array_equal(cooccurrence(given_values).counts, values.T @ values)


@given(values=TABLES, density=sampled_from([0.0, 1.0]))
def test_sparse_values_and_sparse_products_count_the_same(values, density):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "SPARSE_BELOW", 2 * density)
        for table in (values, sparse.csr_array(values), sparse.coo_matrix(values)):
            found = cooccurrence(table)
            positive, known = (values == 1).astype(np.float64), (~np.isnan(values)).astype(np.float64)
            np.testing.assert_array_equal(found.counts, positive.T @ positive)
            np.testing.assert_array_equal(found.known, positive.T @ known)
            np.testing.assert_array_equal(found.conditional(), cooccurrence(values).conditional())


@given(values=TABLES)
def test_images_prevalence_and_labels_per_image_equal_their_definitions(values):
    found = cooccurrence(values)
    known = ~np.isnan(values)
    every = np.arange(values.shape[1])
    first, second = (places.ravel() for places in np.meshgrid(every, every))
    expected = [int((known[:, i] & known[:, j]).sum()) for i, j in zip(first, second, strict=True)]
    np.testing.assert_array_equal(found.known_images(first, second), expected)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(found.prevalence, (values == 1).sum(axis=0) / known.sum(axis=0))
    assert found.images == len(values)
    per_image = (values == 1).sum(axis=1)
    assert list(found.labels_per_image) == [int((per_image == n).sum()) for n in range(per_image.max() + 1)]


@given(values=TABLES, shrinkage=floats(0.01, 1e4))
def test_shrinkage_pulls_towards_the_prevalence(values, shrinkage):
    found = cooccurrence(values)
    size = values.shape[1]
    for i in range(size):
        for j in range(size):
            known = [float(row[j]) for row in values if row[i] == 1 and not np.isnan(row[j])]
            all_known = [float(row[j]) for row in values if not np.isnan(row[j])]
            expected = np.nan
            if all_known:
                prevalence = sum(all_known) / len(all_known)
                expected = (sum(known) + shrinkage * prevalence) / (len(known) + shrinkage)
            if i != j:
                np.testing.assert_allclose(found.conditional(shrinkage)[i, j], expected, rtol=1e-12)


def test_ten_thousand_labels_take_memory_for_their_pairs_alone():
    rng = np.random.default_rng(0)
    rows, columns = np.repeat(np.arange(2000), 3), rng.integers(10_000, size=6000)
    values = sparse.csr_array((np.ones(6000), (rows, columns)), shape=(2000, 10_000))
    values.data[:] = 1  # a label drawn twice for an image
    tracemalloc.start()
    found = cooccurrence(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # the full matrix takes 800 MB
    assert found.pairs.nnz < 30_000


def test_the_counts_of_some_labels_are_those_of_their_columns():
    values = np.random.default_rng(0).choice([0.0, 1.0, np.nan], size=(50, 4))
    part = cooccurrence(values, list("abcd"), {"split": "train"}).take(["d", "b"])
    alone = cooccurrence(values[:, [3, 1]], ["d", "b"])
    assert part.names == ("d", "b") and part.provenance == {"split": "train"}
    for name in ("counts", "known", "prevalence"):
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))
    with pytest.raises(ValueError, match="unknown label 'e'"):
        part.take(["e"])


def test_counts_as_a_table_have_names_on_both_sides():
    found = cooccurrence([[1, 1], [1, 0]], ["a", "b"])
    pd.testing.assert_frame_equal(found.to_frame(), pd.DataFrame([[2, 1], [1, 1]], ["a", "b"], ["a", "b"]))


@pytest.mark.parametrize(
    ("counts", "options"),
    [
        ([[2, 1], [0, 1]], {}),
        ([[2, 2], [2, 1]], {}),
        ([[2, -1], [-1, 1]], {}),
        ([[2, 1], [1, 1]], {"gaps": [[0, 2], [0, 0]]}),
        ([[2, 1], [1, 1]], {"images": 1}),
    ],
)
def test_impossible_counts_are_refused(counts, options):
    gaps = sparse.csr_array(options["gaps"]) if "gaps" in options else None
    with pytest.raises(ValueError, match=r"impossible counts of '[ab]' and '[ab]'"):
        Cooccurrence(sparse.csr_array(counts), ("a", "b"), options.get("images"), gaps)


def test_counts_of_an_unknown_number_of_images_have_no_prevalence():
    found = Cooccurrence(sparse.csr_array([[2, 1], [1, 1]]), ("a", "b"))
    np.testing.assert_array_equal(found.conditional(), [[1, 0.5], [1, 1]])
    for ask in (lambda: found.prevalence, lambda: found.conditional(1.0)):
        with pytest.raises(ValueError, match="without the number of images"):
            ask()


@pytest.mark.parametrize("shrinkage", [-1.0, np.inf, np.nan])
def test_shrinkage_that_is_no_number_of_images_is_refused(shrinkage):
    with pytest.raises(ValueError, match="shrinkage must be a number of images >= 0"):
        cooccurrence(np.eye(2)).conditional(shrinkage)


@pytest.mark.parametrize("wrong", [-1, 0.5, 2, np.inf])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_a_value_that_is_no_label_is_named(wrong, kind, monkeypatch):
    monkeypatch.setattr(MODULE, "VALUES_AT_ONCE", 20)
    values = np.zeros((25, 2))
    values[3] = 1
    values[17, 1] = wrong
    with pytest.raises(ValueError, match=r"'b' of row 17 is .* expected 0, 1 or NaN"):
        cooccurrence(kind(values), ["a", "b"])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (2, 3, 4), ()])
def test_values_that_are_no_table_are_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        cooccurrence(np.zeros(shape))


@pytest.mark.parametrize(("names", "message"), [(["a"], "1 names for 2"), (["a", "a"], r"repeat: \['a'\]")])
def test_names_that_do_not_fit_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        cooccurrence(np.ones((3, 2)), names)
