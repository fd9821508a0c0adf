"""The training loss of several experts."""

from torch import Tensor, nn

from mlgcn.losses.base import ElementwiseLoss, masked_mean
from mlgcn.losses.diversity import ExpertDiversity


class MultiExpertLoss(nn.Module):
    """The classification loss of every expert, summed, plus the weighted diversity term.

    The total is that of Seo et al. 2023, eq. 4, for a classification loss summed over the C labels of an image, divided
    by C: `sum_e mean(base) + weight / C * L_div`. Were the base averaged over labels and L_div not, the total would have
    no minimum: experts that disagree with confidence, each at one label of its own, would gain more than they lose
    (4 experts, 26 labels, weight 0.2: 0.40 against 0.15 for each unit of logit), and training runs away.

    Args:
        base: any element-wise loss.
        diversity: the term that drives the experts apart, or none.
        weight: its factor, lambda.
    Shapes: expert_logits [E, B, C], targets [B, C] -> scalars by name: "loss", the total to minimise; its terms
        "classification" and, where there is a diversity term, "diversity": L_div, unweighted, with its sign (at most 0).
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
