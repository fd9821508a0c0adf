"""The training loss of several experts."""

from torch import Tensor, nn

from mlgcn.losses.base import ElementwiseLoss, masked_mean
from mlgcn.losses.diversity import ExpertDiversity


class MultiExpertLoss(nn.Module):
    """The classification loss of every expert, summed, plus the weighted diversity term.

    The total is that of Seo et al. 2023, eq. 4, with the classification loss of an image summed over its C labels, all
    of it divided by C: `sum_e mean(base) + weight / C * L_div`. With the mean over labels next to a whole L_div the
    total has no minimum: experts that each assert one label of their own gain more than they lose (4 experts, 26
    labels, weight 0.2: 0.40 against 0.15 for a unit of logit), and training runs away. A divergence has no bound, so
    experts that are right but not equally sure of it still lower the total without end, slowly: with softmax by at
    most 2 * weight / C for a unit of logit.

    Args:
        base: any element-wise loss.
        diversity: the term that drives the experts apart, or none.
        weight: its factor, lambda.
    Shapes: expert_logits [E, B, C], targets [B, C] -> scalars by name: "loss", the total to minimise; its terms
        "classification" and, where there is a diversity term, "diversity": L_div, unweighted, at most 0.
    Raises: ValueError if weight is negative, or as base and diversity do.
    """

    def __init__(self, base: ElementwiseLoss, diversity: ExpertDiversity | None = None, weight: float = 0.2) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must be >= 0, got {weight}")
        self.base, self.diversity, self.weight = base, diversity, weight

    def forward(self, expert_logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        classification = masked_mean(self.base(expert_logits, targets), targets).sum()
        if self.diversity is None:
            return {"loss": classification, "classification": classification}
        diversity = self.diversity(expert_logits)
        loss = classification + self.weight / targets.shape[-1] * diversity
        return {"loss": loss, "classification": classification, "diversity": diversity}
