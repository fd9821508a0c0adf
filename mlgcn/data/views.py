"""Frontal or lateral: what the view codes of the data sets mean."""

import logging
from collections.abc import Iterable

import pandas as pd

logger = logging.getLogger(__name__)

# Codes of DICOM's View Position, as MIMIC-CXR and NIH use them, of its View Code Sequence, and of PadChest's
# Projection; in lower case. Oblique views are neither frontal nor lateral. COSTAL shows the ribs from the front.
CODES = {
    "frontal": (
        "pa", "ap", "ap axial", "ap supine", "ap lld", "ap rld", "pa lld", "pa rld", "ap_horizontal", "ap horizontal",
        "costal", "frontal", "antero-posterior", "postero-anterior",
    ),
    "lateral": (
        "l", "ll", "rl", "lateral", "left lateral", "right lateral", "large lateral", "xtable lateral", "swimmers",
    ),
    "unknown": (
        "", "unk", "unknown", "exclude", "lao", "rao", "lpo", "rpo", "left anterior oblique", "right anterior oblique",
        "left posterior oblique", "right posterior oblique", "oblique",
    ),
}  # fmt: skip
VIEW_OF = {code: view for view, codes in CODES.items() for code in codes}


def views(codes: Iterable[str], second: Iterable[str] | None = None) -> list[str]:
    """frontal, lateral or unknown for every image, from its view code, in any case.

    Args:
        codes: such as ViewPosition has them; blank stays unknown.
        second: codes to ask where the first say unknown, such as ViewCodeSequence_CodeMeaning.
    A code that is in no list of ours is unknown too; a warning counts them by name.
    """
    views = _views(codes)
    if second is not None:
        views = views.where(views != "unknown", _views(second))
    return views.tolist()


def _views(codes: Iterable[str]) -> pd.Series:
    given = pd.Series(list(codes), dtype=object)
    code_of = {code: code.strip().lower() for code in given.unique()}
    if strange := {code for code in code_of.values() if code not in VIEW_OF}:
        counts = given.map(code_of).value_counts()
        named = ", ".join(f"{code!r} ({counts[code]})" for code in sorted(strange))
        logger.warning("view codes that are taken for unknown: %s", named)
    return given.map({code: VIEW_OF.get(text, "unknown") for code, text in code_of.items()})
