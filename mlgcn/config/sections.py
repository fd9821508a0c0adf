"""The run configuration: one dataclass a section; the text below a field is its --help."""

from dataclasses import dataclass, field
from typing import Literal

from mlgcn.config.checks import at_least
from mlgcn.config.data import DataConfig
from mlgcn.config.loss import LossConfig
from mlgcn.config.model import FusionConfig, ModelConfig, QueryConfig
from mlgcn.labels import VIEWS
from mlgcn.suggestions import unknown_name


@dataclass
class RunConfig:
    """The run itself."""

    dir: str | None = None
    """Folder that everything is written to; by default runs/NAME-DATE-TIME."""
    resume: Literal["no", "auto"] = "no"
    """auto goes on from the last checkpoint in run.dir, or starts there if it has none."""
    seed: int = 0
    """Seed of weights, split, sampler and augmentation; the same seed gives the same run on the same machine."""

    def __post_init__(self) -> None:
        at_least("run.seed", self.seed, 0)
        if self.resume == "auto" and self.dir is None:
            raise ValueError("run.resume needs to know which run: give its folder as --run.dir")


@dataclass
class SamplerConfig:
    """Which training images an epoch draws."""

    name: str = "cycle"
    """cycle (the labels in turn, an image that has it for each), class_aware (as cycle, a label's images used up before
    they repeat), least_sampled (for the label seen least so far), random (every image once), or by the frequency of an
    image's rarest label: sqrt, inverse_frequency."""
    num_samples: int | None = None
    """Images an epoch over all processes; by default as many as the training split has. Small for a quick try."""

    def __post_init__(self) -> None:
        if self.num_samples is not None:
            at_least("sampler.num_samples", self.num_samples, 2)


@dataclass
class EmbeddingsConfig:
    """The vectors that the label graph's nodes start from."""

    source: str = "glove"
    """glove (trained on the labels of the training split), one_hot, random, text (a language model reads the labels),
    or a file of vectors (word2vec or GloVe text), such as `mlgcn embed` writes."""
    dimensions: int = 300
    """Size of glove, random and projected vectors."""
    projection: Literal["none", "pca", "random"] = "none"
    """How one_hot, text and vectors from a file come to that size; with none they stay as they are."""
    model: str | None = None
    """Of text: a folder with a transformers model, or its name on the Hugging Face hub."""
    texts: str = "names"
    """Of text: what the model reads, names, descriptions (ours, in plain language) or a YAML file of descriptions."""
    pooling: Literal["mean", "cls"] = "mean"
    """Of text: the mean over the tokens, or the first one."""

    def __post_init__(self) -> None:
        at_least("embeddings.dimensions", self.dimensions, 1)
        if self.projection != "none" and self.source in ("glove", "random"):
            raise ValueError(f"embeddings.projection is not for {self.source} vectors: they have embeddings.dimensions")
        if self.source == "text" and self.model is None:
            raise ValueError("embeddings.source is text, which needs embeddings.model: a folder or a name on the hub")


@dataclass
class GraphConfig:
    """The label co-occurrence graph, counted on the training split."""

    variant: Literal["paper", "released", "identity", "none"] = "paper"
    """paper (ML-GCN, eq. 7-8), released (as ML-GCN's code has it), identity (no edges), none (linear classifiers)."""
    threshold: float = 0.4
    """tau: an edge i -> j stands where P(j|i) is at least this."""
    reweight: float = 0.2
    """p: the share that a label's neighbours have in its new vector."""
    shrinkage: float = 0.0
    """Pulls each P(j|i) towards the prevalence of j, as strongly as this many images would."""
    significance: float | None = None
    """False discovery rate at which an edge must be more than chance (0.05, say); by default none is tested."""
    symmetric: bool = False
    """An edge stands in both directions wherever it stands in one."""


@dataclass
class OptimizerConfig:
    """The optimiser and its schedule."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimiser."""
    lr: float = 1e-4
    """Learning rate; with a schedule, its highest."""
    encoder_share: float = 0.1
    """Share of the learning rate at which a text encoder is trained (query.vectors encoder)."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Of adam and adamw."""
    momentum: float = 0.9
    """Of sgd."""
    weight_decay: float = 0.0
    """Weight decay."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """Of the learning rate over all steps."""
    clip: float | None = None
    """Largest norm of the gradient; larger ones are scaled down."""
    fused: bool = True
    """One kernel a step, which is faster; precision 16-mixed with clip needs false."""

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"optimizer.lr must be > 0, got {self.lr}")
        if not self.encoder_share > 0:
            raise ValueError(f"optimizer.encoder_share must be > 0, got {self.encoder_share}")


@dataclass
class TrainingConfig:
    """How long, on what, and how exactly."""

    epochs: int = 30
    """Passes over num_samples images, at most."""
    patience: int = 5
    """Epochs without a better monitored metric after which training stops."""
    monitor: str = "val/mAP"
    """Metric that picks the best checkpoint: val/mAP, val/mAUC or val/mF1 (at threshold 0.5)."""
    accumulate: int = 1
    """Batches an optimiser step."""
    accelerator: str = "auto"
    """Lightning's accelerator: auto, cpu, gpu."""
    devices: int | str = "auto"
    """Processes on each machine: a number, or auto."""
    num_nodes: int = 1
    """Machines."""
    precision: str = "32-true"
    """Lightning's precision: 32-true, bf16-mixed, 16-mixed; auto is bf16-mixed where the hardware computes in it.
    Losses and logits are float32 in any case."""
    log_every: int = 10
    """Steps between two rows of training losses."""

    def __post_init__(self) -> None:
        at_least("training.epochs", self.epochs, 1)
        at_least("training.patience", self.patience, 1)
        at_least("training.accumulate", self.accumulate, 1)
        at_least("training.log_every", self.log_every, 1)
        monitors = ("val/mAP", "val/mAUC", "val/mF1")
        if self.monitor not in monitors:
            raise ValueError(unknown_name("value of training.monitor", self.monitor, monitors))


