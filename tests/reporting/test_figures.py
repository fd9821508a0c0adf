import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlgcn.metrics import multilabel_report
from mlgcn.predictions import Predictions
from mlgcn.reporting.figures import (
    GROUP_COLOURS,
    check_figure_file,
    frequency_figure,
    precision_recall_figure,
    save_figure,
    save_figures,
    training_figure,
)


def example(labels, images=300):
    """Predictions and their report; the last label has no positive, one name would be a formula to matplotlib."""
    rng = np.random.default_rng(labels)
    prevalence = np.geomspace(0.4, 0.01, labels)
    targets = (rng.uniform(size=(images, labels)) < prevalence).astype(np.float32)
    targets[0], targets[:, -1] = 1, 0
    scores = rng.uniform(size=targets.shape) * 0.5 + 0.5 * targets * rng.uniform(size=targets.shape)
    names = [f"Finding $x_{i}$ of {labels}" for i in range(labels)]
    cut = [labels // 3, 2 * labels // 3]
    groups = {"head": names[: cut[0]], "medium": names[cut[0] : cut[1]], "tail": names[cut[1] :]}
    ids = [str(i) for i in range(images)]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "view": "frontal"})
    predictions = Predictions(table, names, scores, targets)
    return predictions, multilabel_report(predictions.scores, predictions.targets, names, groups, "a rule")


def texts(axis: Axes) -> list[str]:
    return [text.get_text().replace(r"\$", "$") for text in axis.texts]


def test_the_area_under_each_drawn_curve_is_its_average_precision():
    predictions, report = example(7)
    panels = precision_recall_figure(predictions, report).axes
    for name, axis in zip(report["per_label"], panels, strict=False):
        assert axis.get_title(loc="left").replace(r"\$", "$") == name
        if (ap := report["per_label"][name]["AP"]) is None:
            assert texts(axis) == ["no positive"]
            continue
        recall, precision = axis.lines[0].get_data()
        assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(ap, abs=1e-12)
        assert axis.lines[1].get_ydata()[0] == report["per_label"][name]["prevalence"]
        assert mpl.colors.same_color(axis.lines[0].get_color(), GROUP_COLOURS[report["per_label"][name]["group"]])


def test_the_panels_say_so_when_there_are_too_many_labels_to_draw():
    figure = precision_recall_figure(*example(61))
    assert len(figure.axes) == 60 and "60 most frequent of 61" in figure.get_supxlabel()


def test_every_label_has_a_row_with_its_training_images_and_its_ap_over_no_skill():
    predictions, report = example(6)
    counts = dict(zip(predictions.names, [3, 5000, 50, 0, 9, 70], strict=True))
    frequency, precision = frequency_figure(report, counts).axes
    rows = sorted(predictions.names, key=lambda name: -counts[name])
    assert [label.get_text().replace(r"\$", "$") for label in frequency.get_yticklabels()] == rows
    assert [bar.get_width() for bar in frequency.patches] == [counts[name] for name in rows]
    assert texts(frequency) == ["5,000", "70", "50", "9", "3", "0"] and frequency.get_xscale() == "log"
    points = np.vstack([group.get_offsets() for group in precision.collections if hasattr(group, "get_sizes")])
    shown = {tuple(point) for point in points.tolist()}
    for row, name in enumerate(rows[:-1]):
        label = report["per_label"][name]
        assert label["AP"] is None or {(label["AP"], row), (label["prevalence"], row)} <= shown
    assert texts(precision) == ["no positive to find"]


def test_the_interval_of_an_ap_is_a_thin_line_below_its_point(evaluated):
    _, report = evaluated(6, resamples=20)
    axis = frequency_figure(report).axes[1]
    names = sorted(report["per_label"], key=lambda name: -report["per_label"][name]["positives"])
    ends = {name: report["intervals"]["per_label"][name]["AP"] for name in names}
    assert sum(interval is None for interval in ends.values()) == 1
    drawn = [name for name in names if ends[name] is not None]
    for line, name in zip(axis.lines, drawn, strict=True):
        assert list(line.get_xdata()) == ends[name] and line.get_ydata()[0] == names.index(name) + 0.3
    assert not frequency_figure(evaluated(6)[1]).axes[1].lines


