import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from

from mlgcn.losses.label_prior import LabelPrior

LOGITS = torch.zeros(2, 3, dtype=torch.float64)


@given(counts=lists(integers(0, 50_000), min_size=1, max_size=6), beta=sampled_from([0.0, 0.9, 0.9999, 1 - 1e-9]))
@settings(max_examples=50)
def test_every_form_is_what_its_name_says(counts, beta):
    prior, logits = LabelPrior(counts, 50_000), torch.zeros(1, len(counts), dtype=torch.float64)
    between = [min(max(n, 1), 49_999) for n in counts]
    np.testing.assert_allclose(prior.frequency(logits), [n / 50_000 for n in counts])
    np.testing.assert_allclose(prior.found(logits), between)
    np.testing.assert_allclose(prior.log_frequency(logits), [math.log(n / 50_000) for n in between], rtol=1e-9)
    odds = [math.log(Fraction(n, 50_000 - n)) for n in between]
    np.testing.assert_allclose(prior.log_odds(logits), odds, rtol=1e-9, atol=1e-12)
    positive, negative = prior.exponential_weights(logits)
    np.testing.assert_allclose(positive, [math.e / math.e ** (n / 50_000) for n in counts])
    np.testing.assert_allclose(negative, [math.e ** (n / 50_000) for n in counts])
    # The effective number of n samples is the sum of the first n powers of beta.
    effective = [float(np.sum(beta ** np.arange(n))) for n in between]
    inverse = [1 / number for number in effective]
    expected = [value * len(counts) / sum(inverse) for value in inverse]
    np.testing.assert_allclose(prior.effective_number_weights(logits, beta), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_form_is_in_the_type_of_the_logits_and_finite(dtype):
    prior, logits = LabelPrior([0, 1, 264_848, 264_849], 264_849), torch.zeros(1, 4, dtype=dtype)
    forms = [prior.frequency, prior.found, prior.log_frequency, prior.log_odds]
    forms += [lambda logits: prior.effective_number_weights(logits, 0.9999)]
    forms += [lambda logits, sign=sign: prior.exponential_weights(logits)[sign] for sign in (0, 1)]
    for form in forms:
        found = form(logits)
        assert found.dtype == dtype and found.shape == (4,) and torch.isfinite(found).all()
        np.testing.assert_allclose(found, form(logits.double()), rtol=1e-5, atol=1e-6)
    assert prior.log_odds(logits)[0] == prior.log_odds(logits)[1] == -prior.log_odds(logits)[2]


def test_counts_may_be_a_list_an_array_or_a_tensor_and_are_kept_exactly():
    for counts in ([3, 2**24 + 1], np.array([3, 2**24 + 1]), torch.tensor([3.0, 2**24 + 1], dtype=torch.float64)):
        prior = LabelPrior(counts, 2**25).half()
        assert prior.counts.dtype == torch.int64 and prior.counts.tolist() == [3, 2**24 + 1]
        assert prior.state_dict()["counts"].tolist() == [3, 2**24 + 1]


@pytest.mark.parametrize(
    ("counts", "wrong", "label"), [([3, -1], -1, 1), ([11, 3], 11, 0), ([1, 2.5], 2.5, 1), ([np.nan, 1], np.nan, 0)]
)
def test_counts_that_can_be_none_are_refused(counts, wrong, label):
    message = rf"class_counts must be whole numbers from 0 to 10 \(num_samples\), got {wrong} for label {label}"
    with pytest.raises(ValueError, match=message):
        LabelPrior(counts, 10)


@pytest.mark.parametrize("counts", [[], [[1, 2]], 3])
def test_counts_must_be_one_list(counts):
    with pytest.raises(ValueError, match=r"class_counts have shape \(.*\), expected \[C\]"):
        LabelPrior(counts, 10)


@pytest.mark.parametrize("images", [1, 0, -5, math.nan])
def test_a_split_of_fewer_than_two_images_is_refused(images):
    with pytest.raises(ValueError, match=f"num_samples must be >= 2, got {images}"):
        LabelPrior([0], images)


def test_logits_of_other_labels_are_refused():
    with pytest.raises(ValueError, match="logits have 3 labels, class_counts 2"):
        LabelPrior([1, 2], 10).log_odds(LOGITS)


def test_labels_known_of_fewer_images_are_counted_among_those():
    counts, known = [3, 0, 9], [30, 50, 9]
    several = LabelPrior(counts, known)
    for label in range(3):
        alone = LabelPrior(counts[label : label + 1], known[label])
        for form in ("frequency", "found", "log_frequency", "log_odds"):
            found, expected = getattr(several, form)(LOGITS)[label], getattr(alone, form)(LOGITS[:, :1])[0]
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
        for found, expected in zip(
            several.exponential_weights(LOGITS), alone.exponential_weights(LOGITS[:, :1]), strict=True
        ):
            torch.testing.assert_close(found[label], expected[0], rtol=0, atol=0)
    np.testing.assert_allclose(several.log_odds(LOGITS), np.log([3 / 27, 1 / 49, 8 / 1]))


def test_a_count_above_the_images_of_its_label_is_refused():
    with pytest.raises(ValueError, match=r"from 0 to 4 \(num_samples\), got 5 for label 1"):
        LabelPrior([3, 5], [10, 4])
    with pytest.raises(ValueError, match="num_samples must be >= 2, got 1"):
        LabelPrior([0, 1], [10, 1])
    with pytest.raises(ValueError, match=r"num_samples have shape \(3,\), expected one number or \(2,\)"):
        LabelPrior([0, 1], [10, 10, 10])
