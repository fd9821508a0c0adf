"""A whole training run, from its configuration to its best checkpoint."""

import json
import logging
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.utilities import rank_zero_only

from embeddings import save_vectors
from mlgcn.build import (
    BuiltModel,
    BuiltTable,
    LabelKnowledge,
    build_label_knowledge,
    build_loss,
    build_model,
    build_sampler,
    build_table,
    check_lone_images,
    check_resolutions,
    full_options,
)
from mlgcn.checkpoint import Description, read_description, start_from
from mlgcn.config import Config, TrainingConfig, config_to_dict, save_config
from mlgcn.data.datamodule import ImageDataModule
from mlgcn.data.samplers import SAMPLERS
from mlgcn.data.splits import save_split, split_report
from mlgcn.data.studies import study_table
from mlgcn.data.transforms import AUGMENTATIONS
from mlgcn.graph import save_graph
from mlgcn.labels import LabelTable, describe_rule, label_groups, middle_labels
from mlgcn.losses import MultiExpertLoss, loss_gradients
from mlgcn.run_directory import RunDirectory
from mlgcn.suggestions import check_known
from mlgcn.training.callbacks import EpochLines, SaveOnError, SaveOnInterrupt
from mlgcn.training.checkpoint_io import MovableCheckpoint, StreamedCheckpointIO
from mlgcn.training.module import TrainingModule
from mlgcn.training.tracking import Tracking

logger = logging.getLogger(__name__)


def fit(
    config: Config, run: RunDirectory, tracking: Tracking, check: Callable[[LabelTable], None] | None = None
) -> LabelTable:
    """Trains as configured, from the run's last checkpoint on if asked to; returns the table with its split.

    Args:
        check: is given that table before anything is trained or written; what it raises ends the run.
    Afterwards the run's folder holds the configuration, the environment, the split, co-occurrence, label vectors,
    gradients of the loss, metrics and checkpoints.
    Raises: DivergedError if the loss is no longer finite, Interrupted on Ctrl-C, each after saving; as the parts do.
    """
    # What is made, or asked for, only after files are written.
    check_known(SAMPLERS, [config.sampler.name], "sampler.name")
    check_known(AUGMENTATIONS, [config.data.augmentation], "data.augmentation")
    built = build_table(config, run.split)
    table = built.table
    if check:
        check(table)
    train = table.split("train")
    if config.fusion.views is not None:
        train = study_table(train)
    loss = _loss(config, train)  # before the label vectors, which take longer
    labels = build_label_knowledge(config, train)
    data = ImageDataModule(
        table,
        lambda rank, size: build_sampler(config, train, rank, size),
        image_size=config.data.image_size,
        batch_size=config.data.batch_size,
        num_workers=config.data.num_workers,
        cache=config.data.cache,
        skip_unreadable=config.data.unreadable == "skip",
        study_views=config.fusion.views,
        augmentation=config.data.augmentation,
        seed=config.run.seed,
    )
    last = run.last if config.run.resume == "auto" and run.last.is_file() else None
    network = _network(config, train.names, labels, last)
    module = _module(config, train, labels, loss, network)
    _write_start(config, run, built, labels, network.weights, resumed=last is not None)
    _write_gradients(config.loss.name, run, loss, module.description)
    if last:
        # A checkpoint of our own: plain containers and tensors, so that nothing in it can run.
        step = torch.load(last, map_location="cpu", weights_only=True)["global_step"]
        tracking.csv.forget_after(step)
        logger.info("going on from step %d (%s)", step, last)
    trainer = _trainer(config, run, tracking)
    trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    if module.unreadable.messages:
        run.unreadable.write_text("\n".join(module.unreadable.messages) + "\n")
    return table


def _loss(config: Config, train: LabelTable) -> MultiExpertLoss:
    loss = build_loss(config.loss, train)
    if loss.remembers and config.data.mixing != "none":
        raise ValueError(f"loss.name {config.loss.name} remembers single images: with it, data.mixing must be none")
    return loss


def _network(config: Config, names: Sequence[str], labels: LabelKnowledge, last: Path | None) -> BuiltModel:
    """The network, from whatever it starts from."""
    init = config.model.init
    # Where the trunk's weights would be replaced, none are read.
    bare = config if last is None and init is None else replace(config, model=replace(config.model, weights="none"))
    model, report, mean, std = build_model(bare, labels.vectors, labels.graph, config.run.seed, labels.encoder)
    check_lone_images(config, model)
    check_resolutions(config, model)
    if last is not None:
        described, report = read_description(last), "the weights of the last checkpoint"
        mean, std = tuple(described.mean), tuple(described.std)
    elif init is not None:
        described, report = start_from(model, Path(init), names, config_to_dict(config))
        mean, std = tuple(described.mean), tuple(described.std)
    logger.info("%s; %.1f million parameters", report, sum(p.numel() for p in model.parameters()) / 1e6)
    if config.model.freeze != "none" and last is None and init is None and config.model.weights == "none":
        logger.warning("model.freeze %s keeps random weights: there are none to start from", config.model.freeze)
    return BuiltModel(model, report, mean, std)


