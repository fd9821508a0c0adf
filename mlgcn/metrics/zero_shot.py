"""Metrics of labels that a model was never trained on, next to those that it was."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri

HARMONIC = ("mAP", "mAUC")


def zero_shot_summary(report: Mapping[str, Any], confidence: float = 0.95) -> dict[str, Any]:
    """What a report of the groups "seen" and "unseen" says of them together, ready for JSON.

    Args:
        report: as multilabel_report makes it.
        confidence: of chance_range.
    Returns: "harmonic": of mAP and of mAUC, the harmonic mean over both groups; "chance": for each unseen label whose
        AUC is defined, "low" and "high" of chance_range, and in "verdict" where its AUC lies: above, within, below.
    """
    groups, chance = report["groups"], {}
    for name, label in report["per_label"].items():
        if label["group"] == "unseen" and label["AUC"] is not None:
            low, high = chance_range(label["positives"], label["known"] - label["positives"], confidence)
            verdict = "above" if label["AUC"] > high else "below" if label["AUC"] < low else "within"
            chance[name] = {"low": low, "high": high, "verdict": verdict}
    harmonic = {metric: harmonic_mean(groups["seen"][metric], groups["unseen"][metric]) for metric in HARMONIC}
    return {"harmonic": harmonic, "chance": chance}


def harmonic_mean(seen: float | None, unseen: float | None) -> float | None:
    """2 S U / (S + U), high only where both are; 0 where one is 0, none where one is undefined.

    Source: Xian et al. 2019, "Zero-shot learning: a comprehensive evaluation of the good, the bad and the ugly".
    Raises: ValueError if one is negative.
    """
    if seen is None or unseen is None:
        return None
    if seen < 0 or unseen < 0:
        raise ValueError(f"a harmonic mean is of numbers >= 0, got {seen} and {unseen}")
    return 2 * seen * unseen / (seen + unseen) if seen and unseen else 0.0


def chance_range(positives: int, negatives: int, confidence: float = 0.95) -> tuple[float, float]:
    """Between which areas under the ROC curve scores that know nothing come to lie, cut to [0, 1].

    0.5 and as many standard deviations sqrt((P + N + 1) / (12 P N)) to either side as the normal distribution asks
    for. Ties make the true range narrower; images count as independent, and several of one patient make it wider.
    Source: Mann and Whitney 1947, the variance of U over all orders.
    Raises: ValueError unless both counts are >= 1 and confidence lies between 0 and 1.
    """
    if positives < 1 or negatives < 1:
        raise ValueError(f"got {positives} positives and {negatives} negatives, expected at least one of each")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    deviation = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    margin = float(ndtri((1 + confidence) / 2) * deviation)
    return max(0.0, 0.5 - margin), min(1.0, 0.5 + margin)
