"""The training loss as the configuration has it."""

import ast
import inspect
import itertools
import json
import re
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
import yaml

from mlgcn.build import build_loss, hard_factors
from mlgcn.config import LossConfig
from mlgcn.labels import LabelTable
from mlgcn.losses import LOSSES, BCELoss, LargeLossReconsideration, LargeLossShare
from mlgcn.losses.asymmetric import VARIANTS
from mlgcn.metrics import multilabel_report

NAMES = ("Effusion", "Mass", "Hernia", "Lung Opacity")
IMAGES = 60
# What a loss counts in the training split, and what nn.Module takes.
COUNTED = {"class_counts", "num_samples", "images", "args", "kwargs"}
OWN = {name: set(inspect.signature(kind).parameters) - COUNTED for name, kind in LOSSES.items()}
# Something other than the default, for the settings that not every number suits.
CHANGED = {
    "alpha": 0.3,
    "beta": 0.5,
    "clip": 0.2,
    "epsilon": (0.5, 1.0),
    "hill": 2.5,
    "momentum": 0.5,
    "reweight_epoch": 0,
    "variant": "released",
}
# Settings that the losses refuse, each with one that has it.
BAD = {
    "gamma": ("focal", -1.0, ">= 0, got -1.0"),
    "alpha": ("focal", 2.0, "in [0, 1], got 2.0"),
    "beta": ("ldam", 1.0, ">= 0 and < 1, got 1.0"),
    "gamma_neg": ("asl", -1.0, ">= 0, got -1.0"),
    "gamma_pos": ("ral", -1.0, ">= 0, got -1.0"),
    "clip": ("ral", 1.0, "in [0, 1), got 1.0"),
    "hill": ("ral", 0.5, ">= 1, got 0.5"),
    "scale": ("nr", 0.0, "> 0, got 0.0"),
    "kappa": ("db", -1.0, ">= 0, got -1.0"),
    "balance": ("db", -1.0, ">= 0, got -1.0"),
    "weight": ("nvum", -1.0, ">= 0, got -1.0"),
    "momentum": ("nvum", 1.0, "in [0, 1), got 1.0"),
    "max_margin": ("ldam", -1.0, ">= 0, got -1.0"),
    "reweight_epoch": ("ldam", -1, ">= 0, got -1"),
    "tau": ("logit_adjusted", -1.0, ">= 0, got -1.0"),
}


def default_of(name, setting):
    return inspect.signature(LOSSES[name]).parameters[setting].default


def changed(name, setting):
    """Another value than the loss's own default."""
    default = default_of(name, setting)
    return not default if isinstance(default, bool) else CHANGED.get(setting, 1.5)


def helped(section):
    """The text below each field of a section."""
    body = ast.parse(inspect.getsource(section)).body[0].body
    pairs = [pair for pair in itertools.pairwise(body) if isinstance(pair[0], ast.AnnAssign)]
    return {field.target.id: " ".join(text.value.value.split()) for field, text in pairs}


def read(text):
    value = yaml.safe_load(text)
    return tuple(value) if isinstance(value, list) else value


def choices(section):
    """Every setting of a section that is one of a list, with each of its values."""
    hints = get_type_hints(section).items()
    return [(name, value) for name, hint in hints if get_origin(hint) is Literal for value in get_args(hint)]


@pytest.fixture(scope="module")
def train():
    """A training split in which three labels are unknown of some images."""
    rng = np.random.default_rng(0)
    values = (rng.random((IMAGES, len(NAMES))) < [0.5, 0.2, 0.1, 0.4]).astype(float)
    values[rng.random(values.shape) < [0.0, 0.3, 0.5, 0.8]] = np.nan
    return LabelTable(values, NAMES, image_id=map(str, range(IMAGES)), split="train")


def counts_of(train):
    """Positives and known images of each label, counted one by one."""
    columns = [[value for value in column if not np.isnan(value)] for column in train.values.T]
    return [sum(column) for column in columns], [len(column) for column in columns]


def batch_of(train, experts=2):
    logits = torch.tensor(np.random.default_rng(1).normal(size=(experts, 8, len(NAMES))))
    return logits, torch.tensor(train.values[:8]), torch.arange(8)


def gradient_of(loss, train):
    logits, targets, rows = batch_of(train)
    loss(logits.requires_grad_(), targets, rows)["loss"].backward()
    return logits.grad


def test_the_settings_are_the_parameters_of_the_losses_and_those_of_any_loss():
    of_any = {"name", "over", "diversity", "large_loss", "hard_labels", "hard_from", "hard_below", "hard_factor"}
    of_any |= {f"diversity_{part}" for part in ("distribution", "bound", "consensus", "temperature")}
    of_any |= {f"large_loss_{part}" for part in ("first", "step", "most")}
    of_single = set().union(*OWN.values())
    assert not of_single & of_any
    assert {field.name for field in fields(LossConfig)} == of_single | of_any | {"weighted"}
    # None, so that a loss's own default holds; where None means something to a loss, it is its default.
    assert all(getattr(LossConfig(), setting) is None for setting in of_single)
    for kind in LOSSES.values():
        for parameter in inspect.signature(kind).parameters.values():
            assert parameter.default is None or "None" not in str(parameter.annotation)


