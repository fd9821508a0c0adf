"""Reading images: what comes back from every kind of file, and what is refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlgcn.data.images import MIN_SIDE, UnreadableImageError, decode_grey, read_image
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


def chunk(kind, content):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks):
    """A file of these kinds and contents of chunks, their checksums right."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in chunks)


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


def test_a_16_bit_png_is_rounded_over_its_full_range(tmp_path):
    deep = np.random.default_rng(0).integers(0, 2**16, (40, 40), dtype=np.uint16)
    deep[0, :6] = [0, 128, 129, 65406, 65407, 65535]
    read = read_image(saved(tmp_path, deep), 40)
    assert read.dtype == torch.uint8
    np.testing.assert_array_equal(read[0], np.rint(deep / 65535 * 255))
    assert read[0, 0, :6].tolist() == [0, 0, 1, 254, 255, 255]


def test_a_colour_png_of_16_bits_comes_back_grey(tmp_path):
    grey = picture(40, 40)
    rows = b"".join(b"\0" + np.repeat(row.astype(">u2") * 257, 3).tobytes() for row in grey)
    header = (b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0))
    (tmp_path / "deep.png").write_bytes(png(header, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")))
    np.testing.assert_allclose(read_image(str(tmp_path / "deep.png"), 40)[0].int(), grey.astype(int), atol=1)


def test_an_image_is_decoded_as_large_as_it_is(tmp_path):
    grey = picture(50, 70)
    decoded = decode_grey(saved(tmp_path, grey))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, grey)
    large = picture(300, 400)
    np.testing.assert_allclose(decode_grey(saved(tmp_path, large, "a.jpg", quality=95)).astype(int), large, atol=12)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("1", {}),
        ("P", {}),
        ("P", {"transparency": 7}),
        ("P", {"transparency": bytes(range(256))}),
        ("LA", {}),
        ("RGBA", {}),
    ],
)
def test_other_png_modes_come_back_grey_whatever_is_transparent(tmp_path, mode, options, recwarn):
    image = Image.fromarray(picture(40, 40)).convert(mode)
    grey = np.asarray(image.convert("RGB"), dtype=float) @ [0.299, 0.587, 0.114]
    image.save(tmp_path / "image.png", **options)
    read = read_image(str(tmp_path / "image.png"), 40)
    assert read.shape == (1, 40, 40) and not recwarn
    np.testing.assert_allclose(read[0], grey, atol=1)


