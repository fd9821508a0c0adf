"""Average precision and AUC of 20,000 images and 26 labels, against scikit-learn column by column.

Run: python benchmarks/metrics.py [--images 20000] [--labels 26] [--repeats 7]
Both are timed in turn in one process, so the ratio holds on a busy machine too.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from sklearn.metrics import average_precision_score, roc_auc_score

from mlgcn.metrics import average_precision, roc_auc


def long_tailed(images: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores float32 and targets float32 [N, C]; prevalence falls from 30 % to 0.1 %, as in CXR-LT."""
    rng = np.random.default_rng(seed)
    targets = rng.uniform(size=(images, labels)) < np.geomspace(0.3, 0.001, labels)
    targets[0] = True  # every label has a positive, so scikit-learn has an answer for each
    scores = 1 / (1 + np.exp(-rng.normal(1.2 * targets - 2)))
    return scores.astype(np.float32), targets.astype(np.float32)


def by_column(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The reference: scikit-learn, one label at a time."""
    columns = list(zip(targets.T, scores.T, strict=True))
    return np.array(
        [[average_precision_score(*column) for column in columns], [roc_auc_score(*column) for column in columns]]
    )


def at_once(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Ours."""
    return np.stack([average_precision(scores, targets), roc_auc(scores, targets)])


def seconds(function: Callable[[np.ndarray, np.ndarray], np.ndarray], *arguments: np.ndarray) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main() -> None:
    """Prints both medians, their ratio, and the largest difference between the values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 20_000), ("labels", 26), ("repeats", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    data = long_tailed(options.images, options.labels)
    times = np.array([[seconds(by_column, *data), seconds(at_once, *data)] for _ in range(options.repeats)])
    reference, ours = np.median(times, axis=0)
    difference = np.abs(by_column(*data) - at_once(*data)).max()
    Console().print(
        f"{options.images:,} x {options.labels}: scikit-learn {reference * 1e3:.1f} ms, mlgcn {ours * 1e3:.1f} ms, "
        f"ratio {np.median(times[:, 0] / times[:, 1]):.1f} x, largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
