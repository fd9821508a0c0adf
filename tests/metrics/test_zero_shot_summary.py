import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats

from mlgcn.metrics import harmonic_mean, multilabel_report, roc_auc, zero_shot_summary
from mlgcn.metrics.zero_shot import chance_range


@given(floats(1e-3, 1), floats(1e-3, 1))
def test_the_harmonic_mean_is_the_inverse_of_the_mean_of_inverses(seen, unseen):
    assert harmonic_mean(seen, unseen) == pytest.approx(1 / np.mean([1 / seen, 1 / unseen]))


def test_the_harmonic_mean_is_0_where_one_side_is_and_none_where_one_is_undefined():
    assert harmonic_mean(0.0, 0.9) == harmonic_mean(0.9, 0.0) == harmonic_mean(0.0, 0.0) == 0
    assert harmonic_mean(None, 0.9) is None and harmonic_mean(0.9, None) is None
    with pytest.raises(ValueError, match=r"of numbers >= 0, got -0\.1 and 0.9"):
        harmonic_mean(-0.1, 0.9)


@pytest.mark.parametrize(("positives", "negatives"), [(1, 6), (3, 4), (2, 2)])
def test_the_range_of_chance_has_the_spread_of_the_auc_over_all_orders(positives, negatives):
    images = positives + negatives
    aucs = []
    for chosen in itertools.combinations(range(images), positives):
        targets = np.zeros((images, 1))
        targets[list(chosen)] = 1
        aucs.append(roc_auc(np.arange(images, dtype=float)[:, None], targets)[0])
    low, high = chance_range(positives, negatives, confidence=0.5)
    assert (low + high) / 2 == pytest.approx(0.5)
    assert (high - low) / 2 == pytest.approx(0.6744897501960817 * np.std(aucs))  # the normal quartile


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5), "got 0 positives and 5 negatives"),
        ((5, 0), "got 5 positives and 0 negatives"),
        ((5, 5, 1.0), "confidence must lie between 0 and 1, got 1.0"),
    ],
)
def test_a_range_of_chance_needs_images_on_both_sides(arguments, message):
    with pytest.raises(ValueError, match=message):
        chance_range(*arguments)


def test_the_summary_joins_both_groups_and_says_where_unseen_labels_lie():
    rng = np.random.default_rng(0)
    targets = (rng.random((300, 5)) < 0.3).astype(float)
    targets[:, 4] = 0
    scores = rng.random((300, 5))
    scores[:, 1] = 0.5 * targets[:, 1] + 0.5 * scores[:, 1]
    scores[:, 2] = 0.5 * scores[:, 2] + 0.5 * (1 - targets[:, 2])
    scores[:, 3] = np.tile([0.2, 0.8], 150)
    targets[:, 3] = np.repeat([0, 1], 150)
    names = ["seen", "good", "turned round", "blind", "absent"]
    report = multilabel_report(scores, targets, names, {"seen": names[:1], "unseen": names[1:]}, "by training")
    summary = zero_shot_summary(report)
    assert {name: chance["verdict"] for name, chance in summary["chance"].items()} == {
        "good": "above", "turned round": "below", "blind": "within",
    }  # fmt: skip
    for metric in ("mAP", "mAUC"):
        seen, unseen = (report["groups"][group][metric] for group in ("seen", "unseen"))
        assert summary["harmonic"][metric] == pytest.approx(2 * seen * unseen / (seen + unseen))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
