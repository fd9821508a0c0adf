import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers

from mlgcn.losses import BCELoss, ExpertDiversity, MultiExpertLoss, masked_mean


def random_batch(seed=0, experts=3, batch=4, labels=5, unknown=0.3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(experts, batch, labels))
    targets = rng.integers(0, 2, size=(batch, labels)).astype(float)
    targets[rng.random(targets.shape) < unknown] = np.nan
    return logits, targets


def plain_classification(logits, targets):
    """BCE averaged over known labels, summed over experts, term by term in float64."""
    total, known = 0.0, int((~np.isnan(targets)).sum())
    for expert in logits:
        for place in np.ndindex(*targets.shape):
            if not np.isnan(targets[place]):
                total += np.log1p(np.exp(expert[place] * (1 - 2 * targets[place]))) / known
    return total


def plain_softmax_diversity(logits):
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    pbar = p.mean(axis=0)
    return np.mean([-sum((pbar[b] * np.log(pbar[b] / q[b])).sum() for q in p) for b in range(p.shape[1])]) / (
        len(p) - 1
    )


@given(seed=integers(0, 2**32 - 1), experts=integers(2, 4), labels=integers(1, 6), weight=floats(0, 5))
@settings(deadline=None, max_examples=50)
def test_the_total_is_the_summed_classification_loss_plus_the_weighted_diversity_over_labels(
    seed, experts, labels, weight
):
    logits, targets = random_batch(seed, experts, labels=labels)
    terms = MultiExpertLoss(BCELoss(), ExpertDiversity(), weight)(torch.tensor(logits), torch.tensor(targets))
    assert set(terms) == {"loss", "classification", "diversity"}
    classification, diversity = plain_classification(logits, targets), plain_softmax_diversity(logits)
    assert terms["classification"].item() == pytest.approx(classification, rel=1e-9)
    assert terms["diversity"].item() == pytest.approx(diversity, rel=1e-9, abs=1e-12)
    assert terms["loss"].item() == pytest.approx(classification + weight / labels * diversity, rel=1e-9, abs=1e-12)


def test_the_default_weight_is_the_published_one():
    logits, targets = (torch.tensor(values) for values in random_batch())
    terms = MultiExpertLoss(BCELoss(), ExpertDiversity())(logits, targets)
    torch.testing.assert_close(terms["loss"], terms["classification"] + 0.2 / 5 * terms["diversity"])


def test_without_diversity_the_total_is_the_classification_loss():
    logits, targets = random_batch(experts=1)
    terms = MultiExpertLoss(BCELoss())(torch.tensor(logits), torch.tensor(targets))
    assert set(terms) == {"loss", "classification"} and terms["loss"] is terms["classification"]
    assert terms["loss"].item() == pytest.approx(plain_classification(logits, targets), rel=1e-9)


def test_without_known_labels_there_is_no_classification_loss_and_no_nan():
    logits, targets = random_batch(unknown=1.1)
    leaf = torch.tensor(logits, requires_grad=True)
    terms = MultiExpertLoss(BCELoss())(leaf, torch.tensor(targets))
    terms["loss"].backward()
    assert terms["loss"].item() == 0 and not leaf.grad.any()


def assertive_experts(size, experts=4, labels=26):
    """Each expert denies every label with this confidence but one of its own, which it asserts; nothing is true."""
    logits = torch.full((experts, 1, labels), -size, dtype=torch.float64)
    for expert in range(experts):
        logits[expert, 0, expert] = size
    return logits, torch.zeros(1, labels, dtype=torch.float64)


def test_experts_that_each_assert_a_wrong_label_lose_more_than_their_diversity_gains():
    loss, sizes = MultiExpertLoss(BCELoss(), ExpertDiversity()), [10.0, 20.0, 40.0, 80.0, 160.0]
    totals, unscaled = [], []
    for size in sizes:
        logits, targets = assertive_experts(size)
        totals.append(loss(logits, targets)["loss"].item())
        mean = masked_mean(BCELoss()(logits, targets), targets).sum()
        unscaled.append((mean + 0.2 * ExpertDiversity()(logits)).item())
    slopes, unscaled_slopes = (np.diff(values) / np.diff(sizes) for values in (totals, unscaled))
    # A unit of confidence costs each of 4 experts 1/26 and widens KL(pbar || p_i) by 2 at 3 labels with pbar 1/4.
    cost, gain = 4 / 26, 0.2 * 4 * (3 / 4 * 2) / 3
    np.testing.assert_allclose(slopes, cost - gain / 26, rtol=1e-3)
    np.testing.assert_allclose(unscaled_slopes, cost - gain, rtol=1e-3)
    assert (slopes > 0).all() and (unscaled_slopes < 0).all()


@pytest.mark.parametrize("distribution", ["softmax", "bernoulli"])
def test_descent_on_the_total_makes_wrong_experts_right(distribution):
    logits, targets = assertive_experts(5.0)
    logits.requires_grad_()
    loss = MultiExpertLoss(BCELoss(), ExpertDiversity(distribution))
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss(logits, targets)["loss"].backward()
        optimizer.step()
    assert (logits < 0).all()


def test_gradients_reach_every_expert():
    logits, targets = random_batch(unknown=0)
    leaf = torch.tensor(logits, requires_grad=True)
    MultiExpertLoss(BCELoss(), ExpertDiversity())(leaf, torch.tensor(targets))["loss"].backward()
    assert leaf.grad.all()


def test_the_terms_are_float32_under_autocast():
    logits, targets = (torch.tensor(values) for values in random_batch())
    loss = MultiExpertLoss(BCELoss(), ExpertDiversity())
    with torch.autocast("cpu", torch.bfloat16):
        terms = loss(logits.bfloat16(), targets.float())
    expected = loss(logits.bfloat16().double(), targets)
    for name, value in terms.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"weight must be >= 0, got -0\.2"):
        MultiExpertLoss(BCELoss(), ExpertDiversity(), -0.2)


def test_bad_logits_are_refused_by_the_terms():
    with pytest.raises(ValueError, match=r"expected \[E >= 2, B, C\]"):
        MultiExpertLoss(BCELoss(), ExpertDiversity())(torch.zeros(1, 2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="logits have shape"):
        MultiExpertLoss(BCELoss())(torch.zeros(2, 2, 3), torch.zeros(2, 4))
