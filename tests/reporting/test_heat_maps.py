import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers

from mlgcn.graph import cooccurrence
from mlgcn.metrics import label_confusion, multilabel_report
from mlgcn.predictions import Predictions
from mlgcn.reporting.heat_maps import (
    clustered,
    confused_labels,
    confusion_figure,
    confusion_remark,
    cooccurrence_figure,
    head_cooccurrence,
    head_cooccurrence_figure,
)
from mlgcn.reporting.tables import by_frequency

# Rare twice with Common, once of them with Odd; Never is never positive.
NAMES = ["Rare", "Never", "Common", "$Odd_1$"]
VALUES = np.array([[1, 0, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], *[[0, 0, 1, 0]] * 8])


def shown(figure):
    """What the cells hold, NaN where they are masked."""
    cells = figure.axes[0].collections[0].get_array()
    return np.ma.filled(cells.astype(float), np.nan)


def labels(ticks):
    return [label.get_text().replace(r"\$", "$") for label in ticks]


def test_the_heat_map_shows_shares_of_the_rows_label_from_frequent_to_rare():
    axis = (figure := cooccurrence_figure(cooccurrence(VALUES, NAMES))).axes[0]
    nan = np.nan
    expected = [[nan, 2 / 10, 1 / 10, 0], [2 / 4, nan, 1 / 4, 0], [1, 1, nan, 0], [nan] * 4]
    np.testing.assert_allclose(shown(figure), expected)
    assert labels(axis.get_yticklabels()) == ["Common  10", "Rare  4", "$Odd_1$  1", "Never  0"]
    assert labels(axis.get_xticklabels()) == ["Common", "Rare", "$Odd_1$", "Never"]
    # Masked cells carry no text; below 1 % they are blank.
    assert [text.get_text() for text in axis.texts] == ["20", "10", "", "50", "25", "", "100", "100", ""]


def test_counts_are_drawn_on_a_logarithmic_scale_with_0_left_white():
    figure = cooccurrence_figure(cooccurrence(VALUES, NAMES), kind="counts")
    colours = figure.axes[0].collections[0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["2", "1", "", "2", "1", "", "1", "1", "", "", "", ""]
    assert colours.norm(10) - colours.norm(1) == pytest.approx(1)
    np.testing.assert_array_equal(colours.to_rgba(0.5)[:3], (1, 1, 1))
    assert colours.to_rgba(1)[0] < 1


def test_large_counts_are_written_short():
    values = np.ones((12_345, 2))
    values[:1000, 0], values[1000:1444, 1] = 0, 0
    figure = cooccurrence_figure(cooccurrence(values), kind="counts")
    assert [text.get_text() for text in figure.axes[0].texts] == ["11k", "11k"]
    figure = cooccurrence_figure(cooccurrence(np.ones((1234, 2))), kind="counts")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.2k", "1.2k"]


@given(seed=integers(0, 99))
@settings(max_examples=20)
def test_clustering_puts_labels_that_come_together_side_by_side(seed):
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(np.repeat([0, 1, 2], 3))
    values = (rng.integers(3, size=400)[:, None] == cluster) & (rng.uniform(size=(400, 9)) < 0.8)
    values |= rng.uniform(size=values.shape) < 0.02
    order = clustered(cooccurrence(values))
    assert sorted(order) == list(range(9))
    assert np.count_nonzero(np.diff(cluster[order])) == 2


def test_the_tree_stands_over_the_columns_in_their_order(label_graph_of):
    cooc, _, _ = label_graph_of(9)
    figure = cooccurrence_figure(cooc, order="clustering")
    assert labels(figure.axes[0].get_xticklabels()) == [cooc.names[i] for i in clustered(cooc)]
    (tree,) = figure.axes[0].child_axes
    joints = tree.collections[0].get_segments()
    assert len(joints) == 8 and tree.get_xlim() == (0, 9)
    # The two legs of a joint; those that end at the bottom stand in the middle of a cell.
    legs = [leg for joint in joints for leg in (joint[0], joint[-1])]
    assert sorted(x for x, y in legs if y == 0) == pytest.approx(np.arange(9) + 0.5)


def test_many_labels_are_drawn_without_names_or_numbers(label_graph_of):
    figure = cooccurrence_figure(label_graph_of(61)[0])
    axis = figure.axes[0]
    assert shown(figure).shape == (61, 61) and not axis.texts and not axis.get_xticklabels()
    assert axis.get_xlabel() == axis.get_ylabel() == "61 labels"


def test_head_columns_are_the_shares_of_their_pairs(label_graph_of):
    names = ["No Finding", *(f"f{i}" for i in range(8))]
    cooc, groups, values = label_graph_of(9, names=names)
    groups["head"] = list(dict.fromkeys(["No Finding", *groups["head"]]))
    figure = head_cooccurrence_figure(head_cooccurrence(cooc, groups))
    order = [i for i in np.argsort(-values.sum(axis=0), kind="stable") if names[i] != "No Finding"]
    heads = [i for i in order if names[i] in groups["head"]]
    assert labels(figure.axes[0].get_xticklabels()) == [names[i] for i in heads]
    assert labels(figure.axes[0].get_yticklabels()) == [names[i] for i in order]
    for column, i in enumerate(heads):
        pairs = [np.nan if j == i else sum(row[i] * row[j] for row in values) for j in order]
        everything = sum(sum(row[i] * row[j] for row in values) for j in order if j != i)
        np.testing.assert_allclose(shown(figure)[:, column], np.array(pairs) / everything)
        assert np.nansum(shown(figure)[:, column]) == pytest.approx(1)


def test_without_a_head_label_there_is_nothing_to_draw(label_graph_of):
    cooc, groups, _ = label_graph_of(4, names=["No Finding", "a", "b", "c"])
    for none in (groups | {"head": ["No Finding"]}, {"lung": ["a", "b", "c"]}):
        shares = head_cooccurrence(cooc, none)
        assert shares.shape == (3, 0)
        with pytest.raises(ValueError, match="no head label to draw"):
            head_cooccurrence_figure(shares)


def test_a_head_label_that_comes_with_no_other_has_no_shares():
    shares = head_cooccurrence(cooccurrence(VALUES, NAMES), {"head": ["Common", "Never"]})
    assert list(shares) == ["Common", "Never"] and shares.Never.isna().all()
    np.testing.assert_allclose(shares.Common, [np.nan, 2 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"kind": "lift"}, "kind is 'lift', expected one of"), ({"order": "names"}, "order is 'names', expected one of")],
)
def test_unknown_kinds_and_orders_are_refused(label_graph_of, options, message):
    with pytest.raises(ValueError, match=message):
        cooccurrence_figure(label_graph_of(3)[0], **options)


