"""Several trained models that score images together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch

from mlgcn.checkpoint import Description
from mlgcn.config import EvaluationConfig
from mlgcn.data.leakage import check_same_validation, check_unseen
from mlgcn.labels import LabelTable, check_same_labels
from mlgcn.prediction.merging import MERGES, check_weights, fitted_weights, merge_scores, to_logits
from mlgcn.prediction.predictor import Predictor
from mlgcn.prediction.thresholds import choose_thresholds, with_thresholds
from mlgcn.predictions import Predictions
from mlgcn.run_directory import RunDirectory
from mlgcn.suggestions import check_known


class Ensemble:
    """Scores images with each of its members and merges their probabilities; it can stand wherever a Predictor scores.

    Each member scores as its own settings say: in its image size, with its test-time augmentation, its gating.

    Attributes:
        members: by name, of any network and image size, with the same labels in any order; labels, groups and the rule
            of the thresholds are those of the first.
        merge: how probabilities are merged, see merge_scores.
        weights: of the members in order, float64 [M], adding up to 1.
        fitted: whether the weights were fitted on validation images.
        recorded: by member, the split that its run has recorded, of those that have one.
        description: of the first member, with the ensemble's thresholds: 0.5 until they are chosen or set.

    Args:
        weights: relative to one another; by default all are alike.
    Raises: ValueError on fewer than two members, other labels, which are named, members of which some score images and
        some studies, an unknown merge, or weights that are no weights.
    """

    def __init__(
        self,
        members: Mapping[str, Predictor],
        merge: str = "mean",
        weights: Sequence[float] | None = None,
        recorded: Mapping[str, Path] | None = None,
    ) -> None:
        if len(members) < 2:
            raise ValueError(f"an ensemble of {list(members)} was asked for, expected at least two members")
        check_known(MERGES, [merge], "merge")
        self.members, self.merge = dict(members), merge
        self.weights = check_weights([1.0] * len(members) if weights is None else weights, len(members))
        self.fitted, self.recorded = False, dict(recorded or {})
        (first, predictor), *others = self.members.items()
        for name, other in others:
            try:
                check_same_labels(other.names, predictor.names)
            except ValueError as error:
                raise ValueError(f"{name} beside {first}: {error}") from None
            if other.scores_studies != predictor.scores_studies:
                studies, images = (first, name) if predictor.scores_studies else (name, first)
                raise ValueError(f"{studies} scores studies and {images} images, expected the same of all members")
        self.description: Description = with_thresholds(predictor.description, [0.5] * len(predictor.names))

    @classmethod
    def load(
        cls,
        sources: Sequence[str | Path],
        merge: str = "mean",
        weights: Sequence[float] | None = None,
        device: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "Ensemble":
        """The ensemble of runs' folders or checkpoints, which are its members' names.

        Args:
            settings: of every member, as in Predictor.load.
        Raises: ValueError if one is named twice; as Predictor.load and the class.
        """
        names = [str(source) for source in sources]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"members repeat: {repeated}; --weights lets one count more")
        check_weights([1.0] * len(names) if weights is None else weights, len(names))  # before models are read
        recorded = {name: path for name in names if (path := RunDirectory(Path(name)).split).is_file()}
        return cls({name: Predictor.load(name, device, settings) for name in names}, merge, weights, recorded)

    @property
    def names(self) -> list[str]:
        """Label names in the order of the scores."""
        return self.description.names

    @property
    def settings(self) -> EvaluationConfig:
        """How the first member scores, and by which rule it has thresholds."""
        return next(iter(self.members.values())).settings

    @property
    def scores_studies(self) -> bool:
        """Whether what is scored are studies; else images."""
        return next(iter(self.members.values())).scores_studies

    @property
    def unreadable(self) -> list[str]:
        """Messages about images that the last prediction left out, one a file."""
        return list(dict.fromkeys(message for member in self.members.values() for message in member.unreadable))

    def set_thresholds(self, thresholds: Sequence[float] | np.ndarray) -> None:
        """As Predictor.set_thresholds."""
        self.description = with_thresholds(self.description, thresholds)

    def to_dict(self) -> dict[str, Any]:
        """What it is made of, ready for JSON: members, merge, weights, and whether those were fitted."""
        weights = self.weights.tolist()
        return {"members": list(self.members), "merge": self.merge, "weights": weights, "fitted": self.fitted}

    def check_unseen(self, table: LabelTable, what: str, leaks: str = "error") -> None:
        """Tells of images that a member was trained on, as mlgcn.data.leakage.check_unseen, as far as is recorded."""
        check_unseen(table, self.recorded, what, leaks)

    def choose(
        self,
        validation: LabelTable,
        weights: bool = False,
        leaks: str = "error",
        batch_size: int = 32,
        num_workers: int = 0,
        skip_unreadable: bool = False,
    ) -> None:
        """Chooses thresholds by the first member's rule, and weights if asked for, on images that no member learned of.

        Args:
            weights: whether they are fitted (fitted_weights) before thresholds are chosen.
            leaks: see check_unseen.
        Raises: ValueError that names the difference if members have recorded other validation images; as check_unseen,
            predict_table and fitted_weights.
        """
        check_same_validation(self.recorded)
        self.check_unseen(validation, "validation images", leaks)
        scored = self._scored(validation, batch_size, num_workers, skip_unreadable)
        if weights:
            stacked = np.stack([predictions.scores for predictions in scored])
            self.weights, self.fitted = fitted_weights(stacked, scored[0].targets, self.merge), True
        self.set_thresholds(choose_thresholds(self.settings, self._merged(scored)))

    def predict(self, paths: Sequence[str | Path], batch_size: int = 32, num_workers: int = 0) -> pd.DataFrame:
        """As Predictor.predict."""
        tables = [member.predict(paths, batch_size, num_workers) for member in self.members.values()]
        scores = self._merge([table[self.names].to_numpy() for table in tables])
        return pd.concat([tables[0][["path"]], pd.DataFrame(scores, columns=self.names)], axis=1)

    def predict_table(
        self, table: LabelTable, batch_size: int = 32, num_workers: int = 0, skip_unreadable: bool = False
    ) -> Predictions:
        """As Predictor.predict_table."""
        return self._merged(self._scored(table, batch_size, num_workers, skip_unreadable))

    def _scored(self, table: LabelTable, batch_size: int, num_workers: int, skip_unreadable: bool) -> list[Predictions]:
        """What each member says of the table, in one order of labels."""
        return [
            member.predict_table(table, batch_size, num_workers, skip_unreadable).aligned(self.names)
            for member in self.members.values()
        ]

    def _merged(self, scored: Sequence[Predictions]) -> Predictions:
        first = scored[0]
        return Predictions(first.images, self.names, self._merge([one.scores for one in scored]), first.targets)

    def _merge(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities of each member, [N, C] -> [N, C] in single precision."""
        logits = torch.stack([to_logits(each) for each in scores])
        return merge_scores(logits, self.merge, torch.from_numpy(self.weights)).float().numpy()


Scorer: TypeAlias = Predictor | Ensemble
