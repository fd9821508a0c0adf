import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgcn.metrics import (
    average_precision,
    balanced_accuracy,
    brier_score,
    expected_calibration_error,
    f1_score,
    micro_scores,
    multilabel_report,
    multilabel_scores,
    precision,
    precision_at_recall,
    recall_at_precision,
    reliability_curves,
    roc_auc,
    sensitivity,
    specificity,
    top_k_scores,
)

NAMES = ["Opacity", "Edema", "Hernia", "Pleural/Other"]
GROUPS = {"head": ["Opacity"], "medium": ["Edema", "Pleural/Other"], "tail": ["Hernia"]}


def example(seed=0, images=60):
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(images, 4)) < [0.5, 0.3, 0.05, 0.2]).astype(np.float32)
    targets[rng.uniform(size=targets.shape) < 0.2] = np.nan
    return rng.uniform(size=(images, 4)).astype(np.float32), targets


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_the_report_survives_json_and_holds_no_nan(seed, images):
    scores, targets = example(seed, images)
    views, sex = (np.resize(values, images) for values in (["frontal", "lateral"], ["f", "m", "unknown"]))
    report = multilabel_report(scores, targets, NAMES, GROUPS, "a rule", views=views, columns={"sex": sex})
    assert json.loads(json.dumps(report, allow_nan=False), parse_constant=refuse_constant) == report


def test_the_numbers_are_those_of_the_metrics():
    scores, targets = example()
    thresholds = [0.2, 0.4, 0.6, 0.8]
    report = multilabel_report(scores, targets, NAMES, GROUPS, "a rule", thresholds)
    ap, auc, f1 = average_precision(scores, targets), roc_auc(scores, targets), f1_score(scores, targets, thresholds)
    for column, name in enumerate(NAMES):
        label, known = report["per_label"][name], targets[:, column][~np.isnan(targets[:, column])]
        assert (label["AP"], label["AUC"], label["F1"]) == (ap[column], auc[column], f1[column])
        assert (label["positives"], label["known"], label["threshold"]) == (known.sum(), len(known), thresholds[column])
        assert label["prevalence"] == pytest.approx(known.mean())
    assert report["mAP"] == pytest.approx(ap.mean())
    assert report["groups"]["medium"]["mAUC"] == pytest.approx(auc[[1, 3]].mean())
    assert report["groups"]["medium"]["labels"] == 2
    assert report["groups"]["medium"]["positives"] == np.nansum(targets[:, [1, 3]])
    assert report["images"] == 60 and report["rule"] == "a rule"


def test_undefined_labels_are_listed_and_left_out_of_every_mean():
    scores, targets = example()
    targets[:, 2] = 0
    targets[:, 1] = np.where(np.isnan(targets[:, 1]), np.nan, 1)
    report = multilabel_report(scores, targets, NAMES, GROUPS, "a rule")
    assert report["undefined"] == {"AP": ["Hernia"], "AUC": ["Edema", "Hernia"], "F1": ["Hernia"]}
    assert report["per_label"]["Hernia"]["AP"] is None and report["per_label"]["Edema"]["AUC"] is None
    assert report["mAP"] == pytest.approx(average_precision(scores, targets)[[0, 1, 3]].mean())
    prevalence = np.nansum(targets, axis=0) / (~np.isnan(targets)).sum(axis=0)
    assert report["no_skill_mAP"] == pytest.approx(prevalence[[0, 1, 3]].mean())
    assert report["undefined_count"] == {
        "AP": 1, "AUC": 2, "F1": 1, "BACC": 2, "sensitivity": 1, "specificity": 1, "precision": 1, "Brier": 0, "ECE": 0,
    }  # fmt: skip
    tail = report["groups"]["tail"]
    assert (tail["mAP"], tail["mAUC"], tail["mF1"], tail["no_skill_mAP"], tail["labels"]) == (None,) * 4 + (1,)


def test_the_other_metrics_of_a_label_are_those_of_their_functions():
    scores, targets = example()
    thresholds = [0.2, 0.4, 0.6, 0.8]
    report = multilabel_report(scores, targets, NAMES, GROUPS, "a rule", thresholds)
    expected = {
        "BACC": balanced_accuracy(scores, targets, thresholds),
        "sensitivity": sensitivity(scores, targets, thresholds),
        "specificity": specificity(scores, targets, thresholds),
        "precision": precision(scores, targets, thresholds),
        "precision_at_recall": precision_at_recall(scores, targets, report["operating_points"]["recall"]),
        "recall_at_precision": recall_at_precision(scores, targets, report["operating_points"]["precision"]),
        "Brier": brier_score(scores, targets),
        "ECE": expected_calibration_error(scores, targets),
    }
    for metric, values in expected.items():
        assert [report["per_label"][name][metric] for name in NAMES] == values.tolist()
    for mean, metric in (("mBACC", "BACC"), ("mSensitivity", "sensitivity"), ("mECE", "ECE")):
        assert report[mean] == pytest.approx(expected[metric].mean())
        assert report["groups"]["medium"][mean] == pytest.approx(expected[metric][[1, 3]].mean())


