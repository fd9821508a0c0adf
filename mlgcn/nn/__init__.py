"""Networks: pieces that arrive built, and the models that put them together."""

from mlgcn.nn.attention import SharedAttention
from mlgcn.nn.expert import expert_branches
from mlgcn.nn.expert_network import ExpertNetwork
from mlgcn.nn.label_gcn import LabelGCN, LinearClassifiers
from mlgcn.nn.map_side import map_side
from mlgcn.nn.multi_expert import MultiExpertGCN
from mlgcn.nn.pooling import POOLINGS, lse_pool, max_pool, mean_pool
from mlgcn.nn.query_decoder import LearnedQueries, QueryDecoder, TextQueries, VectorQueries
from mlgcn.nn.query_model import QueryModel
from mlgcn.nn.text_encoder import TextEncoder
from mlgcn.nn.token_map import image_multiple
from mlgcn.nn.trunk import build_trunk
from mlgcn.nn.view_fusion import ByView, ViewFusion

__all__ = [
    "POOLINGS",
    "ByView",
    "ExpertNetwork",
    "LabelGCN",
    "LearnedQueries",
    "LinearClassifiers",
    "MultiExpertGCN",
    "QueryDecoder",
    "QueryModel",
    "SharedAttention",
    "TextEncoder",
    "TextQueries",
    "VectorQueries",
    "ViewFusion",
    "build_trunk",
    "expert_branches",
    "image_multiple",
    "lse_pool",
    "map_side",
    "max_pool",
    "mean_pool",
]
