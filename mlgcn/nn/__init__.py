"""Networks: pieces that arrive built, and the models that put them together."""

from mlgcn.nn.attention import SharedAttention
from mlgcn.nn.expert import expert_branches
from mlgcn.nn.label_gcn import LabelGCN, LinearClassifiers
from mlgcn.nn.multi_expert import MultiExpertGCN
from mlgcn.nn.pooling import POOLINGS, lse_pool, max_pool, mean_pool
from mlgcn.nn.trunk import build_trunk

__all__ = [
    "POOLINGS",
    "LabelGCN",
    "LinearClassifiers",
    "MultiExpertGCN",
    "SharedAttention",
    "build_trunk",
    "expert_branches",
    "lse_pool",
    "max_pool",
    "mean_pool",
]
