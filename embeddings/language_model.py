"""A pretrained language model as an encoder of texts: its network, its tokens and how their vectors are pooled."""

import json
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:  # slow to import, and transformers is an extra
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

Pooling = Literal["mean", "cls"]
NO_LIMIT = 10**9  # tokenizers that know no limit say 1e30


def check_texts(texts: Sequence[str], pooling: str = "mean") -> None:
    """Raises ValueError unless there are texts, none of them is blank, and the pooling is known."""
    if pooling not in get_args(Pooling):
        raise ValueError(f"pooling must be one of {get_args(Pooling)}, got {pooling!r}")
    if not texts:
        raise ValueError("there are no texts, expected at least one")
    if blank := [number for number, text in enumerate(texts) if not text.strip()]:
        raise ValueError(f"texts {blank[:5]} (counted from 0) are blank, expected words")


def load_encoder(model: str) -> tuple["PreTrainedTokenizerBase", Any]:
    """Tokenizer and network, of an encoder-decoder its encoder, in float32 and evaluation mode.

    Raises: as encode_texts.
    """
    transformers = _transformers()
    if Path(model).is_file():
        raise ValueError(f"text encoder {model} is a file, expected a folder with config.json and weights")
    import torch

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        with torch.random.fork_rng(devices=[]):  # parts that the file lacks are drawn at random, used or not
            network, report = transformers.AutoModel.from_pretrained(
                model, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # each of the libraries below has errors of its own, some of them plain Exceptions
        reason = " ".join(str(error).split())
        if isinstance(error, OSError) and not Path(model).is_dir():
            raise FileNotFoundError(
                f"no text encoder {model!r}: no folder of that name, and neither the Hugging Face hub nor its local "
                f"cache gave one: {reason}"
            ) from error
        raise ValueError(f"text encoder {model!r} cannot be loaded: {reason}") from error
    # transformers makes a tokenizer without words where the folder has no file of one.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ValueError(f"text encoder {model!r} has no vocabulary, expected tokenizer files beside its weights")
    if tokenizer.pad_token is None:
        raise ValueError(f"text encoder {model!r} has no padding token, so that texts cannot share a batch")
    tokenizer.padding_side = "right"  # or the first token would not be the CLS token
    _check_whole(model, report["missing_keys"], {"pooler", "decoder"} if _is_pair(network) else {"pooler"})
    return tokenizer, encoder_of(network)


def encoder_of(network: Any) -> Any:
    """What encode_texts uses of a network: of an encoder-decoder the encoder, no pooler; float32, evaluation mode."""
    encoder = network.encoder if _is_pair(network) else network
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder.float().eval()


def untrained_encoder(settings: Mapping[str, Any]) -> Any:
    """The network that encoder_settings describes, as load_encoder gives it, but with weights drawn at random.

    No file is read, and the caller's random stream is left alone.
    Raises: ValueError without transformers, or where it knows no such network.
    """
    transformers = _transformers()
    import torch

    # Checkpoints come from anywhere; a name here could be one on the hub, of code to be fetched and run.
    own = {name: value for name, value in settings.items() if name not in ("attn_implementation", "auto_map")}
    try:
        with torch.random.fork_rng(devices=[]):
            network = transformers.AutoModel.from_config(
                transformers.AutoConfig.for_model(**own), trust_remote_code=False
            )
    except Exception as error:  # as above
        kind, reason = settings.get("model_type"), " ".join(str(error).split())
        raise ValueError(f"no text encoder of kind {kind!r} can be built: {reason}") from error
    return encoder_of(network)


def read_encoder_settings(model: str) -> dict[str, Any]:
    """What encoder_settings says of a model that is at hand, of which nothing but its configuration is read.

    Nothing is downloaded.
    Raises: ValueError without transformers; FileNotFoundError if neither a folder nor the hub's local cache has it.
    """
    transformers = _transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # as above
        reason = " ".join(str(error).split())
        raise FileNotFoundError(
            f"text encoder {model!r} is not at hand, its config.json is needed: {reason}"
        ) from error
    return encoder_settings(config)


def encoder_settings(config: Any) -> dict[str, Any]:
    """What transformers' configuration of a network says of it, in plain containers, without where it was read."""
    settings = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in settings.items() if not name.startswith("_")}


