import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlgcn.metrics import average_precision, bootstrap, holm, multilabel_report, paired_differences
from mlgcn.metrics.bootstrap import METHODS
from mlgcn.metrics.compare import correct_together, entries_of, two_sided_p

NAMES = ["Opacity", "Edema", "Hernia", "Mass"]
GROUPS = {"head": ["Opacity"], "medium": ["Edema", "Mass"], "tail": ["Hernia"]}
METRICS = ["mAP", "mAUC", "mF1", "mBrier", "microAP", "CF1"]


def example(seed=0, images=60):
    """Scores of two models, targets and patients."""
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(images, 4)) < [0.5, 0.3, 0.1, 0.2]).astype(float)
    one, other = (np.clip(rng.normal(0.4 + shift * targets, 0.2), 0, 1).round(2) for shift in (0.1, 0.3))
    targets[rng.uniform(size=targets.shape) < 0.1] = np.nan
    return one, other, targets, rng.integers(0, images // 3, size=images)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(METHODS), st.booleans())
def test_a_model_and_itself_differ_by_exactly_0(seed, method, several):
    one, other, targets, patients = example(seed, 30)
    scores = np.stack([one, other]) if several else one
    found = paired_differences(
        METRICS, scores, scores.copy(), targets, NAMES, GROUPS, patients, 20, seed, method=method
    )
    for _, entry in entries_of(found):
        if entry["a"] is None:
            assert {entry[key] for key in ("b", "delta", "low", "high", "p", "p_holm")} == {None}
        else:
            assert entry["a"] == entry["b"]
            assert [entry[key] for key in ("delta", "low", "high", "p", "p_holm")] == [0, 0, 0, 1, 1]


def test_both_models_are_compared_in_the_same_resamples():
    one, other, targets, patients = example()

    def difference(scores, truth):
        values = average_precision(scores, truth)
        return np.append(values[:4] - values[4:], np.nanmean(values[:4]) - np.nanmean(values[4:]))

    # Both models side by side, as labels of one, draw the resamples of the comparison.
    expected = bootstrap(difference, np.hstack([one, other]), np.hstack([targets, targets]), patients, 200, 7)
    found = paired_differences(["mAP"], one, other, targets, NAMES, GROUPS, patients, 200, 7)
    places = [*(found["per_label"][name]["AP"] for name in NAMES), found["mAP"]]
    for k, place in enumerate(places):
        values = [place["delta"], place["low"], place["high"]]
        np.testing.assert_allclose(values, [expected.estimate[k], expected.low[k], expected.high[k]], atol=1e-12)
        column = expected.samples[~np.isnan(expected.samples[:, k]), k]
        p = 2 * (min(sum(column <= 0), sum(column >= 0)) + 1) / (len(column) + 1)
        assert place["p"] == pytest.approx(min(1, p))
        assert place["undefined_resamples"] == 200 - len(column)


def test_the_numbers_of_both_models_are_those_of_their_reports():
    one, other, targets, patients = example()
    thresholds = [0.5, 0.4, 0.6, 0.45]
    found = paired_differences(
        METRICS, one, other, targets, NAMES, GROUPS, patients, 10, thresholds_a=thresholds, thresholds_b=0.3
    )
    reports = [
        multilabel_report(scores, targets, NAMES, GROUPS, "a rule", threshold)
        for scores, threshold in ((one, thresholds), (other, 0.3))
    ]
    for pick in (
        lambda of: of["mF1"],
        lambda of: of["micro"]["AP"],
        lambda of: of["multilabel"]["CF1"],
        lambda of: of["groups"]["medium"]["mAUC"],
        lambda of: of["per_label"]["Hernia"]["Brier"],
    ):
        a, b = (pick(report) for report in reports)
        entry = pick(found)
        np.testing.assert_allclose([entry["a"], entry["b"], entry["delta"]], [a, b, a - b], rtol=0, atol=1e-12)


def test_a_better_model_is_found_better():
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(400, 4)) < 0.3).astype(float)
    bad, good = (1 / (1 + np.exp(-rng.normal(shift * targets))) for shift in (0.2, 2.0))
    found = paired_differences(["mAUC"], good, bad, targets, NAMES, GROUPS, resamples=199)
    entry = found["mAUC"]
    assert 0 < entry["low"] < entry["delta"] < entry["high"] and entry["p"] == entry["p_holm"] == 2 / 200
    label, group = found["per_label"]["Mass"]["AUC"], found["groups"]["tail"]["mAUC"]
    assert (label["p"], label["p_holm"]) == (2 / 200, pytest.approx(4 * 2 / 200))  # four labels
    assert (group["p"], group["p_holm"]) == (2 / 200, pytest.approx(3 * 2 / 200))  # three groups
    turned = paired_differences(["mAUC"], bad, good, targets, NAMES, GROUPS, resamples=199)["mAUC"]
    assert turned["delta"] == -entry["delta"] and turned["high"] < 0


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_permuting_the_patients_leaves_everything_as_it_is(seed):
    one, other, targets, patients = example(seed, 30)
    rng = np.random.default_rng(seed)
    order, renamed = rng.permutation(30), rng.permutation(30)[patients]
    found = paired_differences(METRICS, one, other, targets, NAMES, GROUPS, patients, 20)
    permuted = [part[order] for part in (one, other, targets)]
    assert paired_differences(METRICS, *permuted, NAMES, GROUPS, renamed[order], 20) == found
    json.dumps(found, allow_nan=False)


