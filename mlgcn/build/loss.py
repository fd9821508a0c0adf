"""The training loss."""

import inspect
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn.config import LossConfig
from mlgcn.labels import LabelTable, check_same_labels
from mlgcn.losses import (
    LOSSES,
    ElementwiseLoss,
    ExpertDiversity,
    LargeLossReconsideration,
    LargeLossShare,
    MultiExpertLoss,
    hard_label_factors,
)
from mlgcn.run_directory import RunDirectory
from mlgcn.suggestions import check_known, unknown_name

logger = logging.getLogger(__name__)

# Arguments of losses that are counted in the training split.
COUNTED = ("class_counts", "num_samples", "images")
LEAK = "chosen by test images, the hard labels would flatter the run"


def build_loss(config: LossConfig, train: LabelTable) -> MultiExpertLoss:
    """The training loss; what it needs to know of the labels is counted in the training split, unknown ones left out.

    Raises: ValueError on an unknown name or a setting of another loss, and as the parts; as hard_factors.
    """
    base = _classification_loss(config, train)
    diversity = ExpertDiversity(
        config.diversity_distribution,
        config.diversity_consensus,
        bound=config.diversity_bound,
        temperature=config.diversity_temperature,
    )
    factors = hard_factors(config, train.names)
    return MultiExpertLoss(
        base if config.large_loss == "none" else LargeLossReconsideration(base, config.large_loss),
        diversity if config.diversity else None,
        config.diversity / len(train.names),  # meant for losses summed over labels; MultiExpertLoss says why
        over=config.over,
        share=LargeLossShare(config.large_loss_first, config.large_loss_step, config.large_loss_most),
        factors=[factors.get(name, 1.0) for name in train.names] if factors else None,
    )


def hard_factors(config: LossConfig, names: Sequence[str]) -> dict[str, float]:
    """The factors of the labels whose losses count more or less: as given by name, else as a run's validation tells.

    Raises: ValueError on an unknown label, a factor that is not positive, or a file that holds no validation metrics of
        these labels; FileNotFoundError.
    """
    check_known(names, config.hard_labels, "label in loss.hard_labels")
    for name, factor in config.hard_labels.items():
        if not 0 < factor < math.inf:
            raise ValueError(f"loss.hard_labels: the factor of {name!r} must be a positive number, got {factor}")
    found = {}
    if config.hard_from is not None:
        path = Path(config.hard_from)
        path = RunDirectory(path).validation_metrics if path.is_dir() else path
        found = hard_label_factors(_validation_precision(path, names), config.hard_below, config.hard_factor)
        logger.info("hard labels in %s: %s", path, ", ".join(found) or "none")
    return found | config.hard_labels


def _classification_loss(config: LossConfig, train: LabelTable) -> ElementwiseLoss:
    if config.name not in LOSSES:
        raise ValueError(unknown_name("loss.name", config.name, LOSSES))
    kind, given = LOSSES[config.name], _given_settings(config)
    weighted, parameters = given.pop("weighted", False), inspect.signature(kind).parameters
    known: dict[str, Any] = {}
    if "class_counts" in parameters and (weighted or not _may_weigh(kind)):
        # A label that is known of one image at most, or none, counts as found in one of two.
        known |= {"class_counts": train.positives, "num_samples": np.maximum(train.known, 2)}
    if "images" in parameters:
        known["images"] = len(train)
    try:
        return kind(**known, **given)
    except ValueError as error:
        # The losses begin with the parameter's name.
        if str(error).split()[0] in given:
            raise ValueError(f"loss.{error}") from error
        raise


def _given_settings(config: LossConfig) -> dict[str, Any]:
    """The settings of single losses that differ from None, all of them such as the chosen loss has."""
    own, of_any = _settings(LOSSES[config.name]), {name for kind in LOSSES.values() for name in _settings(kind)}
    given = {name: value for name, value in vars(config).items() if name in of_any and value is not None}
    for name in given:
        if name not in own:
            unknown = unknown_name(f"setting of {config.name}", name, own) if own else f"{config.name} has no settings"
            raise ValueError(f"loss.{name}: {unknown}")
    return given


def _settings(kind: type[ElementwiseLoss]) -> list[str]:
    """The settings that a loss has: its parameters but for the counts, and weighted where it may do without those."""
    parameters = inspect.signature(kind).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in COUNTED]
    return [*names, "weighted"] if _may_weigh(kind) else names


def _may_weigh(kind: type[ElementwiseLoss]) -> bool:
    counts = inspect.signature(kind).parameters.get("class_counts")
    return counts is not None and counts.default is not counts.empty


def _validation_precision(path: Path, names: Sequence[str]) -> dict[str, float | None]:
    """Average precision by label, of a file of metrics."""
    if not path.is_file():
        raise FileNotFoundError(f"loss.hard_from: there is no {path}")
    try:
        report = json.loads(path.read_text())
        split, precision = report["split"], {name: label["AP"] for name, label in report["per_label"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"loss.hard_from: {path} is no file of metrics as train.py and evaluate.py write: {type(error).__name__} "
            f"{error}"
        ) from error
    if split != "val":
        raise ValueError(f"loss.hard_from: {path} was measured on the split {split!r}, expected 'val': {LEAK}")
    try:
        check_same_labels(list(precision), names)
    except ValueError as error:
        raise ValueError(f"loss.hard_from: {path}: {error}") from None
    return precision
