import matplotlib as mpl
import numpy as np
import pytest

from mlgcn.reporting.figures import GROUP_COLOURS, save_figure
from mlgcn.reporting.increments import increments_figure, increments_frame


def comparison(labels=4, metrics=("AP", "AUC"), other="B"):
    """A comparison as its file has it: the last label undefined, the first two told apart after Holm."""
    rng = np.random.default_rng(labels)
    names = [f"Finding $x_{{{place}}}$" for place in range(labels)]
    per_label = {name: {} for name in names}
    for place, name in enumerate(names):
        for metric in metrics:
            delta = float(rng.normal())
            told = {"delta": delta, "low": delta - 0.2, "high": delta + 0.3, "p_holm": 0.01 if place < 2 else 0.6}
            per_label[name][metric] = dict.fromkeys(told) if place == labels - 1 else told
    held = zip(names, np.resize(["tail", "head", "medium"], labels), rng.permutation(labels).tolist(), strict=True)
    about = {name: {"group": str(group), "positives": count} for name, group, count in held}
    return {"a": "A", "b": other, "level": 0.95, "per_label": per_label, "settings": {"labels": about}}


def test_every_label_has_its_difference_and_interval_from_head_to_tail():
    result = comparison()
    about = result["settings"]["labels"]
    order = sorted(about, key=lambda name: -about[name]["positives"])
    panels = increments_figure(result).axes
    written = [text.get_text().replace(r"\$", "$") for text in panels[0].get_yticklabels()]
    assert written == [f"{name}  {about[name]['positives']}" for name in order]
    for axis, metric in zip(panels, ("AP", "AUC"), strict=True):
        assert axis.get_title(loc="left") == metric
        lines = iter(axis.lines)
        for row, name in enumerate(order):
            entry, colour = result["per_label"][name][metric], GROUP_COLOURS[about[name]["group"]]
            if entry["delta"] is None:
                assert [text.get_text() for text in axis.texts] == ["undefined"] and axis.texts[0].xy == (0, row)
                continue
            interval, point = next(lines), next(lines)
            assert (
                list(interval.get_xdata()) == [entry["low"], entry["high"]] and list(interval.get_ydata()) == [row] * 2
            )
            assert (point.get_xdata()[0], point.get_ydata()[0]) == (entry["delta"], row)
            assert mpl.colors.same_color(point.get_color(), colour)
            filled = mpl.colors.same_color(point.get_markerfacecolor(), colour)
            assert filled == (entry["p_holm"] <= 0.05)


def test_several_comparisons_stand_below_one_another_with_the_names_of_their_sides():
    axes = increments_figure({"comparisons": [comparison(), comparison(other="$C$")]}).axes
    assert len(axes) == 4
    assert [axes[0].get_ylabel(), axes[2].get_ylabel()] == ["A: A    B: B", r"A: A    B: \$C\$"]


def test_the_table_has_every_label_and_metric_of_every_comparison_from_head_to_tail():
    results = [comparison(), comparison(other="C")]
    frame = increments_frame({"comparisons": results})
    assert frame.against.tolist() == ["B"] * 8 + ["C"] * 8 and frame.metric.tolist() == ["AP", "AUC"] * 8
    assert (frame.positives[:8].diff().dropna() <= 0).all() and frame.positives[:8].nunique() == 4
    for row in frame[:8].to_dict("records"):
        entry, about = results[0]["per_label"][row["label"]][row["metric"]], results[0]["settings"]["labels"]
        assert (row["group"], row["positives"]) == (about[row["label"]]["group"], about[row["label"]]["positives"])
        for key, value in entry.items():
            assert np.isnan(row[key]) if value is None else row[key] == value
    assert increments_frame(results[0]).equals(frame[:8])


@pytest.mark.parametrize("labels", [1, 2, 70])
def test_few_and_many_labels_are_drawn_into_a_file_of_each_kind(labels, tmp_path):
    figure = increments_figure(comparison(labels))
    for suffix in (".png", ".svg", ".pdf") if labels == 2 else (".png",):
        save_figure(figure, tmp_path / f"figure{suffix}")
        assert (tmp_path / f"figure{suffix}").stat().st_size > 1000
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("the most frequent of 70 labels" in told) == (labels == 70)


def test_a_comparison_without_metrics_of_single_labels_is_refused():
    with pytest.raises(ValueError, match="no metric of single labels to draw"):
        increments_figure(comparison(metrics=()))
    overall = comparison()
    del overall["per_label"]
    with pytest.raises(ValueError, match="no metric of single labels to draw"):
        increments_figure(overall)


def test_groups_of_ones_own_are_drawn_alike_and_named_in_the_legend():
    result = comparison()
    for place, label in enumerate(result["settings"]["labels"].values()):
        label["group"] = ("lung", "heart")[place % 2]
    figure = increments_figure(result)
    assert "heart, lung" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert {line.get_marker() for line in figure.axes[0].lines} >= {"D"}