def test_sides_may_have_another_number_of_seeds_and_a_threshold_of_each():
    one, other, targets, patients = example()
    both = np.stack([one, other])
    thresholds = [[0.5] * 4, [0.3] * 4]
    found = paired_differences(
        ["mF1"], both, other, targets, NAMES, GROUPS, patients, 20, thresholds_a=thresholds, thresholds_b=0.3
    )
    single = [
        paired_differences(["mF1"], scores, other, targets, NAMES, GROUPS, None, 1, thresholds_a=threshold)["mF1"]["a"]
        for scores, threshold in ((one, 0.5), (other, 0.3))
    ]
    assert found["mF1"]["a"] == pytest.approx(np.mean(single)) and found["settings"]["seeds"] == [2, 1]


def test_an_undefined_label_counts_in_no_correction():
    one, other, targets, patients = example()
    targets[:, 2] = 0
    found = paired_differences(["mAP"], one, other, targets, NAMES, GROUPS, patients, 99)
    assert set(found["per_label"]["Hernia"]["AP"].values()) == {None, 99}
    assert found["groups"]["tail"]["mAP"]["delta"] is None
    smallest = min((found["per_label"][name]["AP"] for name in NAMES if name != "Hernia"), key=lambda one: one["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, 3 * smallest["p"]))


def test_comparisons_that_belong_together_are_corrected_together():
    one, other, targets, patients = example()
    found = [
        paired_differences(["mAP", "microAP"], one, scores, targets, NAMES, GROUPS, patients, 99)
        for scores in (other, one, (one + other) / 2)
    ]
    correct_together(found)
    for pick, expected in (
        (lambda of: [of["mAP"]], 3),
        (lambda of: [of["micro"]["AP"]], 3),
        (lambda of: [group["mAP"] for group in of["groups"].values()], 3 * 3),
        (lambda of: [label["AP"] for label in of["per_label"].values()], 3 * 4),
    ):
        family = [entry for comparison in found for entry in pick(comparison)]
        assert len(family) == expected
        np.testing.assert_array_equal([entry["p_holm"] for entry in family], holm([entry["p"] for entry in family]))


@given(arrays.arrays(np.float64, st.integers(0, 8), elements=st.floats(0, 1) | st.just(np.nan)), st.floats(0.001, 0.99))
def test_holm_rejects_what_his_procedure_rejects(p, alpha):
    rejected, ordered = set(), [k for k in np.argsort(p, kind="stable") if not np.isnan(p[k])]
    for step, k in enumerate(ordered):
        # His step i compares p with alpha / (K - i + 1) and ends at the first that is larger.
        if p[k] * (len(ordered) - step) > alpha:
            break
        rejected.add(int(k))
    corrected = holm(p)
    assert set(np.flatnonzero(corrected <= alpha).tolist()) == rejected
    np.testing.assert_array_equal(np.isnan(corrected), np.isnan(p))


def test_p_values_worked_out_by_hand():
    assert two_sided_p(np.array([1.0, 2, 3])) == 2 * 1 / 4
    assert two_sided_p(np.array([-1.0, 2, 3, np.nan, 4, 5, 6, 7])) == 2 * 3 / 9  # the undefined one on both sides
    assert two_sided_p(np.array([np.nan, np.nan, 2, 3, 4])) == 1
    assert two_sided_p(np.array([-1.0, 1.0])) == 1
    assert np.isnan(two_sided_p(np.array([np.nan])))


@pytest.mark.slow
def test_models_that_are_equally_good_seldom_differ():
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(250, 500)) < 0.4).astype(float)
    one, other = (1 / (1 + np.exp(-rng.normal(targets))) for _ in range(2))
    names = [str(label) for label in range(500)]  # each a simulation of its own
    found = paired_differences(["mAUC"], one, other, targets, names, {"all": names}, resamples=400)
    p = np.array([found["per_label"][name]["AUC"]["p"] for name in names])
    covered = [found["per_label"][name]["AUC"]["low"] <= 0 <= found["per_label"][name]["AUC"]["high"] for name in names]
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("positives", "most"), [(1, 0.0), (2, 0.0), (3, 0.05), (10, 0.12)])
def test_models_that_are_equally_good_seldom_differ_in_a_label_with_few_positives(positives, most):
    rng = np.random.default_rng(positives)
    targets = np.zeros((400, 200))
    for column in targets.T:  # each a simulation of its own
        column[rng.choice(400, positives, replace=False)] = 1
    one, other = (1 / (1 + np.exp(-rng.normal(1.5 * targets))) for _ in range(2))
    names = [str(label) for label in range(200)]
    found = paired_differences(["mAP", "mAUC"], one, other, targets, names, {"all": names}, resamples=400)
    for metric in ("AP", "AUC"):
        p = np.array([found["per_label"][name][metric]["p"] for name in names])
        # 0.05 is promised, and not quite kept with ten positives, as docs/comparing.md says.
        assert np.mean(p <= 0.05) <= most


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["AP"]}, "unknown metric over the labels 'AP'; did you mean 'mAP'"),
        ({"scores_b": np.zeros((30, 3))}, r"\(30, 3\) and targets \(30, 4\)"),
        ({"scores_b": np.full((30, 4), np.nan)}, r"scores\[0, 0\].* is nan"),
        ({"names": NAMES[:3]}, "3 names for 4 columns"),
        ({"groups": {"head": NAMES[:3]}}, r"lacks \['Mass'\]"),
        ({"clusters": ["a"] * 30}, "expected at least 2"),
        ({"thresholds_b": [0.5] * 3}, "thresholds have shape"),
        ({"resamples": 0}, "resamples must be >= 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, message):
    one, other, targets, patients = example(images=30)
    arguments = {"metrics": ["mAP"], "scores_a": one, "scores_b": other, "targets": targets, "names": NAMES}
    with pytest.raises(ValueError, match=message):
        paired_differences(**(arguments | {"groups": GROUPS, "clusters": patients, "resamples": 5} | changes))
