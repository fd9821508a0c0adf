import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers

from mlgcn.losses import (
    BCELoss,
    ExpertDiversity,
    LargeLossReconsideration,
    LargeLossShare,
    LDAMLoss,
    MultiExpertLoss,
    NVUMLoss,
    masked_mean,
)


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


def plain_elements(logits, targets):
    """BCE of every element in float64, NaN where the target is unknown."""
    return np.log1p(np.exp(logits * (1 - 2 * targets)))


def plain_softmax_diversity(logits):
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    pbar = p.mean(axis=0)
    return np.mean([-sum((pbar[b] * np.log(pbar[b] / q[b])).sum() for q in p) for b in range(p.shape[1])]) / (
        len(p) - 1
    )


@given(seed=integers(0, 2**32 - 1), experts=integers(2, 4), labels=integers(1, 6), weight=floats(0, 5))
@settings(max_examples=50)
def test_the_total_is_the_summed_classification_loss_plus_the_weighted_diversity(seed, experts, labels, weight):
    logits, targets = random_batch(seed, experts, labels=labels)
    terms = MultiExpertLoss(BCELoss(), ExpertDiversity(), weight)(torch.tensor(logits), torch.tensor(targets))
    assert set(terms) == {"loss", "classification", "diversity"}
    classification, diversity = plain_classification(logits, targets), plain_softmax_diversity(logits)
    assert terms["classification"].item() == pytest.approx(classification, rel=1e-9)
    assert terms["diversity"].item() == pytest.approx(diversity, rel=1e-9, abs=1e-12)
    assert terms["loss"].item() == pytest.approx(classification + weight * diversity, rel=1e-9, abs=1e-12)


def test_the_default_weight_is_the_published_one():
    logits, targets = (torch.tensor(values) for values in random_batch())
    terms = MultiExpertLoss(BCELoss(), ExpertDiversity())(logits, targets)
    torch.testing.assert_close(terms["loss"], terms["classification"] + 0.2 * terms["diversity"])


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


def test_with_a_weight_over_labels_experts_that_each_assert_a_wrong_label_lose_more_than_their_diversity_gains():
    loss, sizes = MultiExpertLoss(BCELoss(), ExpertDiversity(), 0.2 / 26), [10.0, 20.0, 40.0, 80.0, 160.0]
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
    loss = MultiExpertLoss(BCELoss(), ExpertDiversity(distribution), 0.2 / 26)
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


@pytest.mark.parametrize("experts", [1, 4])
def test_over_the_mean_the_classification_loss_is_that_of_the_models_output(experts):
    logits, targets = random_batch(experts=experts)
    terms = MultiExpertLoss(BCELoss(), over="mean")(torch.tensor(logits), torch.tensor(targets))
    assert terms["classification"].item() == pytest.approx(
        plain_classification(logits.mean(axis=0, keepdims=True), targets), rel=1e-9
    )


def test_over_the_mean_the_experts_are_compared_all_the_same():
    logits, targets = random_batch()
    terms = MultiExpertLoss(BCELoss(), ExpertDiversity(), 0.7, over="mean")(torch.tensor(logits), torch.tensor(targets))
    diversity = plain_softmax_diversity(logits)
    assert terms["diversity"].item() == pytest.approx(diversity, rel=1e-9)
    assert terms["loss"].item() == pytest.approx(terms["classification"].item() + 0.7 * diversity, rel=1e-9)


@given(seed=integers(0, 2**32 - 1), experts=integers(1, 3))
@settings(max_examples=30)
def test_factors_multiply_the_losses_of_their_labels_and_not_what_they_are_divided_by(seed, experts):
    logits, targets = random_batch(seed, experts)
    factors = [1.0, 2.0, 3.0, 1.0, 0.5]
    terms = MultiExpertLoss(BCELoss(), factors=factors)(torch.tensor(logits), torch.tensor(targets))
    known = max((~np.isnan(targets)).sum(), 1)
    expected = sum(np.nansum(plain_elements(expert, targets) * factors) / known for expert in logits)
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-9)


