import numpy as np
import pytest
import torch

from mlgcn.nn import SharedAttention
from mlgcn.nn.attention import TOKENS

E, B, C, D = 3, 2, 5, 8
HEADS = [1, 2, 4]


def attention_of(tokens="labels", heads=2, features=D, seed=0):
    """In float64, every weight drawn anew, so that none is a zero or a one that would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    attention = SharedAttention(features, heads, tokens).double().eval()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return attention


def inputs(seed=0):
    """Image vectors [E, B, D] and classifiers [E, C, D]."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(E, n, D, dtype=torch.float64, generator=generator) for n in (B, C))


def plain_layer(attention, sequence, heads=2):
    """A transformer encoder layer that normalises before attending, written out: [S, D] -> [S, D]."""
    w = {name: value.numpy() for name, value in attention.layer.state_dict().items()}
    x = np.asarray(sequence)
    size = x.shape[1] // heads

    def normal(rows, norm):
        centred = rows - rows.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return centred / spread * w[f"{norm}.weight"] + w[f"{norm}.bias"]

    query, key, value = np.split(
        normal(x, "norm1") @ w["self_attn.in_proj_weight"].T + w["self_attn.in_proj_bias"], 3, axis=1
    )
    gathered = np.empty_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(x)):
            fit = np.exp([query[i, part] @ key[j, part] / np.sqrt(size) for j in range(len(x))])
            gathered[i, part] = sum(f * value[j, part] for j, f in enumerate(fit / fit.sum()))
    x = x + gathered @ w["self_attn.out_proj.weight"].T + w["self_attn.out_proj.bias"]
    inner = np.maximum(normal(x, "norm2") @ w["linear1.weight"].T + w["linear1.bias"], 0)
    return x + inner @ w["linear2.weight"].T + w["linear2.bias"]


def close(found, expected):
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-9, atol=1e-9)


@pytest.fixture(params=[True, False], ids=["with gradients", "without"])
def gradients(request):
    """torch takes another way through the layer where no gradient is asked for."""
    with torch.set_grad_enabled(request.param):
        yield


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("heads", HEADS)
def test_over_labels_an_experts_classifiers_are_one_sequence_and_each_image_vector_is_its_own(heads):
    attention = attention_of("labels", heads)
    pooled, classifiers = inputs()
    close(attention.classifiers(classifiers), np.stack([plain_layer(attention, rows, heads) for rows in classifiers]))
    expected = [[plain_layer(attention, vector[None], heads)[0] for vector in vectors] for vectors in pooled]
    close(attention.images(pooled), np.array(expected))


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("heads", HEADS)
def test_over_experts_all_classifiers_are_one_sequence_and_so_are_an_images_vectors(heads):
    attention = attention_of("experts", heads)
    pooled, classifiers = inputs()
    expected = plain_layer(attention, np.concatenate(list(classifiers)), heads).reshape(E, C, D)
    close(attention.classifiers(classifiers), expected)
    expected = np.stack([plain_layer(attention, pooled[:, image], heads) for image in range(B)], axis=1)
    close(attention.images(pooled), expected)


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("heads", HEADS)
def test_jointly_an_image_vector_and_its_experts_classifiers_are_one_sequence(heads):
    attention = attention_of("joint", heads)
    pooled, classifiers = inputs()
    vectors, rows = attention.joint(pooled, classifiers)
    assert vectors.shape == (E, B, D) and rows.shape == (E, B, C, D)
    for expert, image in np.ndindex(E, B):
        sequence = np.concatenate([pooled[expert, image][None], classifiers[expert]])
        expected = plain_layer(attention, sequence, heads)
        close(vectors[expert, image], expected[0])
        close(rows[expert, image], expected[1:])


@pytest.mark.parametrize("tokens", ["labels", "experts"])
def test_a_label_changes_the_refined_rows_of_the_others(tokens):
    attention = attention_of(tokens)
    _, classifiers = inputs()
    changed = classifiers.clone()
    changed[0, 1] += torch.randn(D, dtype=torch.float64)  # not a constant, which normalisation would take out
    moved = (attention.classifiers(changed) - attention.classifiers(classifiers)).abs().amax(dim=2) > 1e-6  # [E, C]
    assert moved[0].all()
    assert moved[1:].all() if tokens == "experts" else not moved[1:].any()


