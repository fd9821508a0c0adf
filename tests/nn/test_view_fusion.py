import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis.strategies import integers
from plain_transformer import drawn, encoder_layer, sines, weights
from torch import nn

from mlgcn.nn import POOLINGS, ByView, LearnedQueries, LinearClassifiers, QueryDecoder, ViewFusion, lse_pool
from mlgcn.nn.view_fusion import FRONTAL, LATERAL, START, UNKNOWN, UNKNOWN_TO

D, V, HEIGHT, WIDTH, HEADS = 8, 4, 2, 3, 2
# Three studies of two, one and three images, not in order; the last slot of the first is its second image.
SLOTS = torch.tensor([[2, 1], [0, 0], [1, 0], [2, 0], [0, 3], [2, 2]])


def fusion_of(seed=0, views=V, **options):
    return drawn(ViewFusion(D, views, **{"heads": HEADS, **options}), seed)


def maps_of(images=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, D, HEIGHT, WIDTH, dtype=torch.float64, generator=generator)


def plain_fusion(fusion, maps, slots, heads=HEADS):
    """The places of every image after fusion, by study and slot: {(study, slot): [h * w, D]}; nothing is padded."""
    w, slots = weights(fusion), slots.tolist()
    found = {}
    for study in {study for study, _ in slots}:
        images = [(slot, maps[i].numpy()) for i, (of, slot) in enumerate(slots) if of == study]
        places = [
            image.reshape(D, -1).T + START * sines(*image.shape[1:], D) + w["segments"][slot] for slot, image in images
        ]
        x = np.concatenate(places)
        for layer in range(len(fusion.encoder.layers)):
            x = encoder_layer(x, w, f"encoder.layers.{layer}", heads)
        for (slot, _), part in zip(images, np.split(x, len(images)), strict=True):
            found[study, slot] = part
    return found


def by_slot(fused, mask):
    """What stands where the mask is true, as plain_fusion gives it."""
    found = {}
    for study, (rows, kept) in enumerate(zip(fused.detach().numpy(), mask.numpy(), strict=True)):
        for slot in range(len(kept) // HEIGHT):
            part = slice(slot * HEIGHT, (slot + 1) * HEIGHT)
            if kept[part].any():
                assert kept[part].all()
                found[study, slot] = rows[:, part].reshape(D, -1).T
    return found


def close(found, expected, tolerance=1e-9):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=tolerance, atol=tolerance)


@pytest.fixture(params=[True, False], ids=["with gradients", "without"])
def gradients(request):
    """torch takes another way through the encoder where no gradient is asked for."""
    with torch.set_grad_enabled(request.param):
        yield


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize(("layers", "heads"), [(1, 4), (2, 2)])
def test_every_study_equals_plain_attention_over_its_own_places(layers, heads):
    fusion, maps = fusion_of(layers=layers, heads=heads, dropout=0.5), maps_of()
    fused, mask = fusion(maps, SLOTS)
    assert fused.shape == (3, D, V * HEIGHT, WIDTH) and mask.shape == (3, V * HEIGHT, WIDTH)
    # Positions are float32.
    close(by_slot(fused, mask), plain_fusion(fusion, maps, SLOTS, heads), 1e-6)


def test_without_slots_every_image_is_a_study_of_its_own():
    fusion, maps = fusion_of(), maps_of()
    fused, mask = fusion(maps)
    alone, all_true = fusion(maps, torch.tensor([[i, 0] for i in range(len(maps))]))
    assert torch.equal(fused, alone) and mask.all() and all_true.all() and fused.shape == maps.shape


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("used", [1, 2, V])
def test_a_study_is_the_same_whatever_stands_beside_it_and_however_much_is_padded(used):
    fusion, maps = fusion_of(), maps_of()
    alone, _ = fusion(maps[:1], torch.tensor([[0, 0]]))
    beside = torch.tensor([[1, 0], *([0, slot] for slot in range(used))])
    fused, mask = fusion(maps[: 1 + used], beside)
    assert fused.shape[2] == used * HEIGHT
    assert mask[1].sum() == HEIGHT * WIDTH and mask[1, :HEIGHT].all()
    np.testing.assert_allclose(fused[1, :, :HEIGHT].detach(), alone[0].detach(), rtol=1e-9)


@given(seed=integers(0, 2**31))
@settings(max_examples=10)
def test_the_order_of_images_in_the_batch_does_not_matter(seed):
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(SLOTS)))
    fusion, maps = fusion_of(), maps_of()
    (fused, mask), (shuffled, other) = fusion(maps, SLOTS), fusion(maps[order], SLOTS[order])
    assert torch.equal(mask, other)
    np.testing.assert_allclose(shuffled.detach(), fused.detach(), rtol=1e-9, atol=1e-12)


