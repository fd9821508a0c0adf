import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis.strategies import integers
from plain_transformer import decoder_layer, drawn, layer_norm, linear, sines, weights
from torch_geometric.data import Data

from mlgcn.graph import propagation
from mlgcn.nn import LabelGCN, LearnedQueries, QueryDecoder, VectorQueries

B, C, D, W, SIZE, HEADS = 3, 5, 6, 8, (2, 3), 2
KINDS = ["learned", "frozen", "tuned", "graph"]


def label_vectors(labels=C, seed=3):
    return torch.randn(labels, 7, generator=torch.Generator().manual_seed(seed))


def queries_of(kind, width=W, vectors=None):
    vectors = label_vectors() if vectors is None else vectors
    if kind == "learned":
        return LearnedQueries(len(vectors), width)
    if kind == "graph":
        edges = torch.tensor([[0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, 1]])
        graph = Data(edge_index=edges, edge_weight=torch.tensor([0.8, 0.8, 1, 1, 1, 0.2]), num_nodes=len(vectors))
        return LabelGCN(vectors, *propagation(graph), width, hidden=9)
    return VectorQueries(vectors, width, tuned=kind == "tuned")


def decoder_of(kind="learned", seed=0, **options):
    return drawn(QueryDecoder(D, queries_of(kind), C, W, **{"layers": 2, "heads": HEADS, **options}), seed)


