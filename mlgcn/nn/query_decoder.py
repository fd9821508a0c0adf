"""Label queries: each label asks the feature map, and what it finds is its logit."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlgcn.nn.positions import kept_places, sine_positions

CLASSIFIERS = ("separate", "shared")


class LearnedQueries(nn.Module):
    """Free queries: forward() -> [Q, W]."""

    def __init__(self, queries: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(queries, width))

    def forward(self) -> Tensor:
        return self.weight


class VectorQueries(nn.Module):
    """Queries from label vectors, such as GloVe or a text encoder gives them, by a learned projection.

    Other labels can be asked for with other vectors, where the classifier is shared.

    Args:
        vectors: [C, F]; their directions count, not their lengths.
        tuned: whether the vectors are trained too.
    Shape: forward() -> [C, W].
    Raises: ValueError if vectors are not [C, F], or one is 0 or not finite.
    """

    vectors: Tensor

    def __init__(self, vectors: Tensor, width: int, tuned: bool = False) -> None:
        super().__init__()
        self.tuned = tuned
        vectors = _checked(vectors)
        if tuned:
            self.vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("vectors", vectors)
        self.projection = _projection(vectors.shape[1], width)

    def forward(self) -> Tensor:
        return self.projection(F.normalize(self.vectors, dim=1))

    def of(self, vectors: Tensor) -> "VectorQueries":
        """The same projection of other label vectors [C', F], not tuned.

        Raises: ValueError on vectors of another size, or as for those of the trained labels.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.vectors.shape[1]:
            raise ValueError(f"vectors have shape {tuple(vectors.shape)}, expected [C, {self.vectors.shape[1]}]")
        with torch.device("meta"):  # no numbers are drawn for a projection that is not kept
            other = VectorQueries(vectors, self.projection.out_features)
        other.projection = self.projection
        return other.to(self.vectors)


class TextQueries(nn.Module):
    """Queries from label vectors that come with every pass, as of a TextEncoder, by a learned projection.

    Args:
        size: F of the vectors; their directions count, not their lengths.
    Shape: vectors [C, F] -> [C, W]; where they are those of VectorQueries, drawn alike, so are the queries.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.projection = _projection(size, width)

    def forward(self, vectors: Tensor) -> Tensor:
        return self.projection(F.normalize(vectors, dim=1))


class QueryDecoder(nn.Module):
    """Decodes a feature map for every label: queries attend to each other and to the map, then become logits.

    Args:
        features: D of the map.
        queries: () -> [Q, W], one a label, or with groups one a group; LearnedQueries, VectorQueries, or a label GCN;
            or TextQueries, whose label vectors [C, F] then come with every pass.
            All enter at the length of random normal numbers: a GCN's are so short at first that what attention adds
            would leave no label distinct.
        labels: C.
        width: W. layers, heads, dropout: of the transformer decoder; heads divide W.
        classifier: "separate", a row of weights for each label, or "shared", one for all, which can score labels that
            were never trained on.
        groups: each query answers for ceil(C / groups) labels, in their order and as long as there are any, as in
            ML-Decoder; the classifier is then separate.
        positions: whether places of the map are told their row and column; not where a fusion has done so.
    Shape: map [B, D, h, w] -> logits [B, C], float32 or better. With a mask, bool [B, h, w], only true places count.
    Source: Query2Label (Liu et al. 2021), section 3; ML-Decoder (Ridnik et al. 2023), section 3 (groups); separate
        classifiers: Hong et al. 2023.
    Raises: ValueError on an unknown classifier, sizes that do not fit, queries that do not match labels or groups; on
        a mask as kept_places does.
    """

    def __init__(
        self,
        features: int,
        queries: nn.Module,
        labels: int,
        width: int = 512,
        layers: int = 2,
        heads: int = 8,
        dropout: float = 0.0,
        classifier: str = "separate",
        groups: int | None = None,
        positions: bool = True,
    ) -> None:
        super().__init__()
        if classifier not in CLASSIFIERS:
            raise ValueError(f"classifier is {classifier!r}, expected one of {list(CLASSIFIERS)}")
        if heads < 1 or width % heads or width % 4:
            raise ValueError(f"width is {width}, expected a multiple of 4 and of the {heads} heads")
        if layers < 1:
            raise ValueError(f"layers must be >= 1, got {layers}")
        if groups is not None and (classifier == "shared" or not 1 <= groups <= labels):
            raise ValueError(f"groups is {groups}, expected 1 to {labels}, with separate classifiers")
        self._check(queries, labels if groups is None else groups, width)
        self.queries, self.labels, self.positions, self.shared = queries, labels, positions, classifier == "shared"
        self.project = nn.Linear(features, width)
        stack = [
            nn.TransformerDecoderLayer(
                width, heads, dim_feedforward=4 * width, dropout=dropout, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        ]
        self.decoder = nn.TransformerDecoder(stack[0], layers, norm=nn.LayerNorm(width))
        self.decoder.layers = nn.ModuleList(stack)  # not its copies of one layer, which start with the same weights
        answers = 1 if groups is None else math.ceil(labels / groups)
        rows = 1 if self.shared else groups or labels
        self.weight = nn.Parameter(torch.empty(rows, answers, width).uniform_(-1, 1) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(rows, answers))

    def forward(self, maps: Tensor, mask: Tensor | None = None, vectors: Tensor | None = None) -> Tensor:
        tokens = self.project(maps.flatten(2).mT)  # [B, h * w, W]
        if self.positions:
            height, width = maps.shape[2:]
            tokens = tokens + sine_positions(height, width, tokens.shape[2], tokens.device).to(tokens.dtype)
        with torch.autocast(maps.device.type, enabled=False):
            queries = self.queries() if vectors is None else self.queries(vectors)
            queries = F.rms_norm(queries, tokens.shape[2:]).expand(len(maps), -1, -1)  # [B, Q, W]
        unseen = None if mask is None else ~kept_places(mask, maps)
        found = self.decoder(queries, tokens, memory_key_padding_mask=unseen)  # [B, Q, W]
        with torch.autocast(maps.device.type, enabled=False):
            kind = torch.promote_types(found.dtype, torch.float32)
            found, weight, bias = found.to(kind), self.weight.to(kind), self.bias.to(kind)
            logits = torch.einsum("bqw,qaw->bqa", found, weight.expand(found.shape[1], -1, -1)) + bias  # [B, Q, A]
        return logits.flatten(1)[:, : self.labels]

    def asking(self, queries: VectorQueries | TextQueries, labels: int = 0) -> "QueryDecoder":
        """The same decoder, its weights shared, for the labels that VectorQueries.of or TextQueries ask for.

        Args:
            labels: how many there are, of TextQueries.
        Queries attend to each other, so a label's logits depend on which others are asked for, not on their order.
        Raises: ValueError unless the classifier is shared and the queries are as wide as the decoder.
        """
        if not self.shared:
            raise ValueError("only a shared classifier can score labels that it was not trained on")
        labels = len(queries.vectors) if isinstance(queries, VectorQueries) else labels
        self._check(queries, labels, self.project.out_features)
        other = QueryDecoder.__new__(QueryDecoder)
        nn.Module.__init__(other)
        other.queries, other.labels, other.positions, other.shared = queries, labels, self.positions, True
        other.project, other.decoder, other.weight, other.bias = self.project, self.decoder, self.weight, self.bias
        other.training = self.training
        return other

    @staticmethod
    def _check(queries: nn.Module, expected: int, width: int) -> None:
        if isinstance(queries, TextQueries):  # how many there are shows when their vectors come
            shape = (expected, queries.projection.out_features)
        else:
            with torch.no_grad():
                shape = tuple(queries().shape)
        if shape != (expected, width):
            raise ValueError(f"queries have shape {shape}, expected ({expected}, {width})")


def _projection(size: int, width: int) -> nn.Linear:
    projection = nn.Linear(size, width)
    # Unit vectors come out about as long as learned queries.
    nn.init.normal_(projection.weight)
    return projection


def _checked(vectors: Tensor) -> Tensor:
    if vectors.ndim != 2:
        raise ValueError(f"vectors have shape {tuple(vectors.shape)}, expected [C, F]")
    vectors = vectors.detach().float().clone()
    wrong = ~vectors.isfinite().all(dim=1) | ~vectors.any(dim=1)
    if wrong.any():
        raise ValueError(f"the vector of label {int(wrong.int().argmax())} is 0 or not finite")
    return vectors
