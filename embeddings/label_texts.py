"""What a text encoder reads of the labels, kept so that it can go on without its files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings.language_model import (
    Pooling,
    check_texts,
    encoder_settings,
    load_encoder,
    padded,
    token_limit,
    token_rows,
    untrained_encoder,
)

if TYPE_CHECKING:  # slow to import
    from torch import Tensor


@dataclass(frozen=True)
class LabelTexts:
    """The labels' texts as tokens, and what it takes to build their encoder again, in plain containers and tensors.

    Attributes:
        numbers, mask: the tokens of each label's text, and where there is one: int64 [C, T].
        pooling: as in encode_texts.
        padding: the token that fills up shorter texts.
        limit: most tokens of a text.
        settings: of the network, as transformers' configuration has them.
        tokenizer: as the library tokenizers writes it; none of a tokenizer that is not of that library.
    """

    numbers: "Tensor"
    mask: "Tensor"
    pooling: Pooling
    padding: int
    limit: int
    settings: dict[str, Any]
    tokenizer: str | None

    def network(self) -> Any:
        """The encoder with weights drawn at random. Raises: as untrained_encoder."""
        return untrained_encoder(self.settings)

    def with_texts(self, texts: Sequence[str]) -> "LabelTexts":
        """The same with the texts of further labels behind.

        Raises: ValueError on blank texts or none, and if the tokenizer could not be kept.
        """
        check_texts(texts)
        if self.tokenizer is None:
            raise ValueError("the text encoder's tokenizer is none that could be kept: it can read no further texts")
        rows = [row[: int(mask.sum())].tolist() for row, mask in zip(self.numbers, self.mask, strict=True)]
        rows += token_rows(texts, _tokenizer(self.tokenizer), self.limit)
        numbers, mask = padded(rows, self.padding)
        return replace(self, numbers=numbers, mask=mask)


def read_label_texts(texts: Sequence[str], model: str | Path, pooling: Pooling = "mean") -> tuple[LabelTexts, Any]:
    """The texts as a language model reads them, and its network, in float32 and evaluation mode.

    Args and Raises: as encode_texts.
    """
    check_texts(texts, pooling)
    tokenizer, network = load_encoder(str(model))
    limit = token_limit(tokenizer, network)
    numbers, mask = padded(token_rows(texts, tokenizer, limit, pooling), tokenizer.pad_token_id)
    kept = None
    if tokenizer.is_fast:
        # Whoever uses it says anew how texts are cut and filled up.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        kept = tokenizer.backend_tokenizer.to_str()
    settings = encoder_settings(network.config)
    return LabelTexts(numbers, mask, pooling, tokenizer.pad_token_id, limit, settings, kept), network


def _tokenizer(kept: str) -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(kept))
