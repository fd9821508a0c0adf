"""From which score on a label counts as found."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlgcn.checkpoint import Description
from mlgcn.config import EvaluationConfig
from mlgcn.metrics import best_f1_thresholds, youden_thresholds
from mlgcn.predictions import Predictions


def choose_thresholds(config: EvaluationConfig, validation: Predictions) -> np.ndarray:
    """Thresholds [C] as configured: one for all, or for each label the best by F1 or by Youden on validation images."""
    if config.threshold == "validation":
        return best_f1_thresholds(validation.scores, validation.targets)
    if config.threshold == "youden":
        return youden_thresholds(validation.scores, validation.targets)
    return np.full(len(validation.names), config.threshold)


def with_thresholds(description: Description, thresholds: Sequence[float] | np.ndarray) -> Description:
    """The description with other thresholds. Raises: ValueError unless there is one in [0, 1] for every label."""
    values = [float(value) for value in thresholds]
    if len(values) != len(description.names) or not all(0 <= value <= 1 for value in values):
        raise ValueError(f"thresholds are {values}, expected {len(description.names)} numbers in [0, 1]")
    return replace(description, thresholds=values)
