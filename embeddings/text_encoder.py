"""Vectors of texts from a pretrained language model, such as PubMedBERT, UmlsBERT or Clinical-T5."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import KeyedVectors

from embeddings.language_model import (
    Pooling,
    check_texts,
    load_encoder,
    padded,
    pooled_texts,
    token_limit,
    token_rows,
)
from embeddings.store import check_names, keyed_vectors


def encode_texts(
    texts: Sequence[str],
    model: str | Path,
    *,
    pooling: Pooling = "mean",
    batch_size: int = 32,
    max_length: int | None = None,
    device: str | None = None,
) -> np.ndarray:
    """What the last layer of a language model says of each text: float32 [len(texts), hidden size].

    The same texts give the same vectors whatever the batch size, up to rounding. Of an encoder-decoder such as T5 the
    encoder alone is used. A text with more tokens than the model takes is cut, and a warning names it.

    Args:
        model: a folder that transformers' AutoModel loads, or a name on the Hugging Face hub. Nothing in it is run:
            its own code is refused, and weights come from safetensors or through torch's restricted unpickler.
        pooling: "mean" over the tokens of the text, start and end tokens among them; "cls": the first token, which
            not every model has.
        max_length: most tokens of a text, start and end tokens among them. None: as many as the model takes.
        device: where to compute, such as "cuda". None: the CPU.
    Raises: FileNotFoundError if there is no such model; ValueError without transformers, on a model that cannot be
        loaded whole, texts that are blank or missing, sizes out of range, and pooling by a token that is not there.
    """
    check_texts(texts, pooling)
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    import torch  # not at the top: label vectors from files need no torch

    tokenizer, encoder = load_encoder(str(model))
    rows = token_rows(texts, tokenizer, token_limit(tokenizer, encoder, max_length), pooling)
    order = np.argsort([len(row) for row in rows], kind="stable")  # texts of one length need no padding
    encoder.to(device or "cpu")
    pooled = []
    for start in range(0, len(texts), batch_size):
        numbers, mask = padded([rows[number] for number in order[start : start + batch_size]], tokenizer.pad_token_id)
        with torch.inference_mode():
            pooled.append(pooled_texts(encoder, numbers.to(encoder.device), mask.to(encoder.device), pooling).cpu())
    return torch.cat(pooled).numpy()[np.argsort(order)]


def text_vectors(
    names: Sequence[str], texts: Sequence[str] | None = None, *, model: str | Path, **options: Any
) -> KeyedVectors:
    """The vectors of the texts under the names of their labels: float32 [C, hidden size].

    Args:
        texts: one per name, such as its description. None: the names themselves, underscores as spaces.
        model, options: see encode_texts.
    Raises: ValueError if there are no names, some repeat, or there is not one text for each; and as encode_texts.
    """
    check_names(names)
    if texts is None:
        texts = name_texts(names)
    if len(texts) != len(names):
        raise ValueError(f"got {len(texts)} texts for {len(names)} names")
    return keyed_vectors(names, encode_texts(texts, model, **options))


def name_texts(names: Sequence[str]) -> list[str]:
    """What is read of labels without descriptions: their names, underscores as spaces."""
    return [name.replace("_", " ") for name in names]
