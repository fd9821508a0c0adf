"""Findings in radiology reports: mentions of the labels, what the report says of them, and how good that is."""

from mlgcn.data.annotation.annotator import Annotator, annotate, annotate_reports
from mlgcn.data.annotation.lists import FINDINGS, label_set
from mlgcn.data.annotation.reports import Report, read_annotation_reports
from mlgcn.data.annotation.scoring import mesh_labels, score, score_table

__all__ = [
    "FINDINGS",
    "Annotator",
    "Report",
    "annotate",
    "annotate_reports",
    "label_set",
    "mesh_labels",
    "read_annotation_reports",
    "score",
    "score_table",
]
