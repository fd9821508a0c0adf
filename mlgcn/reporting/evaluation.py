"""The metrics of predictions, whoever made them."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from mlgcn.labels import group_labels
from mlgcn.metrics import multilabel_report, report_intervals, selective_report
from mlgcn.predictions import Predictions
from mlgcn.suggestions import check_known

CLUSTERS = ("patient", "study", "image")


def evaluation_report(
    predictions: Predictions,
    groups: Mapping[str, Sequence[str]],
    rule: str,
    thresholds: ArrayLike = 0.5,
    resamples: int = 0,
    cluster: str = "patient",
    seed: int = 0,
) -> dict[str, Any]:
    """What multilabel_report says of predictions, by view too, ready for JSON.

    "uncertainty" says whether the experts' disagreement tells when the model errs (selective_report), where the
    predictions hold it.

    Args:
        groups, rule, thresholds: as in multilabel_report.
        resamples: of the bootstrap that "intervals" comes from (report_intervals); 0 leaves it out.
        cluster: what it draws: patients, studies or images.
        seed: of the draws.
    Raises: ValueError on another cluster; as multilabel_report and report_intervals.
    """
    check_known(CLUSTERS, [cluster], "cluster")
    columns = predictions.scores, predictions.targets, predictions.names
    report = multilabel_report(*columns, groups, rule, thresholds, views=predictions.images.view)
    if predictions.spreads is not None:
        report["uncertainty"] = selective_report(*columns[:2], predictions.spreads, predictions.names, groups)
    if resamples:
        clusters = None if cluster == "image" else predictions.images[f"{cluster}_id"]
        report["intervals"] = report_intervals(*columns, groups, thresholds, clusters, resamples, seed)
        report["intervals"]["settings"]["cluster"] = cluster
    return report


def groups_of(predictions: Predictions, rule: str = "prevalence") -> dict[str, list[str]]:
    """Head, medium and tail by the frequency of labels in the predictions themselves, see mlgcn.labels.group_labels."""
    known = (predictions.targets == 0).sum(axis=0) + (predictions.targets == 1).sum(axis=0)
    prevalence = (predictions.targets == 1).sum(axis=0) / known.clip(1)
    return group_labels(predictions.names, prevalence, rule)
