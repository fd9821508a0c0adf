"""Checkpoints that describe themselves: what stands in one is enough to build, load and use its model."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from embeddings import LabelTexts
from mlgcn.build import build_model
from mlgcn.config import config_from_dict
from mlgcn.data.transforms import MEAN, STD
from mlgcn.labels import check_same_labels
from mlgcn.nn import ExpertNetwork, QueryModel, TextEncoder
from mlgcn.run_directory import RunDirectory

KEY = "mlgcn"
# How Lightning names the network's tensors in the checkpoints that it writes during training.
PREFIX = "model."
FEATURES = ("trunk.", "branches.")
ENCODER = "encoder."


@dataclass(frozen=True)
class Description:
    """All that a model needs beside its weights, in plain containers and tensors.

    Attributes:
        names: label names in the order of the outputs.
        config: the resolved configuration, by section; with it the label policy, the image size and the network.
        vectors: label vectors [C, F]; of a text encoder that is trained too, those that it began with.
        edge_index, edge_weight: the label graph, A'[i, j] not normalised, or none.
        positives, known: of each label in the training split, in the order of names.
        groups, rule: label names by group, and the rule they were grouped by, in words.
        thresholds: for each label, from which score on it counts as found.
        mean, std: the normalisation of the images, by channel, of grey values in [0, 1].
        version: of mlgcn.
        texts: what a text encoder that is trained too reads, and how it is built; or none.
    """

    names: list[str]
    config: dict[str, Any]
    vectors: Tensor
    edge_index: Tensor | None
    edge_weight: Tensor | None
    positives: list[int]
    known: list[int]
    groups: dict[str, list[str]]
    rule: str
    thresholds: list[float]
    version: str
    mean: list[float] = field(default_factory=lambda: list(MEAN))
    std: list[float] = field(default_factory=lambda: list(STD))
    texts: LabelTexts | None = None

    @property
    def image_size(self) -> int:
        """Images are resized to this many pixels square."""
        return self.config["data"]["image_size"]

    @cached_property
    def study_views(self) -> int | None:
        """How many images of a study the model joins, or none: each image stands alone."""
        return config_from_dict(self.config).fusion.views

    def expect_labels(self, names: list[str] | tuple[str, ...]) -> None:
        """Raises ValueError that names the difference unless these are the model's labels, in any order."""
        check_same_labels(names, self.names)


def save_model(path: Path, model: ExpertNetwork, description: Description) -> None:
    """Writes the model with its description."""
    state = {PREFIX + name: value.cpu() for name, value in model.state_dict().items()}
    torch.save({KEY: as_plain(description), "state_dict": state}, path)


def load_model(path: Path) -> tuple[ExpertNetwork, Description]:
    """The model of a file that save_model wrote, or of a checkpoint written during training; in evaluation mode.

    Raises: FileNotFoundError; ValueError if it is no such file, its weights do not fit its description, or its text
        encoder cannot be built, as without transformers.
    """
    description, state = _read(path)
    config = config_from_dict(description.config)
    config.model.weights = "none"  # they come from the checkpoint
    graph = None
    if description.edge_index is not None:
        graph = Data(edge_index=description.edge_index, edge_weight=description.edge_weight)
        graph.num_nodes = len(description.names)
    encoder = None
    if description.texts is not None:
        try:
            encoder = TextEncoder(description.texts.network(), description.texts)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    model = build_model(config, description.vectors, graph, encoder=encoder).model
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: the weights do not fit the model that the checkpoint describes: {error}") from error
    return model.eval(), description


