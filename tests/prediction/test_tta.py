"""Test-time augmentation: the versions, and how their scores are merged."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from mlgcn.prediction.merging import MERGES
from mlgcn.prediction.tta import VERSIONS, augmented_scores


def images(size=64, seed=0):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


def recorded(seen):
    """A model that scores by mean brightness, and keeps what it was shown."""

    def score(shown):
        seen.append(shown)
        return torch.stack([shown.mean(dim=(1, 2, 3)), shown[..., 0].mean(dim=(1, 2))], dim=1)

    return score


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("names", [[], ["hflip"], ["hflip", "crop", "resolution"], list(VERSIONS)])
def test_scores_are_merged_as_the_formula_says(names, merge):
    seen = []
    found = augmented_scores(recorded(seen), images(), names, merge).numpy()
    assert len(seen) == 1 + sum(len(VERSIONS[name]) for name in names)
    p = np.stack([1 / (1 + np.exp(-recorded([])(shown).double().numpy())) for shown in seen])
    expected = {
        "mean": p.mean(axis=0),
        "geometric": np.exp(np.log(p).mean(axis=0)),
        "logits": 1 / (1 + np.exp(-np.log(p / (1 - p)).mean(axis=0))),
    }[merge]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_without_versions_the_image_is_scored_as_it_is():
    found = augmented_scores(recorded([]), images(), [])
    torch.testing.assert_close(found, recorded([])(images()).sigmoid())


def versions(name, size=64):
    return [change(images(size)) for change in VERSIONS[name]]


def test_each_name_means_its_versions():
    whole = images()
    assert torch.equal(versions("hflip")[0], F.horizontal_flip(whole))
    right, left, down, up = versions("shift")
    assert torch.equal(right[..., 3:], whole[..., :-3]) and torch.equal(left[..., :-3], whole[..., 3:])
    assert torch.equal(down[..., 3:, :], whole[..., :-3, :]) and torch.equal(up[..., :-3, :], whole[..., 3:, :])
    assert torch.equal(right[..., :3], whole[..., :1].expand(-1, -1, -1, 3))  # the border repeats
    near, far = versions("scale")
    torch.testing.assert_close(near, F.resize(whole[..., 4:60, 4:60], [64, 64], antialias=True))
    torch.testing.assert_close(far[..., 3:61, 3:61], F.resize(whole, [58, 58], antialias=True))
    corners = [whole[..., y : y + 56, x : x + 56] for x, y in ((0, 0), (8, 0), (0, 8), (8, 8))]
    for found, corner in zip(versions("crop"), corners, strict=True):
        torch.testing.assert_close(found, F.resize(corner, [64, 64], antialias=True))
    assert [each.shape[-1] for each in versions("resolution", 128)] == [96, 160]


def test_other_resolutions_are_those_that_the_trunk_takes():
    seen = []
    augmented_scores(recorded(seen), images(518), ["resolution"], multiple=14)
    assert [shown.shape[-2:] for shown in seen] == [(518, 518), (448, 448), (672, 672)]  # multiples of 32 and of 14


@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_of_an_even_image_is_the_same_image(name):
    for change in VERSIONS[name]:
        assert torch.allclose(change(torch.full((1, 3, 64, 64), 0.3)), torch.tensor(0.3))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"unknown test-time augmentation 'hflp'; did you mean 'hflip'\?"):
        augmented_scores(recorded([]), images(), ["hflp"])
    with pytest.raises(ValueError, match="unknown merge 'median'"):
        augmented_scores(recorded([]), images(), [], "median")
