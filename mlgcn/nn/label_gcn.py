"""Classifiers: one row of D weights a label, from the label graph or without it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GCNConv


class LabelGCN(nn.Module):
    """Classifiers from two graph convolutions over the labels, with LeakyReLU(0.2) between them.

    Args:
        vectors: [C, F], the nodes' start: label vectors. Kept, not trained.
        edge_index, edge_weight: the propagation matrix, as mlgcn.graph.propagation gives it.
        features: D, the size of a classifier.
        hidden: the size between the convolutions.
    Shape: forward() -> [C, D].
    Source: ML-GCN, Chen et al. 2019, eq. 4 and section 4.1: no biases, weights drawn from +-1/sqrt(outputs).
    Raises: ValueError if vectors are not [C, F] or an edge leaves their range.
    """

    vectors: Tensor
    edge_index: Tensor
    edge_weight: Tensor

    def __init__(
        self, vectors: Tensor, edge_index: Tensor, edge_weight: Tensor, features: int, hidden: int = 1024
    ) -> None:
        super().__init__()
        if vectors.ndim != 2:
            raise ValueError(f"vectors have shape {tuple(vectors.shape)}, expected [C, F]")
        outside = (edge_index < 0) | (edge_index >= len(vectors))
        if outside.any():
            raise ValueError(
                f"edge_index names label {int(edge_index[outside][0])}, but there are vectors for {len(vectors)}"
            )
        # Copies: loading weights writes into buffers, and the caller keeps what it gave.
        self.register_buffer("vectors", vectors.detach().float().clone())
        self.register_buffer("edge_index", edge_index.clone())
        self.register_buffer("edge_weight", edge_weight.float().clone())
        # The propagation matrix is normalised already, its self loops included.
        self.first = GCNConv(vectors.shape[1], hidden, normalize=False, add_self_loops=False, bias=False)
        self.second = GCNConv(hidden, features, normalize=False, add_self_loops=False, bias=False)
        for layer in (self.first, self.second):
            bound = layer.out_channels**-0.5
            nn.init.uniform_(layer.lin.weight, -bound, bound)

    def forward(self) -> Tensor:
        hidden = F.leaky_relu(self.first(self.vectors, self.edge_index, self.edge_weight), 0.2)
        return self.second(hidden, self.edge_index, self.edge_weight)


class LinearClassifiers(nn.Module):
    """Free classifiers, one row a label: the baseline without a graph.

    Shape: forward() -> [C, D]. Weights start as those of a linear layer; no biases, as in LabelGCN.
    """

    def __init__(self, labels: int, features: int) -> None:
        super().__init__()
        bound = features**-0.5
        self.weight = nn.Parameter(torch.empty(labels, features).uniform_(-bound, bound))

    def forward(self) -> Tensor:
        return self.weight
