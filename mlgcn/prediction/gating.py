"""Scores of findings held against the score of a normal image."""

from collections.abc import Sequence

import numpy as np

from mlgcn.data.ontology import canonical

NORMAL = "No Finding"


def gate_normal(scores: np.ndarray, names: Sequence[str], exponent: float = 0.5) -> np.ndarray:
    """p_c * (1 - p_normal) ** exponent for every finding c; the normal label's own score stays.

    Args:
        scores: probabilities [N, C].
        names: the C labels, one of which means a normal image: No Finding or Normal.
        exponent: 0 leaves everything as it is.
    Source: the winning entry of CXR-LT 2026, with exponent 0.5.
    Raises: ValueError if no label means a normal image, or exponent is negative.
    """
    if not exponent >= 0:
        raise ValueError(f"exponent must be >= 0, got {exponent}")
    normal = [normal_label(names)]
    gated = scores * (1 - scores[:, normal]) ** exponent
    gated[:, normal] = scores[:, normal]
    return gated


def normal_label(names: Sequence[str]) -> int:
    """The column of the label that means a normal image. Raises: ValueError unless there is one."""
    normal = [place for place, name in enumerate(names) if canonical(name) == canonical(NORMAL)]
    if len(normal) != 1:
        raise ValueError(f"normal gating needs one label that means a normal image, found {[names[i] for i in normal]}")
    return normal[0]
