"""The table of labels: what it takes in, what it refuses, and the groups of frequent and rare labels."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.labels import GROUPS, LabelTable, check_same_labels, describe_rule, label_groups, middle_labels

NAN = float("nan")
VALUES = [[1, 0, NAN], [0, 1, 1], [NAN, 0, 0], [1, 1, 0]]
IDS = ["w", "x", "y", "z"]


def table(values=VALUES, names=("a", "b", "c"), **columns):
    return LabelTable(np.array(values), names, **{"image_id": IDS, **columns})


def counted(positives, images):
    """A table of fully known labels with these numbers of positives."""
    values = np.arange(images)[:, None] < np.array(positives)
    return LabelTable(values, [f"n{count}-{i}" for i, count in enumerate(positives)], image_id=range(images))


# What it takes in


def test_values_are_a_read_only_float32_copy():
    given_values = np.array(VALUES)
    made = LabelTable(given_values, ["a", "b", "c"], image_id=IDS)
    given_values[:] = 0
    np.testing.assert_array_equal(made.values, np.array(VALUES))
    assert made.values.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        made.values[0, 0] = 1


def test_an_image_stands_for_its_own_patient_study_and_path_where_none_is_given():
    images = table().images
    for column in ("image_id", "path", "patient_id", "study_id"):
        assert images[column].tolist() == IDS
    assert set(images.view) == {"unknown"} and set(images.split) == {""}


def test_identifiers_become_text():
    made = table(image_id=[1, 2, 3, 4], patient_id=np.array([7, 7, 8, 9]), study_id=pd.Series(["01", "02", "03", "04"]))
    assert made.images.image_id.tolist() == ["1", "2", "3", "4"]
    assert made.images.patient_id.tolist() == ["7", "7", "8", "9"]
    assert made.images.study_id.tolist() == ["01", "02", "03", "04"]


def test_one_view_or_split_holds_for_all_images():
    made = table(view="lateral", split="test")
    assert made.images.view.tolist() == ["lateral"] * 4 and made.images.split.tolist() == ["test"] * 4


def test_names_come_from_the_columns_of_a_data_frame():
    frame = pd.DataFrame(VALUES, columns=["a", "b", "c"])
    assert LabelTable(frame, image_id=IDS).names == ("a", "b", "c")
    with pytest.raises(ValueError, match="names are needed where values are not a data frame"):
        LabelTable(frame.to_numpy(), image_id=IDS)


def test_columns_of_a_data_frame_are_selected_by_name_not_by_position():
    frame = pd.DataFrame(VALUES, columns=["a", "b", "c"])
    made = LabelTable(frame, ["c", "a", "b"], image_id=IDS)
    np.testing.assert_array_equal(made.values, np.array(VALUES)[:, [2, 0, 1]])
    with pytest.raises(ValueError, match=r"lacks \['d'\] and has the unexpected \['b', 'c'\]"):
        LabelTable(frame, ["a", "d"], image_id=IDS)


# What it refuses


@pytest.mark.parametrize("wrong", [2, -1, 0.5, np.inf])
def test_a_value_outside_0_1_nan_is_named_with_label_and_image(wrong):
    values = np.array(VALUES)
    values[2, 1] = wrong
    with pytest.raises(ValueError, match=f"label 'b' of image 'y' is {float(wrong)}, expected 0, 1 or NaN"):
        table(values)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"names": ["a", "b", "a"]}, r"label names repeat: \['a'\]"),
        ({"image_id": ["w", "x", "y", "x"]}, r"image ids repeat: \['x'\]"),
        ({"image_id": ["w", "", "y", "z"]}, "image_id is empty in row 1"),
        ({"patient_id": ["w", "x", "", "z"]}, "patient_id is empty in row 2"),
        ({"patient_id": ["w", "x", "y", None]}, "patient_id is empty in row 3"),
        ({"study_id": [NAN, "x", "y", "z"]}, "study_id is empty in row 0"),
        ({"path": ["w", "x"]}, "path has 2 entries, expected one for each of 4 images"),
        ({"patient_id": ["w"]}, "patient_id has 1 entries, expected one for each of 4 images"),
        ({"view": ["frontal"] * 5}, "view has 5 entries, expected one for each of 4 images"),
        ({"view": ["PA", "frontal", "AP", "PA"]}, r"view holds \['AP', 'PA'\], expected one of \['frontal', 'lateral'"),
        ({"split": "valid"}, r"split holds \['valid'\], expected one of \['', 'train', 'val', 'test'\]"),
        ({"names": ["a", "b"]}, r"values have shape \(4, 3\), expected \(4 images, 2 labels\)"),
        ({"image_id": ["w", "x"]}, r"values have shape \(4, 3\), expected \(2 images, 3 labels\)"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        table(**columns)


# Counting


@settings(max_examples=30)
@given(data=st.data())
def test_positives_known_and_prevalence_equal_counting_one_by_one(data):
    images, labels = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 4))
    cells = data.draw(st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=images * labels, max_size=images * labels))
    values = np.array(cells).reshape(images, labels)
    made = LabelTable(values, [str(i) for i in range(labels)], image_id=range(images))
    for label in range(labels):
        known = [value for value in values[:, label] if value == value]
        ones = sum(value == 1 for value in known)
        assert made.positives[label] == ones and made.known[label] == len(known)
        assert made.prevalence[label] == ones / len(known) if known else np.isnan(made.prevalence[label])
    assert made.positives.dtype == made.known.dtype == np.int64


# Parts and orders


def full():
    return table(
        path=["/w", "/x", "/y", "/z"],
        patient_id=["p", "p", "q", "r"],
        study_id=["s", "t", "u", "v"],
        view=["frontal", "lateral", "frontal", "unknown"],
        split=["train", "train", "test", "val"],
    )


def test_rows_taken_by_number_come_in_that_order_with_all_that_belongs_to_them():
    taken = full().take(np.array([3, 0]))
    np.testing.assert_array_equal(taken.values, np.array([VALUES[3], VALUES[0]]))
    assert taken.names == ("a", "b", "c")
    assert taken.images.to_dict("list") == {
        "image_id": ["z", "w"],
        "path": ["/z", "/w"],
        "patient_id": ["r", "p"],
        "study_id": ["v", "s"],
        "view": ["unknown", "frontal"],
        "split": ["val", "train"],
    }


def test_rows_taken_by_mask_keep_their_order():
    mask = np.array([False, True, False, True])
    taken = full().take(mask)
    assert taken.images.image_id.tolist() == ["x", "z"]
    np.testing.assert_array_equal(taken.values, np.array(VALUES)[[1, 3]])
    # A table taken from a table counts its rows anew.
    assert taken.take(np.array([1])).images.image_id.tolist() == ["z"]
    assert len(full().take(np.zeros(4, bool))) == 0


def test_rows_that_the_table_does_not_have_are_refused():
    with pytest.raises(IndexError, match="out-of-bounds"):
        full().take(np.array([4]))
    with pytest.raises(IndexError, match="wrong length: 2 instead of 4"):
        full().take(np.array([True, False]))
    with pytest.raises(ValueError, match=r"image ids repeat: \['x'\]"):
        full().take(np.array([1, 1]))


def test_a_split_is_its_rows():
    assert full().split("train").images.image_id.tolist() == ["w", "x"]
    assert full().split("val").images.image_id.tolist() == ["z"]
    assert len(full().split("all")) == 4


def test_an_unknown_or_empty_split_is_refused():
    with pytest.raises(ValueError, match=r"split is 'valid', expected one of \['train', 'val', 'test', 'all'\]"):
        full().split("valid")
    with pytest.raises(ValueError, match=r"the val split is empty; the table has \{'train': 4\}"):
        table(split="train").split("val")


def test_another_split_changes_nothing_else():
    before = full()
    after = before.with_split(["test", "val", "train", "train"])
    assert after.images.split.tolist() == ["test", "val", "train", "train"]
    assert before.images.split.tolist() == ["train", "train", "test", "val"]
    pd.testing.assert_frame_equal(after.images.drop(columns="split"), before.images.drop(columns="split"))
    np.testing.assert_array_equal(after.values, before.values)
    with pytest.raises(ValueError, match="split has 1 entries, expected one for each of 4 images"):
        before.with_split(["train"])


def test_values_follow_their_names_when_labels_are_reordered():
    after = full().reordered(["c", "a", "b"])
    assert after.names == ("c", "a", "b")
    for name in "abc":
        np.testing.assert_array_equal(after.values[:, after.names.index(name)], np.array(VALUES)[:, "abc".index(name)])
    pd.testing.assert_frame_equal(after.images, full().images)


def test_reordering_to_other_labels_names_the_difference():
    with pytest.raises(ValueError, match=r"expected: lacks \['d'\] and has the unexpected \['b'\]"):
        full().reordered(["a", "c", "d"])
    with pytest.raises(ValueError, match=r"expected: lacks \['d'\]$"):
        full().reordered(["a", "b", "c", "d"])
    with pytest.raises(ValueError, match=r"expected: has the unexpected \['a', 'b'\]$"):
        full().reordered(["c"])


def test_the_same_labels_in_another_order_are_the_same():
    check_same_labels(["a", "b"], ["b", "a"])


# Groups


def test_a_label_at_exactly_10_or_1_percent_is_medium():
    groups = label_groups(counted([101, 100, 99, 11, 10, 9, 0], 1000))
    assert groups == {"head": ["n101-0"], "medium": ["n100-1", "n99-2", "n11-3", "n10-4"], "tail": ["n9-5", "n0-6"]}


@settings(max_examples=60)
@given(images=st.sampled_from([30, 70, 100, 300, 700]), percent=st.sampled_from([1, 10]), beyond=st.integers(-2, 2))
def test_groups_by_prevalence_equal_those_of_exact_fractions(images, percent, beyond):
    positives = max(0, images * percent // 100 + beyond)
    share = Fraction(positives, images)
    expected = "head" if share > Fraction(1, 10) else "medium" if share >= Fraction(1, 100) else "tail"
    assert label_groups(counted([positives], images))[expected] == [f"n{positives}-0"]


def test_prevalence_is_the_share_among_images_whose_label_is_known():
    values = np.full((100, 3), np.nan)
    values[:20, 0] = [1] * 3 + [0] * 17  # 3 % of the images, 15 % of the known
    values[:, 1] = [1] * 3 + [0] * 97
    groups = label_groups(LabelTable(values, ["partly", "fully", "never"], image_id=range(100)))
    assert groups == {"head": ["partly"], "medium": ["fully"], "tail": ["never"]}


def test_members_of_a_group_come_from_frequent_to_rare_and_ties_in_the_order_of_the_table():
    groups = label_groups(counted([20, 40, 30, 40], 100))
    assert groups["head"] == ["n40-1", "n40-3", "n30-2", "n20-0"]


def test_groups_by_rank_are_the_9_most_and_the_9_least_frequent():
    positives = np.random.default_rng(0).permutation(20) + 1
    groups = label_groups(counted(positives, 100), "rank")
    ranked = [f"n{count}-{positives.tolist().index(count)}" for count in range(20, 0, -1)]
    assert groups == {"head": ranked[:9], "medium": ranked[9:11], "tail": ranked[11:]}
    assert label_groups(counted(range(1, 19), 100), "rank")["medium"] == []


def test_groups_by_rank_need_18_labels():
    with pytest.raises(ValueError, match="rule 'rank' needs at least 18 labels, got 17"):
        label_groups(counted(range(17), 100), "rank")


def test_given_groups_are_taken_as_listed_from_frequent_to_rare():
    groups = label_groups(table(), "given", {"tail": ["c", "a"], "head": ["b"]})
    # a is positive in 2 of 3 known images, c in 1 of 3.
    assert groups == {"head": ["b"], "medium": [], "tail": ["a", "c"]}


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (
            {"heads": ["a", "b", "c"]},
            r"given groups are named \['heads'\], expected some of \['head', 'medium', 'tail'",
        ),
        ({"head": ["a", "b"]}, r"must hold every label exactly once; check \['c'\]"),
        ({"head": ["a", "b"], "tail": ["c", "d"]}, r"must hold every label exactly once; check \['d'\]"),
        ({"head": ["a", "b"], "tail": ["b", "c"]}, r"must hold every label exactly once; check \['b'\]"),
        (None, r"must hold every label exactly once; check \['a', 'b', 'c'\]"),
    ],
)
def test_given_groups_that_are_no_partition_are_refused(listed, message):
    with pytest.raises(ValueError, match=message):
        label_groups(table(), "given", listed)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=r"rule is 'size', expected one of \['prevalence', 'rank', 'given'\]"):
        label_groups(table(), "size")


@settings(max_examples=30)
@given(positives=st.lists(st.integers(0, 50), min_size=18, max_size=30), rule=st.sampled_from(["prevalence", "rank"]))
def test_every_label_is_in_exactly_one_group(positives, rule):
    made = counted(positives, 50)
    groups = label_groups(made, rule)
    assert tuple(groups) == GROUPS
    assert sorted(name for members in groups.values() for name in members) == sorted(made.names)


def test_middle_labels_stand_at_even_ranks_among_those_with_a_positive():
    groups = {"head": ["a", "b", "c", "d"], "medium": ["e"], "tail": ["f"]}
    positives = {"a": 90, "b": 80, "c": 70, "d": 60, "e": 5, "f": 0}
    assert middle_labels(groups, positives) == {"head": ["c"], "medium": ["e"]}
    assert middle_labels(groups, positives, 2) == {"head": ["b", "d"], "medium": ["e"]}
    assert middle_labels({"head": ["d", "a"]}, positives, 5) == {"head": ["a", "d"]}


def test_the_rule_in_words_says_its_borders():
    assert "> 10 %" in describe_rule("prevalence") and "< 1 %" in describe_rule("prevalence")
    assert "9 most frequent" in describe_rule("rank")
    assert "configuration" in describe_rule("given")


@given(seed=st.integers(0, 2**32 - 1))
def test_soft_labels_are_kept_but_neither_counted_nor_certain(seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([0, 1, np.nan, 0.25, 0.9], size=(7, 3)).astype(np.float32)
    table = LabelTable(values, ["a", "b", "c"], image_id=map(str, range(7)), soft=True)
    np.testing.assert_array_equal(table.values, values)
    certain = [[value if value in (0, 1) else np.nan for value in row] for row in values.tolist()]
    np.testing.assert_array_equal(table.certain, np.array(certain, dtype=np.float32))
    assert table.positives.tolist() == [sum(row[i] == 1 for row in certain) for i in range(3)]
    assert table.known.tolist() == [sum(row[i] in (0, 1) for row in certain) for i in range(3)]
    for other in (table.take([2, 0]), table.with_split(["train"] * 7), table.reordered(["c", "a", "b"])):
        assert other.soft
    np.testing.assert_array_equal(table.reordered(["c", "a", "b"]).values, values[:, [2, 0, 1]])


@pytest.mark.parametrize(
    ("soft", "value", "expected"), [(False, 0.5, "0, 1"), (True, 1.5, "0 to 1"), (True, -1, "0 to 1")]
)
def test_a_table_takes_soft_labels_only_where_it_is_told_to(soft, value, expected):
    with pytest.raises(ValueError, match=rf"label 'a' of image 'x' is {value}.*, expected {expected} or NaN"):
        LabelTable(np.array([[value]]), ["a"], image_id=["x"], soft=soft)
