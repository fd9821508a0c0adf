"""Which figures the page of an evaluation has, in what order, and how each is read."""

import json
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mlgcn.graph import load_graph
from mlgcn.labels import LabelTable
from mlgcn.predictions import Predictions
from mlgcn.reporting.cases import case_figure, read_thumbnails, worst_and_best
from mlgcn.reporting.compare_tables import comparison_sentences
from mlgcn.reporting.diagnostic_figures import diagnostic_figures, diagnostic_remarks
from mlgcn.reporting.evaluation_figures import (
    loss_gradients_figure,
    reliability_figure,
    risk_coverage_figure,
    views_figure,
)
from mlgcn.reporting.figures import (
    MOST_DRAWN,
    frequency_figure,
    precision_recall_figure,
    training_figure,
)
from mlgcn.reporting.graph_figures import label_distribution_figure, labels_per_image_figure
from mlgcn.reporting.heat_maps import (
    MOST_NUMBERED,
    confused_labels,
    confusion_figure,
    confusion_remark,
    cooccurrence_figure,
    head_cooccurrence,
    head_cooccurrence_figure,
)
from mlgcn.reporting.increments import increments_figure
from mlgcn.reporting.tables import labels_by_group, number, resampled
from mlgcn.run_directory import RunDirectory

# By section of the page, in its order, each figure with what a reader must know to read it.
SECTIONS = {
    "Labels": {
        "frequency": "How often each label occurs and how well it is recognised; the bar up to the point is what the "
        "model gains over knowing nothing.",
        "labels_per_image": "How many labels the training images have at once.",
        "cooccurrence": "Findings that come together in the training images: of the images with the row's label, the "
        "percentage that also has the column's.",
        "head_cooccurrence": "What comes with each head label in the training images: of all its pairs with other "
        "labels, the percentage that is with the row's; a column adds up to 100. No Finding is left out.",
    },
    "Recognition": {
        "precision_recall": "How many of the images called positive are right (precision) as more of the true ones are "
        "found (recall); the shaded area is the average precision, the dashed line is guessing.",
        "reliability": "Whether scores can be taken at their word: of the images in a bin of scores, the share that is "
        "positive; on the dashed line the two are equal, below it scores are too high. Labels of a panel are pooled, "
        "and the expected calibration error (ECE) is the distance from the line, averaged over scores; below, how many "
        "scores each bin holds.",
        "views": "The same metrics on the images of each view alone, means over the labels that its images define "
        "(their number stands beside it, so views may be means over other labels); the tick is knowing nothing.",
    },
    "Errors": {
        "confusion": "Which finding is taken for which other: how often the column's label is called although it is "
        "absent, in points of percentage more where the row's label is present than where it is not. Grey cells rest "
        "on fewer than 10 images.",
        "risk_coverage": "Whether the experts' disagreement (the spread of their probabilities) tells when the model "
        "errs: the error of the images kept, label by label, when the most uncertain are left out; lower is better. "
        "p (1 - p) is the uncertainty that the probability itself gives, and needs no experts. On the right, what each "
        "reaches of the gain that an order by the errors themselves would give; 0 is no better than leaving images out "
        "at random.",
        "cases": "The images that the model is most wrong and most right about, square as it sees them: for all labels "
        "together, then for labels of each group. Below each its score or error, its name, and the other findings that "
        "it has; in parentheses how many such images there are.",
    },
    "Comparison": {
        "increments": "What each label gains over another model on the same images, with the interval of that label "
        "alone; right of 0 this model (A) is better. Filled where the p value that is corrected for all labels (Holm) "
        "tells the two apart.",
    },
    "Training": {
        "training": "Losses and validation metrics as training went on; pale lines are single values under their "
        "running mean, the circle marks the best validation mAP.",
        "loss_gradients": "What the training loss pulls at a logit with, for a label of each group in an image without "
        "other findings: solid where the label is present (below 0: the logit is pushed up), dashed where it is "
        "absent.",
    },
    "Model": {
        "classifier_norms": "How long each expert's classifiers are, from frequent to rare labels: a longer one moves "
        "the logit more for the same image.",
        "expert_disagreement": "How far the experts' probabilities lie apart on the validation images; a label whose "
        "probability is near 0 leaves little room for it.",
        "classifier_similarity": "Whether labels that stand together in training got similar classifiers: a point is a "
        "pair of labels, right of 1 are those that come together more often than by chance.",
        "edge_influence": "What cutting one edge of the label graph does on the validation images: to the logits of "
        "all labels, the edge's target framed, and to the target's average precision, below 0 where the edge helped.",
    },
}