def test_a_figure_is_saved_by_its_ending_and_the_same_report_gives_the_same_bytes(evaluated, tmp_path):
    for suffix in (".png", ".svg", ".pdf"):
        files = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for file in files:
            check_figure_file(file, "--figure")
            save_figure(frequency_figure(evaluated(2)[1]), file)
        assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(ValueError, match=r"--figure: .*a.jpg ends in '.jpg', expected one of \['.png', '.svg'"):
        check_figure_file(tmp_path / "a.jpg", "--figure")
    with pytest.raises(FileNotFoundError, match=r"--figure: there is no folder .*gone"):
        check_figure_file(tmp_path / "gone" / "a.png", "--figure")


def test_the_frequency_axis_says_which_images_and_how_many_labels_it_shows():
    _, report = example(61)
    assert frequency_figure(report).axes[0].get_xlabel() == "evaluated images with the label (60 of 61 labels)"
    _, report = example(4)
    counts = dict.fromkeys(report["per_label"], 3)
    assert frequency_figure(report, counts).axes[0].get_xlabel() == "training images with the label"


def test_a_report_without_any_defined_label_still_has_figures(tmp_path):
    predictions, _ = example(3, images=2)
    predictions.targets[:] = np.nan
    groups = {"head": list(predictions.names), "medium": [], "tail": []}
    report = multilabel_report(predictions.scores, predictions.targets, predictions.names, groups, "a rule")
    figures = {"frequency": frequency_figure(report), "panels": precision_recall_figure(predictions, report)}
    assert all(path.exists() for path in save_figures(figures, tmp_path).values())


METRICS = pd.DataFrame(
    {
        "epoch": [0, 0, 0, 1, 1],
        "step": [10, 20, 20, 30, 40],
        "train/loss": [0.9, 0.8, np.nan, 0.7, np.nan],
        "train/diversity": [-0.1, -0.2, np.nan, -0.3, np.nan],
        "val/mAP": [np.nan, np.nan, 0.4, np.nan, 0.3],
        "val/mAP_tail": [np.nan] * 5,
    }
)


def test_training_shows_what_was_logged_and_marks_the_best_step():
    panels = [axis for axis in training_figure(METRICS).axes if axis.axison]
    loss, diversity, validation = panels
    np.testing.assert_array_equal(loss.lines[0].get_data(), [[10, 20, 30], [0.9, 0.8, 0.7]])
    np.testing.assert_array_equal(diversity.lines[0].get_ydata(), [-0.1, -0.2, -0.3])
    assert diversity.get_ylim()[0] < -0.3 and diversity.get_ylim()[1] >= 0
    assert len(validation.lines) == 2 and texts(validation) == ["best 0.400"]
    np.testing.assert_array_equal(np.ravel(validation.lines[1].get_data()), [20, 0.4])


def test_training_without_diversity_or_validation_leaves_their_panels_out():
    figure = training_figure(METRICS[["step", "train/loss"]])
    assert [axis.get_title(loc="left") for axis in figure.axes if axis.axison] == ["loss"]


def test_a_long_log_is_smoothed_over_the_single_values():
    long = pd.DataFrame({"step": np.arange(500), "train/loss": np.random.default_rng(0).uniform(size=500)})
    raw, smooth = training_figure(long).axes[0].lines
    assert np.std(smooth.get_ydata()[50:]) < 0.5 * np.std(raw.get_ydata())


def test_figures_leave_the_callers_style_alone_and_look_the_same_under_any(tmp_path):
    _, report = example(4)
    plain = save_figures({"a": frequency_figure(report)}, tmp_path / "plain")["a"]
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        before = dict(mpl.rcParams)
        styled = save_figures({"a": frequency_figure(report)}, tmp_path / "styled")["a"]
        assert dict(mpl.rcParams) == before
    assert plain.read_bytes() == styled.read_bytes()
    assert isinstance(frequency_figure(report), Figure)
