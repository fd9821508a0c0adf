import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from mlgcn.data.mixing import ALPHAS, mix

NAN = torch.nan
every_kind = pytest.mark.parametrize("name", ALPHAS)


def random_batch(seed=0, batch=6, size=9):
    rng = np.random.default_rng(seed)
    images = torch.tensor(rng.normal(size=(batch, 3, size, size + 2)))
    targets = torch.tensor(rng.choice([0.0, 1.0, np.nan], size=(batch, 4)))
    return images, targets


def marked_images(batch, size=9):
    """As many channels as images; each is 1 in its own, so that a blend shows who has which share of every pixel."""
    return torch.eye(batch, dtype=torch.float64)[:, :, None, None].expand(-1, -1, size, size + 2)


@given(seed=integers(0, 2**32 - 1), name=sampled_from(sorted(ALPHAS)), alpha=sampled_from([None, 0.05, 1.0, 5.0]))
@settings(max_examples=60)
def test_images_and_targets_are_blended_in_the_same_shares_with_one_partner_each(seed, name, alpha):
    targets = random_batch(seed)[1]
    mixed, soft = mix(marked_images(6), targets, name, alpha, seed)
    shares = mixed.mean(dim=(2, 3)).numpy()  # [image, whose]
    others = shares - np.diag(np.diag(shares))
    if others.any():
        share = others[others > 0][0]  # one for the batch; each partner is taken once
        assert ((others == 0) | np.isclose(others, share)).all() and ((others > 0).sum(axis=1) <= 1).all()
        np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-12)
    if name == "cutmix":
        assert ((mixed == 0) | (mixed == 1)).all()
    expected = np.empty(targets.shape)
    for row, label in np.ndindex(expected.shape):
        # With NaN a sum is NaN; only those with a share are in it.
        expected[row, label] = sum(shares[row, who] * targets[who, label] for who in np.flatnonzero(shares[row]))
    np.testing.assert_allclose(soft, expected, atol=1e-12)


def test_a_cutmix_rectangle_is_whole_and_the_share_that_of_its_pixels():
    for seed in range(20):
        images = torch.arange(4.0)[:, None, None, None].expand(4, 3, 16, 12).clone()
        targets = torch.eye(4)
        mixed, soft = mix(images, targets, "cutmix", 1.0, seed)
        for row in range(4):
            foreign = (mixed[row] != row).any(dim=0)
            if foreign.any():
                places = foreign.nonzero()
                (top, left), (bottom, right) = places.amin(dim=0), places.amax(dim=0)
                assert foreign[top : bottom + 1, left : right + 1].all()
                assert soft[row, row].item() == pytest.approx(1 - foreign.double().mean().item())


@every_kind
def test_shares_follow_their_distribution(name):
    images, targets = random_batch(batch=2)
    targets = torch.eye(2)
    # Of two images each is mixed with the other half of the time, and then its own target is its share.
    shares = [mix(images, targets, name, None, seed)[1][0, 0].item() for seed in range(400)]
    away = np.array([share for share in shares if share != 1.0])
    if name == "mixup":
        # Beta(0.2, 0.2) has mean 1/2 and variance 1 / (4 * (2 * 0.2 + 1)).
        assert np.mean(away) == pytest.approx(0.5, abs=0.08) and np.var(away) == pytest.approx(1 / 5.6, abs=0.04)
    else:
        assert len({*away}) > 30 and away.min() < 0.2 and away.max() > 0.8


@every_kind
def test_the_key_alone_decides(name):
    images, targets = random_batch()
    before = torch.get_rng_state(), images.clone()
    one, again, other = (mix(images, targets, name, 1.0, 7, step)[0] for step in (3, 3, 4))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before[0]) and torch.equal(images, before[1])


def test_an_unknown_target_of_an_image_without_share_does_not_count():
    targets = torch.tensor([[1.0, NAN], [NAN, 0.0]])
    seen = set()
    for seed in range(600):
        mixed, soft = mix(marked_images(2, 4), targets, "cutmix", 1e-3, seed)
        own = mixed[0, 0].mean().item()
        if own in (0.0, 1.0):
            seen.add(own)
            assert torch.equal(soft.isnan(), (targets if own else targets.flip(0)).isnan())
    assert seen == {0.0, 1.0}


def test_without_mixing_batches_pass_as_they_are():
    images, targets = random_batch()
    mixed, soft = mix(images, targets, "none", None, 0)
    assert mixed is images and soft is targets


def test_an_unknown_kind_or_an_alpha_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match=r"mixing is 'mix', expected one of \['none', 'mixup', 'cutmix'\]"):
        mix(*random_batch(), "mix", None, 0)
    with pytest.raises(ValueError, match="concentration"):
        mix(*random_batch(), "mixup", 0.0, 0)