def page_figures(
    report: dict[str, Any],
    predictions: Predictions,
    run: RunDirectory | None = None,
    train_positives: dict[str, int] | None = None,
    table: LabelTable | None = None,
    comparison: dict[str, Any] | None = None,
) -> tuple[dict[str, Figure], dict[str, str]]:
    """The figures that there is something to show in, by name, and remarks for the captions of some of them.

    Args:
        train_positives: of each label, where they are known.
        table: that was scored, whose images the sheet of cases shows; without it there is none.
        comparison: with other models, as mlgcn.reporting.compare.compare returns it.
    """
    predictions = predictions.aligned(list(report["per_label"]))
    figures = {
        "frequency": frequency_figure(report, train_positives),
        "precision_recall": precision_recall_figure(predictions, report),
        "reliability": reliability_figure(report),
    }
    remarks = {"frequency": _interval_remark(report)}
    if len(report.get("per_view", {})) > 1:
        figures["views"] = views_figure(report)
    confusion = confused_labels(predictions, report)
    if confusion.difference.notna().any():
        figures["confusion"], remarks["confusion"] = confusion_figure(confusion), confusion_remark(confusion)
        if len(report["per_label"]) > MOST_NUMBERED:
            remarks["confusion"] += f" The {MOST_NUMBERED} most frequent labels are drawn."
    if "uncertainty" in report and report["uncertainty"]["labels"]:
        figures["risk_coverage"] = risk_coverage_figure(report["uncertainty"])
        remarks["risk_coverage"] = _uncertainty_remark(report["uncertainty"])
    if table is not None:
        cases = worst_and_best(predictions, report)
        images, failed = read_thumbnails(cases, predictions, table)
        if images:
            figures["cases"] = case_figure(cases, images)
            remarks["cases"] = f"{len(failed)} of them could not be read." if failed else ""
    if comparison is not None:
        figures["increments"] = increments_figure(comparison)
        remarks["increments"] = " ".join(comparison_sentences(comparison))
    if run is not None:
        _add_of_run(run, report, figures, remarks)
    return figures, remarks


def _add_of_run(run: RunDirectory, report: dict[str, Any], figures: dict[str, Figure], remarks: dict[str, str]) -> None:
    """Adds the figures of what the run's folder holds."""
    if run.metrics.exists() and not (metrics := pd.read_csv(run.metrics)).empty:
        figures["training"] = training_figure(metrics)
    if run.label_graph.exists():
        cooc, _ = load_graph(run.label_graph)
        figures["cooccurrence"] = cooccurrence_figure(cooc)
        groups = labels_by_group(report) if set(cooc.names) <= set(report["per_label"]) else {}
        if (shares := head_cooccurrence(cooc, groups)).notna().any(axis=None):
            figures["head_cooccurrence"] = head_cooccurrence_figure(shares)
        if groups and len(cooc.names) > MOST_DRAWN:
            # The frequency figure leaves labels out.
            figures["labels_per_image"] = label_distribution_figure(cooc, groups, cooc.labels_per_image or None)
            remarks["labels_per_image"] = "On the left, how often each of all labels occurs."
        elif cooc.labels_per_image:
            figures["labels_per_image"] = labels_per_image_figure(cooc.labels_per_image)
    if run.loss_gradients.exists():
        gradients = json.loads(run.loss_gradients.read_text(encoding="utf-8"))
        if gradients["groups"]:
            figures["loss_gradients"] = loss_gradients_figure(gradients)
        remarks["loss_gradients"] = f"Drawn {' and '.join(gradients['left_out'])}." if gradients["left_out"] else ""
    if run.diagnostics.exists():
        diagnostics = json.loads(run.diagnostics.read_text(encoding="utf-8"))
        figures |= diagnostic_figures(diagnostics)
        remarks |= diagnostic_remarks(diagnostics)


def _interval_remark(report: dict[str, Any]) -> str:
    """What the thin lines of the frequency figure are, where it has any."""
    if "intervals" not in report:
        return ""
    settings = report["intervals"]["settings"]
    return (
        f"The thin line below a point is the {settings['level']:.0%} interval of the AP ({resampled(settings)}); of a "
        "label with the positives of a few patients it is too narrow."
    )


def _uncertainty_remark(uncertainty: dict[str, Any]) -> str:
    """What the curves come to, and whether the disagreement orders the errors at all."""
    areas = uncertainty["AURC"]
    told = ", ".join(f"{kind} {number(areas[kind])}" for kind in ("disagreement", "probability", "random", "oracle"))
    how = f"The areas under the curves: {told}"
    if areas["disagreement"] >= areas["random"]:
        return f"{how} (without intervals); leaving images out at random does as well as the disagreement, or better."
    return f"{how} (without intervals)."