def test_the_slot_that_an_image_stands_in_matters_by_its_embedding_alone():
    fusion, maps = fusion_of(), maps_of(2)
    fused, swapped = (fusion(maps, torch.tensor(slots))[0] for slots in ([[0, 0], [0, 1]], [[0, 1], [0, 0]]))
    exchanged = torch.cat([swapped[:, :, HEIGHT:], swapped[:, :, :HEIGHT]], dim=2)
    assert not torch.allclose(fused, exchanged, rtol=1e-3)
    with torch.no_grad():
        fusion.segments[1] = fusion.segments[0]
    fused, swapped = (fusion(maps, torch.tensor(slots))[0] for slots in ([[0, 0], [0, 1]], [[0, 1], [0, 0]]))
    exchanged = torch.cat([swapped[:, :, HEIGHT:], swapped[:, :, :HEIGHT]], dim=2)
    np.testing.assert_allclose(exchanged.detach(), fused.detach(), rtol=1e-9, atol=1e-12)


def test_views_of_a_study_tell_each_other_and_those_of_others_nothing():
    fusion, maps = fusion_of(), maps_of().requires_grad_()
    fused, _ = fusion(maps, SLOTS)
    fused[0, :, :HEIGHT].square().sum().backward()  # slot 0 of study 0
    touched = maps.grad.flatten(1).any(dim=1)
    assert torch.equal(touched, SLOTS[:, 0] == 0)


def heads_after_fusion():
    torch.manual_seed(0)
    decoder = drawn(QueryDecoder(D, LearnedQueries(5, 8), 5, 8, heads=HEADS, positions=False))
    rows = drawn(LinearClassifiers(5, D))
    pooled = {name: lambda fused, mask, pool=pool: pool(fused, mask=mask) @ rows().T for name, pool in POOLINGS.items()}
    return {"decoder": decoder, **pooled}


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("head", ["decoder", *POOLINGS])
def test_the_padding_token_changes_no_logit(head):
    fusion, maps, head = fusion_of(), maps_of(), heads_after_fusion()[head]
    before = head(*fusion(maps, SLOTS))
    with torch.no_grad():
        fusion.padding.copy_(1e3 * torch.randn(D))
    assert torch.equal(head(*fusion(maps, SLOTS)), before)


@pytest.mark.parametrize("head", ["decoder", *POOLINGS])
def test_the_padding_token_gets_no_gradient_and_everything_else_does(head):
    fusion, maps, head = fusion_of().train(), maps_of().requires_grad_(), heads_after_fusion()[head]
    head(*fusion(maps, SLOTS)).square().sum().backward()
    assert not fusion.padding.grad.any()
    still = [name for name, weight in fusion.named_parameters() if not weight.grad.any()]
    assert still == ["padding"] and maps.grad.flatten(1).any(dim=1).all()


@pytest.mark.parametrize("head", ["decoder", *POOLINGS])
def test_a_study_has_the_same_logits_in_every_batch(head):
    fusion, maps, head = fusion_of(), maps_of(), heads_after_fusion()[head]
    together = head(*fusion(maps, SLOTS)).detach()
    for study in range(3):
        own = SLOTS[:, 0] == study
        slots = SLOTS[own] * torch.tensor([0, 1])
        np.testing.assert_allclose(head(*fusion(maps[own], slots)).detach()[0], together[study], rtol=1e-9, atol=1e-12)


def test_the_gradients_equal_finite_differences():
    fusion, slots = fusion_of(layers=1), torch.tensor([[0, 1], [1, 0], [1, 1]])
    names, values = zip(*fusion.named_parameters(), strict=True)

    def pooled(maps, *given):
        fused, mask = torch.func.functional_call(fusion, dict(zip(names, given, strict=True)), (maps, slots))
        return lse_pool(fused, mask=mask)

    inputs = tuple(value.detach().requires_grad_() for value in (maps_of(3), *values))
    assert torch.autograd.gradcheck(pooled, inputs, fast_mode=True)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_fusion_under_autocast_is_near_full_precision(mode):
    fusion, maps = ViewFusion(D, V, heads=HEADS).eval(), maps_of().float()
    with mode():
        expected, _ = fusion(maps, SLOTS)
        with torch.autocast("cpu", torch.bfloat16):
            found, mask = fusion(maps.bfloat16(), SLOTS)
    kept = mask[:, None].expand_as(found)
    np.testing.assert_allclose(found[kept].float().detach(), expected[kept].detach(), rtol=0.02, atol=0.02)


