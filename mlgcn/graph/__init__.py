"""The label graph: which findings stand together in the training images, and how the graph convolution uses it."""

from mlgcn.graph.adjacency import dense, label_graph, propagation
from mlgcn.graph.cooccurrence import Cooccurrence, cooccurrence
from mlgcn.graph.edges import association, edge_table
from mlgcn.graph.extend import extend_graph, extended_propagation
from mlgcn.graph.files import load_adjacency_pickle, load_graph, save_graph

__all__ = [
    "Cooccurrence",
    "association",
    "cooccurrence",
    "dense",
    "edge_table",
    "extend_graph",
    "extended_propagation",
    "label_graph",
    "load_adjacency_pickle",
    "load_graph",
    "propagation",
    "save_graph",
]
