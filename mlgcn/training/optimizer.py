"""Optimisers and schedules by name."""

from collections.abc import Iterable

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from mlgcn.config import OptimizerConfig


def make_optimizer(parameters: Iterable[Parameter], config: OptimizerConfig) -> Optimizer:
    """The optimiser over all parameters."""
    if config.name == "sgd":
        return SGD(
            parameters, config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=config.fused
        )
    kind = {"adam": Adam, "adamw": AdamW}[config.name]
    return kind(parameters, config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=config.fused)


def make_schedule(optimizer: Optimizer, config: OptimizerConfig, steps: int) -> LRScheduler:
    """The learning rate over all optimiser steps of a run."""
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    if config.schedule == "one_cycle":
        # The momentum stays as configured: betas are part of the published settings.
        return OneCycleLR(optimizer, config.lr, total_steps=steps, cycle_momentum=False)
    return ConstantLR(optimizer, factor=1.0, total_iters=1)
