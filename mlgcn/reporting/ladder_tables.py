"""A ladder as a table: for the terminal, and as Markdown, CSV, LaTeX and HTML."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from mlgcn.reporting.compare_tables import signed
from mlgcn.reporting.ladder import SHOWN
from mlgcn.reporting.tables import DRAWN, MISSING, number

COST = {"parameters": ("M parameters", 1e6, 1), "flops": ("GFLOPs", 1e9, 2), "images_per_second": ("images/s", 1, 1)}


def ladder_frame(report: Mapping[str, Any]) -> pd.DataFrame:
    """One row a rung, every number in a column of its own; NaN where it is undefined.

    Args:
        report: as mlgcn.reporting.ladder_report returns it, with "seeds" (how many each rung was to have), "speed"
            (what images/s were measured on, or None), and in each rung "published" and "cost" (see COST).
    """
    rows = []
    for name, rung in report["rungs"].items():
        row = {"rung": name, "published": rung["published"], "seeds": rung["seeds"]}
        for metric, of in (rung["metrics"] or {}).items():
            row |= {metric: of["mean"], f"{metric}_low": of["low"], f"{metric}_high": of["high"]}
            row |= {f"{metric}_seed_{seed}": value for seed, value in of["by_seed"].items()}
        row |= {f"mAP_{group}": value for group, value in (rung["groups"] or {}).items()}
        for other in ("previous", "baseline"):
            if (held := rung[other]) is not None:
                row[other] = held["name"]
                row |= {f"{other}_mAP_{key}": value for key, value in held["mAP"].items()}
        rows.append(row | rung["cost"])
    return pd.DataFrame(rows)


def ladder_cells(report: Mapping[str, Any]) -> pd.DataFrame:
    """The table as it is read: one row a rung, text in every cell, as the paper's Table 2 with what it leaves out."""
    groups = next(rung["groups"] for rung in report["rungs"].values() if rung["groups"] is not None)
    rows = []
    for name, rung in report["rungs"].items():
        metrics = rung["metrics"] or {metric: dict.fromkeys(("mean", "low", "high")) for metric in SHOWN}
        row = {
            "rung": name,
            "mAP": number(metrics["mAP"]["mean"]),
            f"{report['level'] * 100:g} % interval": _range(metrics["mAP"]["low"], metrics["mAP"]["high"]),
            "seeds": _seeds(rung),
            **{group: number((rung["groups"] or {}).get(group)) for group in groups},
            "mAUC": number(metrics["mAUC"]["mean"]),
            "mF1": number(metrics["mF1"]["mean"]),
            "mAP - step before": _difference(rung["previous"]),
        }
        if report["baseline"] is not None:
            row[f"mAP - {report['baseline'].rpartition('/')[2]}"] = _difference(rung["baseline"])
        for key, (heading, unit, digits) in COST.items():
            row[heading] = MISSING if (value := rung["cost"][key]) is None else f"{value / unit:,.{digits}f}"
        rows.append(row | {"published": rung["published"] or MISSING})
    return pd.DataFrame(rows)


def ladder_rows(report: Mapping[str, Any]) -> Table:
    """What of the table fits a terminal; a difference that stands after Holm has a star."""
    cells = ladder_cells(report)
    groups = next(list(rung["groups"]) for rung in report["rungs"].values() if rung["groups"] is not None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    others = [("previous", "- step")]
    if report["baseline"] is not None:
        others.append(("baseline", f"- {report['baseline'].rpartition('/')[2]}"))
    kept = [*cells.columns[:3], *groups]
    for at, column in enumerate([*kept, *(heading for _, heading in others)]):
        table.add_column(column, justify="right" if at else "left", overflow="fold", no_wrap=at > 0)
    for row, rung in zip(cells[kept].itertuples(index=False), report["rungs"].values(), strict=True):
        changes = (_starred(rung[key], report["level"]) for key, _ in others)
        table.add_row(*map(Text, (*row, *changes)))
    return table


def ladder_markdown(report: Mapping[str, Any]) -> str:
    """The table and its sentences."""
    cells = ladder_cells(report)
    lines = [list(cells), ["---", *["--:"] * (cells.shape[1] - 1)], *cells.values.tolist()]
    table = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
    return "\n".join([*table, "", *(f"- {line}" for line in ladder_lines(report))]) + "\n"


def ladder_latex(report: Mapping[str, Any]) -> str:
    """The table in LaTeX, for the package booktabs."""
    cells = ladder_cells(report)
    columns = "l" + "r" * (cells.shape[1] - 1)
    return cells.to_latex(index=False, escape=True, column_format=columns)


def ladder_lines(report: Mapping[str, Any]) -> list[str]:
    """What was measured on what, and in a sentence for each kind of comparison, which rungs help there."""
    lines = [
        f"{report['images']:,} test images of {report['patients']:,} patients, the same for every run. Metrics are "
        "means over the seeds, of which the lowest and the highest mAP stand in the table; their intervals are over "
        f"{DRAWN[report['cluster']]} ({report['resamples']:,} resamples, less their bias), each with the mean over the "
        "seeds.",
        f"Groups {report['rule']}.",
        "A difference stands with its interval and its Holm p, corrected over the differences of its column.",
    ]
    if report["speed"] is not None:
        lines.append(f"images/s: a training step without reading images, on {report['speed']}.")
    for key, words in (("previous", "Against the step before"), ("baseline", f"Against {report['baseline']}")):
        lines += _verdicts(report, key, words)
    asked = report["seeds"]
    if cut := [f"{name} ({rung['seeds']})" for name, rung in report["rungs"].items() if rung["seeds"] < asked]:
        lines.append(f"Fewer seeds than {asked}, the others having diverged: {', '.join(cut)}.")
    return lines


def _starred(held: Mapping[str, Any] | None, level: float) -> str:
    if held is None or held["mAP"]["delta"] is None:
        return MISSING
    return f"{signed(held['mAP']['delta'])}{'*' if _apart(held['mAP'], level) else ' '}"


def _apart(entry: Mapping[str, Any], level: float) -> bool:
    return bool(entry["p_holm"] <= 1 - level and entry["delta"] != 0)


def _verdicts(report: Mapping[str, Any], key: str, words: str) -> list[str]:
    by_verdict: dict[str, list[str]] = {"higher": [], "lower": [], "not told apart": []}
    for name, rung in report["rungs"].items():
        if (held := rung[key]) is not None and (entry := held["mAP"])["delta"] is not None:
            verdict = "higher" if entry["delta"] > 0 else "lower"
            verdict = verdict if _apart(entry, report["level"]) else "not told apart"
            by_verdict[verdict].append(f"{name} ({signed(entry['delta'])})")
    parts = [f"{verdict}: {', '.join(names)}" for verdict, names in by_verdict.items() if names]
    return [f"{words}, mAP is {'; '.join(parts)}."] if parts else []


def _seeds(rung: Mapping[str, Any]) -> str:
    by_seed = rung["metrics"]["mAP"]["by_seed"].values() if rung["metrics"] else []
    defined = [value for value in by_seed if value is not None]
    return _range(min(defined), max(defined)) if defined else MISSING


def _range(low: float | None, high: float | None) -> str:
    return MISSING if low is None else f"{number(low)} to {number(high)}"


def _difference(held: Mapping[str, Any] | None) -> str:
    if held is None or held["mAP"]["delta"] is None:
        return MISSING
    entry = held["mAP"]
    return f"{signed(entry['delta'])} ({signed(entry['low'])} to {signed(entry['high'])}), p {number(entry['p_holm'])}"
