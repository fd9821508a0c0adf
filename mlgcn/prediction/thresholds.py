"""From which score on a label counts as found."""

import numpy as np

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
