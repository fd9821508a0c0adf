from functools import partial

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from embeddings import LabelTexts
from mlgcn.nn import (
    ByView,
    ExpertNetwork,
    LabelGCN,
    LearnedQueries,
    LinearClassifiers,
    MultiExpertGCN,
    QueryDecoder,
    QueryModel,
    SharedAttention,
    TextEncoder,
    TextQueries,
    VectorQueries,
    ViewFusion,
    build_trunk,
    expert_branches,
    lse_pool,
)
from mlgcn.nn.cost import cost

E, C, D, F, HIDDEN, SIZE = 2, 5, 8, 6, 7, 16
EDGES = torch.tensor([[0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, 3]])
ATTENTION = [None, "labels", "experts", "joint"]


def gcn(size=D):
    return LabelGCN(torch.randn(C, F), EDGES, torch.ones(EDGES.shape[1]), size, hidden=HIDDEN)


def trunk():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())


def branch():
    return nn.Sequential(nn.Conv2d(4, D, 2, stride=2), nn.Tanh())


def branches(experts=E):
    return [branch() for _ in range(experts)]


def classifying(attention="labels", head=gcn, experts=E, **options):
    shared = SharedAttention(D, 2, attention) if attention else None
    heads = [head() for _ in range(experts)]
    return MultiExpertGCN(trunk(), branches(experts), heads, lse_pool, shared, **options)


def asking(queries=lambda: LearnedQueries(C, D), **options):
    decoders = [QueryDecoder(D, queries(), C, D, layers=2, heads=2) for _ in range(E)]
    return QueryModel(trunk(), branches(), decoders, **options)


