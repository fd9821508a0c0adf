"""Normalisation and augmentation of a batch."""

import random

import numpy as np
import pytest
import torch

from mlgcn.data.transforms import AUGMENTATIONS, MEAN, STD, augment, normalise

CHANGING = sorted(set(AUGMENTATIONS) - {"none"})


def batch(images=4, size=24, seed=0):
    return torch.tensor(np.random.default_rng(seed).integers(0, 256, (images, 1, size, size)), dtype=torch.uint8)


def left_bright(images):
    """Pictures whose left half is bright."""
    pictures = torch.zeros(images, 1, 16, 16, dtype=torch.uint8)
    pictures[..., :8] = 200
    return pictures


def test_a_grey_value_is_normalised_for_each_of_three_channels():
    levels = torch.tensor([0, 1, 51, 128, 255], dtype=torch.uint8).reshape(1, 1, 1, 5)
    made = normalise(levels)
    assert made.shape == (1, 3, 1, 5) and made.dtype == torch.float32
    for channel, (mean, std) in enumerate(
        zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)  # ImageNet's
    ):
        for place, level in enumerate((0, 1, 51, 128, 255)):
            assert made[0, channel, 0, place].item() == pytest.approx((level / 255 - mean) / std, rel=1e-5)


def test_other_statistics_are_used_where_given():
    made = normalise(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), (0.0, 0.5, 1.0), (1.0, 0.5, 2.0))
    assert made.flatten().tolist() == [1, 1, 0]
    assert (MEAN, STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_normalising_leaves_the_images_as_they_were():
    images = batch()
    before = images.clone()
    normalise(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 4, 4), r"images are torch.float32 \(2, 1, 4, 4\), expected uint8 \[B, 1, H, W\]"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), r"images are torch.uint8 \(2, 3, 4, 4\), expected"),
        (torch.zeros(1, 4, 4, dtype=torch.uint8), r"images are torch.uint8 \(1, 4, 4\), expected"),
    ],
)
def test_what_is_no_grey_batch_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        normalise(images)


@pytest.mark.parametrize("name", CHANGING)
def test_the_key_alone_decides_the_changes(name):
    images = batch()
    made = augment(images, name, 1, 2, 3)
    torch.rand(7)
    assert torch.equal(augment(images, name, 1, 2, 3), made)
    assert not torch.equal(augment(images, name, 1, 2, 4), made)
    assert made.shape == images.shape and made.dtype == torch.uint8


@pytest.mark.parametrize("name", CHANGING)
def test_equal_images_are_changed_each_in_its_own_way(name):
    made = augment(batch(1).expand(6, 1, 24, 24), name, 5)
    for one in range(6):
        assert not torch.equal(made[one], batch(1)[0])
        for other in range(one):
            assert not torch.equal(made[one], made[other])


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_augmenting_leaves_the_images_and_the_global_streams_untouched(name):
    images = batch()
    before = images.clone()
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    augment(images, name, 0)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]


def test_none_changes_nothing():
    assert torch.equal(augment(batch(), "none", 1), batch())


def test_flip_mirrors_about_half_of_the_images_and_light_none():
    def mirrored(name):
        made = augment(left_bright(400), name, 0).float()
        return int((made[..., 8:].mean(dim=(1, 2, 3)) > made[..., :8].mean(dim=(1, 2, 3))).sum())

    assert mirrored("light") == 0
    assert abs(mirrored("flip") - 200) < 5 * np.sqrt(400 * 0.25)


def test_light_changes_are_light():
    # A bright disc in the middle stays there: at most 7 degrees, 5 % and a scale of 8 %.
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disc = (((y - 31.5) ** 2 + (x - 31.5) ** 2) < 20**2).to(torch.uint8)[None, None] * 200
    made = augment(disc.expand(50, 1, 64, 64), "light", 0).float()
    weight = made.sum(dim=(1, 2, 3))
    for grid in (y, x):
        centre = (made[:, 0] * grid).sum(dim=(1, 2)) / weight
        assert (centre - 31.5).abs().max() < 0.05 * 64 + 1
        assert centre.std() > 0.5
    area = (made > 60).sum(dim=(1, 2, 3)) / (disc > 0).sum()
    assert area.min() > 0.9**2 and area.max() < 1.1**2


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match=r"augmentation is 'heavy', expected one of \['flip', 'light', 'none'\]"):
        augment(batch(), "heavy", 0)
