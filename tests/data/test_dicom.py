"""DICOM files: what grey values they become, and what is refused by name."""

import io
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.pixels.decoders import base
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from mlgcn.data.images import UnreadableImageError, decode_grey, read_image


def stored_values(bits=12, low=0, shape=(40, 50)):
    """Values over the full range, both ends among them: int64."""
    values = np.random.default_rng(bits).integers(low, low + 2**bits, shape)
    values.flat[:2] = low, low + 2**bits - 1
    return values


def dicom(values, *, bits=12, signed=False, photometric="MONOCHROME2", syntax=ExplicitVRLittleEndian, **attributes):
    """A digital X-ray that holds the values."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_compressed else syntax
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["test"])
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = values.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, int(signed)
    kind = f"{'i' if signed else 'u'}{dataset.BitsAllocated // 8}"
    dataset.PixelData = np.ascontiguousarray(values, dtype=f"<{kind}").tobytes()
    dataset["PixelData"].VR = "OB" if bits <= 8 else "OW"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    if syntax.is_compressed:
        dataset.compress(syntax)
    return dataset


def written(folder, dataset, name="image.dcm"):
    path = folder / name
    dataset.save_as(path, enforce_file_format=True)
    return str(path)


def scaled(values, low, high):
    """Low to high over 0 to 255, cut off at both ends and rounded."""
    return np.rint(np.clip((np.asarray(values, dtype=float) - low) / (high - low), 0, 1) * 255).astype(int)


# What comes back


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless]
)
def test_stored_values_come_back_over_their_range_whatever_the_compression(tmp_path, bits, syntax):
    values = stored_values(bits)
    path = written(tmp_path, dicom(values, bits=bits, syntax=syntax))
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(decode_grey(path), scaled(values, 0, 2**bits - 1))


def test_without_a_window_the_range_is_that_of_the_values_that_are_there(tmp_path):
    values = 700 + stored_values(9)
    np.testing.assert_array_equal(decode_grey(written(tmp_path, dicom(values))), scaled(values, 700, 1211))


def test_monochrome1_is_inverted(tmp_path):
    values = stored_values()
    grey = decode_grey(written(tmp_path, dicom(values, photometric="MONOCHROME1")))
    np.testing.assert_array_equal(grey, np.rint(255 - values / 4095 * 255))
    assert grey[0, 0] == 255 and grey[0, 1] == 0


def test_a_window_is_applied_as_the_standard_defines_it(tmp_path):
    # PS3.3 C.11.2.1.2.1: linear between c - 0.5 - (w - 1) / 2 and c - 0.5 + (w - 1) / 2.
    values = stored_values()
    grey = decode_grey(written(tmp_path, dicom(values, WindowCenter=2000, WindowWidth=1001)))
    np.testing.assert_allclose(grey, scaled(values, 1999.5 - 500, 1999.5 + 500), atol=1e-9)
    assert (grey == 0).sum() > 100 and (grey == 255).sum() > 100


def test_of_several_windows_the_first_counts(tmp_path):
    values = stored_values()
    grey = decode_grey(written(tmp_path, dicom(values, WindowCenter=[2000, 100], WindowWidth=[1001, 50])))
    np.testing.assert_array_equal(grey, scaled(values, 1499.5, 2499.5))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR_EXACT", lambda values: scaled(values, 1500, 2500)),
        ("SIGMOID", lambda values: np.rint(255 / (1 + np.exp(-4 * (values - 2000) / 1000)))),
    ],
)
def test_other_window_functions_are_applied(tmp_path, function, expected):
    values = stored_values()
    dataset = dicom(values, WindowCenter=2000, WindowWidth=1000, VOILUTFunction=function)
    np.testing.assert_allclose(decode_grey(written(tmp_path, dataset)), expected(values), atol=1)


@pytest.mark.parametrize("slope", [2.5, -2.5])
def test_a_window_holds_for_rescaled_values_and_stays_dark_below(tmp_path, slope):
    values = stored_values()
    rescaled = values * slope - 1024
    center = float(rescaled.mean())
    dataset = dicom(values, RescaleSlope=slope, RescaleIntercept=-1024, WindowCenter=center, WindowWidth=4001)
    low, high = center - 0.5 - 2000, center - 0.5 + 2000
    np.testing.assert_allclose(decode_grey(written(tmp_path, dataset)), scaled(rescaled, low, high), atol=1)


def test_signed_values_are_read_as_such(tmp_path):
    values = stored_values(12, low=-2048)
    np.testing.assert_array_equal(
        decode_grey(written(tmp_path, dicom(values, signed=True))), scaled(values, -2048, 2047)
    )


@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 1, "RescaleIntercept": 0}])
def test_a_table_of_values_is_looked_up(tmp_path, rescale):
    values = stored_values(8)
    table = np.random.default_rng(1).permutation(1024)[:256]
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [256, 0, 10], table.astype("<u2").tobytes()
    dataset = dicom(values, bits=8, VOILUTSequence=[item], **rescale)
    np.testing.assert_array_equal(decode_grey(written(tmp_path, dataset)), scaled(table[values], 0, 1023))


@pytest.mark.parametrize("first", [0, 1000])
def test_a_table_of_8_bits_has_more_places_than_those(tmp_path, first):
    values = stored_values(12)
    table = np.arange(4096 - first) * 256 // (4096 - first)
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(table), first, 8], table.astype("<u2").tobytes()
    shown = table[np.clip(values - first, 0, len(table) - 1)]
    np.testing.assert_array_equal(decode_grey(written(tmp_path, dicom(values, VOILUTSequence=[item]))), shown)


def test_padding_is_black_and_does_not_count_for_the_range(tmp_path):
    values = 1000 + stored_values(10)
    values[:5] = 4095
    values[5, :10] = 4000
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        padded = {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}
        grey = decode_grey(written(tmp_path, dicom(values, photometric=photometric, **padded)))
        assert not grey[:5].any() and not grey[5, :10].any()
        shown = values[6:]
        part = (shown - shown.min()) / (shown.max() - shown.min()) * 255
        rest = values[5:]
        assert rest[0, 10:].min() >= shown.min() and rest[0, 10:].max() <= shown.max()
        np.testing.assert_array_equal(grey[6:], np.rint(255 - part if photometric == "MONOCHROME1" else part))


def test_a_constant_image_is_black(tmp_path):
    assert not decode_grey(written(tmp_path, dicom(np.full((40, 40), 77)))).any()


def test_a_file_is_known_by_its_content_and_resized_as_others_are(tmp_path):
    path = written(tmp_path, dicom(stored_values(), photometric="MONOCHROME1"), "image.png")
    assert read_image(path, 32).shape == (1, 32, 32)


# What is refused


def refused(path):
    with pytest.raises(UnreadableImageError) as refusal:
        decode_grey(str(path))
    message = str(refusal.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_several_frames_are_refused(tmp_path):
    dataset = dicom(stored_values(shape=(3, 40, 50)), NumberOfFrames=3)
    assert "holds 3 frames, expected one image" in refused(written(tmp_path, dataset))


def test_colours_are_refused(tmp_path):
    dataset = dicom(stored_values(8, shape=(40, 150)), bits=8, SamplesPerPixel=3, Columns=50, PlanarConfiguration=0)
    dataset.PhotometricInterpretation = "RGB"
    assert "photometric interpretation is RGB, expected MONOCHROME1 or" in refused(written(tmp_path, dataset))


def test_a_file_without_pixels_is_named(tmp_path):
    dataset = dicom(stored_values(), Modality="SR")
    del dataset.PixelData
    assert "holds no pixel data (modality SR)" in refused(written(tmp_path, dataset))


def test_too_few_pixels_are_refused(tmp_path):
    assert "1 x 1 pixels" in refused(written(tmp_path, dicom(np.ones((1, 1), dtype=int))))
    dataset = dicom(stored_values())
    dataset.PixelData = dataset.PixelData[:-100]
    assert "unreadable DICOM" in refused(written(tmp_path, dataset))


def test_a_window_without_width_is_named(tmp_path):
    assert "Window Width must be" in refused(written(tmp_path, dicom(stored_values(), WindowCenter=5, WindowWidth=0)))


@pytest.mark.filterwarnings("ignore:End of file reached")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_a_truncated_file_is_named(tmp_path, syntax):
    file = io.BytesIO()
    dicom(stored_values(), syntax=syntax).save_as(file, enforce_file_format=True)
    content = file.getvalue()
    for cut in (132, 140, 200, 400, len(content) // 2, len(content) - 600):
        (tmp_path / "cut.dcm").write_bytes(content[:cut])
        assert "unreadable DICOM" in refused(tmp_path / "cut.dcm")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
def test_whatever_a_damaged_file_provokes_names_it(tmp_path, syntax):
    file = io.BytesIO()
    dicom(stored_values(shape=(16, 16)), syntax=syntax, WindowCenter=2000, WindowWidth=1001,
          RescaleSlope=1, RescaleIntercept=0).save_as(file, enforce_file_format=True)  # fmt: skip
    rng, refusals = np.random.default_rng(0), 0
    for _ in range(300):
        content = bytearray(file.getvalue())
        # Behind the mark of DICOM, without which it is no DICOM file.
        content[rng.integers(132, len(content) - 512 * (not syntax.is_deflated))] ^= 1 << rng.integers(8)
        (tmp_path / "flipped.dcm").write_bytes(content)
        try:
            decode_grey(str(tmp_path / "flipped.dcm"))
        except UnreadableImageError as error:
            refusals += str(error).startswith(f"{tmp_path / 'flipped.dcm'}: ")
    assert refusals > 30


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (zlib.error("incorrect header check"), "unreadable DICOM: incorrect header check"),
        (BytesLengthException("Expected total bytes to be a multiple of 2"), "unreadable DICOM: Expected total bytes"),
        (ArithmeticError(), "unreadable DICOM: ArithmeticError"),
    ],
)
def test_errors_of_any_class_that_a_decoder_raises_are_told(tmp_path, monkeypatch, error, message):
    path = written(tmp_path, dicom(stored_values()))
    monkeypatch.setattr(pydicom, "dcmread", raising(error))
    assert message in refused(path)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_is_not_the_files_fault_goes_on_as_it_is(tmp_path, monkeypatch, error):
    path = written(tmp_path, dicom(stored_values()))
    monkeypatch.setattr(pydicom, "dcmread", raising(error()))
    with pytest.raises(error):
        decode_grey(path)


def raising(error):
    def raises(*_, **__):
        raise error

    return raises


def test_colours_that_claim_to_be_grey_are_refused(tmp_path):
    dataset = dicom(stored_values(8, shape=(40, 150)), bits=8, SamplesPerPixel=3, Columns=50, PlanarConfiguration=0)
    assert "unreadable DICOM" in refused(written(tmp_path, dataset))


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_values_that_are_not_finite_are_refused(tmp_path):
    dataset = dicom(stored_values(), RescaleSlope="nan", RescaleIntercept="0")
    assert "expected finite ones" in refused(written(tmp_path, dataset))


def test_where_no_decoder_is_installed_the_packages_that_have_one_are_named(tmp_path, monkeypatch):
    path = written(tmp_path, dicom(stored_values(), syntax=JPEGLSLossless))
    monkeypatch.setattr(base.Decoder, "is_available", property(lambda self: False))
    monkeypatch.setattr(
        base.Decoder, "missing_dependencies", property(lambda self: ["pyjpegls - requires pyjpegls>=1.2"])
    )
    message = refused(path)
    assert "compressed as JPEG-LS Lossless" in message and "pyjpegls - requires pyjpegls>=1.2" in message
