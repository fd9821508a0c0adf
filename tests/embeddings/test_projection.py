import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers
from sklearn.decomposition import PCA

from embeddings import project
from embeddings.store import keyed_vectors


def random_rows(count, features, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, features)) + 3
    return keyed_vectors([f"label {i}" for i in range(count)], rows)


@given(seed=integers(0, 1000), count=integers(2, 12), features=integers(1, 12), dimensions=integers(1, 12))
def test_pca_equals_that_of_scikit_learn_up_to_the_sign_of_an_axis(seed, count, features, dimensions):
    dimensions = min(dimensions, features, count - 1)  # one more axis has no width, and its coordinates are rounding
    vectors = random_rows(count, features, seed)
    projected = project(vectors, dimensions)
    expected = PCA(dimensions, svd_solver="full").fit_transform(vectors.vectors.astype(np.float64))
    assert projected.index_to_key == vectors.index_to_key
    assert projected.vectors.shape == (count, dimensions) and projected.vectors.dtype == np.float32
    np.testing.assert_allclose(np.abs(projected.vectors), np.abs(expected), atol=1e-5)
    np.testing.assert_allclose(projected.vectors @ projected.vectors.T, expected @ expected.T, atol=1e-3)


def test_the_largest_coordinate_along_each_axis_is_positive():
    vectors = random_rows(9, 6)
    flipped = keyed_vectors(vectors.index_to_key, -vectors.vectors)
    for projected in (project(vectors, 5).vectors, project(flipped, 5).vectors):
        assert (projected[np.abs(projected).argmax(axis=0), np.arange(5)] > 0).all()


def test_pca_to_every_dimension_keeps_distances():
    vectors = random_rows(7, 5)
    before = np.linalg.norm(vectors.vectors[:, None] - vectors.vectors, axis=2)
    after = project(vectors, 5).vectors
    np.testing.assert_allclose(np.linalg.norm(after[:, None] - after, axis=2), before, atol=1e-5)


@pytest.mark.parametrize(("count", "features"), [(4, 10), (10, 4)])
def test_pca_beyond_what_it_can_give_names_the_method_that_can(count, features):
    assert project(random_rows(count, features), 4).vector_size == 4
    with pytest.raises(ValueError, match=r"gives at most 4 dimensions, got 5; method 'random' gives any number"):
        project(random_rows(count, features), 5)


@pytest.mark.parametrize("dimensions", [5, 8])
def test_a_random_projection_to_as_many_dimensions_or_more_keeps_products(dimensions):
    vectors = random_rows(6, 5)
    projected = project(vectors, dimensions, "random", seed=3)
    assert projected.index_to_key == vectors.index_to_key and projected.vectors.shape == (6, dimensions)
    np.testing.assert_allclose(projected.vectors @ projected.vectors.T, vectors.vectors @ vectors.vectors.T, rtol=1e-5)


def test_a_random_projection_to_fewer_dimensions_is_a_scaled_orthogonal_one():
    unit = keyed_vectors([str(i) for i in range(8)], np.eye(8))
    matrix = project(unit, 3, "random", seed=1).vectors.astype(np.float64)  # its rows are where the axes go
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3) * 8 / 3, atol=1e-5)
    vectors = random_rows(6, 8)
    np.testing.assert_allclose(
        project(vectors, 3, "random", seed=1).vectors, vectors.vectors.astype(np.float64) @ matrix, rtol=1e-4, atol=1e-5
    )


def test_a_random_projection_keeps_squared_lengths_on_average():
    vector = keyed_vectors(["a"], [[1.0, 2.0, 2.0, 4.0]])  # of squared length 25
    squares = [np.square(project(vector, 2, "random", seed).vectors.astype(float)).sum() for seed in range(2000)]
    # The squared share that a random plane of four dimensions keeps is uniform on 0 to 1: mean 0.5, deviation 0.29.
    assert abs(np.mean(squares) - 25) < 4 * 50 * 0.29 / 2000**0.5


def test_only_the_random_method_depends_on_the_seed():
    vectors = random_rows(6, 5)
    first, again, other = (project(vectors, 4, "random", seed).vectors for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(project(vectors, 4, seed=0).vectors, project(vectors, 4, seed=1).vectors)


def test_other_methods_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"method must be one of \('pca', 'random'\), got 'umap'"):
        project(random_rows(3, 3), 2, "umap")
    with pytest.raises(ValueError, match="dimensions must be >= 1, got 0"):
        project(random_rows(3, 3), 0)
