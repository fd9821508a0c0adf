"""Which experts are worth keeping, and the network that has them alone."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score
from torch_geometric.data import Data

from mlgcn import Predictor
from mlgcn.build import build_model
from mlgcn.config import config_from_dict
from mlgcn.labels import LabelTable
from mlgcn.prediction import choose_experts, with_experts

NAMES = ("Effusion", "Mass", "Hernia", "Lung Opacity", "No Finding")
SMALL = {"trunk": "timm/test_resnet", "branch": "pretrained", "experts": 3}
HEADS = {
    "experts": {"model": {**SMALL, "attention": "experts"}},
    "joint": {"model": {**SMALL, "attention": "joint"}},
    "query": {"model": {**SMALL, "head": "query"}, "query": {"width": 32, "layers": 1, "heads": 4}},
}


@pytest.fixture(scope="module", params=HEADS)
def whole(request, tiny_model):
    pytest.importorskip("timm", reason="timm, whose smallest network this takes, is not installed")
    return Predictor(*tiny_model(**HEADS[request.param]), device="cpu")


def built_alone(predictor, kept):
    """The network of some experts as it is built anew and given their weights by name, places from 0."""
    described = predictor.description
    config = described.config | {"model": described.config["model"] | {"experts": len(kept)}}
    data = Data(edge_index=described.edge_index, edge_weight=described.edge_weight, num_nodes=5)
    loose = config | {"loss": config["loss"] | {"diversity": 0.0}}
    model = build_model(config_from_dict(loose), described.vectors, data).model
    state = {}
    for name, value in predictor.model.state_dict().items():
        found = re.fullmatch(r"(branches|heads)\.(\d+)\.(.*)", name)
        if not found:
            state[name] = value
        elif int(found[2]) in kept:
            state[f"{found[1]}.{kept.index(int(found[2]))}.{found[3]}"] = value
    model.load_state_dict(state)
    return model.eval()


def test_the_network_of_some_experts_is_the_one_built_of_them(whole):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    part = with_experts(whole, [3, 1])
    with torch.no_grad():
        found, everyone = part.model(images), whole.model(images)
        torch.testing.assert_close(found, built_alone(whole, [0, 2])(images), rtol=1e-5, atol=1e-6)
        same = torch.allclose(found, everyone[[0, 2]], atol=1e-5)
        # Where experts attend to one another, fewer of them say other things.
        assert same == (whole.description.config["model"]["attention"] != "experts")
    assert part.description.config["model"]["experts"] == 2 and part.description.thresholds == [0.5] * 5
    assert whole.description.config["model"]["experts"] == 3 and len(whole.model.branches) == 3


def test_one_expert_alone_has_no_diversity(whole):
    config = with_experts(whole, [2]).description.config
    assert whole.description.config["loss"]["diversity"] > 0
    assert config["model"]["experts"] == 1 and config["loss"]["diversity"] == 0
    config_from_dict(config)


@pytest.mark.parametrize("experts", [[], [0], [4], [1, 1], [1, 2, 3, 4]])
def test_experts_that_are_not_there_are_refused(tiny_model, experts):
    predictor = Predictor(*tiny_model(model={"experts": 3}), device="cpu")
    with pytest.raises(ValueError, match=r"experts are \[.*\], expected some of 1 to 3, each once"):
        with_experts(predictor, experts)


# Choosing


class Plain(torch.nn.Module):
    """Linear experts on 4 x 4 pixels, quick where a real network would tell no more."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.branches = [None] * len(weight)

    def apart(self, images, *places):
        return torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1) @ self.weight

    def joined(self, apart):
        return apart

    def forward(self, images, *places):
        return self.joined(self.apart(images))

    def of_experts(self, places):
        return Plain(self.weight.data[places])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [str(folder / f"{number}.png") for number in range(12)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, size=(32, 32), dtype=np.uint8)).save(path)
    values = rng.choice([0, 1, np.nan], size=(12, 5), p=[0.5, 0.4, 0.1])
    study = [f"s{number // 2}" for number in range(12)]
    return LabelTable(values, NAMES, image_id=map(str, range(12)), path=paths, study_id=study, patient_id=study)


@pytest.fixture(scope="module")
def described(tiny_model):
    return tiny_model()[1]


def plain(described, experts, seed=0, **settings):
    weight = torch.randn(experts, 48, 5, generator=torch.Generator().manual_seed(seed))
    predictor = Predictor(Plain(weight), described, device="cpu")
    predictor.settings = replace(predictor.settings, **settings)
    return predictor


def mean_precision(predictions):
    found = []
    for score, target in zip(predictions.scores.T, predictions.targets.T, strict=True):
        known = ~np.isnan(target)
        if target[known].any():
            found.append(average_precision_score(target[known], score[known]))
    return np.mean(found)


@pytest.mark.parametrize("settings", [{}, {"tta": ["hflip"], "normal_gating": 0.5, "merge_views": True}])
def test_the_best_of_each_size_are_found_by_trying_all(described, table, settings):
    predictor = plain(described, 3, **settings)
    alone = {
        subset: mean_precision(with_experts(predictor, subset).predict_table(table))
        for size in range(1, 4)
        for subset in combinations(range(1, 4), size)
    }
    chosen = choose_experts(predictor, table, [1, 2], batch_size=5)
    assert [len(kept.experts) for kept in chosen] == [3, 2, 1]
    for kept in chosen:
        assert kept.mAP == pytest.approx(alone[kept.experts], rel=1e-6)
        assert kept.mAP == pytest.approx(max(alone[s] for s in alone if len(s) == len(kept.experts)))
        assert kept.parameters == len(kept.experts) * 48 * 5


def test_of_equals_the_lower_numbers_are_kept(described, table):
    predictor = plain(described, 3)
    predictor.model.weight.data[:] = predictor.model.weight[0].clone()
    assert [kept.experts for kept in choose_experts(predictor, table, [2, 1])] == [(1, 2, 3), (1, 2), (1,)]


def test_of_many_experts_one_after_the_other_is_left_out(described, table):
    predictor = plain(described, 9)
    all_of_them, eight, seven = choose_experts(predictor, table, [8, 7])
    assert all_of_them.experts == tuple(range(1, 10))
    for before, after in ((all_of_them, eight), (eight, seven)):
        (out,) = set(before.experts) - set(after.experts)
        others = [tuple(e for e in before.experts if e != other) for other in before.experts if other != out]
        worse = [mean_precision(with_experts(predictor, other).predict_table(table)) for other in others[:2]]
        assert after.mAP >= max(worse) - 1e-9


def test_what_cannot_be_chosen_is_refused(described, table):
    predictor = plain(described, 3)
    for size in (0, 3, 4):
        with pytest.raises(ValueError, match=f"{size} of 3 experts cannot be kept, expected 1 to 2"):
            choose_experts(predictor, table, [1, size])
    with pytest.raises(ValueError, match="no label has a positive validation image"):
        choose_experts(predictor, table.with_values(np.zeros((12, 5))), [1])
    with pytest.raises(ValueError, match=r"lacks \['Hernia'\]"):
        choose_experts(predictor, table.with_values(table.values, ["a", *NAMES[:2], *NAMES[3:]]), [1])
