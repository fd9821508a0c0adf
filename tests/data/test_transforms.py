"""Normalisation and augmentation of a batch."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstest
from torchvision.transforms import v2

from mlgcn.data.transforms import (
    AUGMENTATIONS,
    MEAN,
    STD,
    Augmentation,
    Changes,
    augment,
    change,
    draw_changes,
    normalise,
)
from mlgcn.seeding import torch_seed

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
    with pytest.raises(
        ValueError, match=r"augmentation is 'heavy', expected one of \['bag_of_tricks2023', .*'seo2023'"
    ):
        augment(batch(), "heavy", 0)


# What is drawn, against torchvision's random transforms

MANY = 4000


def drawn(name_or_augmentation, height=224, width=224, images=MANY):
    augmentation = AUGMENTATIONS.get(name_or_augmentation, name_or_augmentation)
    return draw_changes(augmentation, images, height, width, key=(3, 1))


@pytest.mark.parametrize(
    ("name", "mirrored", "degrees", "pixels", "zoom", "moved", "brightness", "contrast", "lit"),
    [
        ("light", 0, 7, 11, 0.08, 1, 0.15, 0.15, 1),  # 0.05 of 224 pixels is 11.2
        ("flip", 0.5, 7, 11, 0.08, 1, 0.15, 0.15, 1),
        ("seo2023", 0.5, 0, 0, 0, 1, 0, 0, 1),
        ("lai2023", 0.5, 0, 0, 0, 1, 0.125, 0.5, 0.5),
        ("bag_of_tricks2023", 0.5, 7, 11, 0, 1, 0.15, 0.15, 1),
        ("chexfusion2023", 0.5, 45, 14, 0.1, 0.5, 0.2, 0.2, 0.5),
    ],
)
def test_each_augmentation_draws_within_its_limits_and_as_often_as_it_says(
    name, mirrored, degrees, pixels, zoom, moved, brightness, contrast, lit
):
    changes = drawn(name)
    assert abs(changes.mirrored.float().mean() - mirrored) < 4 * 0.5 / np.sqrt(MANY)
    for values, limit, share in (
        (changes.angle, degrees, moved),
        (changes.zoom - 1, zoom, moved),
        (changes.brightness - 1, brightness, lit),
        (changes.contrast - 1, contrast, lit),
    ):
        changed = values[values.abs() > 1e-6].numpy()
        assert abs(len(changed) / MANY - share * (limit > 0)) < 4 * 0.5 / np.sqrt(MANY)
        if limit:
            assert kstest(changed, "uniform", args=(-limit, 2 * limit)).pvalue > 1e-4
    for shift in (changes.right, changes.down):
        assert torch.equal(shift, shift.round()) and shift.abs().max() == pixels
    together = (changes.brightness != 1) == (changes.contrast != 1)
    assert together.all() or 0 in (brightness, contrast)


@pytest.mark.parametrize(
    ("name", "area", "ratio"),
    [
        ("seo2023", (0.25, 1), (2 / 3, 3 / 2)),
        ("lai2023", (0.64, 1), (4 / 5, 5 / 4)),
        ("bag_of_tricks2023", (0.8, 1), (3 / 4, 4 / 3)),
        ("chexfusion2023", (0.9, 1), (3 / 4, 4 / 3)),
        (Augmentation(area=(0.9, 1.0), ratio=(0.9, 1.1)), (0.9, 1), (0.9, 1.1)),  # seldom fits: the middle is kept
    ],
)
@pytest.mark.parametrize(("height", "width"), [(224, 224), (150, 240), (240, 150)])
def test_crops_are_drawn_as_torchvision_draws_them(name, area, ratio, height, width):
    changes = drawn(name, height, width)
    theirs = v2.RandomResizedCrop(224, scale=area, ratio=ratio)
    with torch_seed(0):
        others = [theirs.make_params([torch.zeros(1, height, width)]) for _ in range(2000)]
    for what in ("top", "left", "height", "width"):
        assert ks_2samp(getattr(changes, what).numpy(), [float(crop[what]) for crop in others]).pvalue > 1e-4
    assert (changes.top + changes.height <= height).all() and (changes.left + changes.width <= width).all()
    assert changes.top.min() >= 0 and changes.left.min() >= 0


@pytest.mark.parametrize("name", ["light", "flip"])
def test_nothing_is_cropped_where_no_crop_is_asked_for(name):
    changes = drawn(name, 96, 80)
    assert (changes.height == 96).all() and (changes.width == 80).all()
    assert (changes.top == 0).all() and (changes.left == 0).all()


# What is done, against torchvision's functions, one image at a time


def smooth(images, height, width, seed=0):
    """Pictures without sharp edges, so that interpolation comes out alike however it is done."""
    coarse = torch.tensor(np.random.default_rng(seed).uniform(30, 220, (images, 1, 5, 5)))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return fine.clamp(0, 255).round().to(torch.uint8)


def changes_of(images, size, **fields):
    """Changes that do nothing but what is named."""
    zeros, ones = torch.zeros(images), torch.ones(images)
    nothing = {
        **dict.fromkeys(("top", "left", "angle", "right", "down"), zeros),
        **dict.fromkeys(("zoom", "brightness", "contrast"), ones),
        **dict.fromkeys(("mirrored", "contrast_first"), torch.zeros(images, dtype=torch.bool)),
        "height": torch.full((images,), float(size[0])),
        "width": torch.full((images,), float(size[1])),
    }
    return Changes(**nothing | {name: torch.as_tensor(values) for name, values in fields.items()})


def difference(made, expected, margin=0):
    """The greatest difference in grey values, of what is not within the margin of the border."""
    height, width = made.shape[-2:]
    inside = (..., slice(margin, height - margin), slice(margin, width - margin))
    return (made.to(torch.float64)[inside] - expected.to(torch.float64)[inside]).abs().max().item()


def test_no_changes_leave_every_grey_value_as_it_was():
    images = batch(3, 21)
    assert torch.equal(change(images, changes_of(3, (21, 21))), images)


def test_mirroring_is_exact():
    images = batch(4, 20)
    mirrored = torch.tensor([True, False, True, False])
    made = change(images, changes_of(4, (20, 20), mirrored=mirrored))
    for one in range(4):
        expected = v2.functional.horizontal_flip(images[one]) if mirrored[one] else images[one]
        assert torch.equal(made[one], expected)


def test_crops_equal_torchvisions():
    images = smooth(4, 60, 48)
    boxes = [(0, 0, 60, 48), (5, 7, 40, 30), (20, 8, 40, 40), (0, 18, 33, 30)]
    top, left, height, width = (torch.tensor(side, dtype=torch.float32) for side in zip(*boxes, strict=True))
    made = change(images, changes_of(4, (60, 48), top=top, left=left, height=height, width=width))
    for one, box in enumerate(boxes):
        # At the border of a crop, torchvision repeats its last row; we see the image behind it.
        expected = v2.functional.resized_crop(images[one].float(), *box, [60, 48], antialias=True)
        assert difference(made[one], expected, margin=2) <= 0.51


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), height=st.integers(24, 50), width=st.integers(24, 50))
def test_rotation_shift_and_zoom_equal_torchvisions(seed, height, width):
    rng = np.random.default_rng(seed)
    images = smooth(3, height, width, seed)
    angle, zoom = rng.uniform(-45, 45, 3), rng.uniform(0.8, 1.2, 3)
    right, down = rng.integers(-5, 6, (2, 3))
    drawn_ones = {"angle": angle, "zoom": zoom, "right": right, "down": down}
    fields = {name: values.astype(np.float32) for name, values in drawn_ones.items()}
    made = change(images, changes_of(3, (height, width), **fields))
    for one in range(3):
        expected = v2.functional.affine(
            images[one].float(),
            float(angle[one]),
            [int(right[one]), int(down[one])],
            float(zoom[one]),
            [0.0, 0.0],
            v2.InterpolationMode.BILINEAR,
            fill=None,  # black too; told to fill with it, torchvision fades the border twice
        )
        assert difference(made[one], expected) <= 0.6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999))
def test_brightness_and_contrast_equal_torchvisions_in_both_orders(seed):
    rng = np.random.default_rng(seed)
    images = batch(4, 16, seed)
    brightness, contrast = rng.uniform(0.4, 1.8, (2, 4)).astype(np.float32)
    first = torch.tensor([True, True, False, False])
    made = change(images, changes_of(4, (16, 16), brightness=brightness, contrast=contrast, contrast_first=first))
    for one in range(4):
        steps = [
            (v2.functional.adjust_brightness, float(brightness[one])),
            (v2.functional.adjust_contrast, float(contrast[one])),
        ]
        image = images[one].double() / 255
        for step, factor in reversed(steps) if first[one] else steps:
            image = step(image, factor)
        assert difference(made[one], image * 255) <= 0.51


def test_crop_mirror_and_move_come_in_that_order():
    # A bright disc, followed from where it is to where it should be.
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(80.0), indexing="ij")
    disc = (200 * torch.exp(-((y - 30) ** 2 + (x - 50) ** 2) / 18)).round().to(torch.uint8)[None, None]
    made = change(
        disc,
        changes_of(
            1, (80, 80), top=[10.0], left=[20.0], height=[50.0], width=[40.0], mirrored=[True], angle=[30.0],
            right=[3.0], down=[-2.0], zoom=[1.1],
        ),
    )  # fmt: skip
    across, down = (50 + 0.5 - 20) * 80 / 40 - 0.5, (30 + 0.5 - 10) * 80 / 50 - 0.5  # cropped and resized
    across = 79 - across  # mirrored
    turn = np.radians(30)  # clockwise, with y pointing down
    from_middle = (
        1.1
        * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        @ (np.array([across, down]) - 39.5)
    )
    expected = from_middle + 39.5 + [3, -2]
    weight = made[0, 0].double()
    found = [float((weight * grid).sum() / weight.sum()) for grid in (x, y)]
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_large_batches_in_parts_come_out_as_each_image_alone():
    images = batch(5, 300)
    changes = drawn("chexfusion2023", 300, 300, images=5)
    whole = change(images, changes)
    for one in range(5):
        alone = Changes(**{name: values[one : one + 1] for name, values in vars(changes).items()})
        assert torch.equal(change(images[one : one + 1], alone)[0], whole[one])


def test_a_device_other_than_the_cpu_changes_the_images_alike():
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    images = smooth(8, 64, 64)
    for name in CHANGING:
        made = augment(images.cuda(), name, 7)
        assert made.is_cuda and difference(made.cpu(), augment(images, name, 7)) <= 1
