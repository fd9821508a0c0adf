"""Metrics of multi-label predictions, macro-averaged over the labels for which they are defined."""

from mlgcn.metrics.ranking import average_precision, roc_auc
from mlgcn.metrics.summary import multilabel_report
from mlgcn.metrics.thresholded import best_f1_thresholds, f1_score

__all__ = ["average_precision", "best_f1_thresholds", "f1_score", "multilabel_report", "roc_auc"]