@pytest.mark.parametrize("tokens", ["labels", "experts"])
def test_an_image_changes_its_own_refined_vectors_alone(tokens):
    attention = attention_of(tokens)
    pooled, _ = inputs()
    changed = pooled.clone()
    changed[0, 1] += torch.randn(D, dtype=torch.float64)
    moved = (attention.images(changed) - attention.images(pooled)).abs().amax(dim=2) > 1e-6  # [E, B]
    expected = torch.zeros(E, B, dtype=torch.bool)
    expected[:, 1] = torch.tensor([True, *[tokens == "experts"] * (E - 1)])
    assert torch.equal(moved, expected)


def test_jointly_refined_classifiers_depend_on_the_image_and_the_image_on_them():
    attention = attention_of("joint")
    pooled, classifiers = inputs()
    vectors, rows = attention.joint(pooled, classifiers)
    assert ((rows[:, 0] - rows[:, 1]).abs().amax(dim=2) > 1e-6).all()
    changed, other = pooled.clone(), classifiers.clone()
    changed[0, 1] += torch.randn(D, dtype=torch.float64)
    other[2, 3] += torch.randn(D, dtype=torch.float64)
    moved = (attention.joint(changed, classifiers)[1] - rows).abs().amax(dim=3) > 1e-6  # [E, B, C]
    assert moved[0, 1].all() and moved.sum() == C
    moved = (attention.joint(pooled, other)[0] - vectors).abs().amax(dim=2) > 1e-6  # [E, B]
    assert moved[2].all() and not moved[:2].any()


@pytest.mark.parametrize("tokens", TOKENS)
def test_there_is_one_layer_whatever_the_number_of_experts(tokens):
    attention = SharedAttention(D, 2, tokens)
    # Queries, keys, values and their projection; two linear maps of width D; two normalisations.
    assert sum(p.numel() for p in attention.parameters()) == 4 * (D * D + D) + 2 * (D * D + D) + 2 * 2 * D
    for experts in (1, 4):
        pooled, classifiers = torch.randn(experts, B, D), torch.randn(experts, C, D)
        if attention.depends_on_image:
            vectors, rows = attention.joint(pooled, classifiers)
            assert vectors.shape == pooled.shape and rows.shape == (experts, B, C, D)
        else:
            assert attention.images(pooled).shape == pooled.shape
            assert attention.classifiers(classifiers).shape == classifiers.shape


def test_only_joint_tokens_make_the_classifiers_depend_on_the_image():
    assert {tokens: SharedAttention(D, 2, tokens).depends_on_image for tokens in TOKENS} == {
        "labels": False, "experts": False, "joint": True
    }  # fmt: skip


@pytest.mark.parametrize("features", [64, 512])
def test_a_new_layer_begins_near_the_identity(features):
    torch.manual_seed(0)
    attention = SharedAttention(features)
    pooled, classifiers = torch.randn(E, B, features), torch.randn(E, 26, features)
    for refined, before in ((attention.images(pooled), pooled), (attention.classifiers(classifiers), classifiers)):
        change = (refined - before).norm() / before.norm()
        assert 0 < change < 0.1


def test_dropout_acts_in_training_alone():
    attention = SharedAttention(D, 2, dropout=0.5)
    rows = torch.randn(E, C, D)
    assert not torch.equal(attention.classifiers(rows), attention.classifiers(rows))
    attention.eval()
    assert torch.equal(attention.classifiers(rows), attention.classifiers(rows))


@pytest.mark.parametrize("tokens", TOKENS)
def test_the_gradients_of_the_attention_are_right(tokens):
    attention = attention_of(tokens)
    pooled, classifiers = inputs()

    def refined(pooled, classifiers):
        if attention.depends_on_image:
            return attention.joint(pooled, classifiers)
        return attention.images(pooled), attention.classifiers(classifiers)

    assert torch.autograd.gradcheck(refined, (pooled.requires_grad_(), classifiers.requires_grad_()))


def test_unknown_tokens_are_refused():
    with pytest.raises(ValueError, match=r"tokens is 'words', expected one of \['labels', 'experts', 'joint'\]"):
        SharedAttention(D, 2, "words")


@pytest.mark.parametrize("heads", [0, -2, 3])
def test_heads_that_do_not_divide_the_features_are_refused(heads):
    with pytest.raises(ValueError, match=f"heads is {heads}, expected a divisor of the 8 features"):
        SharedAttention(D, heads)
