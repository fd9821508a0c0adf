"""Random order: every image once before any comes again."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.samplers import RandomSampler


@settings(max_examples=30)
@given(images=st.integers(1, 40), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_random_order_has_every_image_once_an_epoch(images, seed, epoch):
    sampler = RandomSampler(np.zeros((images, 2)), images, seed)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(images))


@settings(max_examples=30)
@given(images=st.integers(1, 20), num_samples=st.integers(1, 70))
def test_random_order_uses_all_images_up_before_one_comes_again(images, num_samples):
    drawn = list(RandomSampler(np.zeros((images, 1)), num_samples))
    assert len(drawn) == num_samples
    for start in range(0, num_samples, images):
        part = drawn[start : start + images]
        assert len(set(part)) == len(part)


def test_random_order_is_no_order():
    assert list(RandomSampler(np.zeros((100, 1)), 100)) != list(range(100))


def test_random_order_draws_every_image_alike_whatever_its_labels():
    np.testing.assert_allclose(RandomSampler(np.eye(4)[[0, 0, 1]], 3).probabilities(), [1 / 3] * 3)
