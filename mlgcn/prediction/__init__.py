"""From a checkpoint to scores, and to what the model has learned."""

from mlgcn.prediction.diagnostics import Diagnostics, diagnose
from mlgcn.prediction.ensemble import Ensemble, Scorer
from mlgcn.prediction.experts import choose_experts, with_experts
from mlgcn.prediction.predictor import Predictor
from mlgcn.prediction.pseudo_labels import pseudo_labels
from mlgcn.prediction.zero_shot import with_labels

__all__ = [
    "Diagnostics",
    "Ensemble",
    "Predictor",
    "Scorer",
    "choose_experts",
    "diagnose",
    "pseudo_labels",
    "with_experts",
    "with_labels",
]
