"""The range check: it finds spoiled images, and has nothing to say about sound ones."""

import numpy as np
import pytest
from PIL import Image

from mlgcn.data.images import decode_grey
from mlgcn.data.phantom import draw_phantom
from mlgcn.data.range_check import check_range, range_report
from mlgcn.data.sources import read_source
from mlgcn.labels import LabelTable


@pytest.fixture(scope="module")
def phantoms():
    return [draw_phantom(5, index, 96) for index in range(40)]


def deeper(image, bits, seed=0):
    """The image with so many bits, the new ones noise: uint16."""
    noise = np.random.default_rng(seed).uniform(size=image.shape)
    return np.floor((image + noise) / 256 * 2**bits).astype(np.uint16)


def test_nothing_is_said_of_phantoms_in_8_and_16_bits(phantoms):
    assert [check_range(image) for image in phantoms] == [None] * len(phantoms)
    assert [check_range(deeper(image, 16)) for image in phantoms] == [None] * len(phantoms)


def test_real_x_rays_pass_and_inverted_ones_do_not(nih_sample):
    images = [decode_grey(path) for path in read_source("nih", nih_sample).images.path]
    alarms = sum(check_range(image) is not None for image in images)
    found = sum((check_range(255 - image) or "").startswith("inverted") for image in images)
    assert len(images) == 723
    assert alarms <= 0.005 * len(images) and found >= 0.995 * len(images)


def test_inverted_phantoms_are_found(phantoms):
    for image in phantoms:
        assert check_range(255 - image).startswith("inverted")
        assert check_range(65535 - deeper(image, 16)).startswith("inverted")


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_values_that_use_only_the_lower_bits_are_found(phantoms, bits):
    for image in phantoms[:10]:
        reason = check_range(deeper(image, bits))
        assert reason.startswith("dark") and f"use {int(deeper(image, bits).max()).bit_length()} of 16 bits" in reason
    assert check_range(phantoms[0] // 4).startswith("dark")


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_the_lower_byte_of_deeper_values_is_found(phantoms, bits):
    for image in phantoms[:10]:
        assert check_range((deeper(image, bits) % 256).astype(np.uint8)).startswith("torn")


def test_deeper_values_cut_off_at_white_are_found(phantoms):
    assert check_range(np.minimum(deeper(phantoms[0], 12), 255).astype(np.uint8)).startswith(("cut off", "nearly"))


def test_constant_and_nearly_constant_images_are_found():
    assert check_range(np.full((64, 64), 9, dtype=np.uint8)) == "constant: every pixel is 9"
    assert check_range(np.zeros((64, 64), dtype=np.uint16)) == "constant: every pixel is 0"
    flat = np.random.default_rng(0).integers(100, 110, (64, 64)).astype(np.uint8)
    assert check_range(flat).startswith("nearly constant: 98 % of the pixels lie within 3.5% of the range")


@pytest.mark.parametrize("shape", [(8, 8), (8, 900), (65, 9)])
def test_small_images_are_judged_too(phantoms, shape):
    image = np.asarray(Image.fromarray(phantoms[0]).resize(shape[::-1]))
    assert check_range(image) is None and check_range(255 - image).startswith("inverted")


@pytest.mark.parametrize("image", [np.zeros((3, 64, 64), dtype=np.uint8), np.zeros((64, 64))])
def test_another_type_or_shape_is_refused(image):
    with pytest.raises(ValueError, match=r"expected uint8 or uint16 \[H, W\]"):
        check_range(image)


def test_a_report_names_the_images_of_a_sample_that_look_wrong(tmp_path, phantoms):
    paths = []
    for number, image in enumerate(phantoms[:6]):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(255 - image if number == 2 else image).save(paths[-1])
    (tmp_path / "4.png").write_bytes(b"")
    table = LabelTable(np.zeros((7, 1)), ["Mass"], image_id=list("abcdefg"), path=[*paths, "phantom:0:1"])
    report = range_report(table)
    assert report.image_id.tolist() == ["c", "e"] and report.path.tolist() == [paths[2], paths[4]]
    assert report.reason[0].startswith("inverted") and "the file is empty" in report.reason[1]


def test_the_sample_depends_on_the_seed_and_holds_no_image_twice(tmp_path):
    names = [str(number) for number in range(30)]
    table = LabelTable(np.zeros((30, 1)), ["Mass"], image_id=names, path=[str(tmp_path / name) for name in names])
    first, again, other = (range_report(table, 12, seed).image_id.tolist() for seed in (0, 0, 1))
    assert first == again != other and len(set(first)) == 12
    assert sorted(range_report(table, 99).image_id) == sorted(names)
