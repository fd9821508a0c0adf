import copy
import functools
import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import integers, sampled_from
from PIL import Image
from sklearn.metrics import average_precision_score

from mlgcn import Predictor
from mlgcn.data.images import UnreadableImageError
from mlgcn.graph import Cooccurrence, cooccurrence
from mlgcn.labels import LabelTable
from mlgcn.prediction import Diagnostics, diagnose, diagnostics, edge_influence

SIZE, COUNT = 32, 6
ATTENTION = ["none", "labels", "experts", "joint"]


@pytest.fixture(scope="module")
def pixels():
    """Grey images of the size that the model takes, uint8 [COUNT, SIZE, SIZE]."""
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 256, size=(COUNT, 4, 4)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(shades + rng.integers(-20, 20, size=shades.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def paths(tmp_path_factory, pixels):
    """The images as files."""
    folder = tmp_path_factory.mktemp("images")
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(COUNT)]


@pytest.fixture(scope="module")
def values():
    """Targets, some of them unknown; the third label has no positive."""
    values = np.random.default_rng(1).choice([0, 1, np.nan], p=[0.4, 0.45, 0.15], size=(COUNT, 5))
    values[:, 2] = 0
    return values


@pytest.fixture(scope="module")
def build(tiny_model):
    """The predictor of the tiny model with an attention and other settings; the same one for the same settings."""

    @functools.cache
    def built(settings):
        return Predictor(*tiny_model(**json.loads(settings)), device="cpu")

    def build(attention="labels", **sections):
        model = {"attention": attention, **sections.pop("model", {})}
        return built(json.dumps({"model": model, **sections}))

    return build


def table_of(paths, names, values):
    ids = [f"image {number}" for number in range(len(paths))]
    return LabelTable(values, names, image_id=ids, path=map(str, paths))


def logits_by_hand(predictor, pixels, cut=None):
    """Logits of every expert in float64 [E, N, C], of a model whose graph lacks one edge."""
    mean, std = np.array(predictor.description.mean), np.array(predictor.description.std)
    inputs = torch.from_numpy((pixels[:, None] / 255 - mean[:, None, None]) / std[:, None, None])
    model = copy.deepcopy(predictor.model).double()
    if cut is not None:
        for head in model.heads:
            stays = [tuple(edge) != cut for edge in head.edge_index.T.tolist()]
            head.edge_index, head.edge_weight = head.edge_index[:, stays], head.edge_weight[stays]
    with torch.no_grad():
        return model(inputs).numpy()


def classifiers_by_hand(predictor):
    """Two graph convolutions with full matrices in float64 [E, C, D], without attention."""
    described = predictor.description
    adjacency = np.zeros((5, 5))
    adjacency[tuple(described.edge_index.numpy())] = described.edge_weight.numpy()
    root = np.diag(adjacency.sum(axis=1) ** -0.5)
    matrix = root @ adjacency.T @ root
    rows = []
    for head in predictor.model.heads:
        first, second = (layer.lin.weight.detach().double().numpy().T for layer in (head.first, head.second))
        hidden = matrix @ described.vectors.double().numpy() @ first
        rows.append(matrix @ np.where(hidden > 0, hidden, 0.2 * hidden) @ second)
    return np.stack(rows)


def edges_of(predictor):
    """Source, target and propagation weight of the edges between different labels, from heavy to light."""
    head = predictor.model.heads[0]
    edges = [
        (*edge, weight)
        for edge, weight in zip(head.edge_index.T.tolist(), head.edge_weight.tolist(), strict=True)
        if edge[0] != edge[1]
    ]
    return sorted(edges, key=lambda edge: -edge[2])


def test_norms_and_similarity_are_those_of_the_two_graph_convolutions(build, paths, values):
    predictor = build("none")
    found = diagnose(predictor, table_of(paths, predictor.names, values))
    rows = classifiers_by_hand(predictor)
    np.testing.assert_allclose(found.norms, np.sqrt((rows**2).sum(axis=2)), rtol=1e-4)
    expected = np.array([[[a @ b / np.sqrt(a @ a * (b @ b)) for b in expert] for a in expert] for expert in rows])
    order = found.similarity.labels
    assert (np.diff(np.array(predictor.description.positives)[order]) <= 0).all() and sorted(order) == list(range(5))
    np.testing.assert_allclose(found.similarity.cosine, expected.mean(axis=0)[np.ix_(order, order)], atol=1e-5)
    assert found.attention == "none" and found.names == tuple(predictor.names)


@pytest.mark.parametrize("attention", ["labels", "experts", "joint"])
def test_norms_are_of_the_classifiers_that_the_logits_use_or_those_before_joint_attention(
    build, paths, values, attention
):
    predictor = build(attention)
    found = diagnose(predictor, table_of(paths, predictor.names, values))
    before = torch.from_numpy(classifiers_by_hand(predictor))
    layer = copy.deepcopy(predictor.model.attention.layer).double()
    with torch.no_grad():
        used = {
            "labels": lambda: layer(before),
            "experts": lambda: layer(before.reshape(1, 10, -1)).reshape(before.shape),
            "joint": lambda: before,
        }[attention]()
    np.testing.assert_allclose(found.norms, np.linalg.norm(used.numpy(), axis=2), rtol=1e-4)
    assert found.attention == attention


def test_the_edges_of_the_label_graph_are_marked_among_the_pairs(build, paths, values):
    predictor = build(graph={"threshold": 0.55})
    found = diagnose(predictor, table_of(paths, predictor.names, values))
    expected = {(source, target) for source, target, _ in edges_of(predictor)}
    place = found.similarity.labels
    assert {(place[i], place[j]) for i, j in np.argwhere(found.similarity.linked)} == expected
    assert 0 < len(expected) < 20


def test_disagreement_is_the_spread_of_the_experts_probabilities(build, paths, values, pixels):
    predictor = build(model={"experts": 3})
    found = diagnose(predictor, table_of(paths, predictor.names, values), batch_size=4)
    probability = 1 / (1 + np.exp(-logits_by_hand(predictor, pixels)))
    mean = probability.mean(axis=0)
    expected = np.sqrt(((probability - mean) ** 2).sum(axis=0) / 3).mean(axis=0)
    np.testing.assert_allclose(found.disagreement, expected, atol=1e-5)
    assert expected.min() > 1e-3 and found.images == COUNT
    assert found.summary()["expert_disagreement"] == pytest.approx(expected.mean(), abs=1e-5)


def test_one_expert_has_nobody_to_disagree_with(build, paths, values):
    predictor = build(model={"experts": 1}, loss={"diversity": 0.0})
    found = diagnose(predictor, table_of(paths, predictor.names, values))
    assert np.isnan(found.disagreement).all() and found.norms.shape == (1, 5)
    assert found.summary()["expert_disagreement"] is None


def lift_by_hand(table):
    """(images with both + 1) / (images that chance gives + 1), counted image by image."""
    size = table.shape[1]
    share = [np.nanmean(column) if (~np.isnan(column)).any() else np.nan for column in table.T]
    lift = np.full((size, size), np.nan)
    for i, j in np.ndindex(size, size):
        known = [row for row in table if not np.isnan(row[i]) and not np.isnan(row[j])]
        if known:
            both = sum(row[i] == 1 and row[j] == 1 for row in known)
            lift[i, j] = (both + 1) / (len(known) * share[i] * share[j] + 1)
    return lift


@given(table=arrays(float, (12, 4), elements=sampled_from([0.0, 0.0, 1.0, np.nan])))
@settings(max_examples=50)
def test_the_lift_of_a_pair_compares_its_images_with_those_of_chance(table):
    found = diagnostics._lift(cooccurrence(table, "dcba"), list("abcd"))
    expected = lift_by_hand(table[:, ::-1])
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(found[off], expected[off], rtol=1e-5)


def test_the_correlation_is_spearmans_over_the_pairs_that_are_told(build, paths, values):
    predictor = build("none")
    training = np.random.default_rng(3).choice([0, 1, np.nan], p=[0.5, 0.3, 0.2], size=(60, 5))
    training[:, 4] = np.where(np.isnan(training[:, 0]), training[:, 4], np.nan)  # labels 0 and 4 never both known
    names = predictor.names[::-1]
    counts = cooccurrence(training[:, ::-1], names)
    similarity = diagnose(predictor, table_of(paths, predictor.names, values), counts).similarity
    order = similarity.labels
    lift = lift_by_hand(training)[np.ix_(order, order)]
    pairs = [(i, j) for i in range(5) for j in range(i) if not np.isnan(lift[i, j])]
    assert len(pairs) == 9
    ranks = [pd.Series([values[pair] for pair in pairs]).rank() for values in (similarity.cosine, lift)]
    assert similarity.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-6)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(similarity.lift[off], lift[off], rtol=1e-5)


