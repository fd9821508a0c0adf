import copy

import numpy as np
import pytest
import torch
from plain_transformer import drawn
from torch import nn

from embeddings import encode_texts, read_label_texts
from mlgcn.nn import LearnedQueries, QueryDecoder, QueryModel, TextEncoder, TextQueries, VectorQueries

TEXTS = ["Pleural Effusion", "Edema", "Calcification of the Aorta", "Mass", "No Finding"]
E, C, D, W = 2, len(TEXTS), 8, 8


@pytest.fixture(scope="module")
def read(tiny_bert):
    return read_label_texts(TEXTS, tiny_bert)


@pytest.fixture
def encoder(read):
    texts, network = read
    return TextEncoder(copy.deepcopy(network), texts).eval()


def model_of(encoder, seed=0):
    stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())
    branches = [nn.Conv2d(4, D, 2, stride=2) for _ in range(E)]
    torch.manual_seed(seed)
    decoders = [QueryDecoder(D, TextQueries(16, W), C, W, layers=1, heads=2, classifier="shared") for _ in range(E)]
    return QueryModel(stem, branches, decoders, encoder=encoder)


@pytest.fixture
def images():
    return torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def passes(encoder):
    """Counts how often the network runs."""
    ran = []
    encoder.network.register_forward_hook(lambda *_: ran.append(1))
    return ran


def test_queries_are_at_first_those_of_vectors_made_once(encoder, tiny_bert):
    vectors = torch.tensor(encode_texts(TEXTS, tiny_bert))
    torch.manual_seed(0)
    fixed = VectorQueries(vectors, W)
    torch.manual_seed(0)
    queries = TextQueries(16, W)
    assert torch.equal(queries.projection.weight, fixed.projection.weight)
    np.testing.assert_allclose(queries(encoder()).detach(), fixed().detach(), atol=1e-5)
    assert fixed().detach().std(dim=0).min() > 0.05  # the labels differ


def test_the_experts_share_one_encoder_which_runs_once_a_step(encoder, images):
    model, ran = model_of(encoder).train(), passes(encoder)
    model(images)
    assert len(ran) == 1
    named = [name for name, _ in model.named_parameters() if "network" in name]
    assert named == [f"encoder.network.{name}" for name, _ in encoder.network.named_parameters()]
    assert [name for name in model.state_dict() if "network" in name] == named


def test_every_weight_of_the_encoder_learns_from_the_images(encoder, images):
    model = drawn(model_of(encoder)).float().train()
    model(images).square().sum().backward()
    still = [name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()]
    # A softmax does not change when all its logits do alike.
    assert not [name for name in still if not name.endswith("key.bias")]


def test_a_step_changes_the_queries_of_every_label(encoder, images):
    model = model_of(encoder).train()
    before = [decode.queries(encoder()).detach() for decode in model.heads]
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    model(images).square().sum().backward()
    optimizer.step()
    model.eval()
    for decode, old in zip(model.heads, before, strict=True):
        assert ((decode.queries(encoder()) - old).abs().amax(dim=1) > 1e-4).all()


def test_evaluation_reads_the_texts_once_and_again_after_a_step(encoder, images):
    model, ran = model_of(encoder).eval(), passes(encoder)
    with torch.no_grad():
        kept = model(images)
        assert torch.equal(model(images), kept) and len(ran) == 1
    model.train()(images).sum().backward()
    torch.optim.SGD(encoder.parameters(), lr=0.1).step()
    with torch.no_grad():
        after = model.eval()(images)
        encoder.kept.forget()
        assert torch.equal(model(images), after) and not torch.allclose(after, kept)


def test_loading_weights_forgets_what_the_old_ones_said(encoder, images):
    model = model_of(encoder).eval()
    state = {name: value + 0.1 for name, value in model.state_dict().items()}
    with torch.no_grad():
        before = model(images)
        model.load_state_dict(state)
        assert not torch.allclose(model(images), before)


def test_in_training_the_encoder_has_its_dropout(encoder):
    encoder.train()
    assert not torch.allclose(encoder(), encoder())
    torch.manual_seed(3)
    first = encoder()
    torch.manual_seed(3)
    assert torch.equal(encoder(), first)


def test_vectors_are_the_same_under_autocast(encoder, images):
    expected = encoder()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder(), expected)
        assert model_of(encoder)(images).dtype == torch.float32


def test_with_other_texts_the_language_model_is_the_same(encoder, tiny_bert):
    other = encoder.reading(encoder.texts.with_texts(["Lung Lesion"]))
    assert other.network is encoder.network and not other.training
    expected = encode_texts([*TEXTS, "Lung Lesion"], tiny_bert)
    np.testing.assert_allclose(other().detach(), expected, atol=1e-5)
    assert len(encoder()) == C


def test_a_decoder_can_be_asked_for_further_texts(encoder):
    decoder = model_of(encoder).eval().heads[0]
    vectors = encoder()
    asked = decoder.asking(decoder.queries, C + 1)
    maps = torch.randn(3, D, 2, 2, generator=torch.Generator().manual_seed(0))
    found = asked(maps, None, torch.cat([vectors, vectors[1:2]]))
    assert found.shape == (3, C + 1)
    np.testing.assert_allclose(found[:, C].detach(), found[:, 1].detach(), rtol=1e-5, atol=1e-6)
    again = decoder.asking(decoder.queries, C)
    assert torch.equal(again(maps, None, vectors), decoder(maps, None, vectors))


def test_an_encoder_without_queries_for_it_and_queries_without_one_are_refused(encoder):
    with pytest.raises(ValueError, match="queries of texts need a text encoder, and no others do"):
        model_of(None)
    decoder = QueryDecoder(D, LearnedQueries(C, W), C, W, layers=1, heads=2)
    with pytest.raises(ValueError, match="queries of texts need a text encoder, and no others do"):
        QueryModel(nn.Identity(), [nn.Identity()], [decoder], encoder=encoder)
    with pytest.raises(ValueError, match=r"queries have shape \(5, 16\), expected \(5, 8\)"):
        QueryDecoder(D, TextQueries(16, 16), C, W, heads=2)
