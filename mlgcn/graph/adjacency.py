"""The label graph and the matrix that a graph convolution multiplies with."""

import warnings

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from mlgcn.graph.cooccurrence import Cooccurrence

VARIANTS = ("paper", "released", "identity")
NEAR_DETERMINISTIC = 0.95
NAMED_AT_MOST = 50


def label_graph(cooc: Cooccurrence, threshold: float = 0.4, reweight: float = 0.2, variant: str = "paper") -> Data:
    """The graph of the labels: an edge i -> j of weight A'[i, j] where j is likely given i, and a loop at each label.

    A[i, j] is 1 where P(j|i) >= threshold and i != j, else 0; a P(j|i) that no image tells makes no edge.

    Args:
        threshold: tau, between 0 and 1.
        reweight: p, between 0 and 1: the part of a label that its neighbours make up.
        variant: "paper": `p * A[i, j] / sum_j A[i, j]`, and 1 - p on the diagonal, also of labels without neighbours;
            "released": as the authors' code has it, `p * A[i, j] / (sum_i A[i, j] + 1e-6)`, and 1 on the diagonal
            (they set p = 0.25); "identity": each label alone, the baseline without a graph.
    Returns: edge_index int64 [2, edges], edge_weight float32 [edges], num_nodes and names (a list).
    Warns: of labels without a neighbour, and of edges with P(j|i) >= 0.95, where the graph says that j always comes
        with i, naming them.
    Source: Chen et al. 2019 (ML-GCN), eq. 7 and 8, and gen_A in its released util.py.
    Raises: ValueError on an unknown variant and unless threshold and reweight are between 0 and 1.
    """
    for name, value in {"threshold": threshold, "reweight": reweight}.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}")
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, expected one of {list(VARIANTS)}")
    size = len(cooc.names)
    source, target = _edges(cooc, threshold) if variant != "identity" else np.empty((2, 0), dtype=np.int64)
    if variant == "released":
        weights, loop = reweight / (np.bincount(target, minlength=size)[target] + 1e-6), 1.0
    else:
        weights = reweight / np.bincount(source, minlength=size)[source]
        loop = 1.0 if variant == "identity" else 1.0 - reweight
    nodes = np.arange(size)
    return Data(
        edge_index=torch.from_numpy(np.stack([np.append(source, nodes), np.append(target, nodes)])),
        edge_weight=torch.from_numpy(np.append(weights, np.full(size, loop))).float(),
        num_nodes=size,
        names=list(cooc.names),
    )


def dense(data: Data) -> Tensor:
    """A' as a full matrix, not normalised: [C, C] with the weight of the edge i -> j at [i, j]."""
    source, target = data.edge_index
    matrix = data.edge_weight.new_zeros(data.num_nodes, data.num_nodes)
    matrix[source, target] = data.edge_weight
    return matrix


def propagation(data: Data) -> tuple[Tensor, Tensor]:
    """The sparse form of `D^-1/2 A'^T D^-1/2`, D the row sums of A': (edge_index [2, edges], edge_weight [edges]).

    An edge i -> j carries the entry of row j and column i, as torch_geometric's message passing takes it, so that
    `GCNConv(normalize=False)(x, *propagation(data))` multiplies x with this matrix. A label whose row of A' is all 0
    (only at reweight 1) neither sends nor receives.
    Source: Chen et al. 2019 (ML-GCN), gen_adj in its released models.py.
    """
    source, target = data.edge_index
    weight = data.edge_weight.double()
    row_sums = weight.new_zeros(data.num_nodes).index_add(0, source, weight)
    scale = torch.where(row_sums > 0, row_sums, torch.inf).rsqrt()
    return data.edge_index, (scale[source] * weight * scale[target]).to(data.edge_weight.dtype)


def _edges(cooc: Cooccurrence, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets of the edges between different labels."""
    likely = cooc.conditional()
    np.fill_diagonal(likely, np.nan)
    source, target = np.nonzero(likely >= threshold)  # False where NaN
    lonely = np.setdiff1d(np.arange(len(cooc.names)), np.concatenate([source, target]))
    if len(lonely):
        _warn(f"labels without an edge at threshold {threshold}", [repr(cooc.names[i]) for i in lonely], cooc)
    certain = likely[source, target] >= NEAR_DETERMINISTIC
    if certain.any():
        arrows = zip(source[certain], target[certain], strict=True)
        pairs = [f"{cooc.names[i]!r} -> {cooc.names[j]!r} ({likely[i, j]:.3f})" for i, j in arrows]
        _warn(f"edges with P(j|i) >= {NEAR_DETERMINISTIC}", pairs, cooc)
    return source, target


def _warn(what: str, items: list[str], cooc: Cooccurrence) -> None:
    listed = ", ".join(items[:NAMED_AT_MOST]) + (", ..." if len(items) > NAMED_AT_MOST else "")
    # Level 4: the caller of label_graph.
    warnings.warn(f"label graph of {len(cooc.names)} labels: {len(items)} {what}: {listed}", stacklevel=4)
