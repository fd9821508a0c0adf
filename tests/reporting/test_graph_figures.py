import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from mlgcn.reporting.figures import GROUP_COLOURS, save_figures
from mlgcn.reporting.graph_figures import (
    LESS,
    MORE,
    comparison_figure,
    label_distribution_figure,
    labels_per_image_figure,
    sampling_figure,
    threshold_figure,
)


def labels(ticks):
    return [label.get_text().replace(r"\$", "$") for label in ticks]


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_bars_are_the_images_of_each_label_from_head_to_tail_in_the_colours_of_the_groups(label_graph_of):
    cooc, groups, values = label_graph_of(9)
    (axis,) = label_distribution_figure(cooc, groups).axes
    images = sorted(
        ((int(column.sum()), name) for column, name in zip(values.T, cooc.names, strict=True)), reverse=True
    )
    assert [bar.get_width() for bar in axis.patches] == [count for count, _ in images]
    assert texts(axis) == [f"{count:,}" for count, _ in images] and axis.get_xscale() == "log"
    for bar, name in zip(axis.patches, labels(axis.get_yticklabels()), strict=True):
        group = next(group for group, names in groups.items() if name in names)
        assert mpl.colors.same_color(bar.get_facecolor(), GROUP_COLOURS[group])


def test_beside_it_stand_the_images_by_their_number_of_labels(label_graph_of):
    cooc, groups, values = label_graph_of(9)
    _, axis = label_distribution_figure(cooc, groups, cooc.labels_per_image).axes
    numbers = values.sum(axis=1)
    assert [bar.get_height() for bar in axis.patches] == [np.sum(numbers == n) for n in range(int(numbers.max()) + 1)]
    assert axis.get_xlabel() == f"labels of an image (mean {numbers.mean():.2f})"


def test_the_labels_of_an_image_have_a_figure_of_their_own(label_graph_of):
    cooc, _, values = label_graph_of(8)
    (axis,) = labels_per_image_figure(cooc.labels_per_image).axes
    assert [bar.get_height() for bar in axis.patches] == np.bincount(values.sum(axis=1).astype(int)).tolist()


def test_shares_stand_over_the_bars_unless_there_are_many(label_graph_of):
    cooc, groups, _ = label_graph_of(3)
    assert texts(label_distribution_figure(cooc, groups, [996, 3000, 4, 0]).axes[1]) == ["25%", "75%", "<1%", ""]
    assert texts(label_distribution_figure(cooc, groups, [1] * 15).axes[1]) == []


def test_many_labels_are_an_area_without_names(label_graph_of):
    cooc, groups, _ = label_graph_of(70)
    (axis,) = label_distribution_figure(cooc, groups).axes
    assert axis.get_ylabel() == "70 labels from head to tail" and not axis.get_yticklabels() and not texts(axis)
    outline = np.vstack([area.get_paths()[0].vertices for area in axis.collections])
    for place, count in enumerate(sorted(cooc.totals, reverse=True)):
        inside = outline[(outline[:, 1] > place - 0.6) & (outline[:, 1] < place + 0.6)]
        assert count in inside[:, 0]


THRESHOLDS = [0.0, 0.2, 0.4, 0.6]


def test_the_chosen_threshold_is_marked_with_its_numbers():
    figure = threshold_figure(pd.Series(THRESHOLDS, index=[7, 8, 9, 10]), [1182, 21, 2, 0], [0, 1, 11, 14], 0.41)
    left, right = figure.axes
    np.testing.assert_array_equal(left.lines[0].get_data(), [THRESHOLDS, [1182, 21, 2, 0]])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [0, 1, 11, 14])
    assert texts(left) == ["2 at 0.41"] and texts(right) == ["11 at 0.41"]
    assert np.ravel(left.lines[2].get_data()).tolist() == [0.4, 2] and left.lines[1].get_xdata() == [0.41, 0.41]


CHANGES = pd.DataFrame(
    [["a", "b", 0.1, 0.2], ["$c$", "a", 0.9, 0.2], ["b", "a", np.nan, 0.9], ["b", "c", 0.5, 0.5]],
    columns=["source", "target", "probability_a", "probability_b"],
    index=[1, 1, 1, 1],
)


def test_the_largest_shifts_come_first_with_a_ring_on_one_side_and_a_dot_on_the_other():
    figure = comparison_figure(CHANGES, "here", "there", most=2)
    (axis,) = figure.axes
    assert labels(axis.get_yticklabels()) == ["$c$ → a", "a → b"] and texts(axis) == ["−0.70", "+0.10"]
    np.testing.assert_array_equal(
        [mark.get_offsets()[0] for mark in axis.collections], [[0.9, 0], [0.2, 0], [0.1, 1], [0.2, 1]]
    )
    assert [line.get_color() for line in axis.lines] == [LESS, MORE]
    assert axis.get_xlabel() == "P(target | source) (the 2 largest of 3 shifts)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["here", "there", "more", "less"]


def test_two_graphs_without_anything_in_common_still_have_a_figure():
    assert not texts(comparison_figure(CHANGES[:0], "here", "there").axes[0])


def simulation(size, seed, **columns):
    rng = np.random.default_rng(seed)
    frame = {"images": rng.permutation(size) + 1, "expected": rng.uniform(size=size) * 99}
    frame |= {"mean": rng.uniform(size=size) * 99, "std": rng.uniform(size=size)}
    return pd.DataFrame(frame | columns, index=pd.Index([f"f{i}" for i in range(size)], name="label"))


def test_draws_stand_from_head_to_tail_with_their_deviation_for_each_sampler():
    first, second = simulation(5, 0), simulation(5, 1, expected=np.nan)[::-1]
    (axis,) = sampling_figure({"cycle": first, "random": second}, draws=1024).axes
    order = first["images"].sort_values(ascending=False).index
    assert labels(axis.get_xticklabels()) == list(order) and axis.get_ylabel() == "positives in 1,024 draws"
    points = {
        mark.get_label(): np.asarray(mark.get_offsets()) for mark in axis.collections if mark.get_label()[0] != "_"
    }
    for name, frame in (("cycle", first), ("random", second)):
        np.testing.assert_allclose(points[name][:, 1], frame.loc[order, "mean"])
        np.testing.assert_array_equal(np.round(points[name][:, 0]), np.arange(5))
    assert (points["cycle"][:, 0] < points["random"][:, 0]).all()
    bars = np.array(axis.collections[0].get_segments())[:, :, 1]
    mean, deviation = first.loc[order, "mean"], first.loc[order, "std"]
    np.testing.assert_allclose(bars, np.stack([np.maximum(mean - deviation, 0), mean + deviation], axis=1))


def test_a_single_repeat_has_no_deviation_and_many_labels_no_names():
    (axis,) = sampling_figure({"cycle": simulation(61, 0, std=np.nan)}).axes
    assert axis.get_xlabel() == "61 labels from head to tail" and not axis.get_xticklabels()
    bars = np.array(axis.collections[0].get_segments())[:, :, 1]
    np.testing.assert_array_equal(bars[:, 0], bars[:, 1])


@pytest.mark.parametrize("size", [2, 200])
def test_few_and_many_labels_are_drawn(label_graph_of, size, tmp_path):
    cooc, groups, _ = label_graph_of(size)
    figures = {
        "distribution": label_distribution_figure(cooc, groups, cooc.labels_per_image),
        "sampling": sampling_figure({"a": simulation(size, 0)}),
    }
    assert all(path.exists() for path in save_figures(figures, tmp_path).values())
