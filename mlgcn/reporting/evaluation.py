"""The metrics of predictions, whoever made them."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from mlgcn.metrics import multilabel_report, report_intervals, selective_report
from mlgcn.predictions import Predictions
from mlgcn.suggestions import check_known

CLUSTERS = ("patient", "study", "image")
BLANK = "blank"


def evaluation_report(
    predictions: Predictions,
    groups: Mapping[str, Sequence[str]],
    rule: str,
    thresholds: ArrayLike = 0.5,
    resamples: int = 0,
    cluster: str = "patient",
    seed: int = 0,
    method: str = "shifted",
    others: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    by: Sequence[str] = (),
) -> dict[str, Any]:
    """What multilabel_report says of predictions, by view too, ready for JSON.

    "uncertainty" says whether the experts' disagreement tells when the model errs (selective_report), where the
    predictions hold it.

    Args:
        groups, rule, thresholds: as in multilabel_report.
        resamples: of the bootstrap that "intervals" comes from (report_intervals); 0 leaves it out.
        cluster: what it draws: patients, studies or images.
        seed: of the draws.
        method: of the intervals: percentile, shifted or bca.
        others: groups by other rules, as other_groups in multilabel_report.
        by: further columns of the predictions, for whose values "per_column" has metrics; a blank is one of them.
    Raises: ValueError on another cluster or a column that is not there; as multilabel_report and report_intervals.
    """
    check_known(CLUSTERS, [cluster], "cluster")
    check_known(predictions.images.columns, by, "column")
    held = predictions.scores, predictions.targets, predictions.names
    columns = {column: predictions.images[column].replace("", BLANK) for column in by} or None
    views = predictions.images.view
    report = multilabel_report(
        *held, groups, rule, thresholds, views=views, columns=columns, other_groups=others or None
    )
    if predictions.spreads is not None:
        report["uncertainty"] = selective_report(*held[:2], predictions.spreads, predictions.names, groups)
    if resamples:
        clusters = None if cluster == "image" else predictions.images[f"{cluster}_id"]
        report["intervals"] = report_intervals(*held, groups, thresholds, clusters, resamples, seed, method)
        report["intervals"]["settings"]["cluster"] = cluster
    return report
