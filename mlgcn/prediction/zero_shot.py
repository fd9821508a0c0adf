"""Labels that a model was never trained on, scored by what a text says of them."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch_geometric.data import Data

from embeddings import load_vectors, project, text_vectors
from mlgcn.build import texts_read
from mlgcn.checkpoint import Description
from mlgcn.config import Config, EmbeddingsConfig, config_from_dict
from mlgcn.data.ontology import describe_mapping
from mlgcn.graph import extend_graph, extended_propagation
from mlgcn.nn import (
    ExpertNetwork,
    LabelGCN,
    MultiExpertGCN,
    QueryDecoder,
    QueryModel,
    TextEncoder,
    TextQueries,
    VectorQueries,
)
from mlgcn.prediction.predictor import Predictor

RULE = "by training: the model was trained on the labels of seen and on none of unseen"
NEEDED = (
    "labels that were not trained on need classifiers made of label vectors: model.head query with query.vectors "
    "embeddings, tuned or encoder and query.classifier shared, or model.head gcn with a label graph"
)
# Encoding again on other hardware or by another version of the libraries rounds otherwise.
TOLERANCE = 1e-3


def with_labels(predictor: Predictor, texts: Mapping[str, str | None], neighbours: int = 3) -> Predictor:
    """A predictor of the same weights that also scores labels which the model was never trained on.

    Its labels are the trained ones in their order, then the new ones; groups are "seen" and "unseen", thresholds of
    unseen labels 0.5. Vectors of unseen labels come from where the run's own came from, and those must still come out
    the same there; a text encoder that was trained too makes all vectors itself, without its files. Of label queries
    with a shared classifier, an unseen label asks with its vector's query; of a label graph, it joins the graph as
    extend_graph says and its classifier comes out of the graph convolutions.

    What attends to what includes the new labels, so that trained labels' logits move: of queries always, of a graph
    with model.attention other than none; without it they stay as they were.

    Args:
        texts: of each new label a description for the text encoder, or none: then it reads what embeddings.texts says.
        neighbours: how many of the trained labels a new one takes from in the graph.
    Raises: ValueError if a label was trained on, under whatever name, if the network or the vectors know nothing of
        labels beyond those trained on, or if the trained labels' vectors come out otherwise than then;
        FileNotFoundError without the text encoder or the file of vectors.
    """
    described, new = predictor.description, list(texts)
    _check_names(described, new)
    config = config_from_dict(described.config)
    _check_network(predictor.model)
    encoder = _extended_encoder(predictor.model, config.embeddings, texts)
    if encoder is None:
        vectors = torch.cat([described.vectors, new_vectors(config, described, texts)])
    else:
        with torch.no_grad():
            vectors = encoder().cpu()
    graph = _extended_graph(config, described, vectors, neighbours)
    groups = {"seen": list(described.names), "unseen": new}
    description = replace(
        described,
        names=[*described.names, *new],
        vectors=vectors,
        edge_index=None if graph is None else graph.edge_index,
        edge_weight=None if graph is None else graph.edge_weight,
        positives=[*described.positives, *[0] * len(new)],
        known=[*described.known, *[0] * len(new)],
        groups=groups,
        rule=RULE,
        thresholds=[*described.thresholds, *[0.5] * len(new)],
        texts=None if encoder is None else encoder.texts,
    )
    model = _extended(predictor.model, vectors[len(described.names) :], graph, encoder)
    extended = Predictor(model, description, str(predictor.device))
    extended.settings = predictor.settings
    return extended


def new_vectors(config: Config, described: Description, texts: Mapping[str, str | None]) -> Tensor:
    """The vectors of new labels as the run's own were made: float32 [U, F]. Arguments and errors as in with_labels."""
    settings, names = config.embeddings, [*described.names, *texts]
    if settings.projection == "pca":
        raise ValueError(
            "embeddings.projection is pca, whose axes are those of the trained labels alone; expected none or random"
        )
    if settings.source in ("glove", "one_hot", "random"):
        raise ValueError(
            f"embeddings.source is {settings.source}, whose vectors know nothing of labels that were not trained on; "
            "expected text or a file of vectors"
        )
    if settings.source == "text":
        read = [*texts_read(settings, described.names), *_texts(settings, texts)]
        keyed = text_vectors(names, read, model=str(settings.model), pooling=settings.pooling)
    else:
        if given := [name for name, text in texts.items() if text is not None]:
            raise ValueError(f"the descriptions of {given} have no effect: embeddings.source is {settings.source}")
        keyed = load_vectors(settings.source, names)
    if settings.projection == "random":
        keyed = project(keyed, settings.dimensions, "random", config.run.seed)
    vectors = torch.tensor(keyed.vectors, dtype=torch.float32)
    _check_same(vectors[: len(described.names)], described, settings)
    return vectors[len(described.names) :]


