"""Optimisers and schedules by name."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from mlgcn.config import OptimizerConfig


def make_optimizer(
    parameters: Iterable[Parameter], config: OptimizerConfig, encoder: Iterable[Parameter] = ()
) -> Optimizer:
    """The optimiser over all parameters; those of a text encoder among them have a learning rate of their own."""
    slow = list(encoder)
    apart = set(map(id, slow))
    groups: list[dict[str, Any]] = [{"params": [each for each in parameters if id(each) not in apart]}]
    if slow:
        groups.append({"params": slow, "lr": config.lr * config.encoder_share})
    if config.name == "sgd":
        return _sgd(groups, config)
    kind = {"adam": Adam, "adamw": AdamW}[config.name]
    return kind(groups, config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=config.fused)


def _sgd(groups: list[dict[str, Any]], config: OptimizerConfig) -> SGD:
    optimizer = SGD(groups, config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=config.fused)
    if config.momentum:
        # A module of one view has no gradients in a batch without that view. Buffers that would then be missing beside
        # others stop the fused step; zeros are what a first step makes its own of.
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def make_schedule(optimizer: Optimizer, config: OptimizerConfig, steps: int) -> LRScheduler:
    """The learning rates over all optimiser steps of a run."""
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, steps)
    if config.schedule == "one_cycle":
        # The momentum stays as configured: betas are part of the published settings.
        highest = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, highest, total_steps=steps, cycle_momentum=False)
    return ConstantLR(optimizer, factor=1.0, total_iters=1)
