import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import norm

from mlgcn.metrics import average_precision, bootstrap, brier_score, f1_score, multilabel_scores, resampling, roc_auc
from mlgcn.metrics.bootstrap import METHODS
from mlgcn.metrics.resampling import Resampling


def example(seed=0, images=60, labels=3):
    """Scores, targets and patients; ties and unknown targets among them, and a label that is rare."""
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(images, labels)) < np.geomspace(0.5, 0.04, labels)).astype(float)
    scores = np.clip(rng.normal(0.4 + 0.2 * targets, 0.2), 0, 1).round(2)
    targets[rng.uniform(size=targets.shape) < 0.1] = np.nan
    return scores, targets, np.array([f"p{number}" for number in rng.integers(0, max(images // 3, 2), size=images)])


def assert_same(one, other):
    for part in ("estimate", "low", "high", "samples", "undefined"):
        np.testing.assert_allclose(getattr(one, part), getattr(other, part), rtol=0, atol=1e-12, err_msg=part)


def mean_of(metric):
    """The mean over the labels of a metric, as a function that no fast path knows."""

    def mean(scores, targets):
        values = metric(scores, targets)
        defined = values[~np.isnan(values)]
        return defined.mean() if len(defined) else np.nan

    return mean


@pytest.mark.parametrize(
    ("named", "function"),
    [
        ("mAP", mean_of(average_precision)),
        ("mAUC", mean_of(roc_auc)),
        ("mF1", mean_of(f1_score)),
        (average_precision, lambda scores, targets: average_precision(scores, targets)),
        (roc_auc, lambda scores, targets: roc_auc(scores, targets)),
        ("Brier", lambda scores, targets: brier_score(scores, targets)),
        ("CF1", lambda scores, targets: multilabel_scores(scores, targets)["CF1"]),
    ],
)
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_a_metric_by_name_equals_the_function_on_repeated_rows(named, function, clustered, method):
    scores, targets, patients = example()
    arguments = (scores, targets, patients if clustered else None, 40, 3)
    found, expected = (bootstrap(metric, *arguments, method=method) for metric in (named, function))
    assert_same(found, expected)
    assert np.shape(found.low) == np.shape(function(scores, targets))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_a_resample_holds_as_many_whole_patients_as_there_are(seed, images):
    *contents, patients = example(seed, images)
    if len(set(patients)) < 2:
        patients = np.arange(images)
    drawn = Resampling(contents, patients)
    ordered, total = patients[drawn.order], 0
    assert sorted(drawn.order) == list(range(images))
    for weights in drawn.draws(7, seed):
        of_patient = {patient: weights[ordered == patient] for patient in set(patients)}
        assert all((rows == rows[0]).all() for rows in of_patient.values())
        assert (sum(rows[0] for rows in of_patient.values()) == len(of_patient)).all()
        total += weights.shape[1]
    assert total == 7


def test_the_jackknife_leaves_each_patient_out_once(monkeypatch):
    *contents, patients = example()
    for sets in (500, 6):
        monkeypatch.setattr(resampling, "JACKKNIFE", sets)
        drawn = Resampling(contents, patients)
        left = np.concatenate(list(drawn.left_out(0)), axis=1) == 0
        assert left.shape[1] == min(sets, len(set(patients))) and (left.sum(axis=1) == 1).all()
        for patient in set(patients):
            rows = left[patients[drawn.order] == patient]
            assert (rows == rows[0]).all()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mAP", "mAUC", "mBrier", "ECE"]), st.sampled_from(METHODS))
def test_neither_the_order_of_the_images_nor_the_names_of_the_patients_matter(seed, metric, method):
    scores, targets, patients = example(seed, 24)
    rng = np.random.default_rng(seed)
    order, new = rng.permutation(24), rng.permutation(24)
    renamed = np.array([f"q{new[int(patient[1:])]}" for patient in patients])
    for of, permuted in ((patients, renamed[order]), (None, None)):
        one = bootstrap(metric, scores, targets, of, 30, method=method)
        other = bootstrap(metric, scores[order], targets[order], permuted, 30, method=method)
        for part in ("estimate", "low", "high", "samples", "undefined"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    scores, targets, patients = example()
    whole = bootstrap("mAP", scores, targets, patients, 25, method="bca")
    monkeypatch.setattr(resampling, "BLOCK", 4 * len(scores))
    assert_same(bootstrap("mAP", scores, targets, patients, 25, method="bca"), whole)


def test_the_seed_decides():
    scores, targets, patients = example()
    one, same, other = (bootstrap("mAP", scores, targets, patients, 50, seed) for seed in (1, 1, 2))
    assert_same(one, same)
    assert one.estimate == other.estimate and (one.low, one.high) != (other.low, other.high)


def test_several_seeds_of_a_model_are_averaged_inside_each_resample():
    targets, patients = example()[1:]
    seeds = np.stack([example(seed)[0] for seed in (0, 5, 9)])
    found = bootstrap("AP", seeds, targets, patients, 30)
    # The same scores side by side, as labels of one model, draw the same resamples.
    side_by_side = bootstrap("AP", np.concatenate(seeds, axis=1), np.tile(targets, 3), patients, 30)
    expected = side_by_side.samples.reshape(30, 3, targets.shape[1]).mean(axis=1)
    np.testing.assert_allclose(found.samples, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.low, np.nanquantile(expected, 0.025, axis=0), rtol=0, atol=1e-12)
    called = bootstrap(lambda scores, truth: average_precision(scores, truth), seeds, targets, patients, 30)
    assert_same(found, called)


def test_resamples_without_a_positive_are_counted_and_left_out():
    rng = np.random.default_rng(0)
    scores, targets = rng.uniform(size=(40, 2)), np.zeros((40, 2))
    targets[:20, 0] = targets[0, 1] = 1
    labels, mean = (bootstrap(metric, scores, targets, resamples=300, level=0.8) for metric in ("AP", "mAP"))
    missed = np.isnan(labels.samples[:, 1])
    # An image of 40 is missed by a share of (1 - 1/40)^40 = 0.363 of the resamples.
    assert labels.undefined.tolist() == [0, missed.sum()] and 0.25 < missed.mean() < 0.48
    np.testing.assert_allclose(mean.samples[missed], labels.samples[missed, 0])
    np.testing.assert_allclose(mean.samples[~missed], labels.samples[~missed].mean(axis=1))
    np.testing.assert_allclose(labels.high[1], np.quantile(labels.samples[~missed, 1], 0.9))
    assert mean.undefined == 0 and (mean.level, mean.method, mean.clusters) == (0.8, "percentile", 40)


def test_a_label_that_is_never_defined_has_no_interval():
    scores, targets, _ = example()
    targets[:, 1] = 0
    found = bootstrap("AUC", scores, targets, resamples=20, method="bca")
    assert np.isnan([found.estimate[1], found.low[1], found.high[1]]).all() and found.undefined[1] == 20
    assert (found.low[0] < found.estimate[0]) and (found.estimate[0] < found.high[0])


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_interval_of_a_mean_is_that_of_scipy(method):
    # Squared errors of a few far-off scores: skewed, so that both methods differ.
    rng = np.random.default_rng(0)
    scores, targets = rng.beta(0.3, 2, size=(50, 1)), np.zeros((50, 1))
    reference = scipy_bootstrap(
        (scores[:, 0] ** 2,), np.mean, n_resamples=20_000, method=method if method == "percentile" else "BCa", rng=rng
    ).confidence_interval
    found = bootstrap("mBrier", scores, targets, resamples=20_000, method=method)
    width = reference.high - reference.low
    np.testing.assert_allclose([found.low, found.high], [reference.low, reference.high], rtol=0, atol=0.02 * width)
    other = bootstrap("mBrier", scores, targets, resamples=20_000, method="bca" if method != "bca" else "percentile")
    assert abs(other.high - reference.high) > 0.05 * width


@pytest.mark.parametrize("metric", ["mAP", "AP", lambda scores, targets: np.nanmean(scores - targets)])
def test_the_shifted_interval_is_the_percentile_interval_less_twice_the_bias(metric):
    scores, targets, patients = example()
    plain, shifted = (bootstrap(metric, scores, targets, patients, 80, 2, method=m) for m in ("percentile", "shifted"))
    bias = np.nanmean(plain.samples, axis=0) - plain.estimate
    limits = (-1, 1) if callable(metric) else (0, 1)
    for end in ("low", "high"):
        expected = np.clip(getattr(plain, end) - 2 * bias, *limits)
        np.testing.assert_allclose(getattr(shifted, end), expected, rtol=0, atol=1e-12)


def test_perfect_scores_have_an_interval_without_width():
    scores, targets = np.linspace(0, 1, 20)[:, None], (np.arange(20) >= 10).astype(float)[:, None]
    for method in METHODS:
        found = bootstrap("mAUC", scores, targets, resamples=50, method=method)
        assert (found.low, found.estimate, found.high) == (1, 1, 1)


def simulated(seed, patients, images, between, labels=500):
    """Labels that are simulations of their own: scores normal, 1 higher for positives; patients share sign and noise.

    Args:
        between: share of the variance that a patient's images have in common.
    """
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(patients), images)
    targets = (rng.uniform(size=(patients, labels)) < 0.4).astype(float)[of]
    noise = np.sqrt(between) * rng.normal(size=(patients, labels))[of]
    noise += np.sqrt(1 - between) * rng.normal(size=targets.shape)
    return norm.cdf(targets + noise), targets, of


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_interval_covers_as_often_as_it_says(method):
    scores, targets, _ = simulated(1, 250, 1, 0.0, labels=1000)
    found = bootstrap("AUC", scores, targets, None, 600, method=method)
    covered = (found.low <= norm.cdf(1 / np.sqrt(2))) & (norm.cdf(1 / np.sqrt(2)) <= found.high)
    assert covered.mean() == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_of_a_mean_over_rare_labels_only_the_shifted_interval_covers():
    rng = np.random.default_rng(4)
    positives, scores = rng.normal(1.5, size=4_000_000), np.sort(rng.normal(size=1_000_000))
    prevalence = np.geomspace(0.3, 0.01, 16)
    # AP: the mean over positives of the precision at their score; of those above, a share is positive.
    above = 1 - np.searchsorted(scores, positives[:100_000]) / len(scores)
    found = 1 - np.searchsorted(np.sort(positives), positives[:100_000]) / len(positives)
    truth = np.mean([np.mean(p * found / (p * found + (1 - p) * above)) for p in prevalence])
    covered = dict.fromkeys(("percentile", "shifted"), 0)
    for _ in range(100):
        targets = (rng.uniform(size=(500, 16)) < prevalence).astype(float)
        of = norm.cdf(rng.normal(size=targets.shape) + 1.5 * targets), targets
        for method in covered:
            interval = bootstrap("mAP", *of, None, 100, method=method)
            covered[method] += interval.low <= truth <= interval.high
    assert covered["percentile"] < 60 and covered["shifted"] >= 85, covered


@pytest.mark.slow
def test_with_several_images_a_patient_only_resampled_patients_cover():
    scores, targets, patients = simulated(2, 200, 3, 0.8)
    share = {}
    for name, clusters in (("patients", patients), ("images", None)):
        found = bootstrap("AUC", scores, targets, clusters, 600)
        covered = (found.low <= norm.cdf(1 / np.sqrt(2))) & (norm.cdf(1 / np.sqrt(2)) <= found.high)
        share[name] = covered.mean()
    assert share["patients"] == pytest.approx(0.95, abs=0.02)
    assert share["images"] < 0.85


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "mAUCC"}, "unknown metric 'mAUCC'; did you mean 'mAUC'"),
        ({"resamples": 0}, "resamples must be >= 1, got 0"),
        ({"level": 1.0}, "level must lie between 0 and 1, got 1.0"),
        ({"method": "basic"}, "unknown method 'basic'"),
        ({"clusters": ["a", "b"]}, r"clusters has shape \(2,\), expected one value for each of 3 images"),
        ({"clusters": ["a", None, "b"]}, "clusters, row 1: None, expected a value that is not empty"),
        ({"clusters": ["a", "b", ""]}, "clusters, row 2: ''"),
        ({"clusters": [1.0, np.nan, 2.0]}, "clusters, row 1: nan"),
        ({"clusters": ["a", "a", "a"]}, "1 clusters, such as patients, to draw resamples from, expected at least 2"),
        ({"scores": np.zeros((3, 1)) + 2, "metric": "mBrier"}, "is 2.0, expected a probability"),
        ({"scores": np.zeros(3)}, r"scores have shape \(3,\)"),
        ({"scores": np.zeros((0, 3, 1))}, r"scores have shape \(0, 3, 1\)"),
        ({"scores": [[[0.1]] * 3, [[0.1], [0.2], [np.nan]]]}, r"scores\[2, 0\].* is nan"),
        ({"thresholds": [[0.5], [0.5]]}, "expected a row for each of 1 seeds"),
    ],
)
def test_wrong_input_is_refused(changes, message):
    arguments = {"metric": "mAP", "scores": [[0.1], [0.5], [0.9]], "targets": [[0], [1], [1]], "resamples": 5} | changes
    with pytest.raises(ValueError, match=message):
        bootstrap(**arguments)