def test_every_setting_has_the_type_of_the_parameter():
    hints = get_type_hints(LossConfig)
    for name, kind in LOSSES.items():
        taken = get_type_hints(kind.__init__)
        for setting in OWN[name] - {"variant"}:
            assert {*get_args(hints[setting])} == {*(get_args(taken[setting] | None))}
    assert hints["variant"] == Literal[*VARIANTS] | None


def test_the_help_of_a_setting_tells_every_loss_that_has_it_and_its_default():
    told = helped(LossConfig)
    for setting in set().union(*OWN.values()):
        bracketed = " ".join(re.findall(r"\((.*?)\)", told[setting]))
        found = re.findall(rf"\b({'|'.join(LOSSES)}) (\[.*?\]|[\w.]+)", bracketed)
        expected = {name: default_of(name, setting) for name in LOSSES if setting in OWN[name]}
        assert {name: read(value) for name, value in found} == expected, setting


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_built_from_the_counts_of_the_known_training_labels(name, train):
    loss = build_loss(LossConfig(name=name), train)
    counted = [module for module in loss.modules() if hasattr(module, "counts")]
    needs = inspect.signature(LOSSES[name]).parameters.get("class_counts")
    assert len(counted) == (needs is not None and needs.default is needs.empty)
    for prior in counted:
        assert (prior.counts.tolist(), prior.num_samples.tolist()) == counts_of(train)
    assert name != "nvum" or loss.base.memory.shape == (IMAGES, len(NAMES))


@pytest.mark.parametrize(("name", "setting"), [(name, setting) for name in LOSSES for setting in sorted(OWN[name])])
def test_its_settings_reach_a_loss(name, setting, train):
    base = {"reweight_epoch": 0} if (name, setting) == ("ldam", "beta") else {}  # which has no effect before
    given = (base, base | {setting: changed(name, setting)})
    plain, built = (gradient_of(build_loss(LossConfig(name=name, **settings), train), train) for settings in given)
    assert not torch.allclose(plain, built)


def test_settings_of_other_losses_are_refused_with_those_that_the_loss_has(train):
    for name in LOSSES:
        for setting in set().union(*OWN.values()) - OWN[name]:
            has = [*OWN[name], "weighted"] if name == "asl" else OWN[name]
            known = rf" \(known: {', '.join(sorted(has))}\)$"
            expected = rf"unknown setting of {name} '{setting}'.*{known}" if has else rf"{name} has no settings$"
            with pytest.raises(ValueError, match=rf"^loss\.{setting}: {expected}"):
                build_loss(LossConfig(name=name, **{setting: False}), train)
    with pytest.raises(ValueError, match=r"unknown setting of focal 'gamma_pos'; did you mean 'gamma'\?"):
        build_loss(LossConfig(name="focal", gamma_pos=0.0), train)


@pytest.mark.parametrize("setting", BAD)
def test_a_value_that_a_loss_refuses_is_named_as_the_setting_that_it_is(setting, train):
    name, value, expected = BAD[setting]
    with pytest.raises(ValueError, match=rf"^loss\.{setting} must be {re.escape(expected)}"):
        build_loss(LossConfig(name=name, **{setting: value}), train)


def test_what_is_no_fault_of_a_setting_is_not_named_after_one(train, monkeypatch):
    def broken(gamma=2.0):
        raise ValueError("of no setting")

    monkeypatch.setitem(LOSSES, "focal", broken)
    with pytest.raises(ValueError, match=r"^of no setting$"):
        build_loss(LossConfig(name="focal", gamma=1.0), train)


def test_an_unknown_loss_is_refused_with_the_nearest_one(train):
    with pytest.raises(ValueError, match=r"unknown loss\.name 'bec'; did you mean 'bce'\?"):
        build_loss(LossConfig(name="bec"), train)


def test_the_asymmetric_loss_weighs_by_frequency_if_asked(train):
    loss = build_loss(LossConfig(name="asl", weighted=True), train)
    assert (loss.base.prior.counts.tolist(), loss.base.prior.num_samples.tolist()) == counts_of(train)
    assert build_loss(LossConfig(name="asl", weighted=False), train).base.prior is None
    for name in set(LOSSES) - {"asl"}:
        with pytest.raises(ValueError, match=rf"loss\.weighted: .*{name}"):
            build_loss(LossConfig(name=name, weighted=True), train)


@pytest.mark.parametrize("name", LOSSES)
def test_a_label_that_is_never_known_breaks_no_loss(name):
    values = np.array([[1, np.nan, 0], [0, np.nan, 1], [1, np.nan, np.nan]])
    table = LabelTable(values, ["Mass", "Cough", "Edema"], image_id="abc", split="train")
    loss = build_loss(LossConfig(name=name, diversity=0.0), table)
    logits = torch.randn(2, 3, 3, requires_grad=True)
    loss(logits, torch.tensor(values), torch.arange(3))["loss"].backward()
    assert torch.isfinite(logits.grad).all() and not logits.grad[:, :, 1].any()


