from functools import partial
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from embeddings import label_sentences, save_vectors, train_glove
from mlgcn.build import (
    build_label_knowledge,
    build_loss,
    build_model,
    build_sampler,
    check_lone_images,
    check_resolutions,
)
from mlgcn.config import FusionConfig, GraphConfig, ModelConfig, QueryConfig
from mlgcn.data.samplers import SAMPLERS, PlannedSampler
from mlgcn.graph import dense
from mlgcn.labels import LabelTable
from mlgcn.nn import LabelGCN, LinearClassifiers, lse_pool
from mlgcn.nn.token_map import SizeCheck

NAMES = ("Effusion", "Mass", "Hernia", "Lung Opacity")


def choices(section):
    """Every setting of a section that is one of a list, with each of its values."""
    hints = get_type_hints(section).items()
    return [(name, value) for name, hint in hints if get_origin(hint) is Literal for value in get_args(hint)]


@pytest.fixture
def train_table():
    values = np.random.default_rng(0).integers(0, 2, size=(60, len(NAMES)))
    return LabelTable(values, NAMES, image_id=map(str, range(60)), split="train")


@pytest.fixture
def tiny_network(tiny_config, train_table):
    """Builds the network of the small configuration, with settings by section laid over it."""

    def build(seed=0, **sections):
        config = tiny_config(**sections)
        labels = build_label_knowledge(config, train_table)
        return build_model(config, labels.vectors, labels.graph, seed, labels.encoder).model

    return build


def random_parts(model):
    """Weights that are drawn, as opposed to the zeros and ones of biases and normalisation."""
    return {name: value for name, value in model.named_parameters() if value.ndim > 1}


def test_there_are_choices_to_build():
    assert {name for name, _ in choices(ModelConfig)} >= {"branch", "pooling", "attention"}
    assert {value for _, value in choices(GraphConfig)} >= {"paper", "released", "identity", "none"}


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        *[("model", *choice) for choice in choices(ModelConfig) if choice[0] != "freeze"],
        *[("graph", *choice) for choice in choices(GraphConfig)],
        ("model", "experts", 3),
        ("model", "dropout", 0.1),
        *[("query", *choice) for choice in choices(QueryConfig) if choice[1] != "encoder"],
        ("query", "groups", 2),
        *[("fusion", *choice) for choice in choices(FusionConfig) if choice[0] != "trunks"],
        ("fusion", "views", 3),
    ],
)
def test_every_choice_builds_a_network_whose_weights_all_learn(tiny_config, train_table, section, name, value):
    head = {"model": {"head": "query"}} if section == "query" else {}
    config = tiny_config(**{**head, section: {name: value}})
    labels = build_label_knowledge(config, train_table)
    model, report, *_ = build_model(config, labels.vectors, labels.graph, seed=0)
    assert report == "resnet18: random weights, not pretrained"
    logits = model.train()(torch.randn(2, 3, 64, 64))
    assert logits.shape == (config.model.experts, 2, len(NAMES))
    targets = torch.tensor([[1.0, 0.0, torch.nan, 0.0], [0.0, 1.0, 0.0, 1.0]])
    loss = build_loss(config.loss, train_table)(logits, targets)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    idle = {"fusion.segments", "fusion.padding"}  # of slots that no study of the batch fills
    without = {name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert without <= idle


def test_a_network_with_a_text_encoder_starts_as_one_with_the_vectors_that_it_gave(tiny_network, encoder_sections):
    fixed = {**encoder_sections, "query": {**encoder_sections["query"], "vectors": "embeddings"}}
    one, other = tiny_network(**encoder_sections), tiny_network(**fixed)
    assert one.encoder.network.training  # else Lightning would train it without dropout
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(one.eval()(images), other.eval()(images), rtol=1e-4, atol=1e-5)
    new = {name for name, _ in one.named_parameters()} - {name for name, _ in other.named_parameters()}
    assert new == {f"encoder.{name}" for name, _ in one.encoder.named_parameters()}


def test_a_network_without_the_text_encoder_that_it_is_to_have_is_refused(tiny_config, train_table, encoder_sections):
    labels = build_label_knowledge(tiny_config(embeddings={"source": "random"}), train_table)
    with pytest.raises(ValueError, match="queries of texts need a text encoder"):
        build_model(tiny_config(**encoder_sections), labels.vectors, labels.graph)


@pytest.mark.parametrize("head", ["gcn", "query"])
@pytest.mark.parametrize(("freeze", "parts"), [("trunk", ["trunk."]), ("features", ["trunk.", "branches."])])
def test_what_is_frozen_learns_nothing_and_keeps_its_statistics(tiny_network, head, freeze, parts):
    model = tiny_network(model={"head": head, "freeze": freeze}).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.randn(4, 3, 64, 64)).sum().backward()
    frozen = {name for name in before if name.startswith(tuple(parts))}
    assert {name for name, weight in model.named_parameters() if weight.grad is None} == {
        name for name, _ in model.named_parameters() if name in frozen
    }
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not changed & frozen and (freeze == "features" or any(name.startswith("branches.") for name in changed))


