"""Several scores of the same images made one: of versions of an image, of members of an ensemble."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from mlgcn.suggestions import check_known

MERGES = ("mean", "geometric", "logits")
# Where single precision has probabilities at 0 and 1: so near to them that they round back to where they were.
ABOVE_0, BELOW_1 = 2.0**-151, 1 - 2.0**-26
# By how much others may at most be better than fitted weights, in mean cross-entropy.
MOST_BETTER = 1e-4


def merge_scores(logits: Tensor, merge: str = "mean", weights: Tensor | None = None) -> Tensor:
    """Probabilities merged over the first axis, in double precision: logits [T, ...] -> [...].

    Args:
        merge: "mean" of the probabilities, "geometric" mean of them (Hong et al. 2023), or mean of the "logits".
        weights: [T] that add up to 1; by default all are alike.
    Raises: ValueError on an unknown merge.
    """
    check_known(MERGES, [merge], "merge")
    logits = logits.double()
    weights = logits.new_full((len(logits),), 1 / len(logits)) if weights is None else weights.to(logits)
    if merge == "logits":
        return torch.tensordot(weights, logits, dims=1).sigmoid()
    if merge == "geometric":
        return torch.tensordot(weights, F.logsigmoid(logits), dims=1).exp()
    return torch.tensordot(weights, logits.sigmoid(), dims=1)


def to_logits(scores: np.ndarray) -> Tensor:
    """The logits of probabilities in single precision, in double precision and finite; at 0 about -105, at 1 about 18.

    Merged with equals, they give back the same probabilities, exactly.
    """
    return torch.from_numpy(np.asarray(scores, dtype=np.float64)).clamp(ABOVE_0, BELOW_1).logit()


def check_weights(weights: Sequence[float] | np.ndarray, count: int) -> np.ndarray:
    """The weights scaled to add up to 1: float64 [M].

    Raises: ValueError unless there are `count` numbers >= 0, one of them > 0.
    """
    values = np.array(weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all() or values.min() < 0 or not values.any():
        raise ValueError(f"weights are {list(weights)}, expected {count} numbers >= 0, one of them > 0")
    return values / values.sum()


def fitted_weights(scores: np.ndarray, targets: np.ndarray, merge: str = "mean") -> np.ndarray:
    """The weights with the smallest binary cross-entropy of the merged probabilities: >= 0, adding up to 1, [M].

    The cross-entropy is the mean over all known values, and convex in the weights, however scores are merged. The
    search starts with equal weights, so that members that are alike stay so. How much better others could be, which
    convexity bounds by the gradient (Frank and Wolfe 1956), is checked at the end: at most 1e-4.

    Args:
        scores: probabilities of each member, [M, N, C].
        targets: [N, C] of 0, 1 or NaN (unknown).
    Raises: ValueError if no target is known, on an unknown merge, or if the search fails.
    """
    known = ~np.isnan(targets)
    if not known.any():
        raise ValueError("no target is known, so that no weights can be fitted")
    logits, positive = to_logits(scores[:, known]), torch.from_numpy(targets[known] == 1)

    def cross_entropy(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """The value and its gradient."""
        variable = torch.tensor(weights, requires_grad=True)
        merged = merge_scores(logits, merge, variable)
        loss = -torch.where(positive, merged, 1 - merged).log().mean()
        (gradient,) = torch.autograd.grad(loss, variable)
        return loss.item(), gradient.numpy()

    members = len(scores)
    found = minimize(
        cross_entropy,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    weights = check_weights(np.where(found.x < 1e-9, 0, found.x), members)
    gradient = cross_entropy(weights)[1]
    # Not whether the search calls itself a success: at the smallest value it may fail to go lower.
    if not gradient @ weights - gradient.min() <= MOST_BETTER:
        raise ValueError(f"no best weights were found ({found.message}); give them as numbers")
    return weights