@pytest.mark.parametrize("deep", [False, True])
def test_an_interlaced_png_comes_back_pixel_by_pixel(tmp_path, deep):
    grey = picture(40, 40)
    stored = grey.astype(">u2") * 257 if deep else grey
    rows = b""
    for row, column, down, right in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
                                     (1, 0, 2, 1)):  # fmt: skip
        rows += b"".join(b"\0" + part.tobytes() for part in stored[row::down, column::right])
    header = (b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16 if deep else 8, 0, 0, 0, 1))
    (tmp_path / "image.png").write_bytes(png(header, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")))
    np.testing.assert_array_equal(read_image(str(tmp_path / "image.png"), 40)[0], grey)


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


@settings(max_examples=25)
@given(height=st.integers(8, 130), width=st.integers(8, 130), size=st.integers(8, 140), noise=st.integers(0, 2**32 - 1))
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


def area_weights(old, new):
    """Weights [new, old] of the mean over each new pixel's area."""
    starts, edges = np.arange(old), np.arange(new + 1)[:, None] * old / new
    covered = np.minimum(starts + 1, edges[1:]) - np.maximum(starts, edges[:-1])
    return np.maximum(covered, 0) * new / old


@settings(max_examples=25)
@given(
    height=st.integers(64, 130), width=st.integers(64, 130), size=st.integers(8, 64), noise=st.integers(0, 2**32 - 1)
)
def test_area_resampling_is_the_mean_over_each_new_pixel(tmp_path_factory, height, width, size, noise):
    image = np.random.default_rng(noise).integers(0, 256, (height, width), dtype=np.uint8)
    read = read_image(saved(tmp_path_factory.mktemp("area"), image), size, "area")
    expected = area_weights(height, size) @ image.astype(float) @ area_weights(width, size).T
    assert read.shape == (1, size, size)
    np.testing.assert_allclose(read[0], expected, atol=1.01)  # rounded once an axis


def test_area_resampling_interpolates_an_axis_that_grows(tmp_path):
    image = picture(128, 32)
    read = read_image(saved(tmp_path, image), 64, "area")
    expected = area_weights(128, 64) @ image.astype(float) @ triangle_weights(32, 64).T
    np.testing.assert_allclose(read[0], expected, atol=1.6)


def test_an_unknown_way_to_resample_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"resample is 'cubic', expected one of \['antialias', 'area'\]"):
        read_image(saved(tmp_path, picture(40, 40)), 32, "cubic")


@pytest.mark.parametrize(
    ("shape", "size"),
    [((611, 509), 204), ((611, 509), 100), ((611, 509), 64), ((611, 509), 60), ((300, 1100), 100), ((260, 270), 100)],
)
def test_a_jpeg_shrunk_while_it_is_decoded_is_near_to_area_resampling(tmp_path, shape, size):
    noise = np.random.default_rng(0).normal(scale=6, size=shape)
    image = np.clip(picture(*shape) + noise, 0, 255).astype(np.uint8)
    path = saved(tmp_path, image, "image.jpg", quality=95)
    whole = np.asarray(Image.open(path), dtype=float)
    expected = area_weights(shape[0], size) @ whole @ area_weights(shape[1], size).T
    plain = torch.nn.functional.interpolate(torch.tensor(whole)[None, None], (size, size), mode="bilinear")[0, 0]
    error, other = (
        np.abs(np.asarray(read, dtype=float) - expected).mean() for read in (read_image(path, size)[0], plain)
    )
    assert error < 1.1 and error < 0.45 * other


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
    assert "truncated or " in refused(tmp_path / "text.png")


def damaged_pngs():
    """By name a file and the reason to refuse it. libpng, as torchvision calls it, ends the process on most of them."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)
    content = encoded(noise, "PNG")
    second = content.index(b"IDAT", content.index(b"IDAT") + 4)
    header = (b"IHDR", struct.pack(">IIBBBBB", 400, 400, 8, 0, 0, 0, 0))
    rows = b"".join(b"\0" + row.tobytes() for row in noise)
    whole = zlib.compress(rows)
    broken = whole[:1000] + bytes([whole[1000] ^ 255]) + whole[1001:]
    filters = zlib.compress(b"".join(b"\x09" + row.tobytes() for row in noise))
    return {
        "one bit of a checksum": (
            content[: second - 8] + bytes([content[second - 8] ^ 4]) + content[second - 7 :],
            "broken PNG file (bad header checksum in b'IDAT')",
        ),
        "cut": (content[: second + 50], "image file is truncated"),
        "cut between two chunks": (content[: second - 4], "image file is truncated"),
        "zeros at the end": (
            content[: second - 4] + bytes(len(content) - second + 4),
            "broken PNG file (chunk b'\\x00\\x00\\x00\\x00')",
        ),
        "IDAT turned to iDAT": (content[:second] + b"i" + content[second + 1 :], "image file is truncated"),
        "short stream": (png(header, (b"IDAT", whole[:9999]), (b"IEND", b"")), "image file is truncated"),
        "too few rows": (png(header, (b"IDAT", zlib.compress(rows[:9999])), (b"IEND", b"")), "image file is truncated"),
        "broken stream": (png(header, (b"IDAT", broken), (b"IEND", b"")), "data stream"),
        "unknown filter": (png(header, (b"IDAT", filters), (b"IEND", b"")), "unrecognized data stream contents"),
        "no pixels": (png(header, (b"IEND", b"")), "cannot load this image"),
        "odd chunk": (png(header, (b"IDAT", whole), (b"iCCP", b""), (b"IEND", b"")), "index out of range"),
        "no header": (png((b"IDAT", whole), (b"IEND", b"")), "its header is broken"),
    }


DAMAGED = damaged_pngs()


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_png_is_refused_with_the_reason(tmp_path, kind):
    content, reason = DAMAGED[kind]
    (tmp_path / "damaged.png").write_bytes(content)
    message = refused(tmp_path / "damaged.png")
    assert message.startswith(f"{tmp_path / 'damaged.png'}: truncated or damaged PNG: ") and reason in message


def test_a_png_larger_than_any_x_ray_is_refused_before_it_takes_memory(tmp_path):
    header = (b"IHDR", struct.pack(">IIBBBBB", 500_000, 500_000, 8, 0, 0, 0, 0))
    (tmp_path / "huge.png").write_bytes(png(header, (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")))
    assert "Image size (250000000000 pixels) exceeds limit" in refused(tmp_path / "huge.png")


@settings(max_examples=150)
@given(place=st.integers(8, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_png_is_named_or_changes_no_pixel(tmp_path_factory, place, bit):
    image = picture(32, 32)
    content = bytearray(encoded(image, "PNG"))
    content[8 + place % (len(content) - 8)] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "flipped.png"
    path.write_bytes(content)
    try:
        read = read_image(str(path), 32)
    except UnreadableImageError as error:
        assert str(error).startswith(f"{path}: truncated or ")
    else:
        np.testing.assert_array_equal(read[0], image)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP"])
def test_another_kind_of_image_is_named(tmp_path, form):
    (tmp_path / "other.png").write_bytes(encoded(picture(40, 40), form))
    message = refused(tmp_path / "other.png")
    assert form in message.upper() and "expected a PNG, JPEG or DICOM image" in message


def test_a_jpeg_in_the_colours_of_print_is_refused(tmp_path):
    Image.fromarray(picture(40, 40)).convert("CMYK").save(tmp_path / "print.jpg")
    assert "a JPEG in CMYK" in refused(tmp_path / "print.jpg")
    content = bytearray((tmp_path / "print.jpg").read_bytes())
    content[content.index(b"Adobe") + 11] = 2  # the transform: YCCK
    (tmp_path / "print.jpg").write_bytes(content)
    assert "a JPEG in YCCK" in refused(tmp_path / "print.jpg")


def test_an_animated_png_is_refused(tmp_path):
    frames = [Image.fromarray(picture(40, 40, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    assert "an animated PNG, expected one image" in refused(tmp_path / "moving.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_too_small_to_be_an_x_ray_is_refused(tmp_path, form):
    for height, width in ((1, 1), (MIN_SIDE - 1, 200), (200, MIN_SIDE - 1)):
        (tmp_path / "small.img").write_bytes(encoded(picture(height, width), form))
        assert f"{width} x {height} pixels, expected at least 8 x 8" in refused(tmp_path / "small.img")
    (tmp_path / "small.img").write_bytes(encoded(picture(MIN_SIDE, MIN_SIDE), form))
    assert read_image(str(tmp_path / "small.img"), 32).shape == (1, 32, 32)


def test_a_jpeg_with_damaged_data_is_refused(tmp_path):
    content = bytearray(encoded(picture(200, 200), "JPEG"))
    content[len(content) // 2 : len(content) // 2 + 4] = b"\xff\xd0\x00\x11"
    (tmp_path / "damaged.jpg").write_bytes(content)
    assert "truncated or damaged JPEG" in refused(tmp_path / "damaged.jpg")


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@settings(max_examples=40)
@given(data=st.data())
def test_a_truncated_file_is_named(tmp_path_factory, form, data):
    image = picture(32, 32)
    content = encoded(image, form)
    cut = data.draw(st.integers(1, len(content) - 1))
    path = tmp_path_factory.mktemp("cut") / "cut.img"
    path.write_bytes(content[:cut])
    if form == "PNG" and cut >= len(content) - 4:  # the checksum of nothing
        np.testing.assert_array_equal(read_image(str(path), 32)[0], image)
    else:
        assert "truncated" in refused(path)
