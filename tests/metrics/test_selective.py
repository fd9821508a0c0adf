import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.metrics import area_under_risk, brier_score, risk_coverage, selective_report


def case(seed, images=23, labels=3, levels=4):
    """Scores, targets with unknown ones, and an uncertainty with many ties; the last label is never known."""
    rng = np.random.default_rng(seed)
    scores, uncertainty = rng.uniform(size=(images, labels)), rng.integers(levels, size=(images, labels)) / levels
    targets = rng.choice([0, 1, np.nan], size=(images, labels), p=[0.5, 0.3, 0.2])
    targets[:, -1] = np.nan
    return scores, targets, uncertainty


def running_restated(scores, targets, uncertainty):
    """Of one label: the mean risk of the k least uncertain images, each of equals at the mean of all equals."""
    kept = sorted((u, (s - t) ** 2) for s, t, u in zip(scores, targets, uncertainty, strict=True) if t == t)
    even = [np.mean([risk for other, risk in kept if other == u]) for u, _ in kept]
    return [float(np.mean(even[:k])) for k in range(1, len(even) + 1)]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([1, 3, 10**6]), points=st.sampled_from([1, 7, 50]))
def test_curve_and_area_equal_their_restatement_image_by_image(seed, levels, points):
    scores, targets, uncertainty = case(seed, levels=levels)
    coverage, risk = risk_coverage(scores, targets, uncertainty, points)
    area = area_under_risk(scores, targets, uncertainty)
    np.testing.assert_allclose(coverage, [k / points for k in range(1, points + 1)])
    for column in range(2):
        running = running_restated(scores[:, column], targets[:, column], uncertainty[:, column])
        assert area[column] == pytest.approx(np.mean(running) if running else np.nan, nan_ok=True)
        for k in range(1, points + 1):
            kept = next(n for n in range(1, len(running) + 1) if n * points >= k * len(running)) if running else 0
            assert risk[k - 1, column] == pytest.approx(running[kept - 1] if running else np.nan, nan_ok=True)
    assert np.isnan(area[2]) and np.isnan(risk[:, 2]).all()


def test_equal_uncertainties_give_what_breaking_them_at_random_gives_on_average():
    scores, targets, uncertainty = case(1, images=12, labels=2, levels=3)
    rng = np.random.default_rng(2)
    drawn = [
        area_under_risk(scores, targets, uncertainty + rng.uniform(0, 0.1, uncertainty.shape)) for _ in range(4000)
    ]
    assert area_under_risk(scores, targets, uncertainty)[0] == pytest.approx(np.mean(drawn, axis=0)[0], abs=2e-3)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_uncertainty_beats_the_errors_and_none_at_all_gives_the_brier_score(seed):
    scores, targets, uncertainty = case(seed)
    errors, nothing = np.nan_to_num((scores - targets) ** 2), np.full(scores.shape, 0.3)
    least, found = (area_under_risk(scores, targets, order)[:2] for order in (errors, uncertainty))
    assert (found >= least - 1e-12).all()
    np.testing.assert_allclose(area_under_risk(scores, targets, nothing), brier_score(scores, targets), atol=1e-12)
    # With every image kept, the order is of no matter.
    np.testing.assert_allclose(risk_coverage(scores, targets, uncertainty)[1][-1], brier_score(scores, targets))


def test_the_report_has_means_over_labels_by_kind_and_group():
    scores, targets, spreads = case(3)
    names, groups = ["a", "b", "c"], {"head": ["b"], "medium": ["a"], "tail": ["c"]}
    report = selective_report(scores, targets, spreads, names, groups)
    ours, plain = (area_under_risk(scores, targets, order) for order in (spreads, scores * (1 - scores)))
    assert report["AURC"]["disagreement"] == pytest.approx(ours[:2].mean())
    assert report["AURC"]["probability"] == pytest.approx(plain[:2].mean())
    assert report["AURC"]["random"] == pytest.approx(np.nanmean(brier_score(scores, targets)))
    assert report["groups"]["head"]["disagreement"] == pytest.approx(ours[1])
    assert report["groups"]["tail"] == dict.fromkeys(report["AURC"])  # never known
    assert report["per_label"]["a"]["probability"] == pytest.approx(plain[0]) and report["labels"] == 2
    coverage, risk = risk_coverage(scores, targets, spreads)
    assert report["coverage"] == coverage.tolist()
    np.testing.assert_allclose(report["curves"]["disagreement"], risk[:, :2].mean(axis=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uncertainty": np.zeros((3, 1))}, r"uncertainty has shape \(3, 1\), expected that of the scores \(3, 2\)"),
        ({"uncertainty": [[0, 0], [0, np.nan], [0, 0]]}, r"uncertainty\[1, 1\] \(row, column\) is nan"),
        ({"scores": np.full((3, 2), 1.5)}, "expected a probability"),
        ({"targets": np.full((3, 2), 2)}, "expected 0, 1 or NaN"),
        ({"points": 0}, "points must be >= 1, got 0"),
    ],
)
def test_bad_input_is_named(change, message):
    given_ = {"scores": np.zeros((3, 2)), "targets": np.zeros((3, 2)), "uncertainty": np.zeros((3, 2))}
    with pytest.raises(ValueError, match=message):
        risk_coverage(**(given_ | change))


def test_without_images_everything_is_undefined():
    empty = np.zeros((0, 2))
    assert np.isnan(area_under_risk(empty, empty, empty)).all()
    assert np.isnan(risk_coverage(empty, empty, empty)[1]).all()
