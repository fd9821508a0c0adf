"""Weighted sampling: an image's weight is that of its rarest label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.samplers import SAMPLERS, WeightedSampler

NAN = float("nan")


def weights_one_by_one(targets, power):
    """Probability of each image, label by label in plain Python."""
    positives = [[label for label, value in enumerate(row) if value == 1] for row in targets]
    counts = [sum(label in row for row in positives) for label in range(targets.shape[1])]
    without = sum(not row for row in positives)
    weights = [max(counts[label] ** -power for label in row) if row else without**-power for row in positives]
    return np.array(weights) / sum(weights)


@settings(max_examples=60)
@given(
    images=st.integers(1, 40),
    labels=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
    power=st.sampled_from([0.0, 0.3, 0.5, 1.0, 2.0]),
)
@pytest.mark.filterwarnings("ignore:labels in columns")
def test_an_image_weighs_as_much_as_its_rarest_label(images, labels, seed, power):
    targets = np.random.default_rng(seed).choice([0, 1, NAN], p=[0.6, 0.3, 0.1], size=(images, labels))
    targets[0, 0] = 1
    found = WeightedSampler(targets, 10, power=power).probabilities()
    np.testing.assert_allclose(found, weights_one_by_one(targets, power), rtol=1e-12)


def test_images_are_drawn_as_often_as_they_weigh():
    targets = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, NAN], [0, 0, 0], [NAN, 0, 1], [0, 0, 0]])
    draws, expected = 20_000, weights_one_by_one(targets, 1.0)
    counts = np.bincount(list(WeightedSampler(targets, draws, power=1.0)), minlength=7)
    assert (abs(counts - draws * expected) < 5 * np.sqrt(draws * expected * (1 - expected))).all()


def test_power_0_draws_all_images_alike_and_power_1_all_labels():
    targets = np.eye(3)[[0] * 90 + [1] * 9 + [2]]
    np.testing.assert_allclose(WeightedSampler(targets, 9, power=0).probabilities(), [0.01] * 100)
    balanced = WeightedSampler(targets, 9, power=1).probabilities() @ targets
    np.testing.assert_allclose(balanced, [1 / 3] * 3)


@pytest.mark.parametrize(("name", "power"), [("sqrt", 0.5), ("inverse_frequency", 1.0)])
def test_the_named_ones_have_their_powers(name, power):
    targets = np.eye(2)[[0] * 16 + [1]]
    expected = WeightedSampler(targets, 9, power=power)
    np.testing.assert_allclose(SAMPLERS[name](targets, 9).probabilities() @ targets, expected.probabilities() @ targets)
    share = 16 ** (1 - power)
    np.testing.assert_allclose(expected.probabilities() @ targets, [share / (share + 1), 1 / (share + 1)])


@pytest.mark.parametrize("power", [-0.5, NAN])
def test_a_power_that_favours_the_frequent_is_refused(power):
    with pytest.raises(ValueError, match=f"power must be >= 0, got {power}"):
        WeightedSampler(np.eye(2), 5, power=power)
