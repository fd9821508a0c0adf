"""What a network knows of the labels before it sees an image."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gensim.models import KeyedVectors
from torch import Tensor
from torch_geometric.data import Data

from embeddings import (
    label_descriptions,
    label_sentences,
    load_vectors,
    name_texts,
    one_hot_vectors,
    project,
    random_vectors,
    read_label_texts,
    text_vectors,
    train_glove,
)
from mlgcn.config import Config, EmbeddingsConfig
from mlgcn.graph import Cooccurrence, cooccurrence, label_graph
from mlgcn.labels import LabelTable
from mlgcn.nn import TextEncoder

VECTOR_SOURCES = ("glove", "one_hot", "random", "text")


@dataclass(frozen=True)
class LabelKnowledge:
    """What the network knows of the labels before it sees an image, all of it from the training split."""

    names: tuple[str, ...]
    cooccurrence: Cooccurrence
    keyed: KeyedVectors
    graph: Data | None  # none: the classifiers are linear
    encoder: TextEncoder | None = None  # that the network trains too

    @property
    def vectors(self) -> Tensor:
        """The label vectors in the order of the names: float32 [C, F]."""
        return torch.tensor(np.stack([self.keyed[name] for name in self.names]), dtype=torch.float32)


def build_label_knowledge(config: Config, train: LabelTable) -> LabelKnowledge:
    """Co-occurrence, label vectors and graph of the training split, and a text encoder where one is trained too.

    Raises: as the parts.
    """
    named = config.data.named_sources()
    where: dict[str, Any] = {"source": " + ".join(named), "split": "train", "date": str(date.today())}
    where |= {"options": config.data.options} if not config.data.sources else {}
    counted = cooccurrence(train.certain, train.names, where)
    asks, convolves = config.model.head == "query", config.graph.variant != "none"
    with _warnings(convolves and (not asks or config.query.vectors == "graph")):
        graph = label_graph(counted, **asdict(config.graph)) if convolves else None
    with _warnings(config.query.vectors != "learned" if asks else convolves):
        vectors = build_vectors(config.embeddings, train.certain, train.names, config.run.seed)
    if config.model.head == "query" and config.query.vectors in ("embeddings", "tuned"):
        _expect_directions(vectors, config.embeddings.source)
    encoder = _encoder(config.embeddings, train.names) if config.trains_encoder else None
    return LabelKnowledge(train.names, counted, vectors, graph, encoder)


@contextmanager
def _warnings(matter: bool) -> Iterator[None]:
    """Hides warnings of what is kept for inspection, but is no part of the network."""
    with warnings.catch_warnings():
        if not matter:
            warnings.simplefilter("ignore")
        yield


def _expect_directions(vectors: KeyedVectors, source: str) -> None:
    if without := [name for name in vectors.index_to_key if not vectors[name].any()]:
        raise ValueError(f"embeddings.source {source}: the vectors of {without} are 0, so that they make no query")


def build_vectors(config: EmbeddingsConfig, values: np.ndarray, names: Sequence[str], seed: int = 0) -> KeyedVectors:
    """The label vectors, in the order of the names.

    Args:
        values: [N, C] labels of the training split, which GloVe vectors are trained on.
    Raises: FileNotFoundError where the source is no known one and no file; ValueError as the source does.
    """
    names = list(names)
    if config.source == "glove":
        return train_glove(label_sentences(values, names), dimensions=config.dimensions, seed=seed, vocabulary=names)
    if config.source == "random":
        return random_vectors(names, config.dimensions, seed)
    if config.source == "one_hot":
        vectors = one_hot_vectors(names)
    elif config.source == "text":
        vectors = text_vectors(names, texts_read(config, names), model=str(config.model), pooling=config.pooling)
    elif Path(config.source).is_file():
        vectors = load_vectors(config.source, names)
    else:
        raise FileNotFoundError(
            f"embeddings.source: no file {config.source}; expected one of {list(VECTOR_SOURCES)} or a file"
        )
    return vectors if config.projection == "none" else project(vectors, config.dimensions, config.projection, seed)


def texts_read(config: EmbeddingsConfig, names: Sequence[str]) -> list[str]:
    """What a text encoder reads of the labels. Raises: as label_descriptions."""
    if config.texts == "names":
        return name_texts(names)
    return label_descriptions(names, None if config.texts == "descriptions" else config.texts)


def _encoder(config: EmbeddingsConfig, names: Sequence[str]) -> TextEncoder:
    texts, network = read_label_texts(texts_read(config, names), str(config.model), config.pooling)
    # It comes in evaluation mode, in which Lightning would leave it, without its dropout.
    return TextEncoder(network, texts).train()
