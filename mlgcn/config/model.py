"""The sections of the run configuration that make the network."""

from dataclasses import dataclass
from typing import Literal

from mlgcn.config.checks import all_at_least_1, part_of_1


@dataclass
class ModelConfig:
    """The network."""

    trunk: str = "resnet101"
    """A ResNet, ResNeXt, Wide ResNet, DenseNet or ConvNeXt of torchvision, or timm/NAME (docs/models.md)."""
    weights: str = "imagenet"
    """The trunk's weights: imagenet (downloaded), none, or a file with a state dict, foreign ones too."""
    init: str | None = None
    """A run or a checkpoint to start from: its trunk and experts, and whatever else fits; the report says what."""
    freeze: Literal["none", "trunk", "features"] = "none"
    """What is not trained: the trunk, or the trunk and the experts' last stages."""
    experts: int = 4
    """Number of experts, each with a last stage and a head of its own."""
    branch: Literal["pretrained", "slim", "wide"] = "pretrained"
    """An expert's last stage: a copy of the trunk's, or, of a ResNet, a new one 512 wide or with wider blocks."""
    branch_width: int = 1024
    """Of wide: channels inside its blocks; 512 in a ResNet's own last stage."""
    head: Literal["gcn", "query"] = "gcn"
    """What makes logits of an expert's feature map: pooling and classifiers from the label graph, or label queries (see
    section query)."""
    pooling: Literal["lse", "max", "mean"] = "lse"
    """Of gcn: from feature map to vector."""
    sharpness: float = 0.5
    """Of lse pooling: near 0 it is the mean, the larger the nearer to the maximum."""
    hidden: int = 1024
    """Size between the two graph convolutions."""
    attention: Literal["labels", "experts", "joint", "none"] = "labels"
    """Of gcn: what the shared transformer layer attends over."""
    heads: int = 8
    """Attention heads of that layer."""
    dropout: float = 0.0
    """Dropout of that layer."""

    def __post_init__(self) -> None:
        all_at_least_1("model", self, "experts", "branch_width", "hidden", "heads")
        part_of_1("model.dropout", self.dropout)
        if self.sharpness <= 0:
            raise ValueError(f"model.sharpness must be > 0, got {self.sharpness}")


@dataclass
class QueryConfig:
    """Label queries, where model.head is query: a transformer decoder that each label asks."""

    vectors: Literal["learned", "embeddings", "tuned", "encoder", "graph"] = "learned"
    """What queries are made of: free ones, the label vectors of section embeddings through a learned projection, the
    same and the vectors are trained too, the same and the text encoder that makes them is trained too, or the graph
    convolutions over them."""
    width: int = 512
    """Size of queries and tokens."""
    layers: int = 2
    """Decoder layers."""
    heads: int = 8
    """Attention heads."""
    dropout: float = 0.1
    """Dropout of the decoder."""
    classifier: Literal["separate", "shared"] = "separate"
    """Weights of its own for each label, or one set for all, which can score labels that were never trained on."""
    groups: int | None = None
    """So many queries answer for all labels, for thousands of them; by default each label has its own."""

    def __post_init__(self) -> None:
        all_at_least_1("query", self, "width", "layers", "heads")
        part_of_1("query.dropout", self.dropout)
        if self.width % 4 or self.width % self.heads:
            raise ValueError(
                f"query.width is {self.width}, expected a multiple of 4 and of the {self.heads} heads (query.heads)"
            )
        if self.groups is not None and self.vectors != "learned":
            raise ValueError(
                f"query.groups is for learned queries; those of query.vectors {self.vectors} belong to labels"
            )
        if self.groups is not None and self.classifier == "shared":
            raise ValueError("query.groups needs query.classifier separate: one query answers for several labels")


@dataclass
class FusionConfig:
    """Several views of a study at once."""

    views: int | None = None
    """Up to so many images of a study are joined; by default every image stands alone."""
    layers: int = 2
    """Layers of the transformer encoder over the places of all images."""
    heads: int = 8
    """Attention heads."""
    dropout: float = 0.1
    """Dropout of the encoder."""
    stride: int = 1
    """So many places a side become one before the encoder."""
    trunks: Literal["one", "trunk", "features"] = "one"
    """Weights by view, with or without fusion: the same for all, a trunk each for frontal and lateral images, or a
    trunk and the experts' last stages."""
    unknown: Literal["frontal", "both"] = "frontal"
    """Where images of unknown view go; of both, the mean is taken."""

    def __post_init__(self) -> None:
        if self.views is not None and self.views < 1:
            raise ValueError(f"fusion.views must be >= 1, got {self.views}")
        all_at_least_1("fusion", self, "layers", "heads", "stride")
        part_of_1("fusion.dropout", self.dropout)
