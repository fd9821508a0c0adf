import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from mlgcn.losses import BCELoss, ExpertDiversity, MultiExpertLoss
from mlgcn.losses.diversity import CONSENSUS, DISTRIBUTIONS

E, B, C = 3, 4, 5
every_kind = pytest.mark.parametrize(("distribution", "consensus"), [(d, c) for d in DISTRIBUTIONS for c in CONSENSUS])


def random_logits(seed=0, shape=(E, B, C), scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape)


def plain_distribution(logits, distribution):
    """Probabilities of one expert for one image: [C], over the labels or of each."""
    if distribution == "bernoulli":
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits) / np.exp(logits).sum()


def plain_kl(p, q, distribution):
    """KL(p || q), over the labels or summed over a two-valued distribution of each."""
    total = 0.0
    for p_c, q_c in zip(p, q, strict=True):
        total += p_c * np.log(p_c / q_c)
        if distribution == "bernoulli":
            total += (1 - p_c) * np.log((1 - p_c) / (1 - q_c))
    return total


def plain_consensus(logits, distribution, consensus):
    """pbar of one image, from its logits [E, C]."""
    if consensus == "logits":
        return plain_distribution(logits.mean(axis=0), distribution)
    return np.mean([plain_distribution(expert, distribution) for expert in logits], axis=0)


def plain_diversity(logits, distribution, consensus, bound=np.inf):
    """Seo et al. 2023, eq. 3, or eq. 2 for pairs, image by image in float64."""
    experts, batch, _ = logits.shape
    values = []
    for image in range(batch):
        each = [plain_distribution(logits[i, image], distribution) for i in range(experts)]
        if consensus == "pairwise":
            pairs = [(each[i], each[j]) for i in range(experts) for j in range(experts) if i != j]
        else:
            pbar = plain_consensus(logits[:, image], distribution, consensus)
            pairs = [(pbar, p) for p in each]
        values.append(-sum(min(plain_kl(p, q, distribution), bound) for p, q in pairs) / (experts - 1))
    return np.mean(values)


@given(
    seed=integers(0, 2**32 - 1),
    experts=integers(2, 5),
    distribution=sampled_from(DISTRIBUTIONS),
    consensus=sampled_from(CONSENSUS),
)
@settings(max_examples=60)
def test_the_diversity_equals_its_equation(seed, experts, distribution, consensus):
    logits = random_logits(seed, (experts, B, C))
    found = ExpertDiversity(distribution, consensus)(torch.tensor(logits))
    assert found.shape == () and found.dtype == torch.float64
    assert found.item() == pytest.approx(plain_diversity(logits, distribution, consensus), rel=1e-9)


def test_the_defaults_are_the_published_ones():
    logits = random_logits()
    expected = plain_diversity(logits, "softmax", "probabilities")
    assert ExpertDiversity()(torch.tensor(logits)).item() == pytest.approx(expected, rel=1e-9)


@every_kind
@pytest.mark.parametrize("bound", [0.01, 0.5, 3.0])
def test_beyond_the_bound_a_divergence_counts_no_further(distribution, consensus, bound):
    logits = random_logits(3)
    diversity = ExpertDiversity(distribution, consensus, bound)
    expected = plain_diversity(logits, distribution, consensus, bound)
    np.testing.assert_allclose(diversity(torch.tensor(logits)), expected, rtol=1e-9)
    far = (400 * torch.eye(E, C)[:, None].repeat(1, B, 1) - 200).requires_grad_()  # each sure of a label of its own
    diversity(far).backward()
    assert not far.grad.any()


def test_with_a_bound_training_has_a_minimum_and_without_one_it_has_none():
    """Free logits of right but unequally sure experts, the total of MultiExpertLoss minimised over them."""
    targets = torch.zeros(B, C)
    targets[:, :2] = 1

    def lowest(bound):
        logits = torch.tensor(random_logits(0, scale=1.0), requires_grad=True)
        loss = MultiExpertLoss(BCELoss(), ExpertDiversity(bound=bound), weight=0.2 / C)
        optimizer = torch.optim.Adam([logits], lr=0.5)
        for _ in range(400):
            optimizer.zero_grad()
            total = loss(logits, targets)["loss"]
            total.backward()
            optimizer.step()
        return total.item()

    floor = -0.2 / C * E / (E - 1)
    assert floor <= lowest(1.0) < 0
    assert lowest(None) < 5 * floor


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_a_bound_that_is_not_positive_is_refused(bound):
    with pytest.raises(ValueError, match="bound must be > 0 nats, or None"):
        ExpertDiversity(bound=bound)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("consensus", ["probabilities", "logits"])
def test_the_gradient_takes_the_consensus_as_a_constant(distribution, consensus):
    logits = random_logits()
    leaf = torch.tensor(logits, requires_grad=True)
    ExpertDiversity(distribution, consensus)(leaf).backward()
    expected = np.empty_like(logits)
    for i, image in np.ndindex(E, B):
        # With pbar constant the derivative of KL(pbar || p_i) by the logits of p_i is p_i - pbar.
        pbar = plain_consensus(logits[:, image], distribution, consensus)
        expected[i, image] = -(plain_distribution(logits[i, image], distribution) - pbar) / (E - 1) / B
    np.testing.assert_allclose(leaf.grad, expected, rtol=1e-9, atol=1e-12)


