"""The positives of a table: the same dense and sparse, in memory that grows with their number alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlgcn.data.samplers import SAMPLERS, Positives, positives

NAN = float("nan")
FORMATS = [sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.csr_matrix]


def many_labels(images, labels, seed=0):
    """Targets with about a third each of positive, negative and unknown."""
    return np.random.default_rng(seed).choice([0, 1, NAN], size=(images, labels))


@settings(max_examples=40)
@given(images=st.integers(1, 30), labels=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_positives_are_where_the_table_has_a_one_by_image_and_by_label(images, labels, seed):
    targets = many_labels(images, labels, seed)
    found = Positives(targets)
    for table in (found.by_image, found.by_label):
        np.testing.assert_array_equal(table.toarray(), targets == 1)
    assert found.counts.tolist() == [int((column == 1).sum()) for column in targets.T]
    for label in range(labels):
        assert found.images(label).tolist() == [row for row in range(images) if targets[row, label] == 1]


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=20)
@given(images=st.integers(1, 30), labels=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_sparse_targets_have_the_same_positives_as_dense_ones(kind, images, labels, seed):
    targets = many_labels(images, labels, seed)
    found = Positives(kind(targets))  # stores the unknown too
    np.testing.assert_array_equal(found.by_image.toarray(), targets == 1)
    assert found.by_image.nnz == (targets == 1).sum()


def test_a_table_in_many_blocks_has_the_positives_of_the_whole(monkeypatch):
    targets = many_labels(50, 4)
    monkeypatch.setattr(positives, "BLOCK_ROWS", 7)
    np.testing.assert_array_equal(Positives(targets).by_image.toarray(), targets == 1)


def test_a_zero_that_is_stored_is_no_positive_and_the_callers_table_stays_as_it_is():
    entries, columns, ends = np.array([1, 0, 1.0]), np.array([2, 1, 0]), np.array([0, 2, 3])  # columns out of order
    targets = sparse.csr_array((entries, columns, ends), shape=(2, 3))
    assert Positives(targets).by_image.toarray().tolist() == [[False, False, True], [True, False, False]]
    assert targets.indices.tolist() == [2, 1, 0] and targets.data.tolist() == [1, 0, 1]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.filterwarnings("ignore:labels in columns")
def test_a_table_far_too_large_to_be_dense_is_drawn_from(name):
    rows, columns = [3, 500_000, 999_999], [0, 7, 9999]
    targets = sparse.coo_array((np.ones(3, dtype=np.int8), (rows, columns)), shape=(10**6, 10**4))
    drawn = set(SAMPLERS[name](targets, 300))
    assert drawn == set(rows) if name in ("cycle", "class_aware", "least_sampled") else drawn <= set(range(10**6))


def test_the_labels_that_can_lead_have_positives_and_of_the_others_the_first_are_named():
    targets = np.zeros((2, 14))
    targets[0, [4, 13]] = 1
    with pytest.warns(UserWarning, match=r"columns \[0, 1, 2, 3, 5, 6, 7, 8, 9, 10\] and 2 more have no positive"):
        leading = Positives(targets).leading()
    assert leading.tolist() == [4, 13]


def test_even_probabilities_add_up_and_follow_the_number_of_images():
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, NAN, 0], [1, 0, 0]])
    np.testing.assert_allclose(Positives(targets).even_probabilities(), [1 / 8, 5 / 8, 1 / 8, 1 / 8])


@pytest.mark.parametrize("kind", [np.asarray, *FORMATS])
@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (4, 1, 2, r"targets hold 2\.0 in row 4, column 1, expected 0, 1 or NaN"),
        (0, 2, -1, r"targets hold -1\.0 in row 0, column 2, expected 0, 1 or NaN"),
        (2, 0, np.inf, "targets hold inf in row 2, column 0, expected 0, 1 or NaN"),
    ],
)
def test_other_values_are_refused_with_their_place(monkeypatch, kind, row, column, value, message):
    monkeypatch.setattr(positives, "BLOCK_ROWS", 3)
    targets = np.zeros((6, 3))
    targets[row, column] = value
    with pytest.raises(ValueError, match=message):
        Positives(kind(targets))


def test_a_positive_that_is_stored_twice_is_refused():
    targets = sparse.coo_array((np.ones(2), ([1, 1], [0, 0])), shape=(3, 2))
    with pytest.raises(ValueError, match=r"targets hold 2\.0 in row 1, column 0"):
        Positives(targets)


@pytest.mark.parametrize("targets", [np.zeros(3), np.zeros((0, 2)), np.zeros((2, 2, 2)), sparse.csr_array((0, 2))])
def test_targets_of_another_shape_are_refused(targets):
    with pytest.raises(ValueError, match=r"targets have shape \(.*\), expected \[N >= 1, C\]"):
        Positives(targets)
