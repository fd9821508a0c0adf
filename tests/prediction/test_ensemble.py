"""Several models that score images together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn import Predictor
from mlgcn.labels import LabelTable
from mlgcn.metrics import best_f1_thresholds
from mlgcn.prediction import Ensemble, pseudo_labels
from mlgcn.prediction.merging import MERGES, fitted_weights

NAMES = ("Effusion", "Mass", "Hernia", "Lung Opacity", "No Finding")
COUNT = 8


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Images of noise with labels by chance, some of them unknown."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [str(folder / f"{number}.png") for number in range(COUNT)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, size=(40, 40), dtype=np.uint8)).save(path)
    values = rng.choice([0, 1, np.nan], size=(COUNT, 5), p=[0.5, 0.4, 0.1])
    return LabelTable(values, NAMES, image_id=map(str, range(COUNT)), path=paths, view="frontal")


class Plain(torch.nn.Module):
    """A network of linear experts on 4 x 4 pixels, quick where a real one would tell no more; labels in any order."""

    def __init__(self, seed, experts=2, order=range(5)):
        super().__init__()
        self.weight = torch.randn(experts, 48, 5, generator=torch.Generator().manual_seed(seed))[..., list(order)]

    def forward(self, images, *places):
        return torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1) @ self.weight


@pytest.fixture(scope="module")
def described(tiny_model):
    return tiny_model()[1]


@pytest.fixture(scope="module")
def members(described):
    """Models of other weights, number of experts and image size."""
    sizes = {"first": 32, "second": 48, "third": 64}
    configs = [{**described.config, "data": described.config["data"] | {"image_size": size}} for size in sizes.values()]
    return {
        name: Predictor(Plain(seed, seed + 1), replace(described, config=config), device="cpu")
        for seed, (name, config) in enumerate(zip(sizes, configs, strict=True))
    }


@pytest.fixture(scope="module")
def single(members, table):
    """What each scores alone, in float64: [M, N, C]."""
    return np.stack([each.predict_table(table).scores for each in members.values()]).astype(np.float64)


@pytest.mark.parametrize("merge", MERGES)
def test_scores_are_those_of_the_members_merged(members, table, single, merge):
    weights = np.array([2, 1, 1]) / 4
    found = Ensemble(members, merge, [2, 1, 1]).predict_table(table, batch_size=3)
    expected = {
        "mean": np.tensordot(weights, single, axes=1),
        "geometric": np.exp(np.tensordot(weights, np.log(single), axes=1)),
        "logits": 1 / (1 + np.exp(-np.tensordot(weights, np.log(single / (1 - single)), axes=1))),
    }[merge]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
    np.testing.assert_array_equal(found.targets, table.values)
    assert found.images.image_id.tolist() == table.images.image_id.tolist()


@pytest.mark.parametrize("merge", MERGES)
def test_a_model_with_itself_is_the_model_and_a_weight_of_1_its_member(members, table, single, merge):
    first = members["first"]
    twice = Ensemble({"a": first, "b": first, "c": first}, merge)
    np.testing.assert_array_equal(twice.predict_table(table).scores, single[0])
    only = Ensemble(members, merge, [1, 0, 0])
    np.testing.assert_array_equal(only.predict_table(table).scores, single[0])


def test_files_are_scored_as_the_rows_of_a_table(members, table):
    found = Ensemble(members).predict(table.images.path.tolist())
    assert list(found) == ["path", *NAMES] and found.path.tolist() == table.images.path.tolist()
    np.testing.assert_array_equal(found[list(NAMES)], Ensemble(members).predict_table(table).scores)


def test_the_order_of_labels_in_a_member_changes_nothing(members, table):
    order = [3, 0, 4, 2, 1]
    described = replace(members["second"].description, names=[NAMES[i] for i in order])
    changed = {**members, "second": Predictor(Plain(1, 2, order), described, device="cpu")}
    found, expected = (Ensemble(each, "logits", [1, 2, 3]).predict_table(table) for each in (changed, members))
    assert found.names == expected.names
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.targets, expected.targets)


def test_weights_and_thresholds_are_chosen_on_validation(members, table, single):
    ensemble = Ensemble(members, "geometric")
    assert ensemble.description.thresholds == [0.5] * 5
    ensemble.choose(table, weights=True)
    weights = fitted_weights(single.astype(np.float32), table.values, "geometric")
    np.testing.assert_array_equal(ensemble.weights, weights)
    merged = ensemble.predict_table(table)
    np.testing.assert_array_equal(ensemble.description.thresholds, best_f1_thresholds(merged.scores, merged.targets))
    assert members["first"].description.thresholds == [0.5] * 5
    kept = Ensemble(members, "geometric", [3, 1, 0])
    kept.choose(table)
    np.testing.assert_array_equal(kept.weights, [0.75, 0.25, 0])


def test_thresholds_follow_the_rule_of_the_first_member(members, table):
    first = Predictor(members["first"].model, members["first"].description, device="cpu")
    first.settings = replace(first.settings, threshold=0.3)
    ensemble = Ensemble({"fixed": first, "second": members["second"]})
    ensemble.choose(table)
    assert ensemble.description.thresholds == [0.3] * 5


def test_an_ensemble_fills_in_labels_as_a_model_does(members, table):
    filled, number = pseudo_labels(Ensemble(members), table)
    unknown = np.isnan(table.values)
    assert number == unknown.sum() and not np.isnan(filled.values).any()
    scores = Ensemble(members).predict_table(table).scores
    np.testing.assert_allclose(filled.values[unknown], scores[unknown], rtol=1e-6)


def test_members_are_loaded_by_name(tiny_model, table, tmp_path):
    sources = [tmp_path / "run", tmp_path / "other.ckpt"]
    (tmp_path / "run").mkdir()
    pytest.importorskip("timm", reason="timm, whose smallest network this takes, is not installed")
    small = {"trunk": "timm/test_resnet", "branch": "pretrained"}
    built = [Predictor(*tiny_model(seed=seed, model=small), device="cpu") for seed in range(2)]
    pair = dict(zip(map(str, sources), built, strict=True))
    for member, path in zip(pair.values(), (tmp_path / "run" / "model.ckpt", sources[1]), strict=True):
        member.save(path)
    loaded, expected = Ensemble.load(sources, "logits", [1, 3], "cpu"), Ensemble(pair, "logits", [1, 3])
    assert list(loaded.members) == list(pair)
    np.testing.assert_array_equal(loaded.predict_table(table).scores, expected.predict_table(table).scores)
    with pytest.raises(ValueError, match=r"members repeat: \['.*run'\]"):
        Ensemble.load([sources[0], sources[1], sources[0]])
    built[0].description.config["evaluation"]["merge_views"] = True
    built[0].save(tmp_path / "run" / "model.ckpt")
    with pytest.raises(ValueError, match=r"run scores studies and .*other\.ckpt images, expected the same"):
        Ensemble.load(sources)
    assert Ensemble.load(sources, settings={"merge_views": True}).scores_studies


def test_views_are_not_merged_where_any_member_joins_them(tiny_model, tmp_path):
    pytest.importorskip("timm", reason="timm, whose smallest network this takes, is not installed")
    small = {"model": {"trunk": "timm/test_resnet", "branch": "pretrained", "head": "query"}}
    small["query"] = {"width": 16, "layers": 1, "heads": 2}
    sources = [tmp_path / "images.ckpt", tmp_path / "studies.ckpt"]
    for source, fusion in zip(sources, [{}, {"views": 2, "layers": 1, "heads": 2}], strict=True):
        Predictor(*tiny_model(**small, fusion=fusion), device="cpu").save(source)
    with pytest.raises(ValueError, match=r"studies\.ckpt: evaluation\.merge_views merges scores of images"):
        Ensemble.load(sources, settings={"merge_views": True})


def test_unreadable_images_are_named_once(members, table, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    paths = [str(tmp_path / "broken.png"), *table.images.path[1:]]
    broken = LabelTable(table.values, NAMES, image_id=table.images.image_id, path=paths)
    ensemble = Ensemble(members)
    assert len(ensemble.predict_table(broken, skip_unreadable=True)) == COUNT - 1
    assert len(ensemble.unreadable) == 1 and "broken.png" in ensemble.unreadable[0]


def test_members_that_do_not_go_together_are_refused(members):
    first = members["first"]
    with pytest.raises(ValueError, match=r"an ensemble of \['first'\] was asked for, expected at least two"):
        Ensemble({"first": first})
    names = ["Effusion", "Mass", "Hiatal Hernia", "Lung Opacity", "No Finding"]
    other = Predictor(first.model, replace(first.description, names=names), device="cpu")
    with pytest.raises(ValueError, match=r"other beside first: .*lacks \['Hernia'\] and has .* \['Hiatal Hernia'\]"):
        Ensemble({"first": first, "other": other})
    studies = Predictor(first.model, first.description, device="cpu")
    studies.settings = replace(studies.settings, merge_views=True)
    with pytest.raises(ValueError, match="studies scores studies and first images, expected the same"):
        Ensemble({"first": first, "studies": studies})
    with pytest.raises(ValueError, match="unknown merge 'median'"):
        Ensemble(members, "median")
    with pytest.raises(ValueError, match=r"weights are .*, expected 3 numbers"):
        Ensemble(members, weights=[1, 2])
    with pytest.raises(ValueError, match=r"thresholds are .*, expected 5 numbers"):
        Ensemble(members).set_thresholds([0.5])
