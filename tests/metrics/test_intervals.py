import json

import numpy as np
import pytest

from mlgcn.metrics import bootstrap, multilabel_report, report_intervals
from mlgcn.metrics.bootstrap import METHODS
from mlgcn.metrics.intervals import nest

NAMES = ["Opacity", "Edema", "Hernia"]
GROUPS = {"head": ["Opacity", "Edema"], "medium": [], "tail": ["Hernia"]}
SIDES = ("undefined_resamples", "settings")
# A resample's images repeat: it is calibrated worse than all of them together.
BIASED = ("ECE", "mECE")


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(80, 3)) < [0.5, 0.3, 0]).astype(float)
    targets[[3, 50], 2] = 1
    return np.clip(rng.normal(0.4 + 0.2 * targets, 0.2), 0, 1), targets, rng.integers(0, 30, size=80)


def leaves(part, place=()):
    if isinstance(part, dict):
        for key, inner in part.items():
            yield from leaves(inner, (*place, key))
    else:
        yield place, part


def test_every_interval_stands_where_its_number_does(example):
    scores, targets, patients = example
    found = report_intervals(scores, targets, NAMES, GROUPS, 0.45, patients, 200)
    report = dict(leaves(multilabel_report(scores, targets, NAMES, GROUPS, "a rule", 0.45)))
    for place, ends in leaves({key: part for key, part in found.items() if key not in SIDES}):
        if report[place] is None:
            assert ends is None
        else:
            assert ends[0] - 1e-12 <= report[place] <= ends[1] + 1e-12 or place[-1] in BIASED
    assert found["groups"]["medium"]["mAP"] is None
    assert {"mAP", "mAUC", "mF1", "mBACC"} <= set(found) and set(found["per_label"]) == set(NAMES)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("method", METHODS)
def test_intervals_are_those_of_each_metric_alone(example, method):
    scores, targets, patients = example
    found = report_intervals(scores, targets, NAMES, GROUPS, 0.45, patients, 60, 4, method, 0.9)
    for metric, at in (
        ("mBACC", found["mBACC"]),
        ("microAUC", found["micro"]["AUC"]),
        ("OF1", found["multilabel"]["OF1"]),
    ):
        alone = bootstrap(metric, scores, targets, patients, 60, 4, method=method, level=0.9, thresholds=0.45)
        np.testing.assert_allclose(at, [alone.low, alone.high], rtol=0, atol=1e-12)
    alone = bootstrap("AP", scores, targets, patients, 60, 4, method=method, level=0.9)
    by_label = [found["per_label"][name]["AP"] for name in NAMES]
    np.testing.assert_allclose(by_label, np.stack([alone.low, alone.high], axis=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["groups"]["tail"]["mAP"], by_label[2], rtol=0, atol=1e-12)
    assert alone.undefined[2] > 0
    assert found["undefined_resamples"]["Hernia"]["AP"] == alone.undefined[2]
    assert "Opacity" not in found["undefined_resamples"]
    assert found["settings"] == {
        "resamples": 60, "seed": 4, "method": method, "level": 0.9, "seeds": 1, "clusters": len(set(patients)),
    }  # fmt: skip


def test_only_the_metrics_asked_for_are_worked_out(example):
    scores, targets, _ = example
    found = report_intervals(scores * 9, targets, NAMES, GROUPS, resamples=5, metrics=["mAUC"])  # no probabilities
    assert set(found) == {"mAUC", "groups", "per_label", *SIDES} and set(found["per_label"]["Edema"]) == {"AUC"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["AUC"]}, "unknown metric over the labels 'AUC'; did you mean 'mAUC'"),
        ({"names": NAMES[:2]}, "2 names for 3 columns"),
        ({"groups": {"head": NAMES[:2]}}, r"lacks \['Hernia'\]"),
        ({"scores": np.full((80, 3), 1.5)}, "is 1.5, expected a probability"),
        ({"method": "bc"}, "unknown method 'bc'"),
    ],
)
def test_wrong_input_is_refused(example, changes, message):
    scores, targets, _ = example
    arguments = {"scores": scores, "targets": targets, "names": NAMES, "groups": GROUPS, "resamples": 5} | changes
    with pytest.raises(ValueError, match=message):
        report_intervals(**arguments)


def test_places_become_dictionaries_in_dictionaries():
    assert nest({("a",): 1, ("b", "c"): 2, ("b", "d", "e"): 3}) == {"a": 1, "b": {"c": 2, "d": {"e": 3}}}