def test_metrics_over_all_labels_stand_beside_the_means():
    scores, targets = example()
    report = multilabel_report(scores, targets, NAMES, GROUPS, "a rule", 0.4)
    assert report["micro"] == micro_scores(scores, targets, 0.4)
    highest = {"top3": top_k_scores(scores, targets, 3, 0.4), "top3_always": top_k_scores(scores, targets, 3)}
    assert report["multilabel"] == multilabel_scores(scores, targets, 0.4) | highest
    curve, curves = report["reliability"]["Edema"], reliability_curves(scores, targets)
    assert curve["images"] == curves.images[1].tolist() and curve["observed"] == pytest.approx(curves.observed[1])
    assert curve["predicted"] == pytest.approx(curves.predicted[1])


def test_views_and_other_columns_are_measured_on_their_images_alone():
    scores, targets = example()
    views = np.array(["lateral", "frontal", "frontal"] * 20)
    report = multilabel_report(scores, targets, NAMES, GROUPS, "a rule", views=views, columns={"age": [40, 70] * 30})
    assert list(report["per_view"]) == ["frontal", "lateral"] and list(report["per_column"]["age"]) == ["40", "70"]
    for found, rows in (
        (report["per_view"]["lateral"], views == "lateral"),
        (report["per_column"]["age"]["70"], np.arange(60) % 2 == 1),
    ):
        alone = multilabel_report(scores[rows], targets[rows], NAMES, GROUPS, "a rule")
        assert found["positives"] == np.nansum(targets[rows])
        assert {key: alone[key] for key in found if key != "positives"} == {
            key: value for key, value in found.items() if key != "positives"
        }
    assert "per_view" not in multilabel_report(scores, targets, NAMES, GROUPS, "a rule")


def test_labels_are_grouped_by_other_rules_too():
    other = {"common": NAMES[:2], "rare": NAMES[2:]}
    report = multilabel_report(*example(), NAMES, GROUPS, "a rule", other_groups={"by rank": other})
    assert report["other_groups"] == {"by rank": multilabel_report(*example(), NAMES, other, "by rank")["groups"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": ["frontal"] * 59}, r"views has shape \(59,\), expected one value for each of 60"),
        ({"views": ["front"] * 60}, "unknown view 'front'; did you mean 'frontal'"),
        ({"columns": {"sex": ["f"] * 59 + [None]}}, "column 'sex', row 59: None, expected a value that is not empty"),
        ({"other_groups": {"by rank": {"head": NAMES[:3]}}}, r"lacks \['Pleural/Other'\]"),
    ],
)
def test_views_columns_and_other_groups_must_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        multilabel_report(*example(), NAMES, GROUPS, "a rule", **changes)


def test_scores_that_are_no_probabilities_are_refused():
    scores, targets = example()
    scores[3, 2] = -0.5
    with pytest.raises(ValueError, match=r"scores\[3, 2\].* is -0.5, expected a probability"):
        multilabel_report(scores, targets, NAMES, GROUPS, "a rule")


def test_a_label_whose_value_is_never_known_has_no_prevalence():
    scores, targets = example()
    targets[:, 0] = np.nan
    label = multilabel_report(scores, targets, NAMES, GROUPS, "a rule")["per_label"]["Opacity"]
    assert label["known"] == label["positives"] == 0 and label["prevalence"] is None


@pytest.mark.parametrize(
    ("names", "groups", "message"),
    [
        (NAMES[:3], GROUPS, "3 names for 4 columns"),
        (NAMES, {"head": NAMES[:3]}, r"lacks \['Pleural/Other'\]"),
        (NAMES, {"head": [*NAMES, "Mass"]}, r"unexpected \['Mass'\]"),
        (NAMES, {"head": NAMES, "tail": ["Hernia"]}, r"groups have the labels \['Hernia'\] more than once"),
    ],
)
def test_names_and_groups_must_fit_the_columns(names, groups, message):
    with pytest.raises(ValueError, match=message):
        multilabel_report(*example(), names, groups, "a rule")
