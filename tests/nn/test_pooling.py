import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import floats, integers

from mlgcn.nn import POOLINGS, lse_pool, max_pool, mean_pool

MAPS = arrays(np.float64, array_shapes(min_dims=4, max_dims=4, max_side=4), elements=floats(-50, 50))
SHARPNESS = floats(0.01, 20)


def plain_lse(features, sharpness):
    """Seo et al. 2023, eq. 5, map by map in float64; the maximum is taken out first, lest exp overflow."""
    pooled = np.empty(features.shape[:2])
    for image, channel in np.ndindex(pooled.shape):
        values = features[image, channel].astype(np.float64).ravel()
        top = values.max()
        pooled[image, channel] = (
            top + np.log(sum(np.exp(sharpness * (v - top)) for v in values) / len(values)) / sharpness
        )
    return pooled


@given(features=MAPS, sharpness=SHARPNESS)
@settings(max_examples=50)
def test_lse_pooling_equals_its_equation(features, sharpness):
    found = lse_pool(torch.from_numpy(features), sharpness)
    np.testing.assert_allclose(found, plain_lse(features, sharpness), rtol=1e-9, atol=1e-9)


@given(features=MAPS, sharpness=SHARPNESS)
@settings(max_examples=50)
def test_lse_pooling_nears_the_mean_as_sharpness_falls_and_the_maximum_as_it_grows(features, sharpness):
    flat = features.reshape(*features.shape[:2], -1)
    mean, top, spread = flat.mean(axis=2), flat.max(axis=2), np.ptp(flat, axis=2)
    found = lse_pool(torch.from_numpy(features), sharpness).numpy()
    # Jensen's inequality and Hoeffding's lemma on one side, the largest term of the sum on the other.
    assert (found >= mean - 1e-9).all() and (found <= mean + sharpness * spread**2 / 8 + 1e-9).all()
    assert (found <= top + 1e-9).all() and (found >= top - np.log(flat.shape[2]) / sharpness - 1e-9).all()


def test_the_default_sharpness_is_the_published_one():
    features = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    np.testing.assert_allclose(lse_pool(features), plain_lse(features.numpy(), 0.5), rtol=1e-12)


@pytest.mark.parametrize("sharpness", [0.5, 5.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lse_pooling_of_huge_features_is_finite_and_float32_or_better(sharpness, dtype):
    rng = np.random.default_rng(0)
    features = torch.tensor(rng.choice([-1e4, 1e4, -9e3, 3.0], size=(2, 3, 5, 5))).to(dtype).requires_grad_()
    found = lse_pool(features, sharpness)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.detach(), plain_lse(features.detach().double().numpy(), sharpness), rtol=1e-6)
    found.sum().backward()
    # The weights of a soft maximum add up to 1 in every map.
    torch.testing.assert_close(features.grad.float().sum(dim=(2, 3)), torch.ones(2, 3), rtol=0, atol=1e-2)


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
def test_the_gradients_of_pooling_are_right(pool):
    features = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, features)


@given(features=MAPS)
@settings(max_examples=30)
def test_mean_and_maximum_are_taken_over_the_map(features):
    for pool, expected in ((max_pool, features.max(axis=(2, 3))), (mean_pool, features.mean(axis=(2, 3)))):
        np.testing.assert_allclose(pool(torch.from_numpy(features)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
def test_pooling_computes_in_float32_or_better(pool):
    # Two numbers that bfloat16 cannot tell apart after they are added to 256.
    features = torch.tensor([256.0, 2.0]).view(1, 1, 1, 2)
    assert pool(features.bfloat16()).dtype == pool(features.half()).dtype == torch.float32
    assert pool(features.double()).dtype == torch.float64
    torch.testing.assert_close(pool(features.bfloat16()), pool(features.double()).float())


@pytest.mark.parametrize("sharpness", [0.0, -0.5, float("nan")])
def test_sharpness_that_is_not_positive_is_refused(sharpness):
    with pytest.raises(ValueError, match=f"sharpness must be > 0, got {sharpness}"):
        lse_pool(torch.zeros(1, 1, 2, 2), sharpness)


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 2, 3, 4, 4)])
def test_features_with_other_than_four_axes_are_refused(pool, shape):
    with pytest.raises(ValueError, match=r"features have shape \(.*\), expected \[B, D, H, W\]"):
        pool(torch.zeros(shape))


def masks_of(seed, shape):
    """Maps and a mask that keeps at least one place of every image."""
    rng = np.random.default_rng(seed)
    mask = rng.random((shape[0], *shape[2:])) < 0.4
    mask[:, -1, -1] |= ~mask.any(axis=(1, 2))
    return torch.from_numpy(rng.normal(scale=10, size=shape)), torch.from_numpy(mask)


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
@given(seed=integers(0, 2**32 - 1), shape=array_shapes(min_dims=4, max_dims=4, max_side=4))
@settings(max_examples=30)
def test_masked_pooling_is_pooling_of_the_places_kept(pool, seed, shape):
    features, mask = masks_of(seed, shape)
    expected = [pool(image[None, :, None, kept])[0] for image, kept in zip(features, mask, strict=True)]
    np.testing.assert_allclose(pool(features, mask=mask), torch.stack(expected), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
@pytest.mark.parametrize("other", [1e6, float("inf"), float("nan")])
def test_places_that_do_not_count_neither_change_a_pooled_value_nor_get_a_gradient(pool, other):
    features, mask = masks_of(0, (3, 4, 3, 5))
    changed = torch.where(mask[:, None], features, other).requires_grad_()
    found = pool(changed, mask=mask)
    assert torch.equal(found, pool(features, mask=mask))
    found.sum().backward()
    assert not changed.grad.movedim(1, 3)[~mask].any()
    torch.testing.assert_close(changed.grad.sum(dim=(2, 3)), torch.ones(3, 4, dtype=torch.float64))


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
def test_the_gradients_of_masked_pooling_are_right(pool):
    features, mask = masks_of(1, (2, 3, 2, 3))
    assert torch.autograd.gradcheck(lambda values: pool(values, mask=mask), features.requires_grad_())


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
def test_a_mask_that_is_true_everywhere_is_none(pool):
    features, mask = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.ones(2, 4, 4, dtype=torch.bool)
    torch.testing.assert_close(pool(features, mask=mask), pool(features))


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
def test_masked_pooling_computes_in_float32_or_better(pool):
    features, mask = masks_of(2, (2, 3, 4, 4))
    assert pool(features.bfloat16(), mask=mask).dtype == pool(features.half(), mask=mask).dtype == torch.float32
    torch.testing.assert_close(pool(features.bfloat16(), mask=mask), pool(features.bfloat16().float(), mask=mask))


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
def test_an_image_of_which_no_place_counts_is_refused(pool):
    with pytest.raises(ValueError, match="no place of image 0 of the batch counts"):
        pool(torch.zeros(2, 1, 2, 2), mask=torch.tensor([[[False, False]] * 2, [[True, False]] * 2]))


@pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)
def test_a_mask_of_another_shape_is_refused(pool):
    with pytest.raises(ValueError, match=r"mask is torch.bool \(2, 4\), expected torch.bool \(2, 2, 2\)"):
        pool(torch.zeros(2, 1, 2, 2), mask=torch.ones(2, 4, dtype=torch.bool))
