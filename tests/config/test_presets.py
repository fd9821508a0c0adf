"""Presets: each is found and parses by itself; files may build on each other."""

import os
import re
from pathlib import Path

import pytest
import torch
import yaml
from torch_geometric.data import Data

import mlgcn
from mlgcn.build import build_model
from mlgcn.config import (
    config_from_dict,
    config_to_dict,
    parse_arguments,
    preset_changes,
    preset_names,
    preset_published,
    preset_summary,
    read_preset,
)
from mlgcn.data.sources.ltml_mimic_cxr import GROUPS

# Found by walking, so that none is left out whatever preset_names thinks.
FOLDER = Path(mlgcn.__file__).parent / "configs"
FILES = sorted(
    Path(folder, file)
    for folder, _, files in os.walk(FOLDER)
    for file in files
    if Path(file).suffix in (".yaml", ".yml")
)
NAMES = [file.relative_to(FOLDER).with_suffix("").as_posix() for file in FILES]

# What the papers publish, and what a preset changes of the row before it.
PUBLISHED = {
    "seo2023/ml_gcn": [0.178], "seo2023/experts2": [0.229], "seo2023/experts4_cycle": [0.271],
    "seo2023/experts4_cycle_ride": [0.273], "seo2023/full": [0.276, 0.279], "seo2023/least_sampled": [0.236],
    "lai2023/bce": [54.18, 71.12], "lai2023/focal": [54.19, 71.54], "lai2023/db": [56.34, 72.18],
    "lai2023/nvum": [55.51, 73.06], "lai2023/nr": [56.34, 72.18], "lai2023/anr": [58.41, 72.49],
    "lai2023/anr_lla": [64.84, 74.56], "lai2023/anr_llm": [64.14, 74.50],
    "bag_of_tricks2023/external_data": [0.349], "chexfusion2023/stage2_asl": [0.372],
    "cxr_lt_2026/db_cas_gating": [0.5854], "cxr_lt_2026/zero_shot": [0.4315],
}  # fmt: skip
UNPUBLISHED = {
    "bag_of_tricks2023": ["general", "separate_classifiers", "hard_class_weights", "mixup", "tta"],
    "chexfusion2023": ["base", "stage1", "pseudo_label", "stage2_bce", "stage2_wbce", "stage2_ral"],
    "cxr_lt_2024": [
        "base", "label_queries_pubmedbert", "label_queries_umlsbert", "zero_shot", "view_specific_trunks",
    ],
    "lai2023": ["base"],
    "seo2023": ["base", "no_graph", "identity_graph", "one_wide_expert"],
}  # fmt: skip
STEPS = [
    ("seo2023/ml_gcn", "seo2023/experts2", {"model.experts": 2}),
    ("seo2023/experts2", "seo2023/experts4_cycle", {"model.experts": 4, "sampler.name": "cycle"}),
    ("seo2023/experts4_cycle", "seo2023/experts4_cycle_ride", {"loss.diversity": 0.2}),
    ("seo2023/experts4_cycle_ride", "seo2023/full", {"model.pooling": "lse", "model.attention": "labels"}),
    ("seo2023/experts4_cycle", "seo2023/least_sampled", {"sampler.name": "least_sampled"}),
    ("seo2023/full", "seo2023/no_graph", {"graph.variant": "none"}),
    ("seo2023/full", "seo2023/identity_graph", {"graph.variant": "identity"}),
    ("lai2023/bce", "lai2023/focal", {"loss.name": "focal"}),
    ("lai2023/bce", "lai2023/db", {"loss.name": "db"}),
    ("lai2023/bce", "lai2023/nvum", {"loss.name": "nvum"}),
    ("lai2023/bce", "lai2023/nr", {"loss.name": "nr", "loss.gamma": 2}),
    ("lai2023/nr", "lai2023/anr", {"loss.name": "anr"}),
    ("lai2023/anr", "lai2023/anr_lla", {"loss.large_loss": "abandon"}),
    ("lai2023/anr", "lai2023/anr_llm", {"loss.large_loss": "modify"}),
    ("bag_of_tricks2023/general", "bag_of_tricks2023/separate_classifiers", {"query.classifier": "separate"}),
    ("bag_of_tricks2023/hard_class_weights", "bag_of_tricks2023/mixup", {"data.mixing": "mixup"}),
    ("chexfusion2023/base", "chexfusion2023/stage1", {}),
    ("chexfusion2023/stage2_asl", "chexfusion2023/stage2_bce", {"loss.name": "bce", "loss.weighted": None}),
    ("chexfusion2023/stage2_asl", "chexfusion2023/stage2_wbce", {"loss.name": "weighted_bce", "loss.weighted": None}),
    ("chexfusion2023/stage2_asl", "chexfusion2023/stage2_ral", {"loss.name": "ral", "loss.weighted": None}),
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes YAML files and returns to where their names lead."""
    monkeypatch.chdir(tmp_path)

    def write(**files):
        for name, content in files.items():
            text = content if isinstance(content, str) else yaml.safe_dump(content)
            (tmp_path / f"{name}.yaml").write_text(text)

    return write


def test_every_yaml_file_of_the_package_is_a_preset():
    assert sorted(preset_names()) == sorted(NAMES)
    assert {"demo", "nih_sample"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_parses_on_its_own_and_each_of_its_settings_arrives(name):
    config, start = parse_arguments(["--config", name])
    assert start == name
    resolved = config_to_dict(config)
    for section, settings in read_preset(name).items():
        for key, value in settings.items():
            found = resolved[section][key]
            if key == "sources":  # of each data set, what the preset says of it
                found = [{name: one[name] for name in said} for one, said in zip(found, value, strict=True)]
            assert found == value, f"{section}.{key}"


@pytest.mark.parametrize(("name", "file"), list(zip(NAMES, FILES, strict=True)))
def test_a_preset_says_what_it_is_and_how_to_run_it(name, file):
    head = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert preset_summary(name) == head[0][1:].strip() != ""
    command = next(line for line in head if "train.py" in line)
    assert name == "demo" or f"--config {name}" in command


def test_every_row_of_a_paper_is_a_preset_with_its_published_figure():
    unpublished = {f"{folder}/{name}" for folder, names in UNPUBLISHED.items() for name in names}
    assert {name for name in NAMES if "/" in name} == PUBLISHED.keys() | unpublished
    for name, figures in PUBLISHED.items():
        words = re.findall(r"\d+\.\d+", preset_published(name))
        assert [float(word) for word in words] == figures, name
    assert all(preset_published(name).startswith("none") for name in unpublished)
    assert preset_published("demo") is None


@pytest.mark.parametrize(("before", "after", "changed"), STEPS)
def test_a_row_differs_from_the_one_before_in_what_it_adds_alone(before, after, changed):
    first, second = (_flat(read_preset(name)) for name in (before, after))
    default = _flat(config_to_dict(config_from_dict({})))
    first, second = default | first, default | second
    assert {key: second[key] for key in second if second[key] != first[key]} == changed


def test_the_published_optimisers_sizes_and_samplers_are_those_of_the_papers():
    seo, lai, fusion = (
        parse_arguments(["--config", name])[0]
        for name in ("seo2023/full", "lai2023/anr_lla", "chexfusion2023/stage2_asl")
    )
    assert (seo.data.image_size, seo.model.trunk, seo.model.hidden, seo.embeddings.source) == (
        1024, "resnet101", 1024, "glove",
    )  # fmt: skip
    assert (seo.optimizer.name, seo.optimizer.lr, seo.optimizer.betas) == ("adam", 1e-4, (0.9, 0.99))
    assert (seo.model.sharpness, seo.graph.threshold, seo.loss.diversity_bound) == (0.5, 0.4, None)
    assert seo.evaluation.groups == "rank"
    assert (lai.data.image_size, lai.data.batch_size, lai.model.trunk) == (224, 32, "resnet50")
    sgd = lai.optimizer
    assert (sgd.name, sgd.lr, sgd.momentum, sgd.weight_decay, sgd.schedule) == ("sgd", 0.02, 0.9, 1e-4, "constant")
    assert lai.sampler.name == "class_aware" and lai.data.options == {"uncertain": "negative", "blank": "negative"}
    assert lai.evaluation.given_groups == GROUPS
    assert (fusion.data.image_size, fusion.fusion.views, fusion.fusion.layers, fusion.fusion.heads) == (1024, 4, 2, 8)
    assert (fusion.optimizer.name, fusion.optimizer.lr, fusion.loss.weighted) == ("adamw", 3e-5, True)


def test_one_wide_expert_has_as_many_parameters_as_four():
    four, one = (_parameters(read_preset(f"seo2023/{name}")) for name in ("full", "one_wide_expert"))
    assert one == pytest.approx(four, rel=1e-3)


def test_what_a_preset_changes_is_told_apart_from_its_base(write):
    write(top={"base": "demo", "data": {"batch_size": 5}})
    assert preset_changes("top.yaml") == ("demo", {"data": {"batch_size": 5}})
    base, settings = preset_changes("demo")
    assert base is None and settings == read_preset("demo")


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown preset 'nih-sample'; did you mean 'nih_sample'\?"):
        read_preset("nih-sample")
    with pytest.raises(ValueError, match="unknown preset 'demmo'; did you mean 'demo'"):
        preset_summary("demmo")


@pytest.mark.parametrize("name", ["none.yaml", "none.yml"])
def test_a_file_that_is_not_there_is_named(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"--config: there is no file .*{name}"):
        read_preset(str(tmp_path / name))


def test_a_file_changes_what_its_bases_say(write):
    write(
        ground={"data": {"batch_size": 1, "image_size": 32}, "loss": {"diversity": 0.5}},
        middle={"base": "ground.yaml", "data": {"batch_size": 2}, "model": {"heads": 4}},
        top={"base": "middle.yaml", "data": {"cache": True}, "model": {"heads": 2}},
    )
    assert read_preset("top.yaml") == {
        "data": {"batch_size": 2, "image_size": 32, "cache": True},
        "loss": {"diversity": 0.5},
        "model": {"heads": 2},
    }


def test_a_base_may_be_a_preset(write):
    write(top={"base": "demo", "data": {"batch_size": 5}})
    expected = read_preset("demo")
    expected["data"]["batch_size"] = 5
    assert read_preset("top.yaml") == expected


def test_an_empty_file_changes_nothing(write):
    write(empty="", base_only={"base": "empty.yaml"})
    assert read_preset("empty.yaml") == read_preset("base_only.yaml") == {}


def test_bases_that_go_round_in_circles_are_refused(write):
    write(alone={"base": "alone.yaml"}, a={"base": "b.yaml"}, b={"base": "c.yaml"}, c={"base": "b.yaml"})
    with pytest.raises(ValueError, match=r"alone\.yaml: its bases go round in circles"):
        read_preset("alone.yaml")
    with pytest.raises(
        ValueError, match=r"b\.yaml: its bases go round in circles: \['a\.yaml', 'b\.yaml', 'c\.yaml'\]"
    ):
        read_preset("a.yaml")


@pytest.mark.parametrize("base", ["demmo", 3])
def test_an_unknown_base_is_refused(write, base):
    write(top={"base": base})
    with pytest.raises(ValueError, match=f"unknown preset '{base}'"):
        read_preset("top.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- data\n- model\n", r"odd\.yaml: expected sections such as 'data:' and 'model:', got list"),
        ("data: 3\n", r"odd\.yaml: section 'data' must hold settings, got 3"),
        ("data:\n", r"odd\.yaml: section 'data' must hold settings, got None"),
        ("data: {batch_size: 3\n", r"odd\.yaml: not readable as YAML: "),
        ("data: !!python/object/apply:os.getcwd []\n", r"odd\.yaml: not readable as YAML: "),
    ],
)
def test_a_file_that_is_no_mapping_of_sections_is_refused(write, text, message):
    write(odd=text)
    with pytest.raises(ValueError, match=message):
        read_preset("odd.yaml")


def _flat(settings):
    return {f"{section}.{key}": value for section, values in settings.items() for key, value in values.items()}


def _parameters(settings):
    """Of the network for 26 labels."""
    config = config_from_dict(settings)
    config.model.weights = "none"
    graph = Data(edge_index=torch.arange(26).repeat(2, 1), edge_weight=torch.ones(26))
    graph.num_nodes = 26
    return sum(weight.numel() for weight in build_model(config, torch.randn(26, 300), graph).model.parameters())