def test_fusion_comes_back_from_its_state(tmp_path):
    fusion = fusion_of()
    torch.save(fusion.state_dict(), tmp_path / "fusion.pt")
    other = fusion_of(seed=1)
    other.load_state_dict(torch.load(tmp_path / "fusion.pt", weights_only=True))
    assert torch.equal(other(maps_of(), SLOTS)[0], fusion(maps_of(), SLOTS)[0])


@pytest.mark.parametrize("scale", [0.5, 2, 10])
def test_untrained_fusion_leaves_features_much_as_they_were(scale):
    torch.manual_seed(0)
    fusion, maps = ViewFusion(2048), scale * torch.randn(4, 2048, 3, 3).relu()
    with torch.no_grad():
        fused, mask = fusion(maps, torch.tensor([[0, 0], [1, 0], [1, 1], [1, 2]]))
        after = QueryDecoder(2048, LearnedQueries(26, 512), 26, positions=False)(fused, mask)
    change = fused[0, :, :3] - maps[0]
    assert change.square().mean().sqrt() < 0.3 * maps[0].square().mean().sqrt() + 0.1
    assert 0.5 < F.binary_cross_entropy_with_logits(after, (torch.rand(2, 26) < 0.1).float()) < 1


def test_the_layers_of_a_fusion_start_with_weights_of_their_own():
    first, second = ViewFusion(D, heads=HEADS).encoder.layers
    for name in ("self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight"):
        assert not torch.equal(first.get_parameter(name), second.get_parameter(name))


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([[0, 0], [0, 4]], "study 0 has an image in slot 4, expected 0 to 3"),
        ([[0, -1], [1, 3]], "study 0 has an image in slot -1, expected 0 to 3"),
        ([[0, 0], [-1, 0]], "slots name study -1, expected 0 to 1 for 2 images"),
        ([[0, 0], [2, 0]], "slots name study 2, expected 0 to 1 for 2 images"),
        ([[0, 2], [0, 2]], "study 0 has 2 images in slot 2"),
        ([[1, 0], [1, 1]], "study 0 of the batch has no image"),
        ([[0, 0]], r"slots have shape \(1, 2\), expected \(2 images, 2\)"),
        ([0, 1], r"slots have shape \(2,\), expected \(2 images, 2\)"),
    ],
)
def test_slots_that_do_not_fit_are_refused(slots, message):
    with pytest.raises(ValueError, match=message):
        fusion_of()(maps_of(2), torch.tensor(slots))


def test_a_study_with_more_images_than_slots_is_refused():
    with pytest.raises(ValueError, match="study 0 has an image in slot 2, expected 0 to 1"):
        fusion_of(views=2)(maps_of(3), torch.tensor([[0, 0], [0, 1], [0, 2]]))


@pytest.mark.parametrize("slots", [None, torch.empty(0, 2, dtype=torch.int64)])
def test_a_batch_without_images_is_refused(slots):
    with pytest.raises(ValueError, match="the batch has no image"):
        fusion_of()(maps_of(0), slots)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 8, "heads": 3}, "fusion of 8 features, expected a multiple of 4 and of the 3 heads"),
        ({"features": 8, "heads": 0}, "fusion of 8 features, expected a multiple of 4 and of the 0 heads"),
        ({"features": 6, "heads": 2}, "fusion of 6 features, expected a multiple of 4 and of the 2 heads"),
        ({"features": 8, "views": 0}, "views is 0, layers 2 and stride 1, expected at least 1"),
        ({"features": 8, "layers": 0}, "views is 4, layers 0 and stride 1, expected at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ViewFusion(**options)


def trunk():
    return nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Tanh())


def by_view(unknown="frontal", seed=0):
    torch.manual_seed(seed)
    return ByView(trunk(), trunk(), unknown)


def images_of(images, seed=1):
    return torch.randn(images, 1, 3, 3, generator=torch.Generator().manual_seed(seed))