@given(seed=integers(0, 2**32 - 1), experts=integers(2, 5), scale=sampled_from([1.0, 30.0, 1e3]))
@settings(max_examples=30)
def test_over_labels_the_pull_on_the_logits_is_bounded(seed, experts, scale):
    leaf = torch.tensor(random_logits(seed, (experts, 1, C), scale), requires_grad=True)
    ExpertDiversity()(leaf).backward()
    # An expert and the mean of n differ by at most 2 (1 - 1/n) in absolute probability.
    assert leaf.grad.abs().sum() <= 2 + 1e-9


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_gradient_of_pairs_reaches_both_experts(distribution):
    leaf = torch.tensor(random_logits(), requires_grad=True)
    assert torch.autograd.gradcheck(ExpertDiversity(distribution, "pairwise"), leaf)


@every_kind
def test_equal_experts_have_no_diversity_and_others_a_negative_one(distribution, consensus):
    diversity = ExpertDiversity(distribution, consensus)
    same = torch.tensor(random_logits(shape=(1, B, C))).expand(E, B, C)
    assert diversity(same).item() == pytest.approx(0, abs=1e-12)
    assert diversity(torch.tensor(random_logits())).item() < -0.01


@every_kind
def test_a_step_down_the_gradient_drives_the_experts_apart(distribution, consensus):
    diversity = ExpertDiversity(distribution, consensus)
    logits = torch.tensor(random_logits(scale=0.5), requires_grad=True)
    diversity(logits).backward()
    moved = logits.detach() - 0.5 * logits.grad

    def spread(logits):
        """How far the experts' probabilities are apart, over all images and labels."""
        probability = torch.sigmoid if distribution == "bernoulli" else lambda values: values.softmax(dim=-1)
        return probability(logits).std(dim=0).sum()

    assert diversity(moved) < diversity(logits.detach()) and spread(moved) > spread(logits.detach())


@every_kind
def test_the_order_of_experts_images_and_labels_does_not_matter(distribution, consensus):
    logits = torch.tensor(random_logits())
    diversity = ExpertDiversity(distribution, consensus)
    for axis, size in enumerate(logits.shape):
        other = logits.index_select(axis, torch.randperm(size))
        torch.testing.assert_close(diversity(other), diversity(logits))


def test_over_labels_the_findings_compete_and_label_by_label_they_do_not():
    moved = {}
    for distribution in DISTRIBUTIONS:
        logits = torch.zeros(2, 1, C, dtype=torch.float64)
        logits[0, 0, 0] = 4.0  # the experts differ at the first label alone
        logits.requires_grad_()
        ExpertDiversity(distribution)(logits).backward()
        moved[distribution] = (logits.grad.abs() > 1e-12).all(dim=0)[0].tolist()
    assert moved == {"softmax": [True] * C, "bernoulli": [True] + [False] * (C - 1)}


@every_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_diversity_is_computed_in_float32_whatever_the_autocast_type(distribution, consensus, dtype):
    logits = torch.tensor(random_logits()).to(dtype)
    expected = plain_diversity(logits.double().numpy(), distribution, consensus)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found = ExpertDiversity(distribution, consensus)(logits)
        assert found.dtype == torch.float32 and found.item() == pytest.approx(expected, rel=1e-5)


@every_kind
@pytest.mark.parametrize("size", [200.0, 1e4])
def test_diversity_and_gradient_are_finite_at_huge_logits(distribution, consensus, size):
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(E, B, C))
    logits = torch.tensor(size * signs, dtype=torch.float32, requires_grad=True)
    found = ExpertDiversity(distribution, consensus)(logits)
    found.backward()
    assert torch.isfinite(found) and found < 0 and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("shape", [(1, B, C), (0, B, C), (B, C), (2, 2, B, C)])
def test_fewer_than_two_experts_or_other_axes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expert_logits have shape \(.*\), expected \[E >= 2, B, C\]"):
        ExpertDiversity()(torch.zeros(shape))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"distribution is 'sigmoid', expected one of \['softmax', 'bernoulli'\]"):
        ExpertDiversity("sigmoid")
    with pytest.raises(
        ValueError, match=r"consensus is 'mean', expected one of \['probabilities', 'logits', 'pairwise'\]"
    ):
        ExpertDiversity(consensus="mean")


@given(
    seed=integers(0, 2**32 - 1),
    temperature=sampled_from([0.5, 3.0]),
    distribution=sampled_from(DISTRIBUTIONS),
    consensus=sampled_from(CONSENSUS),
)
@settings(max_examples=30)
def test_a_temperature_divides_the_logits(seed, temperature, distribution, consensus):
    logits = random_logits(seed, scale=1.0)
    found = ExpertDiversity(distribution, consensus, temperature=temperature)(torch.tensor(logits))
    assert found.item() == pytest.approx(plain_diversity(logits / temperature, distribution, consensus), rel=1e-9)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match=f"temperature must be > 0, got {temperature}"):
        ExpertDiversity(temperature=temperature)
