"""Losses: formulas on logits and targets, nothing else."""

from mlgcn.losses.asymmetric import AsymmetricLoss, RobustAsymmetricLoss
from mlgcn.losses.base import ElementwiseLoss, masked_mean
from mlgcn.losses.binary import BCELoss, ClassBalancedLoss, FocalLoss, WeightedBCELoss
from mlgcn.losses.distribution_balanced import DistributionBalancedLoss
from mlgcn.losses.diversity import ExpertDiversity
from mlgcn.losses.gradients import loss_gradients
from mlgcn.losses.hard_labels import hard_label_factors
from mlgcn.losses.large_loss import LargeLossReconsideration, LargeLossShare
from mlgcn.losses.margin import LDAMLoss, LogitAdjustedLoss
from mlgcn.losses.multi_expert import MultiExpertLoss
from mlgcn.losses.negative_regularization import AdaptiveNegativeRegularizationLoss, NegativeRegularizationLoss
from mlgcn.losses.nvum import NVUMLoss

# By their names in the configuration.
LOSSES: dict[str, type[ElementwiseLoss]] = {
    "bce": BCELoss,
    "weighted_bce": WeightedBCELoss,
    "focal": FocalLoss,
    "class_balanced": ClassBalancedLoss,
    "asl": AsymmetricLoss,
    "ral": RobustAsymmetricLoss,
    "db": DistributionBalancedLoss,
    "nr": NegativeRegularizationLoss,
    "anr": AdaptiveNegativeRegularizationLoss,
    "nvum": NVUMLoss,
    "ldam": LDAMLoss,
    "logit_adjusted": LogitAdjustedLoss,
}

__all__ = [
    "LOSSES",
    "AdaptiveNegativeRegularizationLoss",
    "AsymmetricLoss",
    "BCELoss",
    "ClassBalancedLoss",
    "DistributionBalancedLoss",
    "ElementwiseLoss",
    "ExpertDiversity",
    "FocalLoss",
    "LDAMLoss",
    "LargeLossReconsideration",
    "LargeLossShare",
    "LogitAdjustedLoss",
    "MultiExpertLoss",
    "NVUMLoss",
    "NegativeRegularizationLoss",
    "RobustAsymmetricLoss",
    "WeightedBCELoss",
    "hard_label_factors",
    "loss_gradients",
    "masked_mean",
]