def test_without_counts_or_their_number_of_images_nothing_is_compared(build, paths, values):
    predictor = build()
    table = table_of(paths, predictor.names, values)
    uncounted = Cooccurrence(cooccurrence(np.eye(5), predictor.names).pairs, tuple(predictor.names))
    for counts in (None, uncounted):
        found = diagnose(predictor, table, counts)
        assert found.similarity.lift is None and found.similarity.spearman is None
        assert found.summary()["similarity_spearman"] is None


def test_the_most_frequent_labels_are_compared(build, paths, values, monkeypatch):
    predictor = build()
    whole = diagnose(predictor, table_of(paths, predictor.names, values)).similarity
    monkeypatch.setattr(diagnostics, "MOST_COMPARED", 3)
    part = diagnose(predictor, table_of(paths, predictor.names, values)).similarity
    assert part.labels.tolist() == whole.labels[:3].tolist()
    np.testing.assert_allclose(part.cosine, whole.cosine[:3, :3], atol=1e-6)
    np.testing.assert_array_equal(part.linked, whole.linked[:3, :3])


@pytest.mark.parametrize("attention", ATTENTION)
def test_an_edges_influence_is_what_a_model_without_it_says_otherwise(build, paths, values, pixels, attention):
    predictor = build(attention, graph={"threshold": 0.55})
    found = diagnose(predictor, table_of(paths, predictor.names, values), batch_size=4).edges
    edges = edges_of(predictor)
    assert list(zip(found.source, found.target, strict=True)) == [edge[:2] for edge in edges] and len(edges) > 3
    np.testing.assert_allclose(found.weight, [weight for *_, weight in edges], rtol=1e-6)
    before = logits_by_hand(predictor, pixels).mean(axis=0)
    for row, (source, target, _) in enumerate(edges):
        after = logits_by_hand(predictor, pixels, cut=(source, target)).mean(axis=0)
        change = np.abs(after - before).mean(axis=0)
        np.testing.assert_allclose(found.change[row], change, rtol=1e-3, atol=1e-5)
        assert found.target_change[row] == found.change[row, target] and change[target] > 1e-3
        assert found.mean_change[row] == pytest.approx(change.mean(), rel=1e-3, abs=1e-5)
        known = ~np.isnan(values[:, target])
        if not (values[known, target] == 1).any():
            assert np.isnan(found.ap_change[row])
            continue
        ap = [average_precision_score(values[known, target], scores[known, target]) for scores in (after, before)]
        assert found.ap_change[row] == pytest.approx(ap[0] - ap[1], abs=1e-6)
    assert found.edges == len(edges) and found.images == COUNT and not found.missing


