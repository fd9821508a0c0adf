"""mlgcn describe: parameters and FLOPs of a configuration, before anything is trained."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from embeddings import LabelTexts, load_vectors
from embeddings.language_model import read_encoder_settings
from mlgcn.build import build_model
from mlgcn.build.knowledge import VECTOR_SOURCES
from mlgcn.commands.console import command, say
from mlgcn.config import Config, DataConfig, EmbeddingsConfig, parse_arguments
from mlgcn.data.ontology import label_space
from mlgcn.data.published_labels import published_labels
from mlgcn.data.sources import read_source
from mlgcn.nn import TextEncoder
from mlgcn.nn.cost import cost
from mlgcn.reporting.cost_tables import cost_rows

DESCRIPTION = (
    "Counts parameters and FLOPs of a configuration, part by part; no image is read, nothing is downloaded or trained. "
    "Beside the settings of train.py: --labels N, how many labels there are, where neither tables nor their name tell; "
    "--out FILE.json, where the numbers are written to."
)
TEXT_SIZE = 768  # of BERT's base models, such as PubMedBERT
# Tokens of the longest among the names of findings, and among our descriptions of them, to BERT's vocabulary.
NAME_TOKENS, DESCRIPTION_TOKENS = 10, 44


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn describe`."""
    own, rest = _own_options(arguments)
    config, name = parse_arguments(rest, "mlgcn describe", DESCRIPTION)
    with command("mlgcn describe"):
        report = describe(config, None if own.labels is None else _number(own.labels))
        say(_settings_line(name, report))
        say(cost_rows(report["parts"]))
        for line in _notes(config, report):
            say(line)
        if own.out is not None:
            Path(own.out).write_text(json.dumps({"config": name, **report}, indent=2))
            say(f"written to {own.out}")


def describe(config: Config, labels: int | None = None) -> dict[str, Any]:
    """What the network of a configuration costs, and what was counted: ready for JSON.

    Weights are random and the label graph is without edges, which hardly changes the cost. A text encoder that is
    trained too is built as its config.json says.

    Args:
        labels: how many there are; by default as told_labels says.
    Raises: ValueError if nothing tells how many labels there are; FileNotFoundError on a missing file of label vectors,
        or without the text encoder that would be trained too; as read_source and build_model.
    """
    told, labels = ("labels as given", labels) if labels is not None else told_labels(config.data)
    encoder = _encoder(config.embeddings, labels) if config.trains_encoder else None
    vectors = _vector_size(config.embeddings, labels) if encoder is None else encoder.network.config.hidden_size
    model = build_model(
        replace(config, model=replace(config.model, weights="none", init=None)),
        torch.randn(labels, vectors, generator=torch.Generator().manual_seed(config.run.seed)),
        None if config.graph.variant == "none" else _alone(labels),
        config.run.seed,
        encoder,
    ).model
    images = config.fusion.views or 1
    forward, step = (cost(model, config.data.image_size, images, training) for training in (False, True))
    return {
        "model": {name: getattr(config.model, name) for name in ("trunk", "experts", "branch", "head")},
        "image_size": config.data.image_size,
        "images_per_study": images,
        "labels": labels,
        "labels_told_by": told,
        "vector_size": vectors,
        **forward.to_dict(),
        "training": {
            "flops": {**{name: part.flops for name, part in step.parts.items()}, "total": step.total.flops},
            "label_flops": step.label_flops,
        },
    }


def told_labels(data: DataConfig) -> tuple[str, int]:
    """What tells the labels, and how many there are: data.labels, else the tables, else the reader's name.

    Raises: ValueError if nothing does; as read_source and label_space.
    """
    if isinstance(data.labels, str):
        return f"labels of {data.labels}", len(label_space(data.labels))
    if data.labels is not None:
        return "labels of data.labels", len(data.labels)
    first = next(iter(data.named_sources().values()))
    at_hand = first.source == "phantom" or (first.root is not None and Path(first.root).exists())
    if at_hand:
        return f"labels of {first.source}", len(read_source(first.source, first.root, **first.options).names)
    where = "its tables are not at hand" if first.root is None else f"there is no {first.root}"
    labels = published_labels(first.source, **first.options)
    if labels is None:
        raise ValueError(
            f"nothing tells how many labels there are: {first.source} has those of its tables, and {where}; "
            "give --labels N, --data.labels SPACE or --data.root FOLDER"
        )
    return f"labels as the name {first.source} tells, for {where}", len(labels)


