"""Means that leave out what is undefined."""

import numpy as np


def mean_defined(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean along an axis of what is not NaN; NaN where all of it is, or where there is nothing."""
    defined = ~np.isnan(values)
    return np.where(defined, values, 0.0).sum(axis=axis) / nan_for_0(defined.sum(axis=axis))


def nan_for_0(counts: np.ndarray) -> np.ndarray:
    """Counts to divide by: NaN where there is nothing."""
    return np.where(counts > 0, counts, np.nan)


def or_none(value: float | np.ndarray) -> float | None:
    """A number as JSON has it: None where it is undefined."""
    return None if np.isnan(value) else float(value)