def read_texts(path: Path) -> dict[str, str | None]:
    """The labels of a YAML file, each with its description or none: lines NAME: TEXT, or NAME: alone.

    Raises: FileNotFoundError; ValueError that names the line on another form, or a name that stands twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--labels: there is no file {path}")
    try:
        # Composed, not constructed: YAML's loader would make False of the name "No" and drop the first of two equals.
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(root, yaml.MappingNode) or not root.value:
        raise ValueError(f"{path}: there are no labels, expected lines NAME: TEXT, or NAME: alone")
    texts: dict[str, str | None] = {}
    for name, value in root.value:
        where = f"{path}, line {name.start_mark.line + 1}"
        if not isinstance(name, yaml.ScalarNode) or not name.value.strip() or name.value in texts:
            raise ValueError(f"{where}: got {name.value!r}, expected the name of a label, each once")
        kind = value.tag.rpartition(":")[2]
        if kind not in ("str", "null") or (kind == "str" and not value.value.strip()):
            raise ValueError(f"{where}: the description of {name.value!r} is {value.value!r}, expected a text or none")
        texts[name.value] = value.value.strip() if kind == "str" else None
    return texts


def _check_names(described: Description, new: list[str]) -> None:
    if not new:
        raise ValueError("there are no new labels, expected at least one")
    if before := described.groups.get("unseen"):
        raise ValueError(f"the predictor scores unseen labels already ({before}); give the trained one all at once")
    if blank := [name for name in new if not name.strip()]:
        raise ValueError(f"a new label is called {blank[0]!r}, expected a name")
    for name in new:
        others = [other for other in (*described.names, *new) if other != name]
        same = [match.source for match in describe_mapping(others, [name]) if match.how == "same"]
        if name in described.names or same:
            known = name if name in described.names else same[0]
            what = "was trained on" if known in described.names else "is asked for too"
            raise ValueError(f"label {name!r} is not new: {known!r}, which means the same, {what}")


def _check_network(model: ExpertNetwork) -> None:
    """Raises ValueError unless every expert's head can take further labels."""
    for head in model.heads:
        if isinstance(model, QueryModel):
            vectors = isinstance(head.queries, (VectorQueries, TextQueries))
            if not vectors or not head.shared:
                queries = "label vectors" if vectors else type(head.queries).__name__
                classifier = "shared" if head.shared else "separate"
                raise ValueError(f"the run's queries are {queries}, its classifiers {classifier}; {NEEDED}")
        elif not isinstance(head, LabelGCN):
            raise ValueError(f"the run has {type(head).__name__}; {NEEDED}")


def _texts(settings: EmbeddingsConfig, texts: Mapping[str, str | None]) -> list[str]:
    """What the text encoder reads of new labels: their own descriptions, else what embeddings.texts says."""
    given = {name: text for name, text in texts.items() if text is not None}
    if given and settings.texts == "names":
        where = f"the run's vectors were made of names, those of {list(given)} are of descriptions"
        warnings.warn(where, stacklevel=4)
    without = [name for name in texts if name not in given]
    given |= dict(zip(without, texts_read(settings, without), strict=True))
    return [given[name] for name in texts]


def _extended_encoder(
    model: ExpertNetwork, settings: EmbeddingsConfig, texts: Mapping[str, str | None]
) -> TextEncoder | None:
    """The network's text encoder, that also reads the new labels; none where it has none."""
    if not isinstance(model, QueryModel) or model.encoder is None:
        return None
    return model.encoder.reading(model.encoder.texts.with_texts(_texts(settings, texts)))


def _check_same(again: Tensor, described: Description, settings: EmbeddingsConfig) -> None:
    """Raises ValueError unless the trained labels' vectors come out as they were in training."""
    where = settings.model if settings.source == "text" else settings.source
    if again.shape != described.vectors.shape:
        raise ValueError(f"{where} gives vectors of size {again.shape[1]}, trained with {described.vectors.shape[1]}")
    apart = (again - described.vectors).norm(dim=1) / described.vectors.norm(dim=1)
    if not (apart <= TOLERANCE).all():
        name = described.names[int(apart.argmax())]
        raise ValueError(
            f"{where} gives the trained label {name!r} another vector than in training; another text encoder, other "
            f"texts or another file stand there now"
        )


def _extended_graph(config: Config, described: Description, vectors: Tensor, neighbours: int) -> Data | None:
    """The label graph with the new labels; none where the run has none."""
    if described.edge_index is None or described.edge_weight is None:
        return None
    graph = Data(edge_index=described.edge_index, edge_weight=described.edge_weight, num_nodes=len(described.names))
    settings = config.graph
    known, new = vectors.split([len(described.names), len(vectors) - len(described.names)])
    return extend_graph(graph, known, new, neighbours, reweight=settings.reweight, variant=settings.variant)


def _extended(model: ExpertNetwork, vectors: Tensor, graph: Data | None, encoder: TextEncoder | None) -> ExpertNetwork:
    """The network with the same weights, whose heads hold the new labels too."""
    vectors = vectors.to(next(model.heads.parameters()).device)
    trunk, branches, fusion = model.trunk, list(model.branches), model.fusion
    if isinstance(model, MultiExpertGCN) and graph is not None:
        classifiers = [_gcn(head, vectors, graph) for head in model.heads]
        return MultiExpertGCN(trunk, branches, classifiers, model.pool, model.attention, fusion)
    decoders = [_decoder(head, vectors) for head in model.heads]
    return QueryModel(trunk, branches, decoders, fusion, encoder)


def _gcn(head: Any, vectors: Tensor, graph: Data) -> LabelGCN:
    edges, weights = extended_propagation(graph, len(head.vectors))
    device = head.vectors.device
    with torch.device("meta"):  # no numbers are drawn for convolutions that are not kept
        other = LabelGCN(
            torch.cat([head.vectors, vectors]), edges.to(device), weights.to(device), head.second.out_channels
        )
    other.first, other.second = head.first, head.second
    return other.to(head.vectors)


def _decoder(head: Any, vectors: Tensor) -> QueryDecoder:
    if isinstance(head.queries, TextQueries):
        return head.asking(head.queries, head.labels + len(vectors))
    return head.asking(head.queries.of(torch.cat([head.queries.vectors, vectors])))