@pytest.mark.parametrize(
    ("trunks", "parts"), [("trunk", ["trunk"]), ("features", ["trunk", "branches.0", "branches.1"])]
)
@pytest.mark.parametrize("head", ["gcn", "query"])
def test_views_have_weights_of_their_own_that_start_alike(tiny_network, head, trunks, parts):
    model = tiny_network(model={"head": head}, fusion={"trunks": trunks, "views": 2}).eval()
    state = model.state_dict()
    for part in parts:
        pairs = {
            name: name.replace(f"{part}.frontal.", f"{part}.lateral.")
            for name in state
            if name.startswith(f"{part}.frontal.")
        }
        assert pairs and all(torch.equal(state[one], state[other]) for one, other in pairs.items())
    assert trunks == "features" or not [name for name in state if "branches" in name and "lateral" in name]
    images, slots = torch.randn(3, 3, 64, 64), torch.tensor([[0, 0], [0, 1], [1, 0]])
    assert model(images, torch.tensor([0, 1, 2]), slots).shape == (2, 2, len(NAMES))


def test_a_stride_beyond_the_map_is_refused_and_one_of_its_size_is_not(tiny_network):
    build = partial(tiny_network, embeddings={"source": "random"})
    for size, stride, side in ((64, 3, 2), (32, 2, 1)):
        message = rf"fusion\.stride is {stride}, expected at most {side}: of data\.image_size {size}"
        with pytest.raises(ValueError, match=message):
            build(data={"image_size": size}, fusion={"views": 2, "stride": stride})
    assert build(data={"image_size": 64}, fusion={"views": 2, "stride": 2}).fusion.stride == 2


def test_a_map_of_one_place_is_too_small_for_batch_normalisation_by_view(tiny_config, tiny_network):
    def check(size, trunks="features", freeze="none"):
        sections = {"data": {"image_size": size}, "fusion": {"trunks": trunks}, "model": {"freeze": freeze}}
        check_lone_images(tiny_config(**sections), model)

    model = tiny_network(embeddings={"source": "random"}, fusion={"trunks": "features"}).train()
    views = torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        model(torch.randn(3, 3, 32, 32), views)
    with pytest.raises(ValueError, match=r"data\.image_size 32 leaves a last map of one place"):
        check(32)
    model(torch.randn(3, 3, 33, 33), views)
    check(33)
    check(32, trunks="trunk")
    check(32, freeze="features")


def test_other_resolutions_that_the_trunk_does_not_take_are_refused(tiny_config):
    def check(size, multiple, tta=("resolution",)):
        config = tiny_config(data={"image_size": size}, evaluation={"tta": list(tta)})
        check_resolutions(config, nn.Sequential(SizeCheck(multiple)))

    check(518, 14)  # 448 and 672
    check(448, 14, tta=["hflip"])
    for size, multiple, common in ((448, 14, 224), (64, 16, 32), (224, 224, 224)):
        message = rf"evaluation\.tta resolution: .*data\.image_size {size} .* multiples of {common} px.*'s {multiple}$"
        with pytest.raises(ValueError, match=message):
            check(size, multiple)


def test_the_settings_reach_their_parts(tiny_network):
    model = tiny_network(model={"sharpness": 3.0, "hidden": 24, "heads": 2, "attention": "experts", "dropout": 0.25})
    features = torch.randn(2, 5, 3, 3)
    assert torch.equal(model.pool(features), lse_pool(features, 3.0))
    assert all(head.first.out_channels == 24 and head.second.out_channels == 512 for head in model.heads)
    assert model.attention.tokens == "experts" and model.attention.layer.self_attn.num_heads == 2
    assert model.attention.layer.dropout.p == 0.25
    plain = tiny_network(model={"pooling": "max", "attention": "none", "experts": 1}, loss={"diversity": 0.0})
    assert plain.attention is None and len(plain.branches) == 1
    assert torch.equal(plain.pool(features), features.amax(dim=(2, 3)))


