"""Losses: formulas on logits and targets, nothing else."""

from mlgcn.losses.base import ElementwiseLoss, masked_mean
from mlgcn.losses.binary import BCELoss
from mlgcn.losses.diversity import ExpertDiversity
from mlgcn.losses.multi_expert import MultiExpertLoss

# By their names in the configuration.
LOSSES: dict[str, type[ElementwiseLoss]] = {"bce": BCELoss}

__all__ = ["LOSSES", "BCELoss", "ElementwiseLoss", "ExpertDiversity", "MultiExpertLoss", "masked_mean"]
