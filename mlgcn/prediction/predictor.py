"""A trained model that scores images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mlgcn.checkpoint import Description, load_model, save_model
from mlgcn.data.datamodule import check_present, evaluation_loader
from mlgcn.data.dataset import UnreadableCount
from mlgcn.data.transforms import normalise
from mlgcn.labels import LabelTable
from mlgcn.nn import MultiExpertGCN
from mlgcn.predictions import Predictions
from mlgcn.run_directory import RunDirectory


class Predictor:
    """Scores images with a trained model.

    Attributes:
        model, description: as the checkpoint has them.
        device: where the model computes.
        unreadable: messages about images that the last prediction left out, if that was asked for.
    """

    def __init__(self, model: MultiExpertGCN, description: Description, device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model, self.description = model.eval().to(self.device), description
        self._unreadable = UnreadableCount()

    @classmethod
    def load(cls, source: str | Path, device: str | None = None) -> "Predictor":
        """The predictor of a run's folder or of a checkpoint.

        Of a run that has not finished, the best checkpoint so far.
        Raises: FileNotFoundError, or ValueError if the checkpoint cannot be used.
        """
        path = Path(source)
        if path.is_dir():
            run = RunDirectory(path)
            path = run.model if run.model.is_file() else run.best
        return cls(*load_model(path), device)

    @property
    def names(self) -> list[str]:
        """Label names in the order of the scores."""
        return self.description.names

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
        values = [float(value) for value in thresholds]
        if len(values) != len(self.names) or not all(0 <= value <= 1 for value in values):
            raise ValueError(f"thresholds are {values}, expected {len(self.names)} numbers in [0, 1]")
        self.description = replace(self.description, thresholds=values)

    def predict(self, paths: Sequence[str | Path], batch_size: int = 32, num_workers: int = 0) -> pd.DataFrame:
        """The probability of every label for image files: a column "path", then one a label.

        Raises: ValueError without paths, UnreadableImageError that names the first file that cannot be read.
        """
        if isinstance(paths, (str, Path)) or not len(paths):
            raise ValueError(f"paths is {paths!r}, expected a list of at least one image file")
        files = [str(path) for path in paths]
        unknown = np.full((len(files), len(self.names)), np.nan)
        table = LabelTable(unknown, self.names, image_id=[str(i) for i in range(len(files))], path=files)
        scores, _ = self._scores(table, batch_size, num_workers, skip_unreadable=False)
        return pd.concat([pd.DataFrame({"path": files}), pd.DataFrame(scores, columns=self.names)], axis=1)

    def predict_table(
        self, table: LabelTable, batch_size: int = 32, num_workers: int = 0, skip_unreadable: bool = False
    ) -> Predictions:
        """Scores of a table's images next to what is known about them, labels in the model's order.

        Raises: ValueError that names the difference if the table has other labels, FileNotFoundError or
            UnreadableImageError on images that cannot be read, unless they are to be skipped.
        """
        self.description.expect_labels(table.names)
        table = table.reordered(self.names)
        if not skip_unreadable:
            check_present(table)
        scores, rows = self._scores(table, batch_size, num_workers, skip_unreadable)
        return Predictions(table.images.iloc[rows], self.names, scores, table.values[rows])

    @torch.inference_mode()
    def _scores(
        self, table: LabelTable, batch_size: int, num_workers: int, skip_unreadable: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [N', C] and row numbers [N'] of the images that could be read."""
        self._unreadable = UnreadableCount()
        loader = evaluation_loader(table, self.description.image_size, batch_size, num_workers, skip_unreadable)
        scores, rows = [], []
        for batch in loader:
            self._unreadable.add(batch.unreadable)
            if len(batch.rows):
                scores.append(self._probabilities(batch.images).cpu().numpy())
                rows.append(batch.rows.numpy())
        if not scores:
            raise ValueError(f"none of the {len(table)} images could be read")
        return np.concatenate(scores), np.concatenate(rows)

    def _probabilities(self, images: Tensor) -> Tensor:
        """Mean over the experts' logits, as a probability: uint8 [B, 1, S, S] -> [B, C]."""
        mean, std = tuple(self.description.mean), tuple(self.description.std)
        inputs = normalise(images.to(self.device), mean, std)
        return self.model(inputs.contiguous(memory_format=torch.channels_last)).mean(dim=0).sigmoid()