def test_convolutions_are_laid_out_channels_last(tiny_network):
    for module in tiny_network().modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("variant", ["paper", "none"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny_network, variant):
    build = partial(tiny_network, graph={"variant": variant}, embeddings={"source": "random"})
    one, again, other = build(7), build(7), build(8)
    assert one.state_dict().keys() == again.state_dict().keys()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    for name, value in random_parts(one).items():
        assert not torch.equal(value, random_parts(other)[name]), name


def test_experts_start_with_classifiers_of_their_own(tiny_network):
    for variant, kind in (("paper", LabelGCN), ("none", LinearClassifiers)):
        heads = tiny_network(graph={"variant": variant}).heads
        assert all(isinstance(head, kind) for head in heads)
        assert not torch.equal(heads[0](), heads[1]())


def test_building_leaves_the_global_random_streams_untouched(tiny_config, train_table):
    config = tiny_config(embeddings={"source": "random"})
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    labels = build_label_knowledge(config, train_table)
    build_model(config, labels.vectors, labels.graph, seed=3)
    list(build_sampler(config, train_table))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_the_graph_is_built_as_configured(tiny_config, train_table):
    values = train_table.values.astype(np.float64)
    likely = values.T @ values / values.sum(axis=0)[:, None]  # P(j|i)
    edges = (likely >= 0.5) & ~np.eye(len(NAMES), dtype=bool)
    assert 0 < edges.sum() < edges.size - len(NAMES)  # so that the threshold matters
    graph = build_label_knowledge(tiny_config(graph={"threshold": 0.5, "reweight": 0.3}), train_table).graph
    expected = 0.3 * edges / np.maximum(edges.sum(axis=1, keepdims=True), 1) + 0.7 * np.eye(len(NAMES))
    np.testing.assert_allclose(dense(graph), expected, rtol=1e-6)
    diagonals = {"released": np.ones(len(NAMES)), "paper": np.full(len(NAMES), 0.8)}
    for variant, diagonal in diagonals.items():
        graph = build_label_knowledge(tiny_config(graph={"variant": variant}), train_table).graph
        np.testing.assert_allclose(dense(graph).diagonal(), diagonal, rtol=1e-6)
    graph = build_label_knowledge(tiny_config(graph={"variant": "identity"}), train_table).graph
    np.testing.assert_array_equal(dense(graph), np.eye(len(NAMES)))
    assert build_label_knowledge(tiny_config(graph={"variant": "none"}), train_table).graph is None


def test_the_counts_are_those_of_the_training_split(tiny_config, train_table):
    counted = build_label_knowledge(tiny_config(), train_table).cooccurrence
    values = train_table.values.astype(int)
    np.testing.assert_array_equal(counted.counts, values.T @ values)
    assert counted.names == NAMES


def test_glove_vectors_are_trained_on_the_labels(tiny_config, train_table):
    labels = build_label_knowledge(tiny_config(run={"seed": 5}), train_table)
    expected = train_glove(label_sentences(train_table.values, NAMES), dimensions=16, seed=5, vocabulary=list(NAMES))
    assert labels.vectors.dtype == torch.float32 and labels.vectors.shape == (len(NAMES), 16)
    np.testing.assert_array_equal(labels.vectors, [expected[name] for name in NAMES])


def test_random_vectors_have_about_unit_length_and_depend_on_the_seed_alone(tiny_config, train_table):
    settings = {"source": "random", "dimensions": 400}
    one, again, other = (
        build_label_knowledge(tiny_config(embeddings=settings, run={"seed": seed}), train_table).vectors
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    np.testing.assert_allclose(one.norm(dim=1), 1, atol=0.2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ["label graph", "tokens"]),
        ({"graph": {"variant": "none"}}, []),
        ({"model": {"head": "query"}, "query": {"vectors": "learned"}}, []),
        ({"model": {"head": "query"}, "query": {"vectors": "embeddings"}}, ["tokens"]),
        ({"model": {"head": "query"}, "query": {"vectors": "graph"}}, ["label graph", "tokens"]),
    ],
)
def test_weak_vectors_and_graphs_are_warned_of_where_the_network_has_them(tiny_config, settings, told, recwarn):
    alone = LabelTable(np.eye(3), ["Edema", "Mass", "Hernia"], image_id="abc", split="train")
    build_label_knowledge(tiny_config(**settings), alone)
    said = [str(warning.message) for warning in recwarn]
    assert [word for word in ("label graph", "tokens") if any(word in line for line in said)] == told


