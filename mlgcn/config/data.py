"""The sections of the run configuration that say what a run trains on."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mlgcn.config.checks import at_least


@dataclass
class SourceConfig:
    """One of several data sets that a run trains on at once."""

    source: str
    """Reader of the data set."""
    root: str | None = None
    """Folder with its tables."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the reader."""
    name: str | None = None
    """What its images are called by in the run; by default the reader's name."""
    use: Literal["auto", "split", "train", "all"] = "auto"
    """Which images: split (its training, validation and test images join those of the others), train (its training
    images alone, or all where it has no split), all (every image, for training); auto is split for the first data set
    and train for the others."""
    absent: str | float = "unknown"
    """What labels are that the data set does not have: unknown, negative, or a soft value."""
    pseudo_labels: str | None = None
    """Fills unknown values from a file that `mlgcn predict --pseudo-labels` wrote."""
    weight: float | None = None
    """Its share of the draws of an epoch, relative to the others'; without any, all images are one pool."""

    def __post_init__(self) -> None:
        if self.weight is not None and not 0 <= self.weight < float("inf"):
            raise ValueError(f"the weight of a data source must be >= 0, got {self.weight}")


@dataclass
class DataConfig:
    """Images and labels."""

    source: str = "phantom"
    """Reader of the data set: phantom (built in), table (any CSV or Parquet file), cxr_lt_2023, cxr_lt_2024,
    cxr_lt_2026, mimic_cxr_jpg, ltml_mimic_cxr, nih, chexpert, vindr, padchest, torchxrayvision (docs/data.md)."""
    root: str | None = None
    """Folder with the data set's tables; phantoms need none. Of several data sets, the folder that their relative roots
    and files of pseudo-labels stand in."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the reader, such as images for phantom or no_finding for nih."""
    sources: list[SourceConfig] = field(default_factory=list)
    """Several data sets instead of one: a list of {source, root, options, name, use, absent, pseudo_labels, weight}.
    The first gives the labels, unless data.labels does, and the others are external data."""
    labels: str | list[str] | None = None
    """Label space that labels are mapped onto (`mlgcn labels` lists them), or a list of labels; by default the labels
    stay as the reader gives them."""
    pseudo_labels: str | None = None
    """Fills unknown values from a file that `mlgcn predict --pseudo-labels` wrote."""
    views: list[Literal["frontal", "lateral", "unknown"]] = field(
        default_factory=lambda: ["frontal", "lateral", "unknown"]
    )
    """Views whose images are used."""
    split: str | None = None
    """File with the split of every image, as `mlgcn split` writes it; by default the source's own, or by fractions."""
    image_size: int = 224
    """Images are resized to this many pixels square."""
    fractions: list[float] = field(default_factory=lambda: [0.7, 0.1, 0.2])
    """Shares of the patients for training, validation and test, where the source has no split of its own."""
    by_view: bool = False
    """Such a division keeps the views alike as well as the labels."""
    leaks: Literal["error", "warn"] = "error"
    """What happens where a split that is given has patients in several parts, or one data set trains on images with
    which another validates or tests: the run stops, or says so and goes on, as for published splits that leak."""
    augmentation: str = "light"
    """none, light (small rotations, shifts, scales, contrast), flip (light, and mirrored half of the time), or that of
    a paper: seo2023, lai2023, bag_of_tricks2023, chexfusion2023 (docs/augmentation.md)."""
    mixing: Literal["none", "mixup", "cutmix"] = "none"
    """Training images are blended with others of the batch, labels with them: whole, or a rectangle of each."""
    mixing_alpha: float | None = None
    """Shares are drawn from Beta(alpha, alpha); by default 0.2 for mixup and 1 for cutmix."""
    batch_size: int = 32
    """Images a step and process."""
    num_workers: int = 0
    """Processes that read images beside the main one."""
    cache: bool = False
    """Keep decoded images in memory: image_size squared bytes each, in each worker."""
    unreadable: Literal["error", "skip"] = "error"
    """What to do with an image that is missing or cannot be read: stop and name it, or go on without it and count."""

    def __post_init__(self) -> None:
        if self.sources and (self.options or self.pseudo_labels is not None):
            raise ValueError("data.sources stands in place of data.options and data.pseudo_labels: give either")
        lacking = [name for name, one in self.named_sources().items() if one.weight is None]
        if 0 < len(lacking) < len(self.sources):
            raise ValueError(f"data.sources: {lacking} have no weight while others have one")
        if (given := [one.weight for one in self.sources if one.weight is not None]) and not any(given):
            raise ValueError("data.sources: every weight that is given is 0")
        if not self.views:
            raise ValueError("data.views is empty, expected frontal, lateral, unknown or some of them")
        if self.mixing_alpha is not None and self.mixing == "none":
            raise ValueError("data.mixing_alpha has no effect without data.mixing: mixup or cutmix")
        if self.mixing_alpha is not None and not self.mixing_alpha > 0:
            raise ValueError(f"data.mixing_alpha must be > 0, got {self.mixing_alpha}")
        at_least("data.image_size", self.image_size, 32)
        at_least("data.batch_size", self.batch_size, 2)  # batch normalisation needs two
        at_least("data.num_workers", self.num_workers, 0)

    def named_sources(self) -> dict[str, SourceConfig]:
        """The data sets by the name of each; of one alone, it is the reader's.

        Raises: ValueError if a name repeats.
        """
        if not self.sources:
            return {self.source: SourceConfig(self.source, self.root, self.options, pseudo_labels=self.pseudo_labels)}
        names = [one.name or one.source for one in self.sources]
        base = Path(self.root or "")
        sources = [
            replace(
                one,
                root=None if one.root is None else str(base / one.root),
                pseudo_labels=None if one.pseudo_labels is None else str(base / one.pseudo_labels),
            )
            for one in self.sources
        ]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"data.sources: the names {repeated} repeat; give each data set a name of its own")
        return dict(zip(names, sources, strict=True))
