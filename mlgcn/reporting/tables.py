"""The report of mlgcn.metrics.multilabel_report as tables for the terminal."""

import io
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

MISSING = "–"
MOST_VALUES = 10
DRAWN = {"patient": "patients", "study": "studies", "image": "images"}  # by what a resample draws together
METHOD_WORDS = {"percentile": "", "shifted": ", less their bias", "bca": ", BCa"}  # of intervals, after the resamples
MEANS = ("mAP", "no_skill_mAP", "mAUC", "mF1", "mBACC")


def summary_table(report: dict[str, Any], per_label: bool = True) -> Group:
    """Groups and overall, the rule, what is undefined or chance, and (unless per_label is False) every label."""
    parts: list[RenderableType] = [group_table(report), Text(f"Groups {report['rule']}.")]
    parts += [Text(line, style="yellow") for line in undefined_lines(report)]
    parts += [Text(line) for line in detail_lines(report)]
    parts += [Text(), label_table(report)] if per_label else []
    return Group(*parts)


def detail_lines(report: dict[str, Any]) -> list[str]:
    """Sentences on unseen labels and chance, intervals, views and further columns, where there are any."""
    return [*chance_lines(report), *interval_lines(report), *view_lines(report), *column_lines(report)]


def as_text(renderable: RenderableType, width: int = 100) -> str:
    """What the terminal would show, without colours."""
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None, force_terminal=False).print(renderable)
    return buffer.getvalue()


def group_table(report: dict[str, Any]) -> Table:
    """One line a group, the last for all labels."""
    table = _table("group", "mAP", "no skill", "mAUC", "mF1", "mBACC", "labels", "positives")
    for group in summary_rows(report):
        if group["name"] == "all":
            table.add_section()
        values = (number(group[key]) for key in MEANS)
        table.add_row(
            Text(group["name"]),
            *values,
            f"{group['labels']:,}",
            f"{group['positives']:,}",
            style="bold" if group["name"] == "all" else "",
        )
    if harmonic := report.get("harmonic"):
        table.add_row("harmonic", number(harmonic["mAP"]), MISSING, number(harmonic["mAUC"]), *[MISSING] * 4)
    return table


def label_table(report: dict[str, Any]) -> Table:
    """One line a label, from frequent to rare."""
    table = _table("label", "AP", "no skill", "AUC", "F1", "threshold", "positives", "known", "group")
    for name in by_frequency(report):
        label = report["per_label"][name]
        values = (number(label[key]) for key in ("AP", "prevalence", "AUC", "F1", "threshold"))
        # Text, because rich would read a label's brackets as markup.
        table.add_row(Text(name), *values, f"{label['positives']:,}", f"{label['known']:,}", Text(label["group"]))
    return table


def summary_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups of the report in order, then all labels together; each with its name."""
    groups = [{"name": name, **group} for name, group in report["groups"].items()]
    total = {key: sum(group[key] for group in groups) for key in ("labels", "positives")}
    return [*groups, {"name": "all", **total, **{key: report[key] for key in MEANS}}]


def by_frequency(report: dict[str, Any]) -> list[str]:
    """Label names from frequent to rare among the images evaluated; of equals the first stays first."""
    labels = report["per_label"]
    return sorted(labels, key=lambda name: -(labels[name]["prevalence"] or 0.0))


def labels_by_group(report: dict[str, Any]) -> dict[str, list[str]]:
    """Label names by group, in the order of the report; groups without a label are there too."""
    labels = report["per_label"]
    return {group: [name for name in labels if labels[name]["group"] == group] for group in report["groups"]}


def undefined_lines(report: dict[str, Any]) -> list[str]:
    """A sentence for each set of labels that leaves metrics undefined."""
    metrics_of: dict[tuple[str, ...], list[str]] = {}
    for metric, names in report["undefined"].items():
        metrics_of.setdefault(tuple(names), []).append(metric)
    total = len(report["per_label"])
    return [
        f"Undefined for {len(names)} of {total} labels and left out of the means: {', '.join(metrics)} "
        f"of {', '.join(names)}."
        for names, metrics in metrics_of.items()
        if names
    ]


def chance_lines(report: dict[str, Any]) -> list[str]:
    """A sentence for each side of chance on which unseen labels lie, with their AUC and the range of chance."""
    labels_at: dict[str, list[str]] = {}
    for name, chance in report.get("chance", {}).items():
        value = f"{number(report['per_label'][name]['AUC'])} ({number(chance['low'])} to {number(chance['high'])})"
        labels_at.setdefault(chance["verdict"], []).append(f"{name} {value}")
    return [
        f"Unseen, AUC {verdict} what chance gives (95 %): {'; '.join(labels_at[verdict])}."
        for verdict in ("above", "within", "below")
        if verdict in labels_at
    ]


def interval_lines(report: dict[str, Any]) -> list[str]:
    """The intervals of the means over all labels, in a sentence."""
    if "intervals" not in report:
        return []
    intervals, settings = report["intervals"], report["intervals"]["settings"]
    parts = [
        f"{name} {number(intervals[name][0])} to {number(intervals[name][1])}"
        for name in MEANS
        if intervals.get(name) is not None
    ]
    return [f"{settings['level']:.0%} intervals ({resampled(settings)}): {', '.join(parts)}."]


def resampled(settings: dict[str, Any]) -> str:
    """How often what was drawn for intervals, in words."""
    how = f"{settings['resamples']:,} resamples of {settings['clusters']:,} {DRAWN[settings['cluster']]}"
    return how + METHOD_WORDS[settings["method"]]


def ensemble_line(ensemble: dict[str, Any]) -> str:
    """The members of an ensemble, as the report has it, and their weights in a sentence."""
    shares = [f"{run} {weight:.3f}" for run, weight in zip(ensemble["members"], ensemble["weights"], strict=True)]
    how = {"mean": "mean", "geometric": "geometric mean", "logits": "mean of the logits"}[ensemble["merge"]]
    return f"ensemble, {how} with the weights {', '.join(shares)}"


def view_lines(report: dict[str, Any]) -> list[str]:
    """The means over the images of each view, in a sentence, where there are several."""
    views = report.get("per_view", {})
    return [_by("view", views)] if len(views) > 1 else []


def column_lines(report: dict[str, Any]) -> list[str]:
    """The means over the images of each value of other columns, a sentence each; of many values, the most frequent."""
    return [_by(column, values) for column, values in report.get("per_column", {}).items()]


def _by(what: str, parts: dict[str, dict[str, Any]]) -> str:
    often = sorted(parts, key=lambda value: -parts[value]["images"])[:MOST_VALUES]
    shown = [
        f"{value} ({_counted(part)}) {number(part['mAP'])} and {number(part['mAUC'])}"
        for value, part in parts.items()
        if value in often
    ]
    more = len(parts) - len(shown)
    return f"By {what} (images), mAP and mAUC: {', '.join(shown)}" + (f" and {more:,} more values." if more else ".")


def _counted(part: dict[str, Any]) -> str:
    """How many images, and how many labels the means leave out for want of a positive among them."""
    undefined = part["undefined_count"]["AP"]
    return f"{part['images']:,}" + (f", without {undefined} labels" if undefined else "")


def number(value: float | None) -> str:
    """Three decimals; below a thousandth two significant digits, so that a rare label's prevalence is not 0."""
    if value is None:
        return MISSING
    return f"{value:.2g}" if 0 < value < 0.001 else f"{value:.3f}"


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="left" if column == "group" else "right")
    return table
