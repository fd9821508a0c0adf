"""Which model is better, as tables and sentences for the terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlgcn.metrics.compare import entries_of
from mlgcn.reporting.tables import DRAWN, METHOD_WORDS, MISSING, number

LABELS = 10
Row = tuple[str, str, Mapping[str, Any]]  # what, metric, entry


def comparison_rows(result: Mapping[str, Any], all_labels: bool = False) -> Group:
    """Of each comparison: means and groups, the labels of each metric by p, and in sentences what that says.

    Args:
        result: as mlgcn.reporting.compare returns it, or its file holds it.
        all_labels: else of each metric the 10 labels with the smallest p.
    """
    parts: list[RenderableType] = []
    for comparison in result.get("comparisons", [result]):
        parts += [Text()] if parts else []
        parts += _parts(comparison, all_labels)
    return Group(*parts)


def comparison_sentences(result: Mapping[str, Any]) -> list[str]:
    """Of each comparison, which its sides are and what each overall metric says; whether resamples are too few."""
    comparisons = result.get("comparisons", [result])
    lines = []
    for comparison in comparisons:
        lines += [f"A: {comparison['a']}, B: {comparison['b']}.", *_sentences(comparison)]
    return lines + _too_few_line(comparisons[0])


def _parts(comparison: Mapping[str, Any], all_labels: bool) -> list[RenderableType]:
    seeds = comparison["settings"]["seeds"]
    told = (
        Text(f"{letter.upper()}: {comparison[letter]}" + (f", mean of {count} seeds" if count > 1 else ""))
        for letter, count in zip("ab", seeds, strict=True)
    )
    overall, groups, labels = _sorted_entries(comparison)
    interval = f"{comparison['level'] * 100:g} % interval"
    table = _table("labels", "metric", "A", "B", "A - B", interval, "p", "Holm p")
    for row in overall:
        table.add_row(*_cells(row), style="bold")
    table.add_section()
    for row in groups:
        table.add_row(*_cells(row))
    by_label = _table("label", "metric", "A", "B", "A - B", interval, "p", "Holm p")
    for rows in labels:
        for row in rows if all_labels else rows[:LABELS]:
            by_label.add_row(*_cells(row))
        by_label.add_section()
    parts: list[RenderableType] = [*told, table]
    if labels:
        parts.append(by_label)
        left = 0 if all_labels else len(labels[0]) - LABELS
        parts += [Text(f"Of each metric {left} more labels, whose p is no smaller: --all.")] if left > 0 else []
    parts += [Text(line, style="yellow") for line in _undefined_lines(comparison)]
    parts += [Text(line) for line in (*_how_lines(comparison), *_sentences(comparison))]
    return parts


def _sorted_entries(comparison: Mapping[str, Any]) -> tuple[list[Row], list[Row], list[list[Row]]]:
    """Overall metrics, groups by metric, and for each metric the labels from the smallest p."""
    overall: list[Row] = []
    groups: dict[str, list[Row]] = {}
    labels: dict[str, list[Row]] = {}
    for place, entry in entries_of({key: part for key, part in comparison.items() if isinstance(part, dict)}):
        if place[0] == "per_label":
            labels.setdefault(place[2], []).append((place[1], place[2], entry))
        elif place[0] == "groups":
            groups.setdefault(place[2], []).append((place[1], place[2], entry))
        else:
            overall.append(("all", f"micro{place[1]}" if place[0] == "micro" else place[-1], entry))
    by_metric = [sorted(rows, key=lambda row: _least_likely(row[2])) for rows in labels.values()]
    return overall, [row for rows in groups.values() for row in rows], by_metric


def _least_likely(entry: Mapping[str, Any]) -> tuple[float, float]:
    """To sort by: p, and of equals the larger difference first; the undefined last."""
    return (2, 0) if entry["p"] is None else (entry["p"], -abs(entry["delta"]))


def _cells(row: Row) -> Iterable[Text]:
    name, metric, entry = row
    ends = MISSING if entry["low"] is None else f"{signed(entry['low'])} to {signed(entry['high'])}"
    values = (number(entry["a"]), number(entry["b"]), signed(entry["delta"]), ends)
    # Text, because rich would read a label's brackets as markup.
    return map(Text, (name, metric, *values, number(entry["p"]), number(entry["p_holm"])))


def signed(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:+.3f}" if round(value, 3) else "0.000"


def _undefined_lines(comparison: Mapping[str, Any]) -> list[str]:
    """A sentence for each set of metrics that the same labels lack in as many resamples, the most often first."""
    counts_of: dict[str, dict[str, int]] = {}
    for label, metrics in comparison["settings"]["undefined_resamples"].items():
        for metric, count in metrics.items():
            counts_of.setdefault(metric, {})[label] = count
    metrics_of: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for metric, counts in counts_of.items():
        often = sorted(counts.items(), key=lambda pair: -pair[1])
        metrics_of.setdefault(tuple(often), []).append(metric)
    return [
        f"{', '.join(metrics)} undefined in some of the {comparison['resamples']:,} resamples, which are left out: "
        + ", ".join(f"{label} ({count:,})" for label, count in often[:LABELS])
        + (f" and {len(often) - LABELS} more labels." if len(often) > LABELS else ".")
        for often, metrics in metrics_of.items()
    ]


def _how_lines(comparison: Mapping[str, Any]) -> list[str]:
    """What was drawn, grouped, decided and corrected, and whether the resamples are too few for the labels."""
    settings = comparison["settings"]
    drawn = f"{comparison['resamples']:,} resamples of {settings['clusters']:,} {DRAWN[comparison['cluster']]}"
    drawn += METHOD_WORDS[settings["method"]]
    thresholds = (
        "those of each run" if settings["thresholds"] == "own" else f"{settings['thresholds']:g} for every label"
    )
    together = settings["comparisons"]
    corrected = "for the labels of a metric and, apart from them, for its groups"
    if together > 1:
        corrected = f"over {together} comparisons: overall, for the groups of a metric, and for its labels"
    return [
        f"{comparison['images']:,} images of {comparison['patients']:,} patients; {drawn}, seed {settings['seed']}.",
        f"Groups {comparison['rule']}. Thresholds: {thresholds}.",
        f"Holm p: corrected {corrected}.",
        *_too_few_line(comparison),
    ]


def _too_few_line(comparison: Mapping[str, Any]) -> list[str]:
    """A sentence if no mean, group or label can be told apart, however it differs."""
    groups, labels = (len(comparison.get(part, ())) for part in ("groups", "per_label"))
    told = []
    for what, tests in (("mean", 1), ("group", groups), ("label", labels)):
        least = min(1.0, 2 * tests * comparison["settings"]["comparisons"] / (comparison["resamples"] + 1))
        told += [f"of a {what} below {number(least)}"] if least > 1 - comparison["level"] else []
    return [f"No Holm p can fall {', '.join(told)}: that needs more resamples."] if told else []


def _sentences(comparison: Mapping[str, Any]) -> list[str]:
    """What each overall metric says, by its Holm p."""
    overall, _, _ = _sorted_entries(comparison)
    return [_sentence(metric, entry, comparison["level"]) for _, metric, entry in overall]


def _sentence(metric: str, entry: Mapping[str, Any], level: float) -> str:
    if entry["delta"] is None:
        return f"{metric} is undefined, so that nothing can be said."
    ends = f"{level * 100:g} % interval of A - B {signed(entry['low'])} to {signed(entry['high'])}"
    told = f"({ends}, Holm p {number(entry['p_holm'])})"
    if entry["delta"] == 0 or entry["p_holm"] > 1 - level:
        return f"{metric}: these images show no difference between A and B {told}."
    which = "higher" if entry["delta"] > 0 else "lower"
    return f"{metric} is {which} for A than for B, by {number(abs(entry['delta']))} {told}."


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, column in enumerate(columns):
        # A name breaks anywhere, so that none is cut; a number never does.
        table.add_column(column, justify="right" if at > 1 else "left", overflow="fold", no_wrap=at > 0)
    return table
