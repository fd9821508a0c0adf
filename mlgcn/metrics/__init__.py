"""Metrics of multi-label predictions, macro-averaged over the labels for which they are defined."""

from mlgcn.metrics.bootstrap import Bootstrap, bootstrap
from mlgcn.metrics.calibration import Reliability, brier_score, expected_calibration_error, reliability_curves
from mlgcn.metrics.compare import holm, paired_differences
from mlgcn.metrics.confusion import label_confusion
from mlgcn.metrics.intervals import report_intervals
from mlgcn.metrics.multilabel import micro_scores, multilabel_scores, top_k_scores
from mlgcn.metrics.ranking import average_precision, precision_at_recall, recall_at_precision, roc_auc
from mlgcn.metrics.selective import area_under_risk, risk_coverage, selective_report
from mlgcn.metrics.summary import multilabel_report
from mlgcn.metrics.thresholded import (
    balanced_accuracy,
    best_f1_thresholds,
    f1_score,
    precision,
    sensitivity,
    specificity,
    youden_thresholds,
)
from mlgcn.metrics.zero_shot import harmonic_mean, zero_shot_summary

__all__ = [
    "Bootstrap",
    "Reliability",
    "area_under_risk",
    "average_precision",
    "balanced_accuracy",
    "best_f1_thresholds",
    "bootstrap",
    "brier_score",
    "expected_calibration_error",
    "f1_score",
    "harmonic_mean",
    "holm",
    "label_confusion",
    "micro_scores",
    "multilabel_report",
    "multilabel_scores",
    "paired_differences",
    "precision",
    "precision_at_recall",
    "recall_at_precision",
    "reliability_curves",
    "report_intervals",
    "risk_coverage",
    "roc_auc",
    "selective_report",
    "sensitivity",
    "specificity",
    "top_k_scores",
    "youden_thresholds",
    "zero_shot_summary",
]