def maps_of(batch=B, seed=1, size=SIZE):
    return torch.randn(batch, D, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_mask(batch=B, size=SIZE):
    """A different number of places an image, always one at least."""
    mask = torch.zeros(batch, *size, dtype=torch.bool)
    for image in range(batch):
        mask[image].view(-1)[image : 2 * image + 2] = True
    return mask


def plain_decoder(decoder, maps, mask=None, heads=HEADS, queries=None):
    """Logits [B, C] of a decoder with learned or given queries; places that do not count are taken out."""
    w = weights(decoder)
    queries = w["queries.weight"] if queries is None else queries
    queries = queries / np.sqrt((queries**2).mean(axis=1, keepdims=True))
    logits = []
    for image, features in enumerate(maps.numpy()):
        tokens = linear(features.reshape(len(features), -1).T, w, "project")
        if decoder.positions:
            tokens = tokens + sines(*features.shape[1:], tokens.shape[1])
        if mask is not None:
            tokens = tokens[mask[image].numpy().ravel()]
        found = queries
        for layer in range(len(decoder.decoder.layers)):
            found = decoder_layer(found, tokens, w, f"decoder.layers.{layer}", heads)
        found = layer_norm(found, w, "decoder.norm")
        rows = np.arange(len(found)) if len(w["weight"]) == len(found) else np.zeros(len(found), int)
        answers = [row @ w["weight"][r].T + w["bias"][r] for row, r in zip(found, rows, strict=True)]
        logits.append(np.concatenate(answers)[: decoder.labels])
    return np.stack(logits)


def close(found, expected, tolerance=1e-9):
    np.testing.assert_allclose(found.detach(), expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(params=[True, False], ids=["with gradients", "without"])
def gradients(request):
    """torch takes another way through attention where no gradient is asked for."""
    with torch.set_grad_enabled(request.param):
        yield


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_logits_equal_plain_attention(layers, positions, masked):
    decoder, maps = decoder_of(layers=layers, positions=positions, dropout=0.5), maps_of()
    mask = some_mask() if masked else None
    # Positions are float32.
    close(decoder(maps, mask), plain_decoder(decoder, maps, mask), 1e-5 if positions else 1e-9)


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("options", [{"classifier": "shared"}, {"classifier": "separate"}], ids=str)
def test_separate_and_shared_classifiers_equal_plain_attention(options, heads):
    decoder, maps = decoder_of(heads=heads, positions=False, **options), maps_of()
    assert len(decoder.weight) == (1 if decoder.shared else C)
    close(decoder(maps), plain_decoder(decoder, maps, heads=heads))


@pytest.mark.parametrize(("labels", "groups"), [(7, 3), (6, 3), (7, 1), (5, 4)])
def test_a_query_answers_for_its_group_of_labels(labels, groups):
    decoder = drawn(QueryDecoder(D, LearnedQueries(groups, W), labels, W, heads=HEADS, groups=groups, positions=False))
    found = decoder(maps_of())
    assert found.shape == (B, labels)
    close(found, plain_decoder(decoder, maps_of()))


def test_as_many_groups_as_labels_are_separate_classifiers():
    grouped, separate = decoder_of(groups=C), decoder_of(seed=1)
    separate.load_state_dict(grouped.state_dict())
    assert torch.equal(grouped(maps_of()), separate(maps_of()))


def test_thousands_of_labels_in_groups_cost_as_many_queries_as_there_are_groups():
    decoder = QueryDecoder(D, LearnedQueries(100, 32), 10_000, 32, heads=HEADS, groups=100).eval()
    seen = []
    decoder.decoder.layers[0].self_attn.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    found = decoder(maps_of().float())
    assert found.shape == (B, 10_000) and seen == [(B, 100, 32)]
    assert decoder.weight.numel() == 10_000 * 32


@given(seed=integers(0, 2**31))
@settings(max_examples=10)
def test_labels_in_another_order_give_the_same_logits_in_that_order(seed):
    order = torch.from_numpy(np.random.default_rng(seed).permutation(C))
    decoder, maps = decoder_of(), maps_of()
    before = decoder(maps)
    with torch.no_grad():
        for values in (decoder.queries.weight, decoder.weight, decoder.bias):
            values.copy_(values[order].clone())
    close(decoder(maps), before[:, order].detach())


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("positions", [True, False])
def test_places_that_do_not_count_change_nothing(positions):
    decoder, maps, mask = decoder_of(positions=positions), maps_of(), some_mask()
    changed = torch.where(mask[:, None], maps, 1e3 * maps_of(seed=2))
    assert torch.equal(decoder(maps, mask), decoder(changed, mask))
    assert not torch.allclose(decoder(maps, mask), decoder(maps))


def test_places_that_do_not_count_get_no_gradient_and_all_others_do():
    maps, mask = maps_of().requires_grad_(), some_mask()
    decoder_of()(maps, mask).square().sum().backward()
    assert torch.equal((maps.grad != 0).any(dim=1), mask)


def test_a_mask_that_is_true_everywhere_is_none():
    close(decoder_of()(maps_of(), torch.ones(B, *SIZE, dtype=torch.bool)), decoder_of()(maps_of()).detach(), 1e-12)


def test_without_positions_the_places_may_be_shuffled_and_with_them_not():
    maps = maps_of()
    shuffled = maps.flatten(2)[:, :, torch.randperm(6, generator=torch.Generator().manual_seed(1))].view_as(maps)
    assert torch.allclose(decoder_of(positions=False)(maps), decoder_of(positions=False)(shuffled))
    assert not torch.allclose(decoder_of()(maps), decoder_of()(shuffled))


def test_images_of_a_batch_do_not_influence_each_other():
    decoder, maps, mask = decoder_of(), maps_of(), some_mask()
    alone = torch.cat([decoder(maps[i, None], mask[i, None]) for i in range(B)])
    close(decoder(maps, mask), alone.detach())


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_equal_finite_differences(kind):
    decoder = decoder_of(kind, layers=1)
    names, values = zip(*decoder.named_parameters(), strict=True)
    maps, mask = maps_of(2), some_mask(2)

    def logits(features, *given):
        return torch.func.functional_call(decoder, dict(zip(names, given, strict=True)), (features, mask))

    inputs = tuple(value.detach().requires_grad_() for value in (maps, *values))
    assert torch.autograd.gradcheck(logits, inputs, fast_mode=True)


@pytest.mark.parametrize("options", [{}, {"classifier": "shared"}, {"groups": C}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind, options):
    decoder = decoder_of(kind, **options).train()
    decoder(maps_of()).square().sum().backward()
    assert not [name for name, weight in decoder.named_parameters() if weight.grad is None or not weight.grad.any()]


def test_frozen_vectors_are_no_parameters_and_tuned_ones_are():
    names = {kind: {name for name, _ in queries_of(kind).named_parameters()} for kind in ("frozen", "tuned")}
    assert names["tuned"] - names["frozen"] == {"vectors"} and "vectors" not in names["frozen"]
    assert "vectors" in queries_of("frozen").state_dict()


@pytest.mark.parametrize("tuned", [True, False])
def test_queries_are_a_projection_of_the_vectors_directions(tuned):
    vectors = label_vectors() * torch.tensor([0.1, 1, 10, 100, 1e-4])[:, None]
    queries = drawn(VectorQueries(vectors, W, tuned))
    w = weights(queries)
    unit = w["vectors"] / np.sqrt((w["vectors"] ** 2).sum(axis=1, keepdims=True))
    close(queries(), linear(unit, w, "projection"))


def test_the_vectors_given_are_left_alone():
    vectors = label_vectors()
    queries = VectorQueries(vectors, W, tuned=True)
    queries().sum().backward()
    torch.optim.SGD(queries.parameters(), lr=1).step()
    assert torch.equal(vectors, label_vectors()) and not torch.equal(queries.vectors, vectors)


@pytest.mark.parametrize("kind", ["frozen", "tuned"])
def test_a_shared_classifier_scores_the_trained_labels_alike_in_any_order(kind):
    decoder, maps = decoder_of(kind, classifier="shared"), maps_of()
    order = torch.tensor([3, 0, 4, 1, 2])
    asked = decoder.asking(decoder.queries.of(decoder.queries.vectors[order]))
    close(asked(maps), decoder(maps)[:, order].detach(), 1e-6)  # new vectors come as float32
    assert asked.labels == C and asked.asking(asked.queries).labels == C


@pytest.mark.parametrize("chosen", [[1], [0, 3], [4, 2, 1]])
def test_labels_asked_for_see_only_each_other(chosen):
    decoder, maps = decoder_of("frozen", classifier="shared", positions=False), maps_of()
    asked = decoder.asking(decoder.queries.of(decoder.queries.vectors[chosen]))
    found = asked(maps)
    close(found, plain_decoder(asked, maps, queries=asked.queries().detach().numpy()))
    whole = decoder(maps)[:, chosen]
    assert not torch.allclose(found, whole)
    # Where queries tell each other nothing, a label's logit is its own affair.
    with torch.no_grad():
        for layer in decoder.decoder.layers:
            layer.self_attn.out_proj.weight.zero_()
    close(asked(maps), decoder(maps)[:, chosen].detach())


def test_labels_never_trained_on_are_scored_beside_the_trained_ones():
    decoder, maps = decoder_of("frozen", classifier="shared"), maps_of()
    vectors = torch.cat([decoder.queries.vectors, label_vectors(2, seed=9).double()])
    found = decoder.asking(decoder.queries.of(vectors))(maps, some_mask())
    assert found.shape == (B, C + 2) and found.isfinite().all()
    assert not torch.allclose(found[:, C], found[:, C + 1])


def test_a_decoder_that_is_asked_shares_its_weights_and_draws_no_random_numbers():
    decoder = decoder_of("tuned", classifier="shared")
    state = torch.random.get_rng_state()
    asked = decoder.asking(decoder.queries.of(label_vectors(2)))
    assert torch.equal(torch.random.get_rng_state(), state)
    own, theirs = dict(decoder.named_parameters()), dict(asked.named_parameters())
    assert own.keys() - theirs.keys() == {"queries.vectors"}
    assert all(theirs[name] is own[name] for name in theirs)
    assert not asked.training and not any(value.is_meta for value in asked.state_dict().values())


def test_the_layers_of_a_decoder_start_with_weights_of_their_own():
    first, second = QueryDecoder(D, LearnedQueries(C, W), C, W, heads=HEADS).decoder.layers
    for name in ("self_attn.in_proj_weight", "multihead_attn.in_proj_weight", "linear1.weight", "linear2.weight"):
        assert not torch.equal(first.get_parameter(name), second.get_parameter(name))


@pytest.mark.parametrize("scale", [0.5, 5, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_decoder_starts_near_the_loss_of_a_coin_and_tells_labels_apart(kind, scale):
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(26, 300), dim=1)
    decoder = QueryDecoder(2048, queries_of(kind, 512, vectors), 26, classifier="shared")
    separate = QueryDecoder(2048, decoder.queries, 26)
    maps, targets = scale * torch.randn(4, 2048, 3, 3).relu(), (torch.rand(4, 26) < 0.1).float()
    with torch.no_grad():
        logits, rows = decoder(maps), separate(maps)
    # A shared classifier gives all labels one direction, so that their loss may lie off together.
    assert F.binary_cross_entropy_with_logits(logits, targets) < 1.5
    assert 0.5 < F.binary_cross_entropy_with_logits(rows, targets) < 1
    assert logits.std(dim=1).mean() > 0.15


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_logits_are_float32_and_near_those_of_full_precision_under_autocast(mode, kind, masked):
    decoder, maps = decoder_of(kind).float(), maps_of().float()
    mask = some_mask() if masked else None
    with mode():
        expected = decoder(maps, mask)
        with torch.autocast("cpu", torch.bfloat16):
            found = decoder(maps.bfloat16(), mask)
    assert found.dtype == torch.float32 and found.isfinite().all()
    assert (found - expected).abs().max() < 0.02 * expected.abs().max() + 0.02


@pytest.mark.parametrize("kind", ["learned", "frozen"])
def test_a_decoder_in_half_precision_still_gives_float32(kind):
    decoder = QueryDecoder(D, queries_of(kind), C, W, heads=HEADS).bfloat16()
    assert decoder(maps_of().bfloat16(), some_mask()).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_comes_back_from_its_state(kind, tmp_path):
    decoder = decoder_of(kind)
    torch.save(decoder.state_dict(), tmp_path / "decoder.pt")
    other = QueryDecoder(D, queries_of(kind, vectors=label_vectors(seed=8)), C, W, heads=HEADS).double().eval()
    other.load_state_dict(torch.load(tmp_path / "decoder.pt", weights_only=True))
    assert torch.equal(other(maps_of()), decoder(maps_of()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classifier": "joint"}, r"classifier is 'joint', expected one of \['separate', 'shared'\]"),
        ({"heads": 3}, "width is 8, expected a multiple of 4 and of the 3 heads"),
        ({"heads": 0}, "width is 8, expected a multiple of 4 and of the 0 heads"),
        ({"width": 6, "heads": 2}, "width is 6, expected a multiple of 4 and of the 2 heads"),
        ({"layers": 0}, "layers must be >= 1, got 0"),
        ({"groups": 0}, "groups is 0, expected 1 to 5, with separate classifiers"),
        ({"groups": 6}, "groups is 6, expected 1 to 5, with separate classifiers"),
        ({"groups": 5, "classifier": "shared"}, "groups is 5, expected 1 to 5, with separate classifiers"),
        ({"labels": 4}, r"queries have shape \(5, 8\), expected \(4, 8\)"),
        ({"groups": 3}, r"queries have shape \(5, 8\), expected \(3, 8\)"),
        ({"width": 16}, r"queries have shape \(5, 8\), expected \(5, 16\)"),
    ],
)
@pytest.mark.parametrize("kind", ["learned", "graph"])
def test_settings_and_queries_that_do_not_fit_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        QueryDecoder(D, queries_of(kind), **{"labels": C, "width": W, "heads": HEADS, **options})


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
def test_a_vector_that_is_zero_or_not_finite_is_refused(bad):
    vectors = label_vectors()
    vectors[2] = bad
    with pytest.raises(ValueError, match="the vector of label 2 is 0 or not finite"):
        VectorQueries(vectors, W)
    with pytest.raises(ValueError, match="the vector of label 2 is 0 or not finite"):
        queries_of("frozen").of(vectors)


def test_vectors_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"vectors have shape \(7,\), expected \[C, F\]"):
        VectorQueries(torch.ones(7), W)
    with pytest.raises(ValueError, match=r"vectors have shape \(2, 6\), expected \[C, 7\]"):
        queries_of("frozen").of(torch.ones(2, 6))


def test_only_a_shared_classifier_can_be_asked_and_only_by_queries_of_its_width():
    for options in ({}, {"groups": C}):
        with pytest.raises(ValueError, match="only a shared classifier can score labels that it was not trained on"):
            decoder_of("frozen", **options).asking(queries_of("frozen"))
    with pytest.raises(ValueError, match=r"queries have shape \(5, 16\), expected \(5, 8\)"):
        decoder_of("frozen", classifier="shared").asking(VectorQueries(label_vectors(), 16))


@pytest.mark.parametrize("labels", [1, 2])
def test_a_separate_classifier_of_one_label_is_not_a_shared_one(labels):
    assert not QueryDecoder(D, LearnedQueries(labels, W), labels, W, heads=HEADS).shared


def test_an_image_of_which_no_place_counts_is_refused():
    mask = some_mask()
    mask[2] = False
    with pytest.raises(ValueError, match="no place of image 2 of the batch counts"):
        decoder_of()(maps_of(), mask)
