import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import sampled_from

from embeddings import label_sentences

TABLES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=sampled_from([0.0, 1.0, np.nan]))


@given(values=TABLES)
def test_each_image_with_a_positive_label_is_one_sentence_of_its_positives(values):
    names = [f"label {j}" for j in range(values.shape[1])]
    expected = []
    for row in values.tolist():
        positives = [name for name, value in zip(names, row, strict=True) if value == 1.0]
        if positives:
            expected.append(positives)
    assert label_sentences(values, names) == expected


@pytest.mark.parametrize("kind", [bool, np.int8, np.int64, np.float64])
def test_the_type_of_the_values_does_not_matter(kind):
    values = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    assert label_sentences(values.astype(kind), ["a b", "c", "d"]) == [["a b", "d"], ["c"]]
    assert label_sentences(values.tolist(), ["a b", "c", "d"]) == [["a b", "d"], ["c"]]


def test_a_table_without_images_gives_no_sentence():
    assert label_sentences(np.empty((0, 2)), ["a", "b"]) == []


@pytest.mark.parametrize("wrong", [-1, 0.5, 2, np.inf])
def test_a_value_that_is_no_label_is_named(wrong):
    values = np.zeros((3, 2))
    values[1, 1] = wrong
    with pytest.raises(ValueError, match=r"'b' of row 1 is .* expected 0, 1 or NaN"):
        label_sentences(values, ["a", "b"])


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3), (3, 2, 1)])
def test_values_of_another_shape_than_the_names_are_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        label_sentences(np.zeros(shape), ["a", "b"])