@given(views=integers(1, 6).flatmap(lambda n: integers(0, 3**n - 1).map(lambda k: [k // 3**i % 3 for i in range(n)])))
@settings(max_examples=40)
@pytest.mark.parametrize("unknown", UNKNOWN_TO)
def test_every_image_goes_to_the_trunk_of_its_view(unknown, views):
    model, images = by_view(unknown).eval(), images_of(len(views))
    found = model(images, torch.tensor(views))
    for image, view, got in zip(images, views, found, strict=True):
        frontal, lateral = model.frontal(image[None])[0], model.lateral(image[None])[0]
        of_unknown = frontal if unknown == "frontal" else (frontal + lateral) / 2
        torch.testing.assert_close(got, {FRONTAL: frontal, LATERAL: lateral, UNKNOWN: of_unknown}[view])


@pytest.mark.parametrize("unknown", UNKNOWN_TO)
def test_without_views_all_are_unknown(unknown):
    model, images = by_view(unknown).eval(), images_of(3)
    torch.testing.assert_close(model(images), model(images, torch.full((3,), UNKNOWN)))


@pytest.mark.parametrize("unknown", UNKNOWN_TO)
@pytest.mark.parametrize("view", [FRONTAL, LATERAL, UNKNOWN])
def test_only_the_trunks_that_see_an_image_learn_from_it(view, unknown):
    model, views = by_view(unknown).eval(), torch.tensor([FRONTAL, view, LATERAL])
    model(images_of(3), views)[1].square().sum().backward()
    learns = {
        name: any(w.grad is not None and bool(w.grad.any()) for w in getattr(model, name).parameters())
        for name in ("frontal", "lateral")
    }
    assert learns == {
        "frontal": view != LATERAL,
        "lateral": view == LATERAL or (view == UNKNOWN and unknown == "both"),
    }


@pytest.mark.parametrize("unknown", UNKNOWN_TO)
def test_batch_statistics_are_those_of_the_trunks_own_images(unknown):
    views = torch.tensor([LATERAL, FRONTAL, UNKNOWN, LATERAL, FRONTAL])
    model, images = by_view(unknown).train(), images_of(5)
    seen = {
        "frontal": images[views != LATERAL],
        "lateral": images[(views == LATERAL) | ((views == UNKNOWN) & (unknown == "both"))],
    }
    expected = {name: getattr(by_view(unknown), name).train() for name in seen}
    for name, own in seen.items():
        expected[name](own)
    model(images, views)
    for name, alone in expected.items():
        torch.testing.assert_close(getattr(model, name)[1].running_mean, alone[1].running_mean)
        torch.testing.assert_close(getattr(model, name)[1].running_var, alone[1].running_var)


def test_a_batch_of_one_view_leaves_the_other_trunk_untouched():
    model = by_view("both").train()
    before = {name: value.clone() for name, value in model.frontal.state_dict().items()}
    model(images_of(4), torch.full((4,), LATERAL)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.frontal.state_dict().items())
    assert all(weight.grad is None for weight in model.frontal.parameters())
    assert int(model.lateral[1].num_batches_tracked) == 1


def test_another_setting_of_unknown_is_refused():
    with pytest.raises(ValueError, match=r"unknown is 'lateral', expected one of \['frontal', 'both'\]"):
        by_view("lateral")


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ([0, 1], r"views have shape \(2,\), expected \(3 images,\)"),
        ([[0], [1], [2]], r"views have shape \(3, 1\), expected \(3 images,\)"),
        ([0, 3, 1], r"views hold 3, expected places in \['frontal', 'lateral', 'unknown'\]"),
        ([0, -1, 1], r"views hold -1, expected places in \['frontal', 'lateral', 'unknown'\]"),
    ],
)
def test_views_that_do_not_fit_are_refused(views, message):
    with pytest.raises(ValueError, match=message):
        by_view()(images_of(3), torch.tensor(views))


def test_a_stride_makes_one_place_of_several_before_they_are_joined():
    torch.manual_seed(0)
    fusion = ViewFusion(8, views=2, layers=1, heads=2, stride=2).double().eval()
    maps, slots = torch.randn(3, 8, 4, 6, dtype=torch.float64), torch.tensor([[0, 0], [0, 1], [1, 0]])
    found, mask = fusion(maps, slots)
    assert found.shape == (2, 8, 2 * 2, 3) and mask.tolist() == [[[True] * 3] * 4, [[True] * 3] * 2 + [[False] * 3] * 2]
    plain = ViewFusion(8, views=2, layers=1, heads=2).double().eval()
    plain.load_state_dict(
        {name: value for name, value in fusion.state_dict().items() if not name.startswith("reduce.")}
    )
    weight, bias = fusion.reduce.weight, fusion.reduce.bias
    reduced = torch.empty(3, 8, 2, 3, dtype=torch.float64)
    for row in range(2):
        for column in range(3):
            patch = maps[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            reduced[:, :, row, column] = torch.einsum("nfyx,dfyx->nd", patch, weight) + bias
    torch.testing.assert_close(found, plain(reduced, slots)[0])
    with pytest.raises(ValueError, match="stride 0, expected at least 1"):
        ViewFusion(8, stride=0)
