import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.metrics import label_confusion


def share(called, chosen):
    return np.mean([called[row] for row in chosen]) if chosen else np.nan


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_rates_equal_counting_image_by_image(seed):
    rng = np.random.default_rng(seed)
    scores, thresholds = rng.uniform(size=(20, 4)).round(1), rng.uniform(0.2, 0.8, size=4).round(1)
    targets = rng.choice([0, 1, np.nan], size=(20, 4), p=[0.5, 0.4, 0.1])
    targets[:, 3] = 0
    with_it, without, images = label_confusion(scores, targets, thresholds)
    for i in range(4):
        for j in range(4):
            rows = [row for row in range(20) if targets[row, j] == 0]
            both = [[row for row in rows if targets[row, i] == value] for value in (1, 0)]
            called = scores[:, j] >= thresholds[j]
            assert images[i, j] == len(both[0])
            for found, chosen in zip((with_it, without), both, strict=True):
                expected = np.nan if i == j else share(called, chosen)
                assert found[i, j] == pytest.approx(expected, nan_ok=True)


def test_a_finding_that_is_called_whenever_another_is_there_stands_out():
    targets = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    scores = np.array([[0.9, 0.8], [0.9, 0.7], [0.1, 0.2], [0.1, 0.6]])
    with_it, without, images = label_confusion(scores, targets)
    assert (with_it[0, 1], without[0, 1], images[0, 1]) == (1.0, 0.5, 2)
    assert np.isnan(with_it[1, 0]) and images[1, 0] == 0  # no image has the second label


def test_bad_input_is_refused_as_elsewhere():
    with pytest.raises(ValueError, match="expected 0, 1 or NaN"):
        label_confusion([[0.5]], [[2]])
    with pytest.raises(ValueError, match="thresholds"):
        label_confusion([[0.5]], [[1]], [0.5, 0.5])
