"""A trained model that scores images."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mlgcn.build import check_resolutions
from mlgcn.checkpoint import Description, load_model, save_model
from mlgcn.config import config_from_dict
from mlgcn.data.batch import Batch
from mlgcn.data.datamodule import check_present, evaluation_loader
from mlgcn.data.dataset import UnreadableCount
from mlgcn.data.studies import study_table
from mlgcn.data.transforms import normalise
from mlgcn.labels import LabelTable
from mlgcn.nn import ExpertNetwork, image_multiple
from mlgcn.prediction.gating import gate_normal
from mlgcn.prediction.thresholds import with_thresholds
from mlgcn.prediction.tta import augmented_scores
from mlgcn.predictions import ID_COLUMNS, Predictions
from mlgcn.run_directory import RunDirectory

logger = logging.getLogger(__name__)


class Predictor:
    """Scores images with a trained model.

    Attributes:
        model, description: as the checkpoint has them.
        settings: how images are scored: test-time augmentation, merging of views, gating; as the run has them.
        multiple: what heights and widths of images must be multiples of.
        device: where the model computes.
        unreadable: messages about images that the last prediction left out, if that was asked for.
    """

    def __init__(self, model: ExpertNetwork, description: Description, device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model, self.description = model.eval().to(self.device), description
        config = config_from_dict(description.config)
        check_resolutions(config, model)
        self.settings, self.multiple = config.evaluation, image_multiple(model)
        self._unreadable = UnreadableCount()

    @classmethod
    def load(
        cls, source: str | Path, device: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> "Predictor":
        """The predictor of a run's folder or of a checkpoint.

        Of a run that has not finished, the best checkpoint so far, with a warning.

        Args:
            settings: of EvaluationConfig, in place of those that the checkpoint has; its thresholds stay.
        Raises: FileNotFoundError, or ValueError if the checkpoint cannot be used, or not with these settings.
        """
        path = Path(source)
        if path.is_dir():
            run = RunDirectory(path)
            path = run.model if run.model.is_file() else run.best
            if path.is_file() and path == run.best:
                logger.warning(
                    "%s: not trained to its end; this is its best model so far, no threshold is chosen", source
                )
        model, described = load_model(path)
        config = described.config | {"evaluation": described.config["evaluation"] | dict(settings or {})}
        try:
            return cls(model, replace(described, config=config), device)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def names(self) -> list[str]:
        """Label names in the order of the scores."""
        return self.description.names

    @property
    def scores_studies(self) -> bool:
        """Whether what is scored are studies, whose views are joined or their scores merged; else images."""
        return self.description.study_views is not None or self.settings.merge_views

    @property
    def unreadable(self) -> list[str]:
        """Messages about images that the last prediction left out, one a file."""
        return self._unreadable.messages

    def save(self, path: Path) -> None:
        """Writes the model as a checkpoint that describes itself."""
        save_model(path, self.model, self.description)

    def set_thresholds(self, thresholds: Sequence[float] | np.ndarray) -> None:
        """From which score on each label counts as found; saved with the model.

        Raises: ValueError unless there is one in [0, 1] for every label.
        """
        self.description = with_thresholds(self.description, thresholds)

    def predict(self, paths: Sequence[str | Path], batch_size: int = 32, num_workers: int = 0) -> pd.DataFrame:
        """The probability of every label for image files: a column "path", then one a label.

        Raises: ValueError without paths, UnreadableImageError that names the first file that cannot be read.
        """
        if isinstance(paths, (str, Path)) or not len(paths):
            raise ValueError(f"paths is {paths!r}, expected a list of at least one image file")
        files = [str(path) for path in paths]
        unknown = np.full((len(files), len(self.names)), np.nan)
        table = LabelTable(unknown, self.names, image_id=[str(i) for i in range(len(files))], path=files)
        scores, _, _ = self._scores(table, batch_size, num_workers, skip_unreadable=False)
        return pd.concat([pd.DataFrame({"path": files}), pd.DataFrame(scores, columns=self.names)], axis=1)

    def predict_table(
        self, table: LabelTable, batch_size: int = 32, num_workers: int = 0, skip_unreadable: bool = False
    ) -> Predictions:
        """Scores of a table's images next to what is known about them, labels in the model's order.

        Of its studies instead, where the model joins their views or their scores are merged.
        Raises: ValueError that names the difference if the table has other labels, FileNotFoundError or
            UnreadableImageError on images that cannot be read, unless they are to be skipped.
        """
        self.description.expect_labels(table.names)
        table = table.reordered(self.names)
        if not skip_unreadable:
            check_present(table)
        return self.predictions_of(table, *self._scores(table, batch_size, num_workers, skip_unreadable))

    def predictions_of(
        self, table: LabelTable, scores: np.ndarray, rows: np.ndarray, spreads: np.ndarray | None = None
    ) -> Predictions:
        """Probabilities [N', C] of a table's rows [N'], or those of its studies, next to what is known about them.

        Views are merged, where the settings say so.

        Args:
            spreads: over the experts, [N', C], where there are several.
        """
        if self.description.study_views is not None:
            table = study_table(table)
        images = table.images.iloc[rows][list(ID_COLUMNS)]
        predictions = Predictions(images, self.names, scores, table.certain[rows], spreads)
        return predictions.by_study(self.settings.view_weights) if self.settings.merge_views else predictions

    def batches(
        self, table: LabelTable, batch_size: int = 32, num_workers: int = 0, skip_unreadable: bool = False
    ) -> Iterator[tuple[tuple[Tensor, Tensor | None, Tensor | None], Batch]]:
        """What the model takes (images, views, slots), on its device, and the batch that it was made of.

        Rows are those of the table, or where the model joins views, its studies.
        Raises: ValueError if no image could be read; UnreadableImageError unless those are to be skipped.
        """
        self._unreadable = UnreadableCount()
        described, any_read = self.description, False
        mean, std = tuple(described.mean), tuple(described.std)
        for batch in evaluation_loader(
            table, described.image_size, batch_size, num_workers, skip_unreadable, described.study_views
        ):
            self._unreadable.add(batch.unreadable)
            if len(batch.rows):
                any_read = True
                images = normalise(batch.images.to(self.device), mean, std)
                views, slots = (None if part is None else part.to(self.device) for part in (batch.views, batch.slots))
                yield (images.contiguous(memory_format=torch.channels_last), views, slots), batch
        if not any_read:
            raise ValueError(f"none of the {len(table)} images could be read")

    @torch.inference_mode()
    def _scores(
        self, table: LabelTable, batch_size: int, num_workers: int, skip_unreadable: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Probabilities [N', C], row numbers [N'] of what could be read, and how far the experts lie apart [N', C].

        The probabilities are those of the mean over the experts' logits. The spread is that of the images as they are,
        without test-time augmentation and gating; None with one expert.
        """
        settings, parts, apart, rows = self.settings, [], [], []
        for (images, *places), batch in self.batches(table, batch_size, num_workers, skip_unreadable):
            versions_logits: list[Tensor] = []  # of the images as they are first

            def score(versions: Tensor, places: list[Tensor | None] = places, seen: list = versions_logits) -> Tensor:
                seen.append(self.model(versions, *places))
                return seen[-1].mean(dim=0)

            merged = augmented_scores(score, images, settings.tta, settings.tta_merge, self.multiple)  # [B, C]
            parts.append(merged.cpu().numpy())
            apart.append(expert_spread(versions_logits[0]).float().cpu().numpy())
            rows.append(batch.rows.numpy())
        scores, experts = np.concatenate(parts), len(versions_logits[0])
        if settings.normal_gating is not None:
            scores = gate_normal(scores, self.names, settings.normal_gating)
        return scores, np.concatenate(rows), np.concatenate(apart) if experts > 1 else None


def expert_spread(logits: Tensor) -> Tensor:
    """The standard deviation over experts of each probability, divided by E: logits [E, B, C] -> float64 [B, C]."""
    return logits.double().sigmoid().std(dim=0, correction=0)
