"""mlgcn describe, as it is called: what it prints and writes, and the one line that bad input gets."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from embeddings import random_vectors, save_vectors
from mlgcn import cli
from mlgcn.build import build_label_knowledge, build_model
from mlgcn.commands.describe import describe, told_labels
from mlgcn.config import DataConfig, SourceConfig, preset_names, read_preset
from mlgcn.data.sources import read_source
from mlgcn.nn import QueryDecoder, TextQueries

SMALL = [
    "--model.trunk",
    "resnet18",
    "--model.hidden",
    "16",
    "--data.image_size",
    "32",
    "--model.experts",
    "1",
    "--loss.diversity",
    "0",
]


def shown(arguments, capsys):
    cli.main(["describe", *arguments])
    return capsys.readouterr().out


def report(arguments, folder, capsys):
    """The numbers that are written, and what is printed."""
    text = shown([*arguments, "--out", str(folder / "cost.json")], capsys)
    return json.loads((folder / "cost.json").read_text()), text


def rows(text):
    """The numbers of the table by part; the signs of percentages are left out."""
    lines = [line.replace("%", "").split() for line in text.splitlines()]
    return {line[0]: line[1:] for line in lines if line and line[0] in ("trunk", "experts", "fusion", "head", "total")}


def test_the_demonstration_is_described_as_it_is_trained(tmp_path, capsys, tiny_config):
    found, text = report([], tmp_path, capsys)
    preset = read_preset("demo")
    config = tiny_config(**{**preset, "embeddings": {"dimensions": 300, "source": "random"}})
    config.model.experts, config.model.branch, config.model.heads = 4, "pretrained", 8
    table = read_source("phantom", images=64)
    known = build_label_knowledge(config, table)
    model = build_model(config, known.vectors, known.graph).model
    sizes = {
        "trunk": model.trunk, "experts": model.branches, "head": torch.nn.ModuleList([model.heads, model.attention])
    }  # fmt: skip
    expected = {name: sum(weight.numel() for weight in part.parameters()) for name, part in sizes.items()}
    assert {name: found["parts"][name]["parameters"] for name in expected} == expected
    assert found["config"] == "demo" and found["image_size"] == 96 and found["labels"] == 26
    assert text.startswith("demo: resnet18, 4 experts (pretrained), head gcn, 96 px, 26 labels of phantom\n")
    assert "No weights were read" not in text

    table = rows(text)
    assert list(table) == list(found["parts"]) and table["fusion"] == ["–"] * 4
    for name in (*expected, "total"):
        part = found["parts"][name]
        numbers = (part["parameters"] / 1e6, 100 * part["parameter_share"])
        numbers += (part["flops"] / 1e9, 100 * part["flops_share"])
        assert table[name] == [f"{n:.{digits}f}" for n, digits in zip(numbers, (3, 1, 3, 1), strict=True)]


def test_the_operations_of_the_published_network_grow_with_the_area_of_images(capsys):
    text = shown(["--config", "nih", "--labels", "26", "--data.image_size", "1024"], capsys)
    assert text.startswith("nih: resnet101, 4 experts (pretrained), head gcn, 1024 px, 26 labels as given\n")
    # ResNet-101 has 7.80 G multiply-adds at 224 px, and grows with the area; its last stage stands four times.
    parts = {name: float(row[2]) for name, row in rows(text).items() if name in ("trunk", "experts")}
    assert parts["trunk"] + parts["experts"] / 4 == pytest.approx(2 * 7.801 * (1024 / 224) ** 2, rel=0.01)
    assert "No weights were read" in text


def test_a_step_of_training_leaves_out_what_is_frozen(tmp_path, capsys):
    free, _ = report(SMALL, tmp_path, capsys)
    frozen, text = report([*SMALL, "--model.freeze", "features"], tmp_path, capsys)
    head = frozen["parts"]["head"]
    assert f"{head['parameters'] / 1e6:,.3f} M parameters are trained" in text
    assert frozen["parts"]["total"]["flops"] == free["parts"]["total"]["flops"]
    for name in ("trunk", "experts"):
        assert frozen["training"]["flops"][name] == frozen["parts"][name]["flops"] < free["training"]["flops"][name]


def test_views_joined_by_modules_of_their_own_are_said(capsys):
    options = ["--fusion.views", "3", "--fusion.trunks", "trunk", "--fusion.layers", "1", "--model.head", "query"]
    text = shown([*SMALL, *options], capsys)
    assert ", 3 images a study\n" in text and "An image passes the weights of its own view alone." in text
    assert "once a batch." in text and float(rows(text)["fusion"][2]) > 0


def labels_of(found):
    return found["labels"], found["labels_told_by"]


def test_labels_are_counted_where_they_are_told(tmp_path, capsys):
    names = ["Effusion", "Mass", "Hernia"]
    table = pd.DataFrame(np.eye(3, dtype=int), columns=names)
    table.insert(0, "path", [f"{row}.png" for row in range(3)])
    table.to_csv(tmp_path / "labels.csv", index=False)
    own = ["--data.source", "table", "--data.root", str(tmp_path / "labels.csv")]
    for options, expected in [
        (own, (3, "labels of table")),
        (["--data.source", "nih", "--data.labels", "cxr_lt_2024"], (45, "labels of cxr_lt_2024")),
        (["--data.labels", "[Mass,Hernia]"], (2, "labels of data.labels")),
    ]:
        assert labels_of(report([*SMALL, *options], tmp_path, capsys)[0]) == expected


def test_the_name_of_a_reader_tells_the_labels_where_its_tables_are_not_at_hand(tmp_path, capsys):
    found, text = report(["--config", "nih", *SMALL], tmp_path, capsys)
    assert labels_of(found) == (14, "labels as the name nih tells, for its tables are not at hand")
    assert ", 14 labels as the name nih tells, for its tables are not at hand\n" in text
    gone = DataConfig(source="nih", root=str(tmp_path / "gone"), options={"no_finding": True})
    assert told_labels(gone) == (f"labels as the name nih tells, for there is no {tmp_path / 'gone'}", 15)


# As published: 26 of CXR-LT 2023, the 40 of task 1 of 2024, 30 of 2026, 39 of LTML-MIMIC-CXR, 14 of NIH.
SIZES = {
    "bag_of_tricks2023": 26, "chexfusion2023": 26, "cxr_lt_2024": 40, "cxr_lt_2026": 30, "lai2023": 39, "seo2023": 26,
    "nih": 14, "nih_sample": 14, "demo": 26, "phantom_budget": 26,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({*preset_names()} - {"table"}))
def test_the_labels_of_every_preset_are_told_without_tables(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = read_preset(name).get("data", {})
    sources = [SourceConfig(**one) for one in settings.get("sources", [])]
    assert told_labels(DataConfig(**{**settings, "sources": sources}))[1] == SIZES[name.split("/")[0]]


def test_label_vectors_have_the_size_of_their_source(tmp_path, tiny_config):
    save_vectors(random_vectors(["a", "b"], 9, 0), tmp_path / "vectors.txt")
    for settings, size in [
        ({"source": "one_hot"}, 26),
        ({"source": "one_hot", "projection": "random"}, 16),
        ({"source": "text", "model": "none/such"}, 768),
        ({"source": str(tmp_path / "vectors.txt")}, 9),
    ]:
        found = describe(tiny_config(embeddings=settings, model={"experts": 1}, loss={"diversity": 0}))
        # Two convolutions without biases, and one transformer layer as wide as they end.
        layer = 4 * (512**2 + 512) + 2 * (512**2 + 512) + 4 * 512
        assert found["vector_size"] == size
        assert found["parts"]["head"]["parameters"] == size * 16 + 16 * 512 + layer


def test_a_text_encoder_that_is_trained_too_is_counted_as_its_configuration_says(encoder_sections, tmp_path, capsys):
    shutil.copy(f"{encoder_sections['embeddings']['model']}/config.json", tmp_path)
    network = {**encoder_sections, "embeddings": {"source": "text", "model": str(tmp_path)}}
    options = [f"--{section}.{name}={value}" for section, values in network.items() for name, value in values.items()]
    found, text = report([*SMALL, *options], tmp_path, capsys)
    decoder = QueryDecoder(512, TextQueries(16, 16), 26, 16, 1, 2, classifier="shared")
    # Embeddings of words, 12 places and 2 kinds; a layer's four projections, two more as wide as 32, two norms.
    words = json.loads((tmp_path / "config.json").read_text())["vocab_size"]
    layer = 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 32
    encoder = (words + 12 + 2) * 16 + 32 + 2 * layer
    assert found["parts"]["head"]["parameters"] == encoder + sum(weight.numel() for weight in decoder.parameters())
    # Two layers of linear maps over 26 texts of ten tokens, beside attention and the projection of the queries.
    assert found["vector_size"] == 16 and found["label_flops"] > 2 * 2 * 26 * 10 * (4 * 16 * 16 + 2 * 16 * 32)
    assert "Label texts are taken to have 10 tokens; evaluation reads them once." in text


def test_a_text_encoder_that_is_not_at_hand_cannot_be_counted(tiny_config, encoder_sections):
    gone = {**encoder_sections, "embeddings": {"source": "text", "model": "no/such"}}
    with pytest.raises(FileNotFoundError, match=r"text encoder 'no/such' is not at hand, its config\.json is needed"):
        describe(tiny_config(**gone), 5)


def test_the_size_of_what_a_language_model_says_is_told_to_be_a_guess(capsys):
    text = shown([*SMALL, "--embeddings.source", "text", "--embeddings.model", "no/such"], capsys)
    assert "Label vectors are taken to have 768 numbers: no/such was not read to tell." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "table"], "its tables are not at hand; give --labels N, --data.labels SPACE or --data.root"),
        (["--config", "table", "--data.root", "gone"], "table has those of its tables, and there is no gone; give"),
        (["--config", "demos"], "unknown preset 'demos'; did you mean 'demo'?"),
        (["--labels", "0"], "--labels must be a whole number of at least 1, got '0'"),
        (["--labels", "many"], "--labels must be a whole number of at least 1, got 'many'"),
        (["--labels"], "argument --labels: expected one argument"),
        (["--model.experts", "0"], "model.experts must be >= 1, got 0"),
        (["--model.expert", "2"], "unknown option '--model.expert'; did you mean '--model.experts'?"),
        (["--model.trunk", "resnet19"], "unknown trunk 'resnet19'; did you mean 'resnet1"),
        (["--data.source", "nhi"], "unknown data source 'nhi'; did you mean 'nih'?"),
        (["--data.labels", "cxr_lt_2022"], "unknown label space 'cxr_lt_2022'; did you mean 'cxr_lt_202"),
        (["--embeddings.source", "gone.txt"], "embeddings.source: no file gone.txt; expected one of ['glove'"),
        ([*SMALL, "--out", "gone/cost.json"], "No such file or directory: 'gone/cost.json'"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["describe", *arguments])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlgcn describe: error: ") and message in line
