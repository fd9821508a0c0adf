"""From the configuration to the parts; the only place that knows both."""

from mlgcn.build.knowledge import LabelKnowledge, build_label_knowledge, build_vectors, texts_read
from mlgcn.build.loss import build_loss, hard_factors
from mlgcn.build.network import BuiltModel, build_model, check_lone_images, check_resolutions
from mlgcn.build.sampling import build_sampler
from mlgcn.build.tables import BuiltTable, build_table, full_options

__all__ = [
    "BuiltModel",
    "BuiltTable",
    "LabelKnowledge",
    "build_label_knowledge",
    "build_loss",
    "build_model",
    "build_sampler",
    "build_table",
    "build_vectors",
    "check_lone_images",
    "check_resolutions",
    "full_options",
    "hard_factors",
    "texts_read",
]
