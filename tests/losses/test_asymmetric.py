import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from mlgcn.losses import AsymmetricLoss, BCELoss, FocalLoss, RobustAsymmetricLoss
from mlgcn.losses.asymmetric import VARIANTS

seeds, gammas, clips = integers(0, 2**32 - 1), sampled_from([0.0, 0.5, 1.0, 4.0]), sampled_from([0.0, 0.05, 0.4])


def random_batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=4, size=(2, 4, 6)), rng.uniform(size=(4, 6))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shifted(x, clip):
    """q = max(p - clip, 0) and -log(1 - q), for complex logits too."""
    p, absent = sigmoid(x), sigmoid(-x)
    above = p.real > clip
    return np.where(above, p - clip, 0), -np.log(np.where(above, absent + clip, 1))


def plain_asymmetric(x, y, gamma_neg, gamma_pos, clip, detach):
    focus = x.real if detach else x
    weight = shifted(focus, clip)[0] ** gamma_neg
    return -y * sigmoid(-focus) ** gamma_pos * np.log(sigmoid(x)) + (1 - y) * weight * shifted(x, clip)[1]


@given(seed=seeds, gamma_neg=gammas, gamma_pos=gammas, clip=clips, detach=booleans())
@settings(max_examples=60)
def test_the_asymmetric_loss_equals_its_equation(expect_formula, seed, gamma_neg, gamma_pos, clip, detach):
    loss = AsymmetricLoss(gamma_neg, gamma_pos, clip, detach)
    expect_formula(loss, lambda x, y: plain_asymmetric(x, y, gamma_neg, gamma_pos, clip, detach), *random_batch(seed))


def test_the_defaults_of_the_asymmetric_loss_are_the_authors(expect_formula):
    expect_formula(AsymmetricLoss(), lambda x, y: plain_asymmetric(x, y, 4, 1, 0.05, True), *random_batch())


def test_detaching_the_focus_changes_the_gradient_alone():
    grads, values = [], []
    for detach in (True, False):
        leaf = torch.tensor(random_batch()[0], requires_grad=True)
        values.append(AsymmetricLoss(detach_focus=detach)(leaf, torch.tensor(random_batch()[1])))
        values[-1].sum().backward()
        grads.append(leaf.grad)
    assert torch.equal(*values) and not torch.isclose(*grads).any()