def test_vectors_of_a_file_are_taken_by_name(tiny_config, train_table, tmp_path):
    keyed = build_label_knowledge(tiny_config(embeddings={"source": "random"}), train_table).keyed
    names = list(NAMES)[::-1]
    shuffled = type(keyed)(keyed.vector_size)
    shuffled.add_vectors([*names, "Cough"], np.stack([*[keyed[name] for name in names], keyed["Mass"] + 1]))
    save_vectors(shuffled, tmp_path / "vectors.txt")
    labels = build_label_knowledge(tiny_config(embeddings={"source": str(tmp_path / "vectors.txt")}), train_table)
    np.testing.assert_array_equal(labels.vectors, [keyed[name] for name in NAMES])


def test_a_vector_of_a_file_that_points_nowhere_makes_no_query(tiny_config, train_table, tmp_path):
    keyed = build_label_knowledge(tiny_config(embeddings={"source": "random"}), train_table).keyed
    keyed.vectors[keyed.key_to_index["Mass"]] = 0
    path = str(tmp_path / "vectors.txt")
    save_vectors(keyed, path)
    settings = {"embeddings": {"source": path}, "model": {"head": "query"}}
    with pytest.raises(ValueError, match=r"embeddings\.source .*vectors\.txt: the vectors of \['Mass'\] are 0"):
        build_label_knowledge(tiny_config(**settings, query={"vectors": "embeddings"}), train_table)
    build_label_knowledge(tiny_config(**settings, query={"vectors": "learned"}), train_table)


def test_one_hot_vectors_tell_the_labels_apart_and_nothing_else(tiny_config, train_table):
    labels = build_label_knowledge(tiny_config(embeddings={"source": "one_hot"}), train_table)
    np.testing.assert_array_equal(labels.vectors, np.eye(len(NAMES)))


def test_vectors_of_another_size_are_projected(tiny_config, train_table):
    settings = {"source": "one_hot", "projection": "random", "dimensions": 9}
    vectors = build_label_knowledge(tiny_config(embeddings=settings), train_table).vectors
    # To more dimensions lengths and angles stay.
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(NAMES)), atol=1e-6)
    with pytest.raises(ValueError, match="pca of 4 vectors of size 4 gives at most 4 dimensions, got 9"):
        build_label_knowledge(tiny_config(embeddings=settings | {"projection": "pca"}), train_table)


def test_text_vectors_need_a_model_and_descriptions_of_every_label(tiny_config, train_table, tmp_path):
    with pytest.raises(ValueError, match=r"embeddings\.source is text, which needs embeddings\.model"):
        tiny_config(embeddings={"source": "text"})
    (tmp_path / "texts.yaml").write_text("Mass: a lump\n")
    settings = {"source": "text", "model": str(tmp_path), "texts": str(tmp_path / "texts.yaml")}
    with pytest.raises(ValueError, match="no description of"):
        build_label_knowledge(tiny_config(embeddings=settings), train_table)
    (tmp_path / "texts.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file of descriptions .*texts\.yaml"):
        build_label_knowledge(tiny_config(embeddings=settings), train_table)


def test_vectors_of_a_file_that_is_not_there_are_refused(tiny_config, train_table):
    with pytest.raises(FileNotFoundError, match=r"embeddings\.source: no file glvoe; expected one of \['glove',"):
        build_label_knowledge(tiny_config(embeddings={"source": "glvoe"}), train_table)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_are_built_by_name_and_drawn_from_the_seed(name, tiny_config, train_table):
    def drawn(seed=0, **settings):
        return list(build_sampler(tiny_config(sampler={"name": name, **settings}, run={"seed": seed}), train_table))

    sampler = build_sampler(tiny_config(sampler={"name": name}), train_table)
    assert isinstance(sampler, PlannedSampler) and len(drawn()) == len(train_table)
    assert len(drawn(num_samples=25)) == 25
    assert drawn() == drawn() and drawn() != drawn(seed=1)


@pytest.mark.parametrize("name", SAMPLERS)
def test_processes_share_what_one_would_draw(name, tiny_config, train_table):
    config = tiny_config(sampler={"name": name, "num_samples": 30})
    whole = list(build_sampler(config, train_table))
    shares = [list(build_sampler(config, train_table, rank, 3)) for rank in range(3)]
    assert [shares[i % 3][i // 3] for i in range(30)] == whole


def test_an_unknown_sampler_is_refused_with_the_nearest_one(tiny_config, train_table):
    with pytest.raises(ValueError, match=r"unknown sampler\.name 'cylce'; did you mean 'cycle'\?"):
        build_sampler(tiny_config(sampler={"name": "cylce"}), train_table)


def test_an_unknown_trunk_is_refused(tiny_network):
    with pytest.raises(ValueError, match="unknown trunk 'resnet19'; did you mean"):
        tiny_network(model={"trunk": "resnet19"})
