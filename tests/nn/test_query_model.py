from functools import partial

import numpy as np
import pytest
import torch
from plain_transformer import drawn
from torch import nn

from mlgcn.nn import (
    POOLINGS,
    ByView,
    LearnedQueries,
    LinearClassifiers,
    MultiExpertGCN,
    QueryDecoder,
    QueryModel,
    ViewFusion,
    lse_pool,
)

E, C, D, SLOTS = 3, 5, 8, torch.tensor([[1, 1], [0, 0], [1, 0], [1, 2]])
VIEWS = torch.tensor([1, 0, 2, 0])


def trunk():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())


def branch():
    return nn.Sequential(nn.Conv2d(4, D, 2, stride=2), nn.Tanh())


def parts(views="", fused=True):
    """Trunk, branches and fusion; `views` names what has weights of its own for lateral images."""

    def build(part, name):
        return ByView(part(), part(), "both") if name in views else part()

    branches = [build(branch, "branches") for _ in range(E)]
    return build(trunk, "trunk"), branches, ViewFusion(D, 3, heads=2) if fused else None


def queried(views="", fused=True):
    stem, branches, fusion = parts(views, fused)
    decoders = [QueryDecoder(D, LearnedQueries(C, 8), C, 8, 1, 2, positions=not fused) for _ in range(E)]
    return drawn(QueryModel(stem, branches, decoders, fusion))


def pooled(pool, views="", fused=True):
    stem, branches, fusion = parts(views, fused)
    return drawn(MultiExpertGCN(stem, branches, [LinearClassifiers(C, D) for _ in range(E)], pool, fusion=fusion))


def images_of(images=4, seed=1):
    return torch.randn(images, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(found, expected):
    np.testing.assert_allclose(found.detach(), expected.detach(), rtol=1e-9, atol=1e-9)


def maps_by_hand(model, images, views=None):
    """[n, D, h, w] of every expert."""
    features = model.trunk(images, views) if isinstance(model.trunk, ByView) else model.trunk(images)
    return [b(features, views) if isinstance(b, ByView) else b(features) for b in model.branches]


def test_every_expert_decodes_a_map_of_its_own():
    model, images = queried(fused=False), images_of()
    found = model(images)
    assert found.shape == (E, len(images), C)
    maps = maps_by_hand(model, images)
    for expert in range(E):
        close(found[expert], model.heads[expert](maps[expert]))


@pytest.mark.parametrize("views", ["", "trunk", "branches", "trunk branches"])
def test_with_fusion_every_expert_decodes_the_map_of_all_views_of_a_study(views):
    model, images = queried(views), images_of()
    given = VIEWS if views else None
    found = model(images, given, SLOTS)
    assert found.shape == (E, 2, C)
    for expert, maps in enumerate(maps_by_hand(model, images, given)):
        close(found[expert], model.heads[expert](*model.fusion(maps, SLOTS)))


@pytest.mark.parametrize("pool", [*POOLINGS.values(), partial(lse_pool, sharpness=3)], ids=[*POOLINGS, "sharp lse"])
@pytest.mark.parametrize("views", ["", "trunk"])
def test_with_fusion_classifiers_of_the_graph_meet_what_is_pooled_of_the_images_there_are(pool, views):
    model, images = pooled(pool, views), images_of()
    found = model(images, VIEWS, SLOTS)
    assert found.shape == (E, 2, C)
    for expert, maps in enumerate(maps_by_hand(model, images, VIEWS)):
        for study, count in enumerate((1, 3)):
            own = SLOTS[:, 0] == study
            fused, _ = model.fusion(maps[own], SLOTS[own] * torch.tensor([0, 1]))
            assert fused.shape[2] == 2 * count
            close(found[expert, study], model.heads[expert]() @ pool(fused)[0])


@pytest.mark.parametrize("build", [queried, partial(pooled, lse_pool)], ids=["decoder", "pooling"])
@pytest.mark.parametrize("views", ["", "trunk", "branches"])
def test_without_slots_every_image_is_a_study_of_its_own(build, views):
    model, images = build(views), images_of()
    alone = torch.cat([model(images[i, None], VIEWS[i, None], torch.tensor([[0, 0]])) for i in range(4)], dim=1)
    close(model(images, VIEWS), alone)


@pytest.mark.parametrize("build", [queried, partial(pooled, lse_pool)], ids=["decoder", "pooling"])
def test_a_study_has_the_same_logits_whatever_else_is_in_the_batch(build):
    model, images = build("trunk"), images_of()
    together = model(images, VIEWS, SLOTS)
    for study in (0, 1):
        own = SLOTS[:, 0] == study
        alone = model(images[own], VIEWS[own], SLOTS[own] * torch.tensor([0, 1]))
        close(alone[:, 0], together[:, study])


@pytest.mark.parametrize("build", [queried, partial(pooled, lse_pool)], ids=["decoder", "pooling"])
@pytest.mark.parametrize("views", ["", "trunk", "branches"])
def test_every_weight_but_the_padding_token_learns(build, views):
    model = build(views).train()
    model(images_of(), VIEWS, SLOTS).square().sum().backward()
    still = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == ["fusion.padding"]


@pytest.mark.parametrize("fused", [True, False])
def test_logits_are_float32_under_autocast(fused):
    model = queried("trunk", fused).float()
    slots = SLOTS if fused else None
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images_of().float(), VIEWS, slots)
    assert found.dtype == torch.float32 and found.isfinite().all()


def test_a_model_comes_back_from_its_state():
    model, other = queried("trunk branches"), drawn(queried("trunk branches"), seed=1)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images_of(), VIEWS, SLOTS), model(images_of(), VIEWS, SLOTS))


@pytest.mark.parametrize("build", [queried, partial(pooled, lse_pool)], ids=["decoder", "pooling"])
def test_slots_without_a_fusion_are_refused(build):
    with pytest.raises(ValueError, match="images come with slots of studies, but the network has no fusion"):
        build(fused=False)(images_of(), VIEWS, SLOTS)


@pytest.mark.parametrize(("branches", "heads"), [(2, 3), (1, 0), (0, 0)])
def test_branches_without_a_decoder_each_are_refused(branches, heads):
    decoder = QueryDecoder(D, LearnedQueries(C, 8), C, 8, heads=2)
    message = f"got {branches} branches and {heads} heads, expected one of each an expert"
    with pytest.raises(ValueError, match=message):
        QueryModel(trunk(), [branch()] * branches, [decoder] * heads)
