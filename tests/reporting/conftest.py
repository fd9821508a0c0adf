"""What the tests of figures draw."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlgcn.graph import Cooccurrence, cooccurrence
from mlgcn.predictions import Predictions
from mlgcn.reporting.evaluation import evaluation_report


@pytest.fixture
def label_graph_of() -> Callable[..., tuple[Cooccurrence, dict[str, list[str]], np.ndarray]]:
    """Builds the counts of so many labels, with their groups and values: long-tailed, in clusters, the last never."""

    def build(
        size: int, images: int = 400, names: Sequence[str] | None = None
    ) -> tuple[Cooccurrence, dict[str, list[str]], np.ndarray]:
        rng = np.random.default_rng(size)
        names = names or [f"Finding $x_{{{i}}}$ of {size}" for i in range(size)]
        cluster = rng.integers(max(2, size // 5), size=images)[:, None]
        prevalence = np.geomspace(0.5, 0.01, size) * np.where(np.arange(size) % max(2, size // 5) == cluster, 1.5, 0.3)
        values = (rng.uniform(size=(images, size)) < prevalence).astype(np.float32)
        values[:, -1] = 0
        order = np.argsort(-values.sum(axis=0), kind="stable")
        parts = np.array_split(order, 3)
        groups = {
            group: [names[i] for i in part] for group, part in zip(("head", "medium", "tail"), parts, strict=True)
        }
        return cooccurrence(values, names), groups, values

    return build


@pytest.fixture(scope="session")
def evaluated() -> Callable[..., tuple[Predictions, dict[str, Any]]]:
    """Builds predictions of so many labels with their experts' spread, and their report.

    Labels are long-tailed, the last has no positive, and their names would be formulas to matplotlib.
    """

    def build(labels: int, images: int = 120, resamples: int = 0) -> tuple[Predictions, dict[str, Any]]:
        rng = np.random.default_rng(labels)
        names = [f"Finding $x_{{{i}}}$" for i in range(labels)]
        targets = (rng.uniform(size=(images, labels)) < np.geomspace(0.5, 0.05, labels)).astype(np.float32)
        targets[rng.uniform(size=targets.shape) < 0.05] = np.nan
        targets[:, -1] = 0
        scores = 1 / (1 + np.exp(-rng.normal(2 * np.nan_to_num(targets) - 1, 1)))
        ids = [f"image {i}" for i in range(images)]
        view = np.where(np.arange(images) % 3 == 0, "lateral", "frontal")
        rows = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": view})
        predictions = Predictions(
            rows, names, scores, targets, scores * (1 - scores) * rng.uniform(0.1, 0.3, scores.shape)
        )
        cut = [-(-labels // 3), -(-2 * labels // 3)]
        parts = zip(("head", "medium", "tail"), ([0, cut[0]], cut, [cut[1], labels]), strict=True)
        groups = {group: names[first:last] for group, (first, last) in parts}
        return predictions, evaluation_report(predictions, groups, "a rule", 0.5, resamples, "image")

    return build
