import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgcn.metrics import average_precision, f1_score, multilabel_report, roc_auc

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
    report = multilabel_report(*example(seed, images), NAMES, GROUPS, "a rule")
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
    tail = report["groups"]["tail"]
    assert (tail["mAP"], tail["mAUC"], tail["mF1"], tail["no_skill_mAP"], tail["labels"]) == (None,) * 4 + (1,)


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
        (NAMES, {"head": NAMES, "tail": ["Hernia"]}, "repeat"),
    ],
)
def test_names_and_groups_must_fit_the_columns(names, groups, message):
    with pytest.raises(ValueError, match=message):
        multilabel_report(*example(), names, groups, "a rule")
