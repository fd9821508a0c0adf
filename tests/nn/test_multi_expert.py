import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch_geometric.data import Data

from mlgcn.graph import propagation
from mlgcn.nn import (
    LabelGCN,
    LinearClassifiers,
    MultiExpertGCN,
    SharedAttention,
    build_trunk,
    expert_branches,
    lse_pool,
    max_pool,
)

E, B, C, D = 3, 4, 5, 8
ATTENTION = [None, "labels", "experts", "joint"]
CLASSIFIERS = ["gcn", "linear"]
# A' with edges both ways, one way, and a label without any.
ADJACENCY = np.array(
    [[0.8, 0.2, 0, 0, 0], [0.1, 0.8, 0.1, 0, 0], [0, 0, 0.8, 0, 0], [0.1, 0, 0.1, 0.8, 0], [0, 0, 0, 0, 0.8]]
)


def graph_of(adjacency):
    source, target = np.nonzero(adjacency)
    edges = torch.from_numpy(np.stack([source, target]))
    return Data(edge_index=edges, edge_weight=torch.from_numpy(adjacency[source, target]), num_nodes=len(adjacency))


def network(attention="labels", classifiers="gcn", experts=E, adjacency=ADJACENCY, size=D, seed=0):
    """A whole network of a few hundred weights, in evaluation mode."""
    torch.manual_seed(seed)
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    branches = [nn.Sequential(nn.Conv2d(4, size, 2, stride=2), nn.Tanh()) for _ in range(experts)]
    vectors = torch.randn(C, 6)
    heads = [
        LabelGCN(vectors, *propagation(graph_of(adjacency)), size, hidden=7)
        if classifiers == "gcn"
        else LinearClassifiers(C, size)
        for _ in range(experts)
    ]
    shared = SharedAttention(size, 2, attention) if attention else None
    return MultiExpertGCN(trunk, branches, heads, lse_pool, shared).eval()


def images(batch=B, size=8, seed=0, **options):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed), **options)


def count_calls(model):
    """A list that grows with every call of a head."""
    calls = []
    for head in model.heads:
        head.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("classifiers", CLASSIFIERS)
@pytest.mark.parametrize("attention", ATTENTION)
def test_the_logits_equal_the_parts_put_together_by_hand(attention, classifiers):
    model = network(attention, classifiers).double()
    inputs = images(dtype=torch.float64)
    found = model(inputs)
    assert found.shape == (E, B, C)
    pooled = torch.stack([lse_pool(branch(model.trunk(inputs))) for branch in model.branches])
    rows = torch.stack([head() for head in model.heads])
    if attention == "joint":
        pooled, rows = model.attention.joint(pooled, rows)
    elif attention:
        pooled, rows = model.attention.images(pooled), model.attention.classifiers(rows)
    found, pooled, rows = (values.detach().numpy() for values in (found, pooled, rows))
    for expert, image, label in np.ndindex(E, B, C):
        row = rows[expert, image, label] if attention == "joint" else rows[expert, label]
        expected = sum(u * a for u, a in zip(pooled[expert, image], row, strict=True))
        assert found[expert, image, label] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("classifiers", CLASSIFIERS)
@pytest.mark.parametrize("attention", ATTENTION)
def test_every_weight_learns(attention, classifiers):
    model = network(attention, classifiers).train()
    # Squares: the gradient of a plain sum could cancel.
    model(images()).square().sum().backward()
    still = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not still


@pytest.mark.parametrize("attention", ATTENTION)
def test_the_gradients_of_the_whole_network_equal_finite_differences(attention):
    model = network(attention, experts=2, size=4).double()
    names, weights = zip(*model.named_parameters(), strict=True)
    inputs = images(2, 4, dtype=torch.float64)

    def logits(*values):
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), inputs)

    assert torch.autograd.gradcheck(logits, tuple(weight.detach().requires_grad_() for weight in weights))


@pytest.mark.parametrize("attention", ATTENTION)
def test_images_of_a_batch_do_not_influence_each_other_in_evaluation(attention):
    model, inputs = network(attention), images()
    together = model(inputs)
    changed = torch.cat([images(B - 1, seed=1), inputs[-1:]])
    torch.testing.assert_close(model(changed)[:, -1], together[:, -1])
    alone = torch.cat([model(image[None]) for image in inputs], dim=1)
    torch.testing.assert_close(alone, together)


@pytest.mark.parametrize("attention", ["labels", "experts", None])
def test_through_attention_a_labels_vector_changes_every_classifier_even_without_an_edge(attention):
    model = network(attention, adjacency=np.eye(C))
    before = model.classifiers()
    for head in model.heads:
        head.vectors[2] += torch.randn(6)
    moved = (model.classifiers() - before).abs().amax(dim=2) > 1e-6  # [E, C]
    if attention:
        assert moved.all()
    else:
        assert moved[:, 2].all() and moved.sum() == E


def test_jointly_a_labels_vector_changes_every_logit_even_without_an_edge():
    model, inputs = network("joint", adjacency=np.eye(C)), images()
    before = model(inputs)
    for head in model.heads:
        head.vectors[2] += torch.randn(6)
    assert ((model(inputs) - before).abs() > 1e-7).all()


def test_jointly_refined_classifiers_are_not_those_that_the_model_hands_out():
    model = network("joint")
    torch.testing.assert_close(model.classifiers(), torch.stack([head() for head in model.heads]), rtol=0, atol=0)


