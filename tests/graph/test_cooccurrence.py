import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import integers, sampled_from

from mlgcn.graph import Cooccurrence, cooccurrence
from mlgcn.graph.cooccurrence import BLOCK_ROWS

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
@settings(deadline=None)
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
@settings(deadline=None)
def test_reordered_labels_give_reordered_counts(values, seed):
    order = np.random.default_rng(seed).permutation(values.shape[1])
    here, there = cooccurrence(values), cooccurrence(values[:, order])
    np.testing.assert_array_equal(there.counts, here.counts[np.ix_(order, order)])
    np.testing.assert_array_equal(there.conditional(), here.conditional()[np.ix_(order, order)])


@given(values=TABLES, times=integers(2, 4))
@settings(deadline=None)
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


def test_blocks_add_up_to_the_whole():
    rng = np.random.default_rng(2)
    values = rng.integers(2, size=(2 * BLOCK_ROWS + 7, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    positive, known = (values == 1).astype(np.float64), (~np.isnan(values)).astype(np.float64)
    found = cooccurrence(values)
    np.testing.assert_array_equal(found.counts, positive.T @ positive)
    np.testing.assert_array_equal(found.known, positive.T @ known)


@pytest.mark.parametrize("kind", [bool, np.int8, np.int64, np.float16, np.float64, np.ndarray.tolist, pd.DataFrame])
def test_the_type_of_the_values_does_not_matter(kind):
    values = np.random.default_rng(0).integers(2, size=(50, 4))
    given_values = values.astype(kind) if isinstance(kind, type) and kind is not pd.DataFrame else kind(values)
    np.testing.assert_array_equal(cooccurrence(given_values).counts, values.T @ values)


@pytest.mark.parametrize("unknown", [False, True])
def test_saved_counts_come_back_with_their_names(tmp_path, unknown):
    rng = np.random.default_rng(1)
    names = ["Edema, mild", "None", "known: None", 'a "b"']
    values = rng.integers(2, size=(40, 4)).astype(np.float32)
    if unknown:
        values[rng.random(values.shape) < 0.3] = np.nan
    saved = cooccurrence(values, names)
    saved.save(tmp_path / "cooccurrence.csv")
    loaded = Cooccurrence.load(tmp_path / "cooccurrence.csv")
    assert loaded.names == tuple(names)
    np.testing.assert_array_equal(loaded.counts, saved.counts)
    np.testing.assert_array_equal(loaded.conditional(), saved.conditional())


def test_the_file_of_fully_known_labels_is_a_square_table(tmp_path):
    found = cooccurrence([[1, 1], [1, 0]], ["a", "b"])
    found.save(tmp_path / "cooccurrence.csv")
    assert (tmp_path / "cooccurrence.csv").read_text(encoding="utf-8") == "label,a,b\na,2,1\nb,1,1\n"
    pd.testing.assert_frame_equal(found.to_frame(), pd.DataFrame([[2, 1], [1, 1]], ["a", "b"], ["a", "b"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("label,a,c\na,2,1\nb,1,1\n", "columns are"),
        ("label,a,b\na,2,1\n", "columns are"),
        ("label,a,a\na,2,1\na,1,1\n", "label names repeat"),
        ("label,a,b\na,2,0.5\nb,1,1\n", "'0.5', expected whole numbers"),
        ("label,a,b\na,2,1\nb,0,1\n", "impossible counts of 'a' and 'b'"),
        ("label,a,b\na,2,2\nb,2,1\n", "impossible counts"),
        ("label,a,b\na,2,-1\nb,-1,1\n", "impossible counts"),
        ("label,a,b,known: a,known: b\na,2,1,2,0\nb,1,1,1,1\n", "impossible counts"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    (tmp_path / "cooccurrence.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        Cooccurrence.load(tmp_path / "cooccurrence.csv")


@pytest.mark.parametrize("wrong", [-1, 0.5, 2, np.inf])
def test_a_value_that_is_no_label_is_named(wrong):
    row = BLOCK_ROWS + 3
    values = np.zeros((BLOCK_ROWS + 5, 2))
    values[row, 1] = wrong
    with pytest.raises(ValueError, match=rf"'b' of row {row} is .* expected 0, 1 or NaN"):
        cooccurrence(values, ["a", "b"])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (2, 3, 4), ()])
def test_values_that_are_no_table_are_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        cooccurrence(np.zeros(shape))


@pytest.mark.parametrize(("names", "message"), [(["a"], "1 names for 2"), (["a", "a"], r"repeat: \['a'\]")])
def test_names_that_do_not_fit_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        cooccurrence(np.ones((3, 2)), names)
