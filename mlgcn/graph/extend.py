"""Labels that join a label graph after training: they take from the labels near them and give them nothing."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from mlgcn.graph.adjacency import VARIANTS


def extend_graph(
    graph: Data,
    vectors: Tensor,
    new_vectors: Tensor,
    neighbours: int = 3,
    *,
    reweight: float = 0.2,
    variant: str = "paper",
) -> Data:
    """The graph with U new labels behind its C: each takes from the k of those C whose vectors are nearest to its own.

    A'[s, u] = p / k from a near label s to a new one u, since propagation multiplies with A' transposed, and the loop
    A'[u, u] = 1 - p. No edge leaves a new label, so that what the others become does not depend on it. "released" has
    loops of 1, "identity" those alone.

    Args:
        vectors, new_vectors: of the labels, [C, F] and [U, F]; cosine decides, of equally near ones the first.
        neighbours: k; all C where there are fewer.
        reweight, variant: of the graph, as label_graph has them.
    Returns: edge_index, the graph's edges first, edge_weight and num_nodes.
    Raises: ValueError on vectors of other shapes or of length 0, neighbours below 1, reweight outside 0 to 1, an
        unknown variant.
    """
    seen = int(graph.num_nodes)
    _check(seen, vectors, new_vectors)
    if neighbours < 1:
        raise ValueError(f"neighbours must be >= 1, got {neighbours}")
    if not 0 <= reweight <= 1:
        raise ValueError(f"reweight must be between 0 and 1, got {reweight}")
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, expected one of {list(VARIANTS)}")
    device = graph.edge_index.device
    new = seen + torch.arange(len(new_vectors), device=device)
    near = _nearest(vectors, new_vectors, min(neighbours, seen)).to(device)  # [U, k]
    if variant == "identity":
        near = near[:, :0]
    joined = torch.stack([near.flatten(), new.repeat_interleave(near.shape[1])])
    loop = 1 - reweight if variant == "paper" else 1.0
    given = graph.edge_weight.new_full((joined.shape[1],), reweight / max(1, near.shape[1]))
    return Data(
        edge_index=torch.cat([graph.edge_index, joined, new.expand(2, -1)], dim=1),
        edge_weight=torch.cat([graph.edge_weight, given, graph.edge_weight.new_full((len(new),), loop)]),
        num_nodes=seen + len(new),
    )


def extended_propagation(data: Data, seen: int) -> tuple[Tensor, Tensor]:
    """The sparse form of `D^-1/2 A'^T D^-1/2` of a graph that extend_graph made, as propagation gives it.

    D holds the row sums of the graph that was extended, and 1 for new labels: edges to new labels are not counted, lest
    the others' classifiers change. A new label is then 1 - p itself and p its neighbours, each scaled by its own D.
    Args:
        seen: C, how many labels the graph had.
    """
    source, target = data.edge_index
    weight = data.edge_weight.double()
    sums = weight.new_zeros(data.num_nodes).index_add(0, source, torch.where(target < seen, weight, 0.0))
    sums[seen:] = 1
    scale = torch.where(sums > 0, sums, torch.inf).rsqrt()
    return data.edge_index, (scale[source] * weight * scale[target]).to(data.edge_weight.dtype)


def _nearest(vectors: Tensor, new_vectors: Tensor, count: int) -> Tensor:
    """Places of the labels nearest to each new one by cosine, nearest first: int64 [U, count]."""
    cosine = F.normalize(new_vectors.double(), dim=1) @ F.normalize(vectors.double(), dim=1).T
    return cosine.argsort(dim=1, descending=True, stable=True)[:, :count]


def _check(seen: int, vectors: Tensor, new_vectors: Tensor) -> None:
    if vectors.ndim != 2 or len(vectors) != seen:
        raise ValueError(f"vectors have shape {tuple(vectors.shape)}, expected [{seen}, F] for {seen} labels")
    if new_vectors.ndim != 2 or not len(new_vectors) or new_vectors.shape[1] != vectors.shape[1]:
        raise ValueError(
            f"new_vectors have shape {tuple(new_vectors.shape)}, expected [U, {vectors.shape[1]}] with U >= 1"
        )
    for what, rows in (("vectors", vectors), ("new_vectors", new_vectors)):
        wrong = ~rows.isfinite().all(dim=1) | ~rows.any(dim=1)
        if wrong.any():
            raise ValueError(f"{what}: the vector of label {int(wrong.int().argmax())} is 0 or not finite")