def reconsidering(**options):
    share = LargeLossShare(first=0.0, step=0.2, most=0.5)
    return MultiExpertLoss(LargeLossReconsideration(BCELoss()), share=share, **options)


def test_large_losses_are_reconsidered_by_the_share_of_the_epoch_and_the_share_is_a_term():
    logits, targets = random_batch()
    negatives = int((targets == 0).sum())
    elements, loss = plain_elements(logits, targets), reconsidering()
    for epoch, share in enumerate([0.0, 0.2, 0.4, 0.5, 0.5]):
        loss.set_epoch(epoch)
        terms = loss(torch.tensor(logits), torch.tensor(targets))
        assert terms["large_loss_share"].item() == pytest.approx(share)
        k = int(np.ceil(share * negatives))
        dropped = [np.sort(expert[targets == 0])[negatives - k :].sum() for expert in elements]
        expected = (np.nansum(elements) - np.sum(dropped)) / (~np.isnan(targets)).sum()
        assert terms["loss"].item() == pytest.approx(expected, rel=1e-9)


def test_in_validation_no_loss_is_reconsidered_and_the_share_is_no_term():
    logits, targets = (torch.tensor(values) for values in random_batch())
    loss = reconsidering()
    loss.set_epoch(5)
    terms = loss.eval()(logits, targets)
    assert set(terms) == {"loss", "classification"}
    assert torch.equal(terms["loss"], MultiExpertLoss(BCELoss())(logits, targets)["loss"])


def test_a_hard_labels_losses_are_no_likelier_to_be_reconsidered():
    logits, targets = torch.tensor([[[2.0, 1.0]]]), torch.zeros(1, 2)
    loss = reconsidering(factors=[1.0, 10.0])
    loss.set_epoch(2)  # one of the two negatives
    expected = 10 * np.log1p(np.exp(1.0)) / 2
    assert loss(logits, targets)["loss"].item() == pytest.approx(expected)


@pytest.mark.parametrize("wrap", [lambda loss: loss, LargeLossReconsideration])
def test_epoch_and_rows_reach_the_base(wrap):
    margins = LDAMLoss([1, 5], 10, reweight_epoch=3)
    loss = MultiExpertLoss(wrap(margins))
    loss.set_epoch(3)
    assert margins.epoch == 3 and not loss.remembers
    memory = NVUMLoss([1, 5], 10)
    loss = MultiExpertLoss(wrap(memory))
    loss(torch.ones(2, 3, 2), torch.zeros(3, 2), torch.tensor([1, 4, 7]))
    assert loss.remembers and memory.memory.any(dim=1).nonzero().flatten().tolist() == [1, 4, 7]


@pytest.mark.parametrize("over", ["experts", "mean"])
def test_a_memory_is_that_of_the_mean_logits_whatever_the_loss_is_taken_of(over):
    logits = torch.tensor(random_batch(experts=3, labels=2)[0])
    base = NVUMLoss([1, 5], 10, momentum=0.0).double()
    MultiExpertLoss(base, over=over)(logits, torch.zeros(4, 2), torch.arange(4))
    np.testing.assert_allclose(base.memory[:4], logits.numpy().mean(axis=0) - np.log([1 / 10, 5 / 10]), rtol=1e-9)


def test_what_goes_with_every_checkpoint_is_what_the_parts_keep():
    assert not MultiExpertLoss(BCELoss(), ExpertDiversity()).state_dict()
    assert set(MultiExpertLoss(BCELoss(), factors=[1.0, 2.0]).state_dict()) == {"factors"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"over": "all"}, r"over is 'all', expected one of \['experts', 'mean'\]"),
        ({"factors": [1.0, 0.0]}, r"factors must be positive numbers, one a label, got \[1\.0, 0\.0\]"),
        ({"factors": [1.0, float("inf")]}, "factors must be positive numbers"),
        ({"factors": 2.0}, "factors must be positive numbers"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MultiExpertLoss(BCELoss(), **options)


def test_factors_of_other_labels_are_refused():
    with pytest.raises(ValueError, match="there are 2 factors for 3 labels"):
        MultiExpertLoss(BCELoss(), factors=[1.0, 2.0])(torch.zeros(1, 4, 3), torch.zeros(4, 3))
