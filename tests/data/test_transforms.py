"""Normalisation, and augmentation of single images."""

import random

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from mlgcn.data.transforms import AUGMENTATIONS, MEAN, STD, Augmentation, normalise
from mlgcn.seeding import torch_seed

CHANGING = sorted(set(AUGMENTATIONS) - {"none"})
SIZE = 24
BILINEAR = v2.InterpolationMode.BILINEAR


def batch(images=4, size=SIZE, seed=0):
    return torch.tensor(np.random.default_rng(seed).integers(0, 256, (images, 1, size, size)), dtype=torch.uint8)


def drawn(name, image, draws, key=0):
    """The image as each of so many draws changes it: [draws, 1, S, S]."""
    augmentation = Augmentation(name, image.shape[-1], key)
    return torch.stack([augmentation(image, draw) for draw in range(draws)])


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


# What torchvision is asked for, restated

EXPECTED = {
    "light": v2.Compose(
        [
            v2.RandomAffine(7, translate=(0.05, 0.05), scale=(0.92, 1.08), interpolation=BILINEAR),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
        ]
    ),
    "flip": v2.Compose(
        [
            v2.RandomHorizontalFlip(0.5),
            v2.RandomAffine(7, translate=(0.05, 0.05), scale=(0.92, 1.08), interpolation=BILINEAR),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
        ]
    ),
    "seo2023": v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.25, 1), ratio=(2 / 3, 3 / 2), antialias=True),
            v2.RandomHorizontalFlip(0.5),
        ]
    ),
    "lai2023": v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.8**2, 1), ratio=(4 / 5, 5 / 4), antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomApply([v2.ColorJitter(brightness=0.125, contrast=0.5)], 0.5),
        ]
    ),
    "bag_of_tricks2023": v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.8, 1), ratio=(3 / 4, 4 / 3), antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomAffine(7, translate=(0.05, 0.05), scale=(1, 1), interpolation=BILINEAR),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
        ]
    ),
    "chexfusion2023": v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.9, 1), ratio=(3 / 4, 4 / 3), antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomApply(
                [v2.RandomAffine(45, translate=(0.0625, 0.0625), scale=(0.9, 1.1), interpolation=BILINEAR)], 0.5
            ),
            v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)], 0.5),
        ]
    ),
}


@pytest.mark.parametrize("name", CHANGING)
def test_an_augmentation_is_what_its_table_says_in_the_stream_of_its_key(name):
    image = batch(1)[0]
    for draw, made in enumerate(drawn(name, image, 12, key=5)):
        with torch_seed(5, draw):
            assert torch.equal(made, EXPECTED[name](image))


def test_every_augmentation_is_restated():
    assert sorted(EXPECTED) == CHANGING


# Streams


@pytest.mark.parametrize("name", CHANGING)
def test_the_key_alone_decides_the_changes(name):
    image, augmentation = batch(1)[0], Augmentation(name, SIZE, 1, 2)
    made = augmentation(image, 3)
    torch.rand(7)
    assert torch.equal(Augmentation(name, SIZE, 1, 2)(image, 3), made)
    assert made.shape == image.shape and made.dtype == torch.uint8
    others = {augmentation(image, draw).numpy().tobytes() for draw in range(4, 14)}
    assert len(others) > 5 and len(others - {made.numpy().tobytes()}) >= len(others) - 1


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_augmenting_leaves_the_image_and_the_global_streams_untouched(name):
    image = batch(1)[0]
    before = image.clone()
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    Augmentation(name, SIZE, 0)(image, 1)
    assert torch.equal(image, before)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]


def test_none_changes_nothing():
    image = batch(1)[0]
    assert torch.equal(Augmentation("none", SIZE, 0)(image, 1), image)


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match=r"unknown augmentation 'ligth'; did you mean 'light'\?"):
        Augmentation("ligth", SIZE, 0)


# What comes out


def test_flip_mirrors_about_half_of_the_images_and_light_none():
    left_bright = torch.zeros(1, 16, 16, dtype=torch.uint8)
    left_bright[..., :8] = 200

    def mirrored(name):
        made = drawn(name, left_bright, 400).float()
        return int((made[..., 8:].mean(dim=(1, 2, 3)) > made[..., :8].mean(dim=(1, 2, 3))).sum())

    assert mirrored("light") == 0
    assert abs(mirrored("flip") - 200) < 5 * np.sqrt(400 * 0.25)


def test_light_changes_are_light():
    # A bright disc in the middle stays there: at most 7 degrees, 5 % and a scale of 8 %.
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disc = (((y - 31.5) ** 2 + (x - 31.5) ** 2) < 20**2).to(torch.uint8)[None] * 200
    made = drawn("light", disc, 50).float()
    weight = made.sum(dim=(1, 2, 3))
    for grid in (y, x):
        centre = (made[:, 0] * grid).sum(dim=(1, 2)) / weight
        assert (centre - 31.5).abs().max() < 0.05 * 64 + 1
        assert centre.std() > 0.5
    area = (made > 60).sum(dim=(1, 2, 3)) / (disc > 0).sum()
    assert area.min() > 0.9**2 and area.max() < 1.1**2
