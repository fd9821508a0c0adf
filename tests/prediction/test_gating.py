"""Findings held against the score of a normal image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgcn.prediction.gating import gate_normal


@given(seed=st.integers(0, 2**32 - 1), exponent=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_findings_are_gated_cell_by_cell_and_the_normal_label_stays(seed, exponent):
    scores = np.random.default_rng(seed).uniform(size=(4, 3))
    found = gate_normal(scores, ["Mass", "Normal", "Edema"], exponent)
    for row, image in enumerate(scores):
        assert found[row, 1] == image[1]
        for column in (0, 2):
            assert found[row, column] == pytest.approx(image[column] * (1 - image[1]) ** exponent)


def test_the_published_exponent_is_the_default():
    scores = np.array([[0.8, 0.75]])
    np.testing.assert_allclose(gate_normal(scores, ["Mass", "No Finding"]), [[0.4, 0.75]])


@pytest.mark.parametrize(
    ("names", "exponent", "message"),
    [
        (["Mass", "Edema"], 0.5, r"one label that means a normal image, found \[\]"),
        (["Normal", "No Finding"], 0.5, r"found \['Normal', 'No Finding'\]"),
        (["Mass", "Normal"], -1, "exponent must be >= 0, got -1"),
    ],
)
def test_labels_without_one_normal_label_are_refused(names, exponent, message):
    with pytest.raises(ValueError, match=message):
        gate_normal(np.full((1, 2), 0.5), names, exponent)
