"""The arrays of .npz files: numbers, and text of either kind that numpy knows."""

import zipfile
from pathlib import Path

import numpy as np


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Raises: ValueError, before which the caller puts the file's name, on a file that is none or holds Python objects.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("it is an .npy file, a single array without a name")
        with file:
            # What else is in the archive comes as bytes.
            return {name: np.asarray(file[name]) for name in file.files}
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        # Plain text is taken for a pickle, which numpy advises to open none the less.
        raise ValueError(f"not readable as .npz: {str(error).split('. ')[0]}") from error


def expect_real(name: str, array: np.ndarray) -> None:
    """Raises ValueError on an array of complex numbers, text or anything else that is no real number."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"array {name!r} is of type {array.dtype}, expected real numbers")


def as_texts(name: str, array: np.ndarray, count: int, of: str) -> list[str]:
    """The entries of an array as text, bytes read as UTF-8; what is not known (NaN, NaT) is "".

    Raises: ValueError unless the array is [count], one entry for each of what it is of; or that names the row of bytes
        that are no text.
    """
    if array.shape != (count,):
        raise ValueError(f"array {name!r} has shape {array.shape}, expected one entry for each of {count} {of}")
    texts = []
    for row, entry in enumerate(array):
        try:
            known = entry == entry  # only NaN and NaT differ from themselves
            texts.append("" if not known else entry.decode() if isinstance(entry, bytes) else str(entry))
        except UnicodeDecodeError:
            raise ValueError(f"array {name!r}, row {row}: {bytes(entry)!r}, expected text in UTF-8") from None
    return texts