@pytest.mark.parametrize("kind", ["counts", "conditional"])
@pytest.mark.parametrize("order", ["frequency", "clustering"])
def test_one_label_two_labels_and_labels_never_positive_are_drawn(kind, order):
    for values in (np.ones((2, 1)), np.eye(2), np.zeros((3, 3)), np.array([[1, np.nan], [np.nan, np.nan]])):
        cooccurrence_figure(cooccurrence(values), kind, order).draw_without_rendering()


def test_what_a_present_label_adds_to_the_calls_of_an_absent_one_is_shown_signed(evaluated):
    predictions, report = evaluated(5)
    confusion = confused_labels(predictions, report)
    names = by_frequency(report)
    assert len(confusion) == 20 and list(dict.fromkeys(confusion.present)) == names
    with_it, without, images = label_confusion(predictions.scores, predictions.targets, 0.5)
    expected = np.full((5, 5), np.nan)
    for row in confusion.itertuples():
        at = predictions.names.index(row.present), predictions.names.index(row.label)
        assert row.images == images[at]
        if row.images >= 10:
            assert row.difference == pytest.approx(with_it[at] - without[at])
            expected[names.index(row.present), names.index(row.label)] = row.difference
    assert 0 < np.isnan(expected).sum() - 5 < 20  # some pairs rest on too few images
    figure = confusion_figure(confusion)
    np.testing.assert_allclose(shown(figure), expected)
    assert labels(figure.axes[0].get_yticklabels()) == names == labels(figure.axes[0].get_xticklabels())
    written = [text.get_text() for text in figure.axes[0].texts]
    told = expected[~np.isnan(expected)]
    assert written == [f"{100 * value:+.0f}" if abs(value) >= 0.01 else "" for value in told]
    colours = figure.axes[0].collections[0]
    np.testing.assert_allclose(colours.to_rgba(0)[:3], (1, 1, 1), atol=0.01)


def test_pairs_are_named_only_where_chance_does_not_explain_them(evaluated):
    predictions, report = evaluated(5)
    confusion = confused_labels(predictions, report)
    confusion[["rate", "rate_without", "difference", "images"]] = [0.2, 0.2, 0.0, 100]
    assert confusion_remark(confusion) == ""
    few, many = confusion.index[3], confusion.index[7]
    columns = ["rate", "rate_without", "difference", "images"]
    confusion.loc[few, columns], confusion.loc[many, columns] = [0.3, 0.1, 0.2, 10], [0.3, 0.1, 0.2, 1000]
    pair = confusion.loc[many]
    assert confusion_remark(confusion) == (
        f"Most often called for another: {pair.label} in 30% of the 1,000 images with {pair.present} but without it, "
        "against 10% with neither."
    )


def test_none_of_many_pairs_is_named_where_all_are_independent():
    rng = np.random.default_rng(3)
    targets, scores = (rng.uniform(size=(1500, 26)) < 0.2).astype(float), rng.uniform(size=(1500, 26))
    names = [f"Finding {place}" for place in range(26)]
    images = pd.DataFrame({column: np.arange(1500).astype(str) for column in ("image_id", "patient_id", "study_id")})
    predictions = Predictions(images.assign(view="frontal"), names, scores, targets)
    groups = {"head": names, "medium": [], "tail": []}
    report = multilabel_report(scores, targets, names, groups, "", 0.9)
    assert confusion_remark(confused_labels(predictions, report)) == ""


@pytest.mark.parametrize(("size", "drawn"), [(1, 0), (2, 2), (40, 30)])
def test_the_30_most_frequent_labels_are_compared(evaluated, size, drawn):
    assert confused_labels(*evaluated(size)).present.nunique() == drawn
