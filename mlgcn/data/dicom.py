"""Grey values of a DICOM file as a radiologist would see them."""

from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import FileDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder


def is_dicom(content: bytes) -> bool:
    """Whether a file's content has the mark of DICOM behind its preamble."""
    return content[128:132] == b"DICM"


def decode_dicom(content: bytes) -> np.ndarray:
    """The image of a DICOM file, black to white as displayed: uint8 [H, W].

    Modality LUT or rescale, then VOI LUT or first window, whose range becomes 0 to 255; without either, the range of
    the values that are there. MONOCHROME1 is inverted. Padding is black.
    Raises: ValueError on what is no single grey image, on broken files, or where no decoder is installed for the
        compression; says which packages have one.
    """
    try:
        return _decode(content)
    except (MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # Broad, since a file that breaks the standard may provoke anything: zlib.error, struct.error, classes of
        # pydicom's own, and in the decoder of RLE a panic of Rust, which is no Exception.
        raise ValueError(f"unreadable DICOM: {str(error) or type(error).__name__}") from error


def _decode(content: bytes) -> np.ndarray:
    dataset = pydicom.dcmread(BytesIO(content))
    _check(dataset)
    stored = dataset.pixel_array
    if stored.ndim != 2:
        raise ValueError(f"its values have the shape {list(stored.shape)}, expected [H, W]")
    shown = _windowed(stored, dataset)
    padding = _padding(stored, dataset)
    low, high = _range(shown[~padding], dataset)
    if not np.isfinite([low, high]).all():
        raise ValueError(f"its values range from {low} to {high}, expected finite ones")
    grey = np.clip((shown - low) * (255 / (high - low)), 0, 255) if high != low else np.zeros_like(shown)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    grey[padding] = 0
    return np.rint(grey).astype(np.uint8)


def _check(dataset: FileDataset) -> None:
    """Raises: ValueError unless it is one grey image that an installed package can decompress."""
    if "PixelData" not in dataset:
        raise ValueError(f"holds no pixel data (modality {dataset.get('Modality', 'not given')})")
    if (frames := int(dataset.get("NumberOfFrames") or 1)) > 1:
        raise ValueError(f"holds {frames} frames, expected one image")
    if (colours := dataset.get("PhotometricInterpretation")) not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError(f"photometric interpretation is {colours}, expected MONOCHROME1 or MONOCHROME2")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not (decoder := get_decoder(syntax)).is_available:
        raise ValueError(
            f"compressed as {syntax.name}, for which no decoder is installed; one of these has it: "
            + "; ".join(decoder.missing_dependencies)
        )


def _windowed(stored: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Values behind modality and VOI transformation: float64 [H, W]."""
    rescaled = apply_modality_lut(stored, dataset)
    if not dataset.get("VOILUTSequence"):
        return np.asarray(apply_voi_lut(rescaled, dataset), dtype=np.float64)
    # A table is looked up by whole numbers, but a rescale leaves floats.
    values = np.rint(rescaled).astype(np.int64)
    # pydicom counts a table's places in the type of its entries: with 8 bits place 256 would be place 0.
    table = dataset.VOILUTSequence[0]
    count, first, bits = table.LUTDescriptor
    table.LUTDescriptor = [count, first, 16 if bits == 8 else bits]
    shown = apply_voi_lut(values, dataset)
    table.LUTDescriptor = [count, first, bits]
    return np.asarray(shown, dtype=np.float64)


def _range(shown: np.ndarray, dataset: FileDataset) -> tuple[float, float]:
    """The values that are shown black and white: of the table or window, otherwise of the image."""
    if dataset.get("VOILUTSequence"):
        return 0.0, 2.0 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # What lies below and above the window. With a negative slope pydicom's output falls, which this turns round.
        with np.errstate(over="ignore"):
            below, above = apply_voi_lut(np.array([-1e12, 1e12]), dataset)
        return float(below), float(above)
    return (float(shown.min()), float(shown.max())) if shown.size else (0.0, 0.0)


def _padding(stored: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Where there is no image, only filling: bool [H, W]."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    return np.asarray((stored >= low) & (stored <= high))
