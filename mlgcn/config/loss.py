"""The section of the run configuration that chooses the training loss."""

import math
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class LossConfig:
    """The training loss. Brackets behind a setting: the losses that have it, each with its default."""

    name: str = "bce"
    """Classification loss (docs/losses/README.md): bce, weighted_bce, focal, class_balanced, asl, ral, db, nr, anr,
    nvum, ldam or logit_adjusted."""
    # Parameters of single losses. None is the loss's own default; what another loss has is refused when it is built.
    gamma: float | None = None
    """Focus on what is hard (focal 2, class_balanced 0, db 2, nr 0, anr 0)."""
    alpha: float | None = None
    """Weight of positives, negatives have 1 - alpha (focal null: both 1); lift of the rebalancing weight (db 0.1)."""
    beta: float | None = None
    """Of weights (class_balanced 0.9999, ldam 0.9999); slope of the weight (db 10), growth of the scale (anr 10)."""
    gamma_neg: float | None = None
    """Focus on hard negatives (asl 4, ral 4)."""
    gamma_pos: float | None = None
    """Focus on hard positives (asl 1, ral 0)."""
    clip: float | None = None
    """The probability that a negative may have for free (asl 0.05, ral 0.05)."""
    detach_focus: bool | None = None
    """No gradient through the focusing weights (asl true, ral false)."""
    weighted: bool | None = None
    """Positives and negatives weigh by their label's frequency, as in weighted_bce (asl false)."""
    hill: float | None = None
    """lambda of the factor lambda - p of negatives (ral 1.5)."""
    epsilon: tuple[float, float] | None = None
    """e_1 and e_2; e_1 and e_2 / 2 are taken from the first Taylor coefficients of positives (ral [1, -2.5])."""
    variant: Literal["paper", "released"] | None = None
    """The equation of the paper, or that of the authors' code (ral paper)."""
    mu: float | None = None
    """Middle of the rebalancing weight (db 0.2)."""
    scale: float | None = None
    """Factor of the logits, of negatives (db 2, nr 2) or all (ldam 1)."""
    kappa: float | None = None
    """Size of the labels' bias (db 0.05)."""
    balance: float | None = None
    """Factor that makes up for the focus (db 2)."""
    rebalance: bool | None = None
    """Whether labels weigh by how often their images are drawn (db true)."""
    tolerance: bool | None = None
    """Whether low negatives are left alone (db true)."""
    focal: bool | None = None
    """Whether it has a focus (db true)."""
    detach_scale: bool | None = None
    """No gradient through the scale (anr false)."""
    weight: float | None = None
    """Weight of the pull towards what is remembered (nvum 1)."""
    momentum: float | None = None
    """Share of the memory that an update keeps (nvum 0.9)."""
    max_margin: float | None = None
    """Margin of the rarest label (ldam 0.5)."""
    reweight_epoch: int | None = None
    """The first epoch in which labels weigh as in class_balanced, counted from 0 (ldam null: never)."""
    tau: float | None = None
    """How much of the label's prior is added to the logit (logit_adjusted 1)."""
    over: Literal["experts", "mean"] = "experts"
    """What the classification loss is taken of: each expert, and summed, or the mean of their logits."""
    diversity: float = 0.2
    """Weight of the term that drives the experts apart, next to a classification loss summed over the labels; both are
    divided by their number. 0 leaves it out."""
    diversity_distribution: Literal["softmax", "bernoulli"] = "softmax"
    """Distributions that it compares: over the labels as published, or of each label by itself."""
    diversity_bound: float | None = 1.0
    """Largest divergence of an expert on an image that counts, in nats; null, as published, has none, and long training
    then runs away."""
    diversity_consensus: Literal["probabilities", "logits", "pairwise"] = "probabilities"
    """What it compares them with: their mean, the distribution of the mean logits, or each other."""
    diversity_temperature: float = 1.0
    """Logits are divided by it before they become distributions."""
    large_loss: Literal["none", "abandon", "modify"] = "none"
    """What becomes of the negatives with the largest losses, which may be wrong: nothing, they are left out, or they
    count as positives."""
    large_loss_first: float = 0.0
    """Their share of the negatives in the first epoch."""
    large_loss_step: float = 0.002
    """How much the share grows with each epoch."""
    large_loss_most: float = 0.05
    """Where it stops."""
    hard_labels: dict[str, float] = field(default_factory=dict)
    """Factors of the losses of single labels, by name."""
    hard_from: str | None = None
    """A run, or its validation_metrics.json: labels that were hard for it get a factor too."""
    hard_below: float = 0.1
    """For hard_from: hard is a label whose average precision on the validation images was below this."""
    hard_factor: float = 2.0
    """For hard_from: the factor of hard labels."""

    def __post_init__(self) -> None:
        _check("diversity", self.diversity, self.diversity >= 0, ">= 0")
        _check("diversity_bound", self.diversity_bound, self.diversity_bound is None or self.diversity_bound > 0, "> 0")
        _check("diversity_temperature", self.diversity_temperature, self.diversity_temperature > 0, "> 0")
        _check("large_loss_step", self.large_loss_step, self.large_loss_step >= 0, ">= 0")
        _check("large_loss_first", self.large_loss_first, 0 <= self.large_loss_first <= 1, "in [0, 1]")
        most = self.large_loss_first <= self.large_loss_most <= 1
        _check("large_loss_most", self.large_loss_most, most, "in [large_loss_first, 1]")
        _check("hard_below", self.hard_below, 0 <= self.hard_below <= 1, "in [0, 1]")
        _check("hard_factor", self.hard_factor, 0 < self.hard_factor < math.inf, "a positive number")


def _check(name: str, value: float | None, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"loss.{name} must be {expected}, got {value}")