@pytest.mark.parametrize("attention", ATTENTION)
def test_evaluation_computes_the_classifiers_once(attention):
    model = network(attention)
    calls = count_calls(model)
    with torch.no_grad():
        first = model(images())
        assert len(calls) == E
        assert torch.equal(model(images()), first)
        model(images(2))
    with torch.inference_mode():
        model(images())
    assert len(calls) == E


def test_training_computes_the_classifiers_every_time():
    model = network().train()
    calls = count_calls(model)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            model(images())
            model(images())
    assert len(calls) == 4 * E


def change_by_hand(model):
    with torch.no_grad():
        for weight in model.heads.parameters():
            weight += 0.1


def a_training_step(model):
    model.train()
    model(images()).square().sum().backward()
    torch.optim.SGD(model.heads.parameters(), 0.1).step()
    model.eval()


def a_step_in_evaluation_mode(model):
    """As in fine-tuning with the statistics of batch normalisation kept."""
    model(images()).square().sum().backward()
    torch.optim.SGD(model.heads.parameters(), 0.1).step()


def a_step_between_evaluations_as_part_of_a_larger_module(model):
    whole = nn.ModuleDict({"model": model}).train()
    change_by_hand(model)
    whole.eval()


def loading(model):
    model.load_state_dict(network(seed=1).state_dict())


def loading_a_larger_module(model):
    nn.ModuleDict({"model": model}).load_state_dict(nn.ModuleDict({"model": network(seed=1)}).state_dict())


def forgetting(model):
    change_by_hand(model)
    model.forget_classifiers()


CHANGES = [
    a_training_step,
    a_step_in_evaluation_mode,
    a_step_between_evaluations_as_part_of_a_larger_module,
    loading,
    loading_a_larger_module,
    forgetting,
]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_weights_give_new_classifiers(change):
    model = network()
    with torch.no_grad():
        before = model(images())
        with torch.enable_grad():
            change(model)
        found = model(images())
        fresh = network(seed=2)
        fresh.load_state_dict(model.state_dict())
        assert torch.equal(found, fresh(images())) and not torch.allclose(found, before)


@pytest.mark.parametrize("holder", [lambda model: model, lambda model: nn.ModuleDict({"model": model})])
@pytest.mark.parametrize("move", [lambda module: module.double(), lambda module: module.to(torch.float64)])
def test_a_model_moved_to_another_type_gives_classifiers_of_that_type(move, holder):
    model = network()
    with torch.no_grad():
        before = model(images())
        move(holder(model))
        found = model(images(dtype=torch.float64))
    assert before.dtype == torch.float32 and found.dtype == torch.float64
    # The images of one seed differ by type.
    with torch.no_grad():
        torch.testing.assert_close(model(images().double()).float(), before)


def test_with_gradients_the_classifiers_are_never_those_that_were_kept():
    model = network()
    with torch.no_grad():
        before = model(images())
        change_by_hand(model)
    found = model(images())
    assert not torch.allclose(found, before)
    found.square().sum().backward()
    assert all(weight.grad.any() for weight in model.heads.parameters())


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("attention", ATTENTION)
def test_logits_are_computed_in_float32_whatever_the_autocast_type(attention, gradients):
    model = network(attention)
    with torch.set_grad_enabled(gradients), torch.autocast("cpu", torch.bfloat16):
        assert model.trunk(images()).dtype == torch.bfloat16
        found = model(images())
        assert found.dtype == model.classifiers().dtype == torch.float32
        # Without convolutions nothing is left that autocast may round.
        model.trunk, model.branches = nn.Identity(), nn.ModuleList([nn.Identity()] * E)
        found = model(images(seed=1).repeat(1, 3, 1, 1)[:, :D])
    with torch.set_grad_enabled(gradients):
        model.forget_classifiers()
        assert torch.equal(found, model(images(seed=1).repeat(1, 3, 1, 1)[:, :D]))


def test_one_expert_with_max_pooling_and_no_attention_is_ml_gcn(tmp_path):
    plain = torchvision.models.resnet18(num_classes=1)
    torch.save(plain.state_dict(), tmp_path / "weights.pt")
    parts = build_trunk("resnet18", str(tmp_path / "weights.pt"))
    branches, features = expert_branches(parts, 1)
    vectors = torch.randn(C, 6)
    head = LabelGCN(vectors, *propagation(graph_of(ADJACENCY)), features, hidden=9)
    model = MultiExpertGCN(parts.trunk, branches, [head], max_pool).double().eval()
    model.heads[0].edge_weight = propagation(graph_of(ADJACENCY))[1]
    inputs = images(2, 64, dtype=torch.float64)
    with torch.no_grad():
        found = model(inputs)

    plain.double().eval()
    plain.avgpool, plain.fc = nn.AdaptiveMaxPool2d(1), nn.Identity()
    root = torch.from_numpy(np.diag(ADJACENCY.sum(axis=1) ** -0.5))
    matrix = root @ torch.from_numpy(ADJACENCY).T @ root
    first, second = (layer.lin.weight.T for layer in (head.first, head.second))
    rows = matrix @ F.leaky_relu(matrix @ vectors.double() @ first, 0.2) @ second
    with torch.no_grad():
        torch.testing.assert_close(found, (plain(inputs) @ rows.T)[None], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("branches", "heads"), [(2, 3), (3, 2), (0, 0), (1, 0)])
def test_branches_without_a_classifier_each_are_refused(branches, heads):
    message = f"got {branches} branches and {heads} heads, expected one of each an expert"
    with pytest.raises(ValueError, match=message):
        MultiExpertGCN(nn.Identity(), [nn.Identity()] * branches, [LinearClassifiers(C, D)] * heads, max_pool)
