"""Which experts of a trained model are worth keeping."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mlgcn.data.datamodule import check_present
from mlgcn.labels import LabelTable
from mlgcn.metrics import average_precision
from mlgcn.metrics.means import mean_defined
from mlgcn.nn import ExpertNetwork
from mlgcn.prediction.gating import gate_normal
from mlgcn.prediction.predictor import Predictor
from mlgcn.prediction.tta import augmented_scores

MOST_EXHAUSTIVE = 8


class ExpertSubset(NamedTuple):
    """Some experts of a model, numbered from 1, and what the model with them alone is like.

    Attributes:
        mAP: on the images that they were chosen on.
        parameters: how many weights it has.
    """

    experts: tuple[int, ...]
    mAP: float
    parameters: int


def with_experts(predictor: Predictor, experts: Sequence[int]) -> Predictor:
    """The predictor of the network that has these experts only, numbered from 1; thresholds stay as they are.

    The network shares the weights of the whole one and describes itself: saved, it loads as any other.
    Raises: ValueError unless they are some of the model's experts, each once.
    """
    there = len(predictor.model.branches)
    if not experts or len(set(experts)) != len(experts) or not set(experts) <= set(range(1, there + 1)):
        raise ValueError(f"experts are {list(experts)}, expected some of 1 to {there}, each once")
    kept = sorted(experts)
    described = predictor.description
    config = described.config | {"model": described.config["model"] | {"experts": len(kept)}}
    if len(kept) == 1:  # diversity compares experts
        config["loss"] = described.config["loss"] | {"diversity": 0.0}
    model = predictor.model.of_experts([expert - 1 for expert in kept])
    part = Predictor(model, replace(described, config=config), str(predictor.device))
    part.settings = predictor.settings
    return part


def choose_experts(
    predictor: Predictor,
    validation: LabelTable,
    sizes: Sequence[int],
    batch_size: int = 32,
    num_workers: int = 0,
    skip_unreadable: bool = False,
) -> list[ExpertSubset]:
    """All experts, then for each size, from large to small, those whose network has the highest mAP on validation.

    Up to 8 experts all subsets of that size are compared; of more, one after the other is left out whose absence costs
    least. Of equals, the one with the lower numbers is taken. Images are scored as the predictor's settings say.

    Raises: ValueError on sizes that are not between 1 and the number of experts less 1, if there is no label with
        positives; as Predictor.predict_table.
    """
    there = len(predictor.model.branches)
    if wrong := [size for size in sizes if not 1 <= size < there]:
        raise ValueError(f"{wrong[0]} of {there} experts cannot be kept, expected 1 to {there - 1}")
    everyone = tuple(range(1, there + 1))
    reading = batch_size, num_workers, skip_unreadable
    if there <= MOST_EXHAUSTIVE:
        subsets = [everyone, *(part for size in sorted(sizes)[::-1] for part in combinations(everyone, size))]
        return _best_of_each_size(_measured(predictor, validation, subsets, *reading))
    best = _measured(predictor, validation, [everyone], *reading)
    while len(best[-1].experts) > min(sizes):
        fewer = list(combinations(best[-1].experts, len(best[-1].experts) - 1))
        best += _best_of_each_size(_measured(predictor, validation, fewer, *reading))
    return [kept for kept in best if len(kept.experts) in (there, *sizes)]


def _best_of_each_size(measured: Sequence[ExpertSubset]) -> list[ExpertSubset]:
    best: dict[int, ExpertSubset] = {}
    for kept in measured:  # by their numbers, so that the first of equals stays
        size = len(kept.experts)
        if size not in best or kept.mAP > best[size].mAP:
            best[size] = kept
    return list(best.values())


def _measured(
    predictor: Predictor,
    table: LabelTable,
    subsets: Sequence[tuple[int, ...]],
    batch_size: int,
    num_workers: int,
    skip_unreadable: bool,
) -> list[ExpertSubset]:
    """The mAP of the network of each subset, all of them in one pass over the images."""
    predictor.description.expect_labels(table.names)
    table = table.reordered(predictor.names)
    if not skip_unreadable:
        check_present(table)
    places = [[expert - 1 for expert in subset] for subset in subsets]
    networks = [predictor.model.of_experts(each) for each in places]
    scores, rows = _scores(predictor, table, networks, places, batch_size, num_workers, skip_unreadable)
    measured = []
    for subset, network, each in zip(subsets, networks, scores, strict=True):
        predictions = predictor.predictions_of(table, each, rows)
        precision = float(mean_defined(average_precision(predictions.scores, predictions.targets)))
        if np.isnan(precision):
            raise ValueError("no label has a positive validation image, so that no experts have an mAP")
        measured.append(ExpertSubset(subset, precision, sum(weight.numel() for weight in network.parameters())))
    return measured


@torch.inference_mode()
def _scores(
    predictor: Predictor,
    table: LabelTable,
    networks: Sequence[ExpertNetwork],
    places: Sequence[list[int]],
    batch_size: int,
    num_workers: int,
    skip_unreadable: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of each network [S, N', C], and row numbers [N'] of what could be read.

    Args:
        places: of each network's experts in the whole one.
    """
    settings, found, rows = predictor.settings, [], []
    for (images, *where), batch in predictor.batches(table, batch_size, num_workers, skip_unreadable):

        def score(versions: Tensor, where: list[Tensor | None] = where) -> Tensor:
            apart = predictor.model.apart(versions, *where)  # the trunk and all experts once
            joined = (network.joined(apart[own]) for network, own in zip(networks, places, strict=True))
            return torch.stack([logits.mean(dim=0) for logits in joined])  # [S, B, C]

        merged = augmented_scores(score, images, settings.tta, settings.tta_merge, predictor.multiple)  # [S, B, C]
        found.append(merged.cpu().numpy())
        rows.append(batch.rows.numpy())
    scores = np.concatenate(found, axis=1)
    if settings.normal_gating is not None:
        scores = np.stack([gate_normal(each, predictor.names, settings.normal_gating) for each in scores])
    return scores, np.concatenate(rows)
