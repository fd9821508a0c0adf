"""How well annotation agrees with the MeSH headings that Open-i's reports were given by hand."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.annotation.annotator import OPEN, POSITIVE
from mlgcn.data.annotation.lists import MESH, NORMAL_LABELS, read_findings, read_lists
from mlgcn.data.annotation.reports import Report
from mlgcn.suggestions import unknown_name

NOT_INDEXED = "No Indexing"
# The lists were made while looking at reports of even number; the others were left alone.
PARTS = ("seen", "held out")


@lru_cache
def read_headings(path: Path = MESH) -> dict[str, tuple[tuple[str, frozenset[str]], ...]]:
    """By label, the headings with their qualifiers, all in lower case.

    Raises: FileNotFoundError; ValueError on a file of another form or a label that has no phrases.
    """
    known = (*read_findings().labels, NORMAL_LABELS[0])
    headings: dict[str, tuple[tuple[str, frozenset[str]], ...]] = {}
    for label, texts in read_lists(path).items():
        if label not in known:
            raise ValueError(f"{path}: {unknown_name('label', label, known)}")
        if not isinstance(texts, list) or not texts:
            raise ValueError(f"{path}: {label!r}: got {texts!r}, expected a list of headings")
        headings[label] = tuple(_split(text) for text in texts)
    return headings


def mesh_labels(headings: Sequence[str]) -> set[str]:
    """The labels that a report has by its MeSH headings, such as "Pleural Effusion/left/small"."""
    found = [_split(heading) for heading in headings]
    return {
        label
        for label, wanted in read_headings().items()
        if any(name == heading and needed <= qualifiers for name, needed in wanted for heading, qualifiers in found)
    }


def score(reports: Sequence[Report], values: pd.DataFrame) -> pd.DataFrame:
    """Agreement with the headings: one row a label that they tell and a part of the reports.

    The columns: label, part ("seen" for reports of even number, by which the lists were made, or "held out"),
    positives (by the headings), and with uncertain mentions counted as positive (+) and as negative (-) precision,
    recall and f1, NaN where there is nothing to divide by.

    Args:
        reports: Open-i's; those that are not indexed or hold no text are left out.
        values: as annotate_reports gives them for these reports, its columns named as in findings.yaml.
    Raises: ValueError unless the reports are Open-i's, with headings and a number each.
    """
    told = [
        row
        for row, report in enumerate(reports)
        if report.text and report.headings and NOT_INDEXED not in report.headings
    ]
    if not told:
        raise ValueError("no report has MeSH headings to score against, expected Open-i's reports")
    if wrong := [reports[row].study_id for row in told if not reports[row].study_id.isdigit()]:
        raise ValueError(f"the report {wrong[0]!r} has no number for its name, expected Open-i's reports")
    truth = [mesh_labels(reports[row].headings) for row in told]
    odd = np.array([int(reports[row].study_id) % 2 == 1 for row in told])
    rows = []
    for label in sorted(set(read_headings()) & set(values.columns)):
        given = values[label].to_numpy()[told]
        real = np.array([label in labels for labels in truth])
        for part, chosen in zip(PARTS, (~odd, odd), strict=True):
            row = {"label": label, "part": part, "positives": int(real[chosen].sum())}
            for sign, found in (("+", np.isin(given, (POSITIVE, OPEN))), ("-", given == POSITIVE)):
                row |= {f"{name}{sign}": value for name, value in _agreement(found[chosen], real[chosen]).items()}
            rows.append(row)
    return pd.DataFrame(rows)


def score_table(scores: pd.DataFrame) -> str:
    """The scores as a Markdown table: one line a label, most frequent first, the held-out part before the seen one."""
    parts = {part: scores[scores.part == part].set_index("label") for part in PARTS}
    seen, held = parts["seen"], parts["held out"]
    order = (seen.positives + held.positives).sort_values(ascending=False, kind="stable").index
    lines = [
        "| finding | positive, held out | precision | recall | F1 | precision, uncertain as 0 | recall, uncertain as 0 "
        "| positive, seen | F1, seen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for label in order:
        out, own = held.loc[label], seen.loc[label]
        cells = [_number(out[name]) for name in ("precision+", "recall+", "f1+", "precision-", "recall-")]
        lines.append(f"| {label} | {out.positives} | {' | '.join(cells)} | {own.positives} | {_number(own['f1+'])} |")
    return "\n".join(lines) + "\n"


def _agreement(found: np.ndarray, real: np.ndarray) -> dict[str, float]:
    hits, named, positives = int((found & real).sum()), int(found.sum()), int(real.sum())
    return {
        "precision": hits / named if named else np.nan,
        "recall": hits / positives if positives else np.nan,
        "f1": 2 * hits / (named + positives) if named + positives else np.nan,
    }


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _split(heading: str) -> tuple[str, frozenset[str]]:
    name, *qualifiers = (" ".join(part.split()).casefold() for part in heading.split("/"))
    return name, frozenset(qualifiers)