def encoder():
    """A language model that reads three tokens of each label, the last of them padding here and there."""
    pytest.importorskip("transformers", reason="transformers, the extra 'text', is not installed")
    sizes = {"hidden_size": F, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    mask = torch.ones(C, 3, dtype=torch.int64)
    mask[1:3, 2] = 0
    texts = LabelTexts(2 * mask, mask, "mean", 0, 3, {"model_type": "bert", "vocab_size": 9, **sizes}, None)
    return TextEncoder(texts.network(), texts)


def by_view(model):
    """The same with modules of their own for lateral images."""
    model.trunk = ByView(model.trunk, trunk())
    model.branches = nn.ModuleList(ByView(each, branch()) for each in model.branches)
    return model


MODELS = {
    **{f"gcn, attention {attention}": partial(classifying, attention) for attention in ATTENTION},
    "linear, fusion": lambda: classifying(head=lambda: LinearClassifiers(C, D), fusion=ViewFusion(D, 3, heads=2)),
    "projected queries": lambda: asking(lambda: VectorQueries(torch.randn(C, F), D)),
    "tuned queries": lambda: asking(lambda: VectorQueries(torch.randn(C, F), D, tuned=True)),
    "queries of a graph": lambda: asking(gcn),
    "queries of texts": lambda: asking(lambda: TextQueries(F, D), encoder=encoder()),
    "learned queries, fusion": lambda: asking(fusion=ViewFusion(D, 3, heads=2)),
    "by view": lambda: by_view(classifying(fusion=ViewFusion(D, 3, heads=2))),
    "fusion with stride": lambda: classifying(fusion=ViewFusion(D, 3, heads=2, stride=2)),
}
KINDS = ["gcn, attention joint", "tuned queries", "by view"]


@pytest.fixture
def plain_attention():
    """Attention that runs through the matrix products that the counter knows."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with sdpa_kernel(SDPBackend.MATH):
        yield
    torch.backends.mha.set_fastpath_enabled(before)


def flops_of_a_pass(model, images, backward):
    """What the counter finds when the network really runs on the images of one study."""
    views, slots = torch.zeros(images, dtype=torch.int64), torch.tensor([[0, at] for at in range(images)])
    with FlopCounterMode(display=False) as counter:
        logits = model(torch.randn(images, 3, SIZE, SIZE), views, slots if model.fusion else None)
        if backward:
            logits.sum().backward()
    return counter.get_total_flops()


def message_passing(model):
    layers = [module for module in model.modules() if isinstance(module, LabelGCN)]
    return sum(2 * EDGES.shape[1] * (HIDDEN + layer.second.out_channels) for layer in layers)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_counting_without_values_equals_counting_a_pass(kind, training, plain_attention):
    model = MODELS[kind]()
    images = 1 if model.fusion is None else 3
    found = cost(model, SIZE, images, training)
    expected = flops_of_a_pass(model.eval(), images, training) + message_passing(model) * (2 if training else 1)
    assert found.total.flops * images + found.label_flops == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_by_part_are_those_of_the_modules(kind):
    model = MODELS[kind]()
    model.freeze(model.trunk)
    parts = cost(model, SIZE).parts
    owners = {"trunk": [model.trunk], "experts": [model.branches], "fusion": [model.fusion] if model.fusion else []}
    owners["head"] = [model.heads, *filter(None, [getattr(model, "attention", None)])]
    sizes = {name: sum(w.numel() for part in modules for w in part.parameters()) for name, modules in owners.items()}
    assert {name: part.parameters for name, part in parts.items()} == sizes
    assert sum(sizes.values()) == sum(weight.numel() for weight in model.parameters())
    assert {name: part.trainable for name, part in parts.items()} == {**sizes, "trunk": 0}


def test_flops_of_convolutions_and_products_equal_the_formulas():
    found = cost(classifying(attention=None), SIZE)
    places = SIZE**2
    assert found.parts["trunk"].flops == 2 * places * 4 * 3 * 3**2
    assert found.parts["experts"].flops == E * 2 * (places // 4) * D * 4 * 2**2
    assert found.parts["fusion"].flops == 0
    assert found.parts["head"].flops == E * 2 * C * D
    products, messages = C * F * HIDDEN + C * HIDDEN * D, EDGES.shape[1] * (HIDDEN + D)
    assert found.label_flops == E * 2 * (products + messages)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("convolution", [nn.Conv2d, nn.ConvTranspose2d])
def test_the_gradients_of_a_convolution_cost_twice_what_it_costs_in_groups_too(convolution, groups):
    parts = nn.Sequential(nn.Conv2d(3, 4, 1), convolution(4, 4, 3, groups=groups, padding=1))
    first, second = 2 * SIZE**2 * 4 * 3, 2 * SIZE**2 * 4 * (4 // groups) * 3**2
    model = MultiExpertGCN(parts, branches(), [gcn() for _ in range(E)], lse_pool)
    assert cost(model, SIZE).parts["trunk"].flops == first + second
    # Of the images no gradient is asked for.
    assert cost(model, SIZE, training=True).parts["trunk"].flops == 2 * first + 3 * second


def layer_flops(tokens):
    """A transformer layer whose inner size is D: four projections, two products with all tokens, two linear layers."""
    return 2 * (4 * tokens * D**2 + 2 * tokens**2 * D + 2 * tokens * D**2)


@pytest.mark.parametrize(("attention", "image", "labels"), [
    ("labels", E * layer_flops(1), E * layer_flops(C)),
    ("experts", layer_flops(E), layer_flops(E * C)),
    ("joint", E * layer_flops(1 + C), 0),
])  # fmt: skip
def test_attention_among_classifiers_counts_for_the_labels_unless_it_needs_the_image(attention, image, labels):
    without, found = cost(classifying(attention=None), SIZE), cost(classifying(attention), SIZE)
    assert found.parts["head"].flops - without.parts["head"].flops == image
    assert found.label_flops - without.label_flops == labels


def test_fusion_attends_over_the_places_of_all_images_and_they_share_its_cost():
    model = classifying(fusion=ViewFusion(D, 4, layers=2, heads=2))
    places = (SIZE // 2) ** 2
    for images in (1, 3):
        found = cost(model, SIZE, images)
        assert found.parts["fusion"].flops == E * 2 * layer_flops(images * places) / images
        assert found.parts["trunk"].flops == cost(model, SIZE).parts["trunk"].flops


def test_twice_the_experts_cost_twice_and_the_trunk_costs_the_same():
    few, many = (cost(classifying(None, experts=experts), SIZE) for experts in (2, 4))
    assert many.parts["trunk"] == few.parts["trunk"]
    for name in ("experts", "head"):
        assert many.parts[name].parameters == 2 * few.parts[name].parameters
        assert many.parts[name].flops == 2 * few.parts[name].flops
    assert many.label_flops == 2 * few.label_flops


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121"])
def test_one_expert_of_a_known_network_costs_what_is_published(name):
    parts = build_trunk(name, "none")
    stages, features = expert_branches(parts, 1)
    found = cost(MultiExpertGCN(parts.trunk, stages, [LinearClassifiers(1000, features)], lse_pool), 224)
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    assert found.total.flops == pytest.approx(2e9 * published["_ops"], rel=0.01)
    assert found.total.parameters == published["num_params"] - 1000  # the biases of the classifier


def test_a_frozen_trunk_costs_its_forward_pass_alone():
    model = classifying()
    forward, whole = cost(model, SIZE), cost(model, SIZE, training=True)
    model.freeze(model.trunk)
    frozen = cost(model, SIZE, training=True)
    # The gradients of the weights, but none of the images.
    assert whole.parts["trunk"].flops == 2 * forward.parts["trunk"].flops
    assert frozen.parts["trunk"].flops == forward.parts["trunk"].flops
    # The first convolution of the experts then has nothing before it that learns.
    assert frozen.parts["experts"].flops == 2 * forward.parts["experts"].flops
    assert whole.parts["experts"].flops == 3 * forward.parts["experts"].flops


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_and_the_random_state_stay_as_they_are(kind):
    model = MODELS[kind]().train()
    model.heads.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    cost(model, SIZE, training=True)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.equal(torch.get_rng_state(), state) and torch.backends.mha.get_fastpath_enabled()
    with torch.inference_mode():
        assert model.eval()(torch.randn(2, 3, SIZE, SIZE)).isfinite().all()


def test_classifiers_that_evaluation_keeps_count_as_before():
    model = classifying().eval()
    expected = cost(model, SIZE)
    with torch.inference_mode():
        model(torch.randn(2, 3, SIZE, SIZE))
    assert cost(model, SIZE) == expected


def test_images_of_one_pixel_at_the_end_are_counted_in_training_mode():
    parts = build_trunk("resnet18", "none")
    stages, features = expert_branches(parts, 1)
    model = MultiExpertGCN(parts.trunk, stages, [LinearClassifiers(C, features)], lse_pool).train()
    assert 0 < cost(model, 32).total.flops < cost(model, 64).total.flops


def test_shares_are_of_the_total():
    found = cost(classifying(), SIZE)
    report = found.to_dict()
    parts = report["parts"]
    assert list(parts) == ["trunk", "experts", "fusion", "head", "total"]
    for name, part in found.parts.items():
        assert parts[name]["flops_share"] == part.flops / found.total.flops
        assert parts[name]["parameter_share"] == part.parameters / found.total.parameters
    assert parts["total"]["flops_share"] == parts["total"]["parameter_share"] == 1
    assert report["label_flops"] == found.label_flops


@pytest.mark.parametrize(("views", "images", "most"), [(None, 2, 1), (None, 0, 1), (3, 4, 3)])
def test_more_images_a_study_than_the_network_joins_are_refused(views, images, most):
    model = classifying(fusion=None if views is None else ViewFusion(D, views, heads=2))
    with pytest.raises(ValueError, match=f"images_per_study is {images}, expected 1 to {most}"):
        cost(model, SIZE, images)


def test_a_network_of_another_head_is_refused():
    model = ExpertNetwork(trunk(), branches(), [nn.Linear(D, C) for _ in range(E)])
    with pytest.raises(TypeError, match="cost of a ExpertNetwork is not known, expected MultiExpertGCN or QueryModel"):
        cost(model, SIZE)
