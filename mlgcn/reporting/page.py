"""The page of an evaluation: one HTML file that holds numbers, figures and configuration, and loads nothing."""

import base64
import json
from pathlib import Path
from typing import Any

from mlgcn.labels import LabelTable
from mlgcn.predictions import Predictions
from mlgcn.reporting.figures import GROUP_COLOURS, save_figures
from mlgcn.reporting.page_figures import SECTIONS, page_figures
from mlgcn.reporting.tables import by_frequency, detail_lines, ensemble_line, summary_rows, undefined_lines
from mlgcn.reporting.templates import page_template
from mlgcn.run_directory import EvaluationFiles, RunDirectory

MOST_NAMED = 10


def write_page(files: EvaluationFiles, run: RunDirectory | None = None, table: LabelTable | None = None) -> Path:
    """Writes the figures and the self-contained page of an evaluation; returns the page's file.

    Args:
        files: where metrics (the JSON of multilabel_report), predictions and perhaps a comparison stand, and where
            figures and page go.
        run: the training run behind them; what it lacks is left out of the page.
        table: that was scored, whose worst and best images the page then shows.
    Raises: FileNotFoundError without metrics or predictions; ValueError if the two hold other labels.
    """
    report = json.loads(files.metrics.read_text(encoding="utf-8"))
    splits = json.loads(_text(run.splits) or "null") if run else None
    train_positives = _train_positives(splits, report)
    comparison = json.loads(_text(files.comparison) or "null")
    predictions = Predictions.read(files.predictions)
    figures, remarks = page_figures(report, predictions, run, train_positives, table, comparison)
    for name in (name for names in SECTIONS.values() for name in names if name not in figures):
        (files.figures / f"{name}.png").unlink(missing_ok=True)  # of an evaluation before
    images = save_figures(figures, files.figures)
    page = page_template("page.html").render(
        title=report.get("run") or (run.path if run else files.folder).resolve().name,
        report=report,
        rows=summary_rows(report),
        labels=[{"name": name, **report["per_label"][name]} for name in by_frequency(report)],
        always_positive=_always_positive_f1(report),
        train_positives=train_positives,
        details=[*_made_of(report), *detail_lines(report)],
        notes=_notes(report, splits, train_positives),
        sections={title: _section(names, images, remarks) for title, names in SECTIONS.items()},
        splits=splits,
        config=_text(run.config) if run else None,
        environment=_text(run.environment) if run else None,
        colours=GROUP_COLOURS,
    )
    files.report.write_text(page, encoding="utf-8")
    return files.report


def _section(names: dict[str, str], images: dict[str, Path], remarks: dict[str, str]) -> list[dict[str, str]]:
    """The figures of a section that there are: name, data and caption."""
    return [
        {
            "name": name,
            "data": _base64(images[name]),
            "caption": " ".join(filter(None, [caption, remarks.get(name)])),
        }
        for name, caption in names.items()
        if name in images
    ]


def _made_of(report: dict[str, Any]) -> list[str]:
    """What was evaluated, where it is not a single run."""
    return [f"Evaluated: {ensemble_line(report['ensemble'])}."] if "ensemble" in report else []


def _notes(report: dict[str, Any], splits: dict[str, Any] | None, train_positives: dict[str, int] | None) -> list[str]:
    """What a reader must know before believing the numbers."""
    notes = []
    if unseen := [name for name, count in (train_positives or {}).items() if not count]:
        notes.append(f"Training saw no positive image of {_some(unseen)}, which it therefore cannot have learned.")
    if splits:  # what a split lacks stands here and in the lines on undefined metrics already
        notes += [warning for warning in splits["warnings"] if not warning.startswith("no positive in ")]
    notes += undefined_lines(report)
    if unreadable := report.get("unreadable"):
        notes.append(f"Unreadable and not in the numbers ({len(unreadable):,}): {_some(unreadable)}.")
    return notes


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _train_positives(splits: dict[str, Any] | None, report: dict[str, Any]) -> dict[str, int] | None:
    """Training positives of each label of the report, or None where they are not known for all."""
    counts = splits["parts"]["train"]["positives"] if splits else {}
    return {name: counts[name] for name in report["per_label"]} if set(report["per_label"]) <= set(counts) else None


def _always_positive_f1(report: dict[str, Any]) -> float | None:
    """The mF1 of calling every image positive: 2 p / (1 + p) for a label of prevalence p."""
    shares = [label["prevalence"] for label in report["per_label"].values() if label["F1"] is not None]
    return sum(2 * share / (1 + share) for share in shares) / len(shares) if shares else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
