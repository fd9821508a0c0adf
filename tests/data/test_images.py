"""Reading images: what comes back from every kind of file, and what is refused by name."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlgcn.data.images import UnreadableImageError, read_image
from mlgcn.data.phantom import draw_phantom


def picture(height, width, seed=0):
    """A smooth grey picture with edges, uint8 [height, width]."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (7, 5), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))


def saved(folder, image, name="image.png", **options):
    path = folder / name
    Image.fromarray(np.asarray(image)).save(path, **options)
    return str(path)


def encoded(image, form):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form)
    return file.getvalue()


# What comes back


def test_a_grey_png_comes_back_pixel_by_pixel(tmp_path):
    grey = picture(40, 40)
    read = read_image(saved(tmp_path, grey), 40)
    assert read.dtype == torch.uint8 and read.shape == (1, 40, 40)
    np.testing.assert_array_equal(read[0], grey)


def test_a_png_of_three_equal_channels_comes_back_grey(tmp_path):
    grey = picture(40, 40)
    read = read_image(saved(tmp_path, np.stack([grey] * 3, axis=2)), 40)
    assert read.shape == (1, 40, 40)
    np.testing.assert_allclose(read[0].int(), grey.astype(int), atol=1)


def test_colours_become_the_luma_of_bt_601(tmp_path):
    colours = np.stack([picture(40, 40, seed) for seed in range(3)], axis=2)
    expected = colours.astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(read_image(saved(tmp_path, colours), 40)[0], expected, atol=1.1)


def test_a_16_bit_png_keeps_the_upper_8_bits(tmp_path):
    deep = np.random.default_rng(0).integers(0, 2**16, (40, 40), dtype=np.uint16)
    deep[0, :4] = [0, 255, 256, 65535]
    read = read_image(saved(tmp_path, deep), 40)
    assert read.dtype == torch.uint8
    np.testing.assert_array_equal(read[0], deep // 256)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
def test_other_png_modes_come_back_grey(tmp_path, mode):
    image = Image.fromarray(picture(40, 40)).convert(mode)
    image.save(tmp_path / "image.png")
    read = read_image(str(tmp_path / "image.png"), 40)
    assert read.shape == (1, 40, 40)
    np.testing.assert_allclose(read[0].int(), np.asarray(image.convert("L")).astype(int), atol=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_comes_back_as_another_decoder_reads_it(tmp_path, channels):
    # No colours near the ends of the scale, which the other decoder cuts off on its way to grey.
    colours = 64 + np.stack([picture(48, 48, seed) for seed in range(3)], axis=2) // 2
    image = colours if channels == 3 else picture(48, 48)
    path = saved(tmp_path, image, "image.jpg", quality=90)
    expected = np.asarray(Image.open(path).convert("L")).astype(int)
    np.testing.assert_allclose(read_image(path, 48)[0].int(), expected, atol=2)


def test_the_name_of_a_file_does_not_tell_its_kind(tmp_path):
    grey = picture(40, 40)
    (tmp_path / "scan.jpg").write_bytes(encoded(grey, "PNG"))
    np.testing.assert_array_equal(read_image(str(tmp_path / "scan.jpg"), 40)[0], grey)


def triangle_weights(old, new):
    """Weights [new, old] of a linear filter, as wide as the step where it shrinks: antialiased."""
    step = old / new
    centres = (np.arange(new) + 0.5) * step - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(old) - centres[:, None]) / max(step, 1))
    return weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), size=st.integers(8, 64), noise=st.integers(0, 2**32 - 1))
def test_resizing_is_an_antialiased_linear_filter(tmp_path_factory, height, width, size, noise):
    image = np.random.default_rng(noise).integers(0, 256, (height, width), dtype=np.uint8)
    path = saved(tmp_path_factory.mktemp("resize"), image)
    read = read_image(path, size)
    assert read.shape == (1, size, size) and read.dtype == torch.uint8
    expected = triangle_weights(height, size) @ image.astype(float) @ triangle_weights(width, size).T
    np.testing.assert_allclose(read[0], expected, atol=2)


@pytest.mark.parametrize("shape", [(300, 200), (50, 70), (96, 96)])
def test_resizing_agrees_with_pillow(tmp_path, shape):
    path = saved(tmp_path, picture(*shape))
    expected = np.asarray(Image.open(path).resize((96, 96), Image.Resampling.BILINEAR)).astype(int)
    np.testing.assert_allclose(read_image(path, 96)[0].int(), expected, atol=1)


def test_the_path_of_a_phantom_is_drawn():
    np.testing.assert_array_equal(read_image("phantom:3:5", 48)[0], draw_phantom(3, 5, 48))


# What is refused


def refused(path):
    with pytest.raises(UnreadableImageError) as refusal:
        read_image(str(path), 32)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_a_missing_file_is_named(tmp_path):
    assert "cannot be read: No such file or directory" in refused(tmp_path / "none.png")


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "folder.png").mkdir()
    assert "cannot be read: Is a directory" in refused(tmp_path / "folder.png")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.png").touch()
    assert "the file is empty" in refused(tmp_path / "empty.png")


@pytest.mark.parametrize("content", [b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 5000])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    (tmp_path / "text.png").write_bytes(content)
    assert "truncated or no PNG or JPEG image" in refused(tmp_path / "text.png")


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_another_kind_of_image_is_named(tmp_path, form):
    (tmp_path / "other.png").write_bytes(encoded(picture(32, 32), form))
    assert "PNG or JPEG image" in refused(tmp_path / "other.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_truncated_file_is_named_unless_all_its_pixels_are_there(tmp_path_factory, form, data):
    image = picture(32, 32)
    content = encoded(image, form)
    cut = data.draw(st.integers(1, len(content) - 1))
    path = tmp_path_factory.mktemp("cut") / "cut.img"
    path.write_bytes(content[:cut])
    # The last 12 bytes of a PNG only say that it ends.
    if form == "PNG" and cut >= len(content) - 12:
        np.testing.assert_array_equal(read_image(str(path), 32)[0], image)
    else:
        assert "truncated" in refused(path)