def _module(
    config: Config, train: LabelTable, labels: LabelKnowledge, loss: MultiExpertLoss, network: BuiltModel
) -> TrainingModule:
    settings = config_to_dict(config)
    settings["data"]["options"] = {} if config.data.sources else full_options(config.data)  # the whole label policy
    description = Description(
        names=list(train.names),
        config=settings,
        vectors=labels.vectors,
        edge_index=None if labels.graph is None else labels.graph.edge_index,
        edge_weight=None if labels.graph is None else labels.graph.edge_weight,
        positives=train.positives.tolist(),
        known=train.known.tolist(),
        groups=label_groups(train, config.evaluation.groups, config.evaluation.given_groups),
        rule=describe_rule(config.evaluation.groups),
        thresholds=[0.5] * len(train.names),
        version=version("mlgcn"),
        mean=list(network.mean),
        std=list(network.std),
        texts=None if labels.encoder is None else labels.encoder.texts,
    )
    return TrainingModule(
        network.model,
        loss,
        description,
        config.optimizer,
        config.run.seed,
        config.training.log_every,
        train.images.image_id.tolist(),
        mixing=config.data.mixing,
        mixing_alpha=config.data.mixing_alpha,
    )


def _trainer(config: Config, run: RunDirectory, tracking: Tracking) -> L.Trainer:
    settings = config.training
    checkpoint = partial(MovableCheckpoint, run.checkpoints, enable_version_counter=False)
    callbacks: list[Callback] = [
        EarlyStopping(settings.monitor, patience=settings.patience, mode="max"),
        EpochLines(),
        SaveOnInterrupt(run.last),
        SaveOnError(run.checkpoints / "error.ckpt"),
        checkpoint(filename=run.best.stem, monitor=settings.monitor, mode="max", save_weights_only=True),
        # After the best one, whose record it holds.
        checkpoint(filename=run.last.stem),
    ]
    if sys.stdout.isatty():
        callbacks.append(RichProgressBar())
    precision = resolve_precision(settings)
    logger.info("precision: %s", precision)
    return L.Trainer(
        max_epochs=settings.epochs,
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        precision=precision,  # type: ignore[arg-type]
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=config.optimizer.clip,
        num_sanity_val_steps=0,
        strategy=_strategy(config),
        use_distributed_sampler=False,  # the samplers know their rank
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
        callbacks=callbacks,
        plugins=[StreamedCheckpointIO()],
        logger=tracking.start(),
    )


def _strategy(config: Config) -> str:
    """Lightning's; but a batch of one view does not use the weights of the other, nor a text encoder all of its own."""
    settings = config.training
    on_gpu = settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    everywhere = torch.cuda.device_count() if on_gpu else 1
    processes = settings.num_nodes * (everywhere if settings.devices in ("auto", -1) else int(settings.devices))
    unused = config.fusion.trunks != "one" or config.trains_encoder
    return "ddp_find_unused_parameters_true" if unused and processes > 1 else "auto"


def resolve_precision(settings: TrainingConfig) -> str:
    """Lightning's name of the precision; "auto" is bf16-mixed where the hardware computes in it, else 32-true."""
    if settings.precision != "auto":
        return settings.precision
    on_gpu = settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    capable = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else _cpu_has_bfloat16()
    return "bf16-mixed" if capable else "32-true"


def _cpu_has_bfloat16() -> bool:
    # torch emulates bfloat16 on other processors, slower than float32.
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@rank_zero_only
def _write_start(
    config: Config, run: RunDirectory, built: BuiltTable, labels: LabelKnowledge, weights: str, resumed: bool
) -> None:
    """Everything of a run that is known before training.

    Args:
        weights: those that the network has, in one line; if resumed, those that the run began with stay written.
    """
    if resumed and run.environment.is_file():
        weights = json.loads(run.environment.read_text()).get("weights", weights)
    run.path.mkdir(parents=True, exist_ok=True)
    save_config(config, run.config)
    packages = ("mlgcn", "torch", "torchvision", "lightning", "torch-geometric", "numpy")
    environment = {package: version(package) for package in packages} | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "command": " ".join(sys.argv),
        "weights": weights,
    }
    run.environment.write_text(json.dumps(environment, indent=2))
    built.save_sources(run.sources)
    report = split_report(built.table, built.method)
    run.splits.write_text(json.dumps(report, indent=2))
    for name, part in report["parts"].items():
        logger.info("%s: %d images of %d patients", name, part["images"], part["patients"])
    for warning in report["warnings"]:
        logger.warning(warning)
    save_graph(run.label_graph, labels.cooccurrence, labels.graph)
    save_split(built.table, run.split)
    save_vectors(labels.keyed, run.label_vectors)


@rank_zero_only
def _write_gradients(name: str, run: RunDirectory, loss: MultiExpertLoss, described: Description) -> None:
    """What the loss does to a head, a medium and a tail label, before it moves to wherever the model trains."""
    positives = dict(zip(described.names, described.positives, strict=True))
    middle = {group: label for group, (label,) in middle_labels(described.groups, positives).items()}
    columns = {label: described.names.index(label) for label in middle.values()}
    content = {"loss": name, "groups": middle, **loss_gradients(loss, columns, len(described.names))}
    run.loss_gradients.write_text(json.dumps(content))