def test_without_attention_an_edge_changes_only_its_target_and_what_hangs_on_it(build, paths, values):
    predictor = build("none", graph={"threshold": 0.55})
    found = diagnose(predictor, table_of(paths, predictor.names, values)).edges
    joins = {(source, target) for source, target, _ in edges_of(predictor)}
    for row, target in enumerate(found.target):
        reached = {label for label in range(5) if label == target or (target, label) in joins}
        assert set(np.flatnonzero(found.change[row])) == reached


@pytest.mark.parametrize("attention", ATTENTION)
def test_cutting_an_edge_without_weight_changes_nothing(build, paths, values, attention):
    predictor = build(attention, graph={"reweight": 0.0})
    found = diagnose(predictor, table_of(paths, predictor.names, values), batch_size=4).edges
    assert len(found.source) > 3 and not found.weight.any() and not found.change.any()
    assert not found.ap_change[~np.isnan(found.ap_change)].any()


@pytest.mark.parametrize("attention", ["labels", "joint"])
def test_the_cuts_depend_on_neither_batches_nor_what_is_held(build, paths, values, monkeypatch, attention):
    predictor = build(attention)
    table = table_of(paths, predictor.names, values)
    whole = diagnose(predictor, table).edges
    for held, batch_size in ((1, 1), (1, 4), (2500, 2)):
        monkeypatch.setattr(edge_influence, "HELD_NUMBERS", held)
        parts = diagnose(predictor, table, batch_size=batch_size).edges
        np.testing.assert_allclose(parts.change, whole.change, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(parts.ap_change, whole.ap_change, atol=1e-6)


def test_joint_attention_is_cut_on_images_spread_over_the_table(build, paths, values, monkeypatch):
    predictor = build("joint")
    monkeypatch.setattr(edge_influence, "JOINT_IMAGES", 3)
    found = diagnose(predictor, table_of(paths, predictor.names, values), batch_size=2)
    chosen = [0, 2, 5]
    alone = diagnose(predictor, table_of([paths[row] for row in chosen], predictor.names, values[chosen]))
    assert found.images == COUNT and found.edges.images == 3
    np.testing.assert_allclose(found.edges.change, alone.edges.change, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.edges.ap_change, alone.edges.ap_change, atol=1e-6)


def test_of_many_edges_the_heaviest_are_cut_and_all_are_counted(build, paths, values):
    predictor = build(graph={"threshold": 0.45})
    table = table_of(paths, predictor.names, values)
    whole, part = (diagnose(predictor, table, most_edges=most).edges for most in (100, 4))
    assert len(part.source) == 4 < part.edges == whole.edges == len(whole.source)
    assert part.weight.min() >= np.delete(whole.weight, range(4)).max()
    np.testing.assert_array_equal(part.change, whole.change[:4])
    np.testing.assert_array_equal(part.ap_change, whole.ap_change[:4])


@pytest.mark.parametrize(("variant", "reason"), [("identity", "joins no two labels"), ("none", "free weights")])
def test_a_model_without_edges_has_none_to_cut_and_says_why(build, paths, values, tmp_path, variant, reason):
    predictor = build(graph={"variant": variant})
    found = diagnose(predictor, table_of(paths, predictor.names, values))
    for edges in (found.edges, _round_trip(found, tmp_path).edges):
        assert edges.change.shape == (0, 5) and edges.edges == edges.images == 0 and reason in edges.missing
    assert found.norms.all() and not found.similarity.linked.any()
    assert found.edge_table().empty and found.summary()["edge_target_change"] is None


def test_the_edge_table_names_the_labels_from_the_most_changed_target_on(build, paths, values):
    predictor = build()
    found = diagnose(predictor, table_of(paths, predictor.names, values))
    table = found.edge_table()
    assert table.target_change.is_monotonic_decreasing and len(table) == found.edges.edges
    for row in table.itertuples():
        pair = predictor.names.index(row.source), predictor.names.index(row.target)
        edge = list(zip(found.edges.source, found.edges.target, strict=True)).index(pair)
        assert row.target_change == found.edges.change[edge, pair[1]] and row.weight == found.edges.weight[edge]


def _round_trip(found, folder):
    found.save(folder / "diagnostics.json")
    return Diagnostics.load(folder / "diagnostics.json")


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("experts", [1, 2])
def test_what_is_saved_is_loaded_to_the_last_bit(build, paths, values, tmp_path, experts, counted):
    predictor = build(model={"experts": experts}, loss={"diversity": 0.0})
    counts = cooccurrence(np.eye(5), predictor.names) if counted else None
    found = diagnose(predictor, table_of(paths, predictor.names, values), counts)
    again = _round_trip(found, tmp_path)
    for mine, theirs in zip(_leaves(asdict(found)), _leaves(asdict(again)), strict=True):
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs and type(mine) is type(theirs)
    assert "NaN" not in (tmp_path / "diagnostics.json").read_text()


def _leaves(tree):
    return [leaf for entry in tree.values() for leaf in (_leaves(entry) if isinstance(entry, dict) else [entry])]


@given(bits=arrays(np.uint32, 6, elements=integers(0, 2**32 - 1)))
def test_every_single_precision_number_survives_as_decimals(bits):
    numbers = bits.view(np.float32)
    numbers = numbers[~np.isinf(numbers)]
    np.testing.assert_array_equal(np.array(diagnostics._plain(numbers), np.float32), numbers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected 'mlgcn diagnostics 1'"),
        ("{", "Expecting property"),
        ('{"format": "mlgcn diagnostics 1"}', "there is no 'similarity'"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text, message):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=rf"other\.json holds no diagnostics of a model: .*{message}"):
        Diagnostics.load(tmp_path / "other.json")
    with pytest.raises(FileNotFoundError):
        Diagnostics.load(tmp_path / "gone.json")


def test_labels_go_by_name_and_others_are_refused(build, paths, values):
    predictor = build()
    order = [4, 2, 0, 3, 1]
    straight = diagnose(predictor, table_of(paths, predictor.names, values))
    mixed = diagnose(predictor, table_of(paths, [predictor.names[i] for i in order], values[:, order]))
    np.testing.assert_array_equal(mixed.edges.ap_change, straight.edges.ap_change)
    others = [*predictor.names[:4], "Nothing"]
    with pytest.raises(ValueError, match=r"lacks \['No Finding'\] and has the unexpected \['Nothing'\]"):
        diagnose(predictor, table_of(paths, others, values))
    with pytest.raises(ValueError, match=r"lacks \['No Finding'\] and has the unexpected \['Nothing'\]"):
        diagnose(predictor, table_of(paths, predictor.names, values), cooccurrence(np.eye(5), others))


def test_unreadable_images_stop_it_unless_they_are_to_be_left_out(build, paths, values, tmp_path):
    predictor = build()
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:100])
    damaged = table_of([*paths, tmp_path / "broken.png"], predictor.names, np.vstack([values, values[:1]]))
    with pytest.raises(UnreadableImageError, match="broken"):
        diagnose(predictor, damaged)
    found = diagnose(predictor, damaged, skip_unreadable=True, batch_size=3)
    whole = diagnose(predictor, table_of(paths, predictor.names, values), batch_size=3)
    assert found.images == COUNT
    np.testing.assert_allclose(found.edges.change, whole.edges.change, rtol=1e-5)
    with pytest.raises(ValueError, match="none of the 1 images could be read"):
        diagnose(predictor, damaged.take(np.array([COUNT])), skip_unreadable=True)
    with pytest.raises(FileNotFoundError, match="1 of 1 images are absent"):
        diagnose(predictor, table_of([tmp_path / "gone.png"], predictor.names, values[:1]))


def test_diagnosing_leaves_the_model_as_it_was(build, paths, values):
    predictor = build()
    before = predictor.predict(paths)
    state = {name: value.clone() for name, value in predictor.model.state_dict().items()}
    diagnose(predictor, table_of(paths, predictor.names, values))
    assert all(torch.equal(value, state[name]) for name, value in predictor.model.state_dict().items())
    pd.testing.assert_frame_equal(predictor.predict(paths), before)