@dataclass
class TrackingConfig:
    """Weights & Biases."""

    wandb: Literal["offline", "online", "disabled"] = "offline"
    """offline writes below the run's folder and needs no account; WANDB_MODE, where set, decides instead."""
    project: str = "mlgcn"
    """W&B project."""
    name: str | None = None
    """Name of the run in W&B; by default its folder's."""


@dataclass
class EvaluationConfig:
    """Metrics."""

    groups: Literal["prevalence", "rank", "given"] = "prevalence"
    """Rule of head, medium and tail: by prevalence in the training split, by rank, or as listed."""
    given_groups: dict[str, list[str]] = field(default_factory=dict)
    """For given: the labels of head, medium and tail."""
    threshold: float | Literal["validation", "youden"] = "validation"
    """For F1 and other decisions: one probability, or for each label, on the validation split, the one with the best F1
    or the largest sum of sensitivity and specificity (youden)."""
    bootstrap: int = 1000
    """Resamples of the test images for confidence intervals; 0 gives none."""
    cluster: Literal["patient", "study", "image"] = "patient"
    """What is drawn together in a resample."""
    tta: list[Literal["hflip", "shift", "scale", "crop", "resolution"]] = field(default_factory=list)
    """Test-time augmentation: versions of an image that are scored beside it: hflip, shift, scale, crop, resolution."""
    tta_merge: Literal["mean", "geometric", "logits"] = "mean"
    """How their scores are merged: mean or geometric mean of the probabilities, or mean of the logits."""
    merge_views: bool = False
    """Scores are merged by study: the mean over its images, weighted by view."""
    view_weights: dict[str, float] = field(default_factory=lambda: {"frontal": 7, "lateral": 3, "unknown": 5})
    """Those weights."""
    normal_gating: float | None = None
    """Exponent g of p * (1 - p_normal) ** g, which holds findings against the score of a normal image; 0.5 as in the
    winning entry of CXR-LT 2026. By default they are not."""
    against: list[str] = field(default_factory=list)
    """Runs or predictions files of the same test images, as sides of mlgcn compare: the report and W&B show what each
    label gains over them."""
    image_sheet: bool = True
    """The report shows the worst and the best images, so that report, figures and W&B hold patients' images; with false
    they hold none."""

    def __post_init__(self) -> None:
        if self.normal_gating is not None and not self.normal_gating >= 0:
            raise ValueError(f"evaluation.normal_gating must be >= 0, got {self.normal_gating}")
        at_least("evaluation.bootstrap", self.bootstrap, 0)
        if (
            set(self.view_weights) != set(VIEWS)
            or min(self.view_weights.values()) < 0
            or not max(self.view_weights.values())
        ):
            raise ValueError(
                f"evaluation.view_weights are {self.view_weights}, expected numbers >= 0 for {list(VIEWS)}"
            )
        if not isinstance(self.threshold, str) and not 0 <= self.threshold <= 1:
            raise ValueError(f"evaluation.threshold must lie in [0, 1], got {self.threshold}")


@dataclass
class Config:
    """Everything that a run depends on."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    embeddings: EmbeddingsConfig = field(default_factory=EmbeddingsConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    query: QueryConfig = field(default_factory=QueryConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        if self.model.experts == 1 and self.loss.diversity > 0:
            raise ValueError("loss.diversity compares experts: with model.experts 1 set it to 0")
        if self.fusion.views is not None and self.evaluation.merge_views:
            raise ValueError("evaluation.merge_views merges scores of images; with fusion.views the network does that")
        if self.fusion.views is not None and self.data.mixing != "none":
            raise ValueError("data.mixing blends single images: with fusion.views it must be none")
        if self.model.head == "query" and self.query.vectors == "graph" and self.graph.variant == "none":
            raise ValueError("query.vectors graph needs a label graph: graph.variant is none")
        if self.trains_encoder and (self.embeddings.source, self.embeddings.projection) != ("text", "none"):
            raise ValueError(
                "query.vectors encoder trains the text encoder itself: embeddings.source must be text and "
                f"embeddings.projection none, got {self.embeddings.source} and {self.embeddings.projection}"
            )

    @property
    def trains_encoder(self) -> bool:
        """Whether a text encoder is a part of the network."""
        return self.model.head == "query" and self.query.vectors == "encoder"
