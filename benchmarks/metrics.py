"""Metrics of 20,000 images and 26 labels against scikit-learn column by column, and a bootstrap against a plain one.

Run: python benchmarks/metrics.py [--images 20000] [--labels 26] [--repeats 7]
         [--resamples 2000] [--resampled_images 25000] [--resampled_labels 14]
Both sides are timed in turn in one process, so the ratio holds on a busy machine too. The bootstrap is of mAP and mAUC
together; the plain one (scikit-learn on the drawn rows) is timed on three resamples and extrapolated.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mlgcn import metrics
from mlgcn.metrics import average_precision, report_intervals, roc_auc


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


def decided_by_column(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The reference for decisions at 0.5 and for calibration; the calibration error from scikit-learn's curve."""
    values = []
    # In double precision, without which scikit-learn's Brier score is that of single precision.
    for score, target in zip(scores.T.astype(np.float64), targets.T, strict=True):
        decided, bins = score >= 0.5, np.searchsorted(np.linspace(0, 1, 11)[1:-1], score)
        observed, predicted = calibration_curve(target, score, n_bins=10)
        share = np.unique(bins, return_counts=True)[1] / len(score)
        values.append(
            [
                f1_score(target, decided),
                balanced_accuracy_score(target, decided),
                recall_score(target, decided),
                recall_score(target, decided, pos_label=0),
                precision_score(target, decided, zero_division=0),
                brier_score_loss(target, score),
                np.abs(observed - predicted) @ share,
            ]
        )
    return np.array(values).T


def decided_at_once(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Ours."""
    functions = (
        metrics.f1_score,
        metrics.balanced_accuracy,
        metrics.sensitivity,
        metrics.specificity,
        metrics.precision,
        metrics.brier_score,
        metrics.expected_calibration_error,
    )
    return np.stack([function(scores, targets) for function in functions])


def plain_bootstrap(scores: np.ndarray, targets: np.ndarray, resamples: int) -> np.ndarray:
    """The reference: scikit-learn on the rows of each resample, mAP and mAUC [resamples, 2]."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(scores), size=(resamples, len(scores)))
    return np.array([by_column(scores[drawn], targets[drawn]).mean(axis=1) for drawn in rows])


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def compare(what: str, reference: Callable[..., Any], ours: Callable[..., Any], data: Any, repeats: int) -> str:
    """Both medians, their ratio, and the largest difference between the values, in a line."""
    times = np.array([[seconds(reference, *data), seconds(ours, *data)] for _ in range(repeats)])
    plain, fast = np.median(times, axis=0) * 1e3
    difference = np.abs(reference(*data) - ours(*data)).max()
    return (
        f"{what}: scikit-learn {plain:.1f} ms, mlgcn {fast:.1f} ms, "
        f"ratio {np.median(times[:, 0] / times[:, 1]):.1f} x, largest difference {difference:.1e}"
    )


def compare_bootstraps(images: int, labels: int, resamples: int) -> str:
    """Seconds of both, and their ratio, in a line."""
    scores, targets = long_tailed(images, labels)
    # Enough of each label that every resample has a positive, which scikit-learn needs.
    targets[: 30 * labels] = np.arange(30 * labels)[:, None] % labels == np.arange(labels)
    names = [str(label) for label in range(labels)]
    data = scores, targets, names, {"all": names}
    plain = seconds(plain_bootstrap, scores, targets, 3) / 3 * resamples
    fast = seconds(lambda: report_intervals(*data, resamples=resamples, metrics=["mAP", "mAUC"]))
    return (
        f"bootstrap of mAP and mAUC, {resamples:,} resamples of {images:,} x {labels}: plain {plain:.0f} s "
        f"(extrapolated from 3), mlgcn {fast:.1f} s, ratio {plain / fast:.0f} x"
    )


def main() -> None:
    """Prints a line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {"images": 20_000, "labels": 26, "repeats": 7}
    defaults |= {"resamples": 2000, "resampled_images": 25_000, "resampled_labels": 14}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options, console = parser.parse_args(), Console(soft_wrap=True)
    data, size = long_tailed(options.images, options.labels), f"{options.images:,} x {options.labels}"
    console.print(compare(f"AP and AUC of {size}", by_column, at_once, data, options.repeats))
    console.print(compare(f"decisions and calibration of {size}", decided_by_column, decided_at_once, data, 3))
    console.print(compare_bootstraps(options.resampled_images, options.resampled_labels, options.resamples))


if __name__ == "__main__":
    main()
