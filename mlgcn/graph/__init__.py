"""The label graph: which findings stand together in the training images, and how the graph convolution uses it."""

from mlgcn.graph.adjacency import dense, label_graph, propagation
from mlgcn.graph.cooccurrence import Cooccurrence, cooccurrence

__all__ = ["Cooccurrence", "cooccurrence", "dense", "label_graph", "propagation"]
