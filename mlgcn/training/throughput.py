"""How fast configurations train, side by side."""

import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor

from mlgcn.build import LabelKnowledge, build_label_knowledge, build_loss, build_model, build_table
from mlgcn.config import Config
from mlgcn.data.studies import study_table
from mlgcn.labels import LabelTable
from mlgcn.training.fit import resolve_precision
from mlgcn.training.optimizer import make_optimizer

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
WARM_UP = 2


def training_throughput(configs: Mapping[str, Config], rounds: int = 3, seconds: float = 2.0) -> dict[str, float]:
    """Images a second of a training step of each configuration, by name.

    A step is forward, loss, backward and optimiser on one batch of noise, at the size and precision of the
    configuration, on one GPU where training would use any; reading images is left out. The configurations take turns,
    each built anew from random weights, and the median over the rounds counts.

    Args:
        rounds: how often each has its turn.
        seconds: of a turn, at least; two steps come before to warm up.
    Raises: ValueError and FileNotFoundError as the parts do.
    """
    found: dict[str, list[float]] = {name: [] for name in configs}
    labels = {name: _labels(config) for name, config in configs.items()}
    for _ in range(rounds):
        for name, config in configs.items():
            found[name].append(_images_a_second(config, *labels[name], seconds))
    return {name: median(rates) for name, rates in found.items()}


def _labels(config: Config) -> tuple[LabelTable, LabelKnowledge]:
    """The training labels, and what the network knows of them."""
    train = build_table(config).table.split("train")
    if config.fusion.views is not None:
        train = study_table(train)
    return train, build_label_knowledge(config, train)


def _images_a_second(config: Config, train: LabelTable, labels: LabelKnowledge, seconds: float) -> float:
    on_gpu = config.training.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    config = replace(config, model=replace(config.model, weights="none", init=None))
    built = build_model(config, labels.vectors, labels.graph, config.run.seed, labels.encoder)
    model = built.model.to(device).train()
    loss = build_loss(replace(config.loss, hard_from=None), train).to(device)
    optimizer = make_optimizer(model.parameters(), config.optimizer)
    low = AUTOCAST.get(resolve_precision(config.training))
    images, rows, slots = _batch(config, len(train), device)
    targets = torch.tensor(train.values, device=device)[rows]

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, low, enabled=low is not None):
            logits = model(images, None, slots)
        loss(logits, targets, rows)["loss"].backward()
        optimizer.step()

    for _ in range(WARM_UP):
        step()
    steps, start = 0, _now(device)
    while (elapsed := _now(device) - start) < seconds:
        step()
        steps += 1
    return steps * len(images) / elapsed


def _batch(config: Config, rows: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images [n, 3, S, S], rows of the training table [B], and where views are joined, their slots [n, 2], all full."""
    size, batch, views = config.data.image_size, config.data.batch_size, config.fusion.views
    images = torch.randn(batch * (views or 1), 3, size, size, device=device).contiguous(
        memory_format=torch.channels_last
    )
    places = torch.arange(len(images), device=device)
    slots = None if views is None else torch.stack([places // views, places % views], dim=1)
    return images, torch.arange(batch, device=device) % rows, slots


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