def _own_options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options that train.py does not have, and the other arguments."""
    parser = argparse.ArgumentParser("mlgcn describe", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--labels")
    parser.add_argument("--out")
    try:
        return parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        sys.stderr.write(f"mlgcn describe: error: {error}\n")
        sys.exit(2)


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError(f"--labels must be a whole number of at least 1, got {text!r}")
    return int(text)


def _encoder(config: EmbeddingsConfig, labels: int) -> TextEncoder:
    """The text encoder with random weights, and texts of as many tokens as those of labels usually have."""
    settings = read_encoder_settings(str(config.model))
    tokens = torch.ones(labels, _tokens(config), dtype=torch.int64)
    texts = LabelTexts(tokens, tokens, config.pooling, 0, tokens.shape[1], settings, None)
    return TextEncoder(texts.network(), texts)


def _tokens(config: EmbeddingsConfig) -> int:
    return NAME_TOKENS if config.texts == "names" else DESCRIPTION_TOKENS


def _vector_size(config: EmbeddingsConfig, labels: int) -> int:
    """The size of the label vectors; those of a language model, which is not read, are taken to have 768 numbers."""
    if config.projection != "none" or config.source in ("glove", "random"):
        return config.dimensions
    if config.source == "one_hot":
        return labels
    if config.source == "text":
        return TEXT_SIZE
    if not Path(config.source).is_file():
        raise FileNotFoundError(
            f"embeddings.source: no file {config.source}; expected one of {list(VECTOR_SOURCES)} or a file"
        )
    return int(load_vectors(config.source).vector_size)


def _alone(labels: int) -> Data:
    """A label graph of nothing but each label's own loop."""
    nodes = torch.arange(labels)
    return Data(edge_index=torch.stack([nodes, nodes]), edge_weight=torch.ones(labels), num_nodes=labels)


def _settings_line(name: str, report: Mapping[str, Any]) -> str:
    model, images = report["model"], report["images_per_study"]
    parts = [
        model["trunk"],
        f"{model['experts']} expert{'s' if model['experts'] > 1 else ''} ({model['branch']})",
        f"head {model['head']}",
        f"{report['image_size']} px",
        f"{report['labels']:,} {report['labels_told_by']}",
    ]
    return f"{name}: {', '.join(parts)}" + (f", {images} images a study" if images > 1 else "")


def _notes(config: Config, report: Mapping[str, Any]) -> list[str]:
    """What the table does not say."""
    total, step = report["parts"]["total"], report["training"]
    when = "once a batch" + (", in evaluation once" if config.model.head == "gcn" else "")
    lines = [
        f"Not in the table: {report['label_flops'] / 1e9:,.3f} GFLOPs for the labels alone, {when}.",
        f"A step of training, forward and backward: {step['flops']['total'] / 1e9:,.3f} GFLOPs an image and "
        f"{step['label_flops'] / 1e9:,.3f} a batch; {total['trainable'] / 1e6:,.3f} M parameters are trained.",
        "Counted are 2 FLOPs a multiply-add of convolutions and matrix products.",
    ]
    if config.fusion.trunks != "one":
        lines.append("An image passes the weights of its own view alone.")
    if config.model.weights != "none" or config.model.init is not None:
        lines.append("No weights were read: wherever they come from, they cost the same.")
    if config.trains_encoder:
        lines.append(f"Label texts are taken to have {_tokens(config.embeddings)} tokens; evaluation reads them once.")
    elif config.embeddings.source == "text" and config.embeddings.projection == "none":
        lines.append(
            f"Label vectors are taken to have {TEXT_SIZE} numbers: {config.embeddings.model} was not read to tell."
        )
    return lines
