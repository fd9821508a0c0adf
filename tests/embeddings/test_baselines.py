import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from embeddings import one_hot_vectors, random_vectors

NAMES = ["Mass", "Pleural Effusion", "No Finding"]


def test_one_hot_vectors_have_a_one_at_their_own_place():
    vectors = one_hot_vectors(NAMES)
    assert vectors.index_to_key == NAMES and vectors.vectors.dtype == np.float32
    for place, name in enumerate(NAMES):
        assert vectors[name].tolist() == [float(place == other) for other in range(3)]


@given(seed=integers(0, 2**32 - 1), dimensions=integers(1, 20))
def test_random_vectors_are_normal_draws_of_the_seed_row_by_row(seed, dimensions):
    vectors = random_vectors(NAMES, dimensions, seed)
    rng = np.random.default_rng(seed)
    expected = [[rng.normal() / dimensions**0.5 for _ in range(dimensions)] for _ in NAMES]
    assert vectors.index_to_key == NAMES and vectors.vectors.dtype == np.float32
    np.testing.assert_allclose(vectors.vectors, expected, rtol=1e-6)


def test_random_vectors_have_length_one_on_average():
    lengths = np.linalg.norm(random_vectors([str(i) for i in range(2000)], 50, 1).vectors.astype(float), axis=1)
    # A squared length has the variance 2 / 50, so that its mean over 2,000 has a standard error of 0.0045.
    assert abs((lengths**2).mean() - 1) < 0.02


@pytest.mark.parametrize("build", [one_hot_vectors, lambda names: random_vectors(names, 4, 0)])
def test_names_that_repeat_or_are_missing_are_refused(build):
    with pytest.raises(ValueError, match=r"names repeat: \['Mass'\]"):
        build(["Mass", "Edema", "Mass"])
    with pytest.raises(ValueError, match="there are no names"):
        build([])


def test_vectors_without_dimensions_are_refused():
    with pytest.raises(ValueError, match="dimensions must be >= 1, got 0"):
        random_vectors(NAMES, 0, 0)