def test_without_focus_and_clip_the_asymmetric_loss_is_the_cross_entropy():
    logits, targets = (torch.tensor(values) for values in random_batch())
    found = AsymmetricLoss(0, 0, 0)(logits, targets)
    torch.testing.assert_close(found, BCELoss()(logits, targets), rtol=1e-12, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_with_equal_focus_and_no_clip_the_asymmetric_loss_is_the_focal_loss(gamma):
    logits, targets = (torch.tensor(values) for values in random_batch())
    torch.testing.assert_close(
        AsymmetricLoss(gamma, gamma, 0)(logits, targets), FocalLoss(gamma)(logits, targets), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("build", [AsymmetricLoss, RobustAsymmetricLoss])
def test_a_negative_below_the_clip_costs_nothing_and_pulls_nowhere(build):
    logits = torch.tensor([[-20.0, -5.0, -2.95, -2.94, 0.0]], requires_grad=True)  # sigmoid(-2.944) is 0.05
    values = build(detach_focus=False)(logits, torch.zeros(1, 5))
    values.sum().backward()
    assert not values[:, :3].any() and not logits.grad[:, :3].any()
    assert (values[:, 4:] > 0).all() and (logits.grad[:, 4:] > 0).all()


@given(seed=seeds)
@settings(max_examples=20)
def test_counts_weigh_the_asymmetric_loss_as_they_do_the_cross_entropy(expect_formula, seed):
    counts, images = np.array([1, 7, 40, 60, 99, 30]), 100

    def formula(x, y):
        positive, negative = (plain_asymmetric(x, sign, 4, 1, 0.05, True) for sign in (1, 0))
        return y * np.exp(1 - counts / images) * positive + (1 - y) * np.exp(counts / images) * negative

    expect_formula(AsymmetricLoss(class_counts=counts, num_samples=images), formula, *random_batch(seed))


@pytest.mark.parametrize("given", [{"class_counts": [1, 2]}, {"num_samples": 3}])
def test_counts_without_the_number_of_images_are_refused(given):
    with pytest.raises(ValueError, match="class_counts and num_samples are of use together only"):
        AsymmetricLoss(**given)


def plain_robust(x, y, gamma_neg, gamma_pos, clip, hill, epsilon, variant, detach):
    """Park et al. 2023, eq. 6, its two series with two coefficients of the first changed."""
    focus = x.real if detach else x
    p, absent = sigmoid(x), sigmoid(-x)
    series = -np.log(p) - epsilon[0] * absent - epsilon[1] * 0.5 * absent**2
    q, cost = shifted(x, clip)
    factor = hill - p
    if variant == "released":
        factor = factor * p**2 * (hill - (1 - q))
    positive = sigmoid(-focus) ** gamma_pos * series
    return y * positive + (1 - y) * factor * shifted(focus, clip)[0] ** gamma_neg * cost


@given(
    seed=seeds,
    gamma_neg=gammas,
    gamma_pos=gammas,
    clip=clips,
    hill=sampled_from([1.0, 1.5]),
    epsilon=sampled_from([(0.0, 0.0), (1.0, -2.5), (-1.0, 0.5)]),
    variant=sampled_from(VARIANTS),
    detach=booleans(),
)
@settings(max_examples=60)
def test_the_robust_asymmetric_loss_equals_its_equation(expect_formula, seed, **options):
    *values, detach = options.values()
    loss = RobustAsymmetricLoss(*values, detach_focus=detach)
    expect_formula(loss, lambda x, y: plain_robust(x, y, *values, detach), *random_batch(seed))


def test_the_defaults_of_the_robust_asymmetric_loss_are_the_authors(expect_formula):
    defaults = (4, 0, 0.05, 1.5, (1.0, -2.5), "paper", False)
    expect_formula(RobustAsymmetricLoss(), lambda x, y: plain_robust(x, y, *defaults), *random_batch())


def test_the_series_of_the_positives_is_that_of_the_logarithm_but_for_two_coefficients():
    absent = torch.linspace(0.05, 0.5, 6, dtype=torch.float64)
    logits = torch.logit(1 - absent)[None]
    orders = torch.arange(1, 80, dtype=torch.float64)[:, None]
    coefficients = 1 / orders
    coefficients[0], coefficients[1] = 0, 1.75
    expected = (coefficients * absent**orders).sum(dim=0)
    found = RobustAsymmetricLoss()(logits, torch.ones(1, 6, dtype=torch.float64))[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_confident_negative_is_cheaper_the_smaller_the_hill(variant):
    logits, targets = torch.tensor([[1.0, 3.0, 6.0]]), torch.zeros(1, 3)
    steep, flat = (RobustAsymmetricLoss(hill=hill, variant=variant)(logits, targets) for hill in (1.1, 1.5))
    assert (steep < flat).all() and ((steep / flat).diff() < 0).all()


@pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0])
@pytest.mark.parametrize("clip", [0.0, 1e-12, 0.05])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("build", [AsymmetricLoss, RobustAsymmetricLoss])
def test_any_focus_and_clip_has_finite_gradients_at_the_edges(build, gamma, clip, dtype):
    edge = float(torch.logit(torch.tensor(clip, dtype=torch.float64))) if clip else -200.0
    logits = torch.tensor(
        [[-1e4, -745, -300, -103, -90, edge, edge + 1e-6, 0, 40, 103, 745, 1e4]], dtype=dtype, requires_grad=True
    )
    for target in (0.0, 1.0):
        values = build(gamma, gamma, clip, detach_focus=False)(logits, torch.full((1, 12), target))
        assert torch.isfinite(values).all()
        values.sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("build", [AsymmetricLoss, RobustAsymmetricLoss])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma_neg": -1.0}, r"gamma_neg must be >= 0, got -1\.0"),
        ({"gamma_pos": -0.5}, r"gamma_pos must be >= 0, got -0\.5"),
        ({"clip": 1.0}, r"clip must be in \[0, 1\), got 1\.0"),
        ({"clip": -0.1}, r"clip must be in \[0, 1\), got -0\.1"),
    ],
)
def test_values_outside_their_range_are_refused(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hill": 0.9}, r"hill must be >= 1, got 0\.9"),
        ({"variant": "mine"}, r"variant is 'mine', expected one of \['paper', 'released'\]"),
    ],
)
def test_other_options_of_the_robust_asymmetric_loss_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RobustAsymmetricLoss(**options)