def token_limit(tokenizer: "PreTrainedTokenizerBase", encoder: Any, max_length: int | None = None) -> int:
    """Most tokens of a text; NO_LIMIT if neither the model nor the caller sets one.

    Raises: ValueError on a max_length that the model does not take.
    """
    positions = getattr(encoder.config, "max_position_embeddings", None) or NO_LIMIT
    # RoBERTa and its kin count positions from padding_idx + 1.
    padding = getattr(getattr(encoder, "embeddings", None), "padding_idx", None)
    room = min(tokenizer.model_max_length, NO_LIMIT, positions - (0 if padding is None else padding + 1))
    if max_length is None:
        return room
    least = tokenizer.num_special_tokens_to_add() + 1
    if not least <= max_length <= room:
        raise ValueError(f"max_length must be from {least} to {room} for this model, got {max_length}")
    return max_length


def token_rows(texts: Sequence[str], tokenizer: Any, limit: int, pooling: Pooling = "mean") -> list[list[int]]:
    """The token numbers of each text, start and end tokens among them; a warning names the texts that are cut.

    Raises: ValueError on a text without tokens, or pooling by a first token that is not there.
    """
    rows = tokenizer(list(texts), verbose=False)["input_ids"]
    lengths = [len(row) for row in rows]
    if not all(lengths):
        raise ValueError(f"text {texts[lengths.index(0)]!r} holds no token of {tokenizer.name_or_path}")
    if pooling == "cls" and any(row[0] != tokenizer.cls_token_id for row in rows):
        raise ValueError(
            f"{tokenizer.name_or_path} puts no CLS token before a text, so that pooling must be 'mean', got 'cls'"
        )
    if max(lengths) <= limit:
        return rows
    _warn_of_cuts(texts, lengths, limit)
    return tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]


def padded(rows: Sequence[Sequence[int]], padding: int) -> tuple["Tensor", "Tensor"]:
    """The rows as one tensor, filled up on the right, and where they hold a token: int64 [n, T], both."""
    import torch

    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    numbers = torch.full_like(mask, padding)
    numbers[mask.bool()] = torch.tensor([number for row in rows for number in row])
    return numbers, mask


def pooled_texts(encoder: Any, numbers: "Tensor", mask: "Tensor", pooling: Pooling) -> "Tensor":
    """One vector a text: numbers and mask [n, T] -> [n, hidden size]."""
    hidden = encoder(input_ids=numbers, attention_mask=mask).last_hidden_state
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(2).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def _transformers() -> ModuleType:
    """The library, which is slow to import and an extra. Raises: ValueError that says how it comes."""
    try:
        import transformers
    except ImportError as error:
        raise ValueError("text encoders need transformers: pip install 'mlgcn[text]'") from error
    return transformers


def _is_pair(network: Any) -> bool:
    return hasattr(network, "encoder") and hasattr(network, "decoder")


def _check_whole(model: str, missing: Sequence[str], unused: set[str]) -> None:
    """Refuses a network with weights that the file lacks, because transformers draws those at random."""
    if lacking := sorted(name for name in missing if unused.isdisjoint(name.split("."))):
        raise ValueError(f"text encoder {model!r} lacks {len(lacking)} of its weights: {', '.join(lacking[:3])}")


def _warn_of_cuts(texts: Sequence[str], lengths: Sequence[int], limit: int) -> None:
    cut = [number for number, length in enumerate(lengths) if length > limit]
    shown = "; ".join(f"{n}: {textwrap.shorten(texts[n], 60)!r}, {lengths[n]} tokens" for n in cut[:5])
    more = f" and {len(cut) - 5} more" if len(cut) > 5 else ""
    warnings.warn(f"{len(cut)} of {len(texts)} texts are cut to {limit} tokens: {shown}{more}", stacklevel=4)
