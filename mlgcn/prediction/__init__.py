"""From a checkpoint to scores."""

from mlgcn.prediction.predictor import Predictor

__all__ = ["Predictor"]
