"""Splits: no patient in two parts, every part like the whole, official ones left as they are."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.data.sources.nih import read_nih
from mlgcn.data.splits import (
    check_patients,
    complete_split,
    fold_split,
    folds,
    part_names,
    recorded_split,
    save_split,
    shares,
    split_by_patient,
    split_report,
)
from mlgcn.labels import SPLITS, LabelTable

PARTS = dict(zip(SPLITS, (0.7, 0.1, 0.2), strict=True))


def table(images_of, prevalence=(0.4, 0.1), seed=0, unknown=0.0, split=""):
    """Patients with these numbers of images, their labels drawn with these prevalences."""
    rng = np.random.default_rng(seed)
    patient = np.repeat([f"p{number:03d}" for number in range(len(images_of))], images_of)
    values = (rng.random((len(patient), len(prevalence))) < prevalence).astype(float)
    values[rng.random(values.shape) < unknown] = np.nan
    names = [f"label-{share}" for share in prevalence]
    ids = [f"i{number}" for number in range(len(patient))]
    return LabelTable(values, names, image_id=ids, patient_id=patient, split=split)


def patients(split_table, name):
    return set(split_table.images.patient_id[split_table.images.split == name])


def assert_no_patient_in_two_parts(split_table):
    parts = [patients(split_table, name) for name in SPLITS]
    assert sum(map(len, parts)) == len(set.union(*parts)) == split_table.images.patient_id.nunique()


def assert_only_the_split_changed(after, before):
    assert after.names == before.names
    np.testing.assert_array_equal(after.values, before.values)
    assert after.images.drop(columns="split").equals(before.images.drop(columns="split"))


# By patient


@settings(max_examples=60)
@given(
    images_of=st.lists(st.integers(1, 8), min_size=10, max_size=60),
    seed=st.integers(0, 999),
    fractions=st.sampled_from([(0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (0.8, 0.2, 0), (0.8, 0, 0.2)]),
)
def test_no_patient_is_in_two_parts_and_each_part_has_its_share_of_patients(images_of, seed, fractions):
    whole = table(images_of, (0.5, 0.1, 0.02), seed, unknown=0.1)
    made = split_by_patient(whole, fractions, seed)
    assert_no_patient_in_two_parts(made)
    assert_only_the_split_changed(made, whole)
    for name, fraction in zip(SPLITS, fractions, strict=True):
        # Stratification weighs the labels against the share, which few patients cannot both meet.
        assert abs(len(patients(made, name)) - fraction * len(images_of)) <= 4
        assert (len(patients(made, name)) > 0) == (fraction > 0)


@pytest.mark.parametrize("seed", range(4))
def test_large_parts_have_their_shares_of_patients_and_of_every_labels_positives(seed):
    rng = np.random.default_rng(seed)
    whole = table(rng.integers(1, 6, size=500), (0.4, 0.1, 0.02), seed)
    made = split_by_patient(whole, seed=seed)
    positives = whole.positives
    for name, fraction in PARTS.items():
        assert abs(len(patients(made, name)) / 500 - fraction) < 0.02
        part = made.split(name).positives
        # Closer than a random division comes, whose standard deviation is sqrt(n f (1 - f)).
        assert (np.abs(part - fraction * positives) <= 1.5 * np.sqrt(positives * fraction * (1 - fraction))).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_label_of_twenty_patients_is_found_in_every_part(seed):
    # Each has it on one image only. At random, val would have none of them in 12 % of all divisions.
    images_of = np.full(400, 2)
    values = np.zeros((800, 2))
    values[np.random.default_rng(seed).choice(400, size=20, replace=False) * 2, 0] = 1
    values[:, 1] = np.arange(800) % 3 == 0
    made = split_by_patient(LabelTable(values, ["rare", "common"], **owners(images_of)), seed=seed)
    found = {name: made.split(name).positives[0] for name in SPLITS}
    assert abs(found["test"] - 4) <= 1 and abs(found["val"] - 2) <= 1 and abs(found["train"] - 14) <= 2


def owners(images_of):
    patient = np.repeat(np.arange(len(images_of)), images_of)
    return {"image_id": np.arange(len(patient)), "patient_id": patient}


def test_the_same_seed_divides_alike_and_another_seed_otherwise():
    whole = table([2] * 80)
    one, again, other = (split_by_patient(whole, seed=seed).images.split.tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_the_division_does_not_depend_on_the_order_of_the_images():
    whole = table([3] * 40)
    order = np.random.default_rng(0).permutation(len(whole))
    straight, mixed = split_by_patient(whole), split_by_patient(whole.take(order))
    assert mixed.images.set_index("image_id").split.to_dict() == straight.images.set_index("image_id").split.to_dict()


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (0, 0, 1), (0, 0.5, 0.5)])
def test_fractions_that_are_no_shares_are_refused(fractions):
    message = r"expected three shares, the first > 0, that add up to 1"
    with pytest.raises(ValueError, match=message):
        split_by_patient(table([1] * 20), fractions)
    official = table([1] * 20, split=["train"] * 15 + ["test"] * 5)
    with pytest.raises(ValueError, match=message):
        complete_split(official, fractions)


def test_fewer_than_10_patients_are_not_divided():
    with pytest.raises(ValueError, match="there are 9 patients, expected at least 10 to divide"):
        split_by_patient(table([4] * 9))


def test_ratios_are_shares_whatever_they_add_up_to():
    assert shares((7, 1, 2)) == pytest.approx((0.7, 0.1, 0.2)) and shares((1, 0, 3)) == (0.25, 0, 0.75)
    with_ratios = split_by_patient(table([2] * 60), shares((70, 10, 20)), seed=2)
    assert with_ratios.images.split.equals(split_by_patient(table([2] * 60), (0.7, 0.1, 0.2), seed=2).images.split)


@pytest.mark.parametrize("ratios", [(7, 3), (7, -1, 2), (0, 1, 1), (float("nan"), 1, 1), (1, float("inf"), 1)])
def test_ratios_that_are_none_are_refused(ratios):
    with pytest.raises(ValueError, match="expected three numbers >= 0 for train, val and test, the first > 0"):
        shares(ratios)


def test_the_whole_of_nih_keeps_every_labels_share_within_two_points(nih_table):
    whole = read_nih(nih_table)
    made = split_by_patient(whole, shares((7, 1, 2)))
    assert_no_patient_in_two_parts(made)
    for name, fraction in PARTS.items():
        part = made.split(name)
        assert abs(len(part) / len(whole) - fraction) < 0.01
        # At random, Hernia's share in val has a standard deviation of 2 points by itself: 227 images of few patients.
        assert (np.abs(part.positives / whole.positives - fraction) < 0.02).all()


# Views


def skewed_views(seed):
    """Patients with one to six images; of a few, all are lateral."""
    rng = np.random.default_rng(seed)
    images_of = rng.integers(1, 7, size=150)
    whole = table(images_of, (0.3, 0.1), seed)
    lateral = np.repeat(rng.random(150) < 0.12, images_of)
    whole.images["view"] = np.where(lateral, "lateral", "frontal")
    return whole


def test_dividing_by_view_brings_the_shares_of_views_closer_and_keeps_the_labels_close():
    def spread(by_view):
        of_views, of_labels = [], []
        for seed in range(8):
            whole = skewed_views(seed)
            made = split_by_patient(whole, seed=seed, by_view=by_view)
            for name, fraction in PARTS.items():
                part = made.split(name)
                of_views.append(
                    (part.images.view == "lateral").sum() / (whole.images.view == "lateral").sum() - fraction
                )
                of_labels += (part.positives / whole.positives - fraction).tolist()
        return np.abs(of_views).mean(), np.abs(of_labels).mean()

    (views, labels), (views_before, labels_before) = spread(True), spread(False)
    assert views < 0.6 * views_before
    assert labels < 1.3 * labels_before


def test_dividing_by_view_is_told_and_changes_nothing_else():
    whole = skewed_views(0)
    made, method = complete_split(whole, seed=1, by_view=True)
    assert made.images.split.equals(split_by_patient(whole, seed=1, by_view=True).images.split)
    assert method == "all patients divided 0.7:0.1:0.2 by iterative stratification over labels and views, seed 1"
    official = whole.with_split(["test"] * 30 + ["train"] * (len(whole) - 30))
    official = official.take(~official.images.patient_id.isin(official.images.patient_id[[29]]).to_numpy())
    assert complete_split(official, by_view=True)[1].endswith("of its training patients over labels and views, seed 0")


# Folds


@settings(max_examples=40)
@given(
    images_of=st.lists(st.integers(1, 6), min_size=30, max_size=80),
    count=st.integers(3, 10),
    seed=st.integers(0, 999),
)
def test_every_patient_is_in_one_fold_and_folds_are_about_as_large(images_of, count, seed):
    whole = table(images_of, (0.5, 0.1), seed, unknown=0.1)
    fold = folds(whole, count, seed)
    assert set(fold) == set(range(count))
    where = {patient: set(fold[whole.images.patient_id == patient]) for patient in whole.images.patient_id}
    assert all(len(found) == 1 for found in where.values())
    sizes = Counter(found.pop() for found in where.values())
    assert max(sizes.values()) - min(sizes.values()) <= 4
    assert (folds(whole, count, seed) == fold).all()


@pytest.mark.parametrize("by_view", [False, True])
def test_folds_have_their_share_of_every_labels_positives(by_view):
    rng = np.random.default_rng(1)
    whole = table(rng.integers(1, 6, size=600), (0.4, 0.1, 0.02), 1)
    fold = folds(whole, 5, 3, by_view)
    for number in range(5):
        part = (whole.values[fold == number] == 1).sum(axis=0)
        assert (np.abs(part - whole.positives / 5) <= 1.5 * np.sqrt(whole.positives * 0.2 * 0.8)).all()
    assert (fold != folds(whole, 5, 4, by_view)).any()


def test_each_fold_is_the_test_set_once_and_the_validation_set_once():
    whole = table([2] * 40)
    fold = folds(whole, 4)
    for number in range(4):
        made = fold_split(whole, fold, number)
        assert_only_the_split_changed(made, whole)
        assert_no_patient_in_two_parts(made)
        expected = ["test" if at == number else "val" if at == [1, 2, 3, 0][number] else "train" for at in fold]
        assert made.images.split.tolist() == expected
    with pytest.raises(ValueError, match="fold is 4, expected 0 to 3"):
        fold_split(whole, fold, 4)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (2, "there are to be 2 folds, expected at least 3"),
        (13, "there are 12 patients, expected at least 13 to divide"),
    ],
)
def test_folds_that_cannot_be_are_refused(count, message):
    with pytest.raises(ValueError, match=message):
        folds(table([2] * 12), count)


# As the source has it


def test_a_table_without_a_split_is_divided_by_patient():
    whole = table([2] * 60)
    made, method = complete_split(whole, (0.6, 0.2, 0.2), seed=3)
    assert made.images.split.equals(split_by_patient(whole, (0.6, 0.2, 0.2), seed=3).images.split)
    assert method == "all patients divided 0.6:0.2:0.2 by iterative stratification, seed 3"


def test_an_official_split_stays_as_it_is():
    given_split = (["train"] * 3 + ["val"] + ["test"] * 2) * 5
    made, method = complete_split(table([1] * 30, split=given_split))
    assert made.images.split.tolist() == given_split
    assert method == "the source's own"


def test_validation_patients_come_from_training_where_the_source_has_none():
    given_split = ["train"] * 160 + ["test"] * 40  # 80 and 20 patients
    official = table([2] * 100, split=given_split)
    made, method = complete_split(official, (0.7, 0.1, 0.2), seed=4)
    assert_no_patient_in_two_parts(made)
    assert_only_the_split_changed(made, official)
    assert patients(made, "test") == patients(official, "test")
    # 0.1 of 0.8 is left of the patients' shares once test is taken.
    assert abs(len(patients(made, "val")) - 80 / 8) <= 2
    assert method == "the source's own, val: 0.125 of its training patients, seed 4"


def test_a_patient_in_two_parts_is_named():
    leaking = table([3] * 20, split=(["train"] * 3 + ["test"] * 3) * 10)
    leaking = leaking.with_split(["test", *leaking.images.split[1:58], "train", "train"])
    for check in (check_patients, complete_split):
        with pytest.raises(ValueError, match=r"2 patients are in more than one split, the first \['p000', 'p019'\]"):
            check(leaking)


def test_one_patient_in_many_images_of_one_part_is_no_leak():
    check_patients(table([5] * 4, split=["train"] * 10 + ["test"] * 10))


def test_images_without_a_split_among_others_that_have_one_are_counted():
    some = table([1] * 12, split=["train"] * 7 + [""] * 3 + ["test"] * 2)
    with pytest.raises(ValueError, match="3 of 12 images have no split while others have one"):
        complete_split(some)


@pytest.mark.parametrize(
    ("given_split", "parts", "said"),
    [
        (["train"], {"train": 84, "val": 12, "test": 24}, "val: 0.1 and test: 0.2 of its training patients"),
        (["train", "val"], {"train": 47, "val": 60, "test": 13}, "test: 0.222 of its training patients"),
    ],
)
def test_parts_that_a_split_lacks_come_from_its_training_patients(given_split, parts, said):
    given = table([1] * 120, split=given_split * (120 // len(given_split)))
    made, method = complete_split(given)
    counts = Counter(made.images.split)  # to within what stratification by whole patients leaves open
    assert all(abs(counts[part] - number) <= 4 for part, number in parts.items())
    assert said in method and "the source's own" in method
    assert_only_the_split_changed(made, given)
    kept = given.images.split != "train"
    assert made.images.split[kept].equals(given.images.split[kept])


def test_a_part_of_which_no_label_is_known_is_left_out_and_taken_anew():
    given = table([1] * 120, split=["train"] * 80 + ["val"] * 20 + ["test"] * 20)
    values = given.values.copy()
    values[80:100] = np.nan
    given = LabelTable(values, given.names, **{column: given.images[column].tolist() for column in given.images})
    made, method = complete_split(given)
    counts = Counter(made.images.split)
    assert counts["test"] == 20 and counts["train"] + counts["val"] == 80 and abs(counts["val"] - 10) <= 3
    assert method.endswith("; val, of which no label is known, is left out")
    assert set(made.images.image_id) == {f"i{n}" for n in [*range(80), *range(100, 120)]}


def test_a_split_without_training_images_is_refused():
    with pytest.raises(ValueError, match=r"the table has the splits \['test', 'val'\], expected train among them"):
        complete_split(table([1] * 12, split=["val", "test"] * 6))


# The report


def test_the_report_counts_what_is_there():
    made = split_by_patient(table([3] * 60, (0.4, 0.1, 0.05), unknown=0.2))
    report = json.loads(json.dumps(split_report(made, "as I like")))
    assert report["method"] == "as I like" and list(report["parts"]) == list(SPLITS)
    for name, part in report["parts"].items():
        positives, known = Counter(), Counter()
        rows = [row for row in range(len(made)) if made.images.split[row] == name]
        for row in rows:
            for label, value in zip(made.names, made.values[row], strict=True):
                known[label] += value == value
                positives[label] += value == 1
        assert part["images"] == len(rows)
        assert part["patients"] == len({made.images.patient_id[row] for row in rows})
        assert part["positives"] == dict(positives) and part["known"] == dict(known)


def report_of(values, split, **columns):
    names = ["Mass", "Hernia", "Edema"]
    return split_report(LabelTable(np.array(values), names, image_id=range(len(split)), split=split, **columns), "")


def test_a_label_without_positive_in_a_part_is_warned_of():
    values = [[1, 0, 0], [1, 1, 1], [0, 1, np.nan]]
    report = report_of(values, ["train", "val", "test"], patient_id=["a", "b", "c"])
    assert report["warnings"] == [
        "no positive in train: Hernia, Edema; they cannot be learned",
        "no positive in test: Mass, Edema; their metrics are undefined",
    ]


def test_the_report_is_of_the_parts_that_there_are_or_that_are_named():
    values = [[1, 0, 0], [1, 1, 1], [0, 1, np.nan], [1, 1, 1]]
    report = report_of(values, ["train", "", "test", "train"], patient_id=["a", "b", "c", "d"])
    assert list(report["parts"]) == ["train", "test"] and "1 of 4 images are in no part" in report["warnings"]
    whole = LabelTable(
        np.array(values), ["Mass", "Hernia", "Edema"], image_id=range(4), patient_id=["a", "b", "c", "d"]
    )
    named = split_report(whole, "", ["fold 1", "fold 0", "fold 0", ""])
    assert {name: part["images"] for name, part in named["parts"].items()} == {"fold 0": 2, "fold 1": 1}
    assert named["parts"]["fold 0"]["positives"] == {"Mass": 1, "Hernia": 2, "Edema": 1}
    assert named["warnings"][0] == "no positive in fold 1: Hernia, Edema; their metrics are undefined"
    assert part_names(["fold 1", "test", "", "train", "fold 0", "train"]) == ["train", "test", "fold 0", "fold 1"]


def test_a_table_without_patients_is_warned_of():
    ones = np.ones((3, 3))
    (warning,) = report_of(ones, list(SPLITS))["warnings"]
    assert "no patient is given" in warning and "parts may share patients" in warning
    assert report_of(ones, list(SPLITS), patient_id=["a", "b", "c"])["warnings"] == []


def test_a_recorded_split_decides_and_other_images_or_patients_are_refused(tmp_path):
    table = LabelTable(
        np.zeros((3, 1)), ["A"], image_id=["a", "b", "c"], patient_id=["1", "1", "2"], split=["train", "train", "test"]
    )
    save_split(table, tmp_path / "split.csv")
    assert recorded_split(table.with_split([""] * 3), tmp_path / "split.csv").images.split.tolist() == [
        "train",
        "train",
        "test",
    ]
    with pytest.raises(ValueError, match=r"only one side has \['c'\]; it has 1 images more"):
        recorded_split(table.take(np.array([0, 1])), tmp_path / "split.csv")
    save_split(table.take(np.array([1])), tmp_path / "small.csv")
    with pytest.raises(ValueError, match=r"small.csv: only one side has \['a', 'c'\]; the data have 2 images more"):
        recorded_split(table, tmp_path / "small.csv")
    moved = LabelTable(table.values, ["A"], image_id=["a", "b", "c"], patient_id=["1", "2", "2"])
    with pytest.raises(ValueError, match="image 'b' belongs to another patient"):
        recorded_split(moved, tmp_path / "split.csv")


def test_rows_of_images_that_the_data_lack_may_be_left_out_and_are_counted(tmp_path, caplog):
    table = LabelTable(np.zeros((3, 1)), ["A"], image_id=["a", "b", "c"], split=["train", "val", "test"])
    save_split(table, tmp_path / "split.csv")
    part = table.with_split([""] * 3).take(np.array([2, 0]))
    with caplog.at_level("WARNING"):
        given = recorded_split(part, tmp_path / "split.csv", surplus=True)
    assert given.images.split.tolist() == ["test", "train"]
    assert "split.csv: 1 of 3 rows are of images that the data do not have" in caplog.text
    save_split(part.with_split(["train"] * 2), tmp_path / "small.csv")
    with pytest.raises(ValueError, match=r"small.csv: only one side has \['b'\]; the data have 1 images more"):
        recorded_split(table, tmp_path / "small.csv", surplus=True)


def test_a_split_of_ones_own_needs_no_patients_but_train_val_or_test_for_every_image_once(tmp_path):
    table = LabelTable(np.zeros((2, 1)), ["A"], image_id=["a", "b"], patient_id=["1", "1"])

    def given(text):
        (tmp_path / "own.csv").write_text(text)
        return recorded_split(table, tmp_path / "own.csv")

    assert given("split,image_id\nval,b\ntrain,a\n").images.split.tolist() == ["train", "val"]
    for text, message in (
        ("image_id,split\na,train\nb,test\na,val\n", "own.csv: image 'a' is there more than once"),
        (
            "image_id,split\na,train\nb,dev\n",
            r"own.csv: column 'split' holds \['dev'\], expected \['train', 'val', 'te",
        ),
        ("image_id,split\na,train\nb,\n", r"own.csv: column 'split' holds \[''\]"),
        ("image_id,part\na,train\nb,\n", r"own.csv: lacks the columns \['split'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            given(text)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        recorded_split(table, tmp_path / "nowhere.csv")