def start_from(
    model: ExpertNetwork, path: Path, names: Sequence[str], config: dict[str, Any]
) -> tuple[Description, str]:
    """Loads into a new network what a trained one shares with it; its description, and in one line what that was.

    Trunk and experts must fit whole; where the new network has them by view, both get the one's. Of everything else,
    heads among them, what has the same name and shape is taken, heads only if the labels are the same, in order, and
    not the label vectors and graphs that they keep; a text encoder only whole, and if it reads the same tokens. The
    images must be normalised as the description says.

    Args:
        path: a run's folder or a checkpoint.
        names: the labels of the new network.
        config: what it was built by, as in Description.
    Raises: FileNotFoundError; ValueError if the file is no checkpoint, or, with the settings that differ, if its trunk
        or experts are others.
    """
    run = RunDirectory(path)
    file = path if not path.is_dir() else run.model if run.model.is_file() else run.best
    description, saved = _read(file)
    own, kept = model.state_dict(), {name for name, _ in model.named_buffers() if name.startswith("heads.")}
    apart = set() if _same_encoder(model, description, saved) else {name for name in own if name.startswith(ENCODER)}
    taken, used = {}, set()
    for name, value in own.items():
        source = name if name in saved else re.sub(r"^(trunk|branches\.\d+)\.(frontal|lateral)\.", r"\1.", name)
        fits = source in saved and saved[source].shape == value.shape and name not in kept and name not in apart
        if fits and (not name.startswith("heads.") or list(names) == description.names):
            taken[name] = saved[source]
            used.add(source)
    features = {name for name in own if name.startswith(FEATURES)}
    lacking = sorted(features - taken.keys()) or sorted({n for n in saved if n.startswith(FEATURES)} - used)
    if lacking:
        differing = _differing_features(description.config, config)
        raise ValueError(
            f"model.init: {file} has another trunk or other experts than this run"
            + (f" ({', '.join(differing)})" if differing else "")
            + f": {len(lacking)} tensors do not fit, the first {lacking[0]}"
        )
    model.load_state_dict(taken, strict=False)
    new = sorted({name.split(".")[0] for name in own.keys() - taken.keys()})
    report = f"started from {file}: {len(taken)} of {len(own)} tensors"
    return description, report + (f"; new, or new in part: {', '.join(new)}" if new else "")


def read_description(path: Path) -> Description:
    """The description in a checkpoint. Raises: as load_model."""
    return _read(path)[0]


def as_plain(description: Description) -> dict[str, Any]:
    """The description as torch.load reads it with weights_only."""
    return asdict(description)


def _differing_features(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """In words, the settings of trunk and experts that differ between a checkpoint and this run."""
    both = [config_from_dict(settings) for settings in (there, here)]
    wide = all(config.model.branch == "wide" for config in both)
    found = [
        {f"model.{name}": getattr(config.model, name) for name in ("trunk", "experts", "branch", "branch_width")}
        | {"fusion.trunks": config.fusion.trunks}
        for config in both
    ]
    return [
        f"{name} {value} there, {found[1][name]} here"
        for name, value in found[0].items()
        if value != found[1][name] and (name != "model.branch_width" or wide)
    ]


def _same_encoder(model: ExpertNetwork, description: Description, saved: dict[str, Tensor]) -> bool:
    """Whether the network's text encoder is built as the saved one and reads the same tokens."""
    encoder = model.encoder if isinstance(model, QueryModel) else None
    if encoder is None or description.texts is None:
        return False
    shapes = {ENCODER + name: value.shape for name, value in encoder.state_dict().items()}
    built = {name: value.shape for name, value in saved.items() if name.startswith(ENCODER)} == shapes
    return built and encoder.texts.tokenizer == description.texts.tokenizer is not None


def _read(path: Path) -> tuple[Description, dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or foreign file provokes in torch
        # What torch says of a pickle is the advice to load it all the same, which may run whatever code it holds.
        plain = isinstance(error, (RuntimeError, OSError))
        told = str(error).splitlines()[0] if plain else "it is no file of tensors alone"
        raise ValueError(f"{path} is no readable checkpoint: {told}") from error
    if not isinstance(content, dict) or not {KEY, "state_dict"} <= content.keys():
        raise ValueError(f"{path} does not describe itself: expected a checkpoint written by mlgcn")
    try:
        description = Description(**content[KEY])
        if description.texts is not None:
            description = replace(description, texts=LabelTexts(**content[KEY]["texts"]))
    except TypeError as error:
        raise ValueError(f"{path} describes itself as another version of mlgcn does: {error}") from error
    # Training keeps tensors of its own beside the network's, such as those of a loss.
    state = {name: value for name, value in content["state_dict"].items() if name.startswith(PREFIX)}
    return description, {name.removeprefix(PREFIX): value for name, value in state.items()}