@pytest.mark.parametrize(("name", "value"), choices(LossConfig))
def test_every_choice_is_built_as_configured(name, value, train):
    loss = build_loss(LossConfig(**{name: value}, diversity=0.7, diversity_bound=3.0, diversity_temperature=2.0), train)
    held = {
        "over": loss.over,
        "diversity_distribution": loss.diversity.distribution,
        "diversity_consensus": loss.diversity.consensus,
        "large_loss": loss.base.mode if isinstance(loss.base, LargeLossReconsideration) else "none",
    }
    assert held[name] == value and loss.weight == pytest.approx(0.7 / len(train.names))
    assert (loss.diversity.bound, loss.diversity.temperature) == (3.0, 2.0)
    assert isinstance(loss.base if held["large_loss"] == "none" else loss.base.loss, BCELoss)
    logits, targets, rows = batch_of(train)
    assert loss(logits, targets, rows)["diversity"] < 0


def test_a_diversity_of_zero_is_left_out(train):
    terms = build_loss(LossConfig(diversity=0.0), train)(torch.zeros(1, 2, 4), torch.zeros(2, 4))
    assert set(terms) == {"loss", "classification"}


def test_the_schedule_of_large_losses_is_as_configured(train):
    settings = {"large_loss_first": 0.1, "large_loss_step": 0.2, "large_loss_most": 0.4}
    assert build_loss(LossConfig(large_loss="modify", **settings), train).share == LargeLossShare(0.1, 0.2, 0.4)


def test_hard_labels_are_given_by_name(train):
    loss = build_loss(LossConfig(hard_labels={"Hernia": 3.0, "Lung Opacity": 2.0}), train)
    assert loss.factors.tolist() == [1.0, 1.0, 3.0, 2.0]
    assert build_loss(LossConfig(), train).factors is None
    with pytest.raises(ValueError, match=r"unknown label in loss\.hard_labels 'Hernai'; did you mean 'Hernia'\?"):
        build_loss(LossConfig(hard_labels={"Hernai": 3.0}), train)
    with pytest.raises(
        ValueError, match=r"loss\.hard_labels: the factor of 'Hernia' must be a positive number, got 0\.0"
    ):
        build_loss(LossConfig(hard_labels={"Hernia": 0.0}), train)


@pytest.fixture
def measured(tmp_path):
    """Writes a run's validation metrics, changed at the top level, and returns the path."""

    def write(**changes):
        # Of 20 images the first 5 have each label; Hernia's are ranked last, and no image has Mass.
        targets = np.zeros((20, 4))
        targets[:5] = 1
        targets[:, 1] = 0
        scores = np.linspace(0.9, 0.1, 20)[:, None] * np.ones(4)
        scores[:, 2] = scores[::-1, 2]
        groups = {"head": list(NAMES), "medium": [], "tail": []}
        report = multilabel_report(scores, targets, NAMES, groups, "by hand") | {"split": "val"} | changes
        path = tmp_path / "validation_metrics.json"
        path.write_text(json.dumps(report))
        return path

    return write


def test_hard_labels_are_found_in_a_runs_validation_metrics(measured):
    path = measured()
    # Ranked 16th to 20th, five positives have an average precision of 0.16.
    precision = np.mean([k / rank for k, rank in enumerate(range(16, 21), 1)])
    assert 0.1 < precision < 0.2
    for source in (path, path.parent):
        assert hard_factors(LossConfig(hard_from=str(source), hard_below=0.2), NAMES) == {"Hernia": 2.0}
    assert hard_factors(LossConfig(hard_from=str(path)), NAMES) == {}
    config = LossConfig(hard_from=str(path), hard_below=0.2, hard_factor=3.0, hard_labels={"Mass": 1.5, "Hernia": 2.5})
    assert hard_factors(config, NAMES) == {"Hernia": 2.5, "Mass": 1.5}


def test_metrics_of_other_splits_or_labels_are_refused(measured, tmp_path):
    def refused(path, message, names=NAMES, error=ValueError):
        with pytest.raises(error, match=message):
            hard_factors(LossConfig(hard_from=str(path)), names)

    refused(measured(split="test"), "was measured on the split 'test', expected 'val'")
    refused(measured(), r"validation_metrics\.json: other labels than expected: .*'Cough'", [*NAMES, "Cough"])
    refused(measured(per_label=[1]), "is no file of metrics as train.py and evaluate.py write")
    refused(tmp_path / "none.json", r"loss\.hard_from: there is no .*none\.json", error=FileNotFoundError)
    (tmp_path / "broken.json").write_text("{")
    refused(tmp_path / "broken.json", r"broken\.json is no file of metrics")
