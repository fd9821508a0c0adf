"""Presets: each is found and parses by itself; files may build on each other."""

import os
from pathlib import Path

import pytest
import yaml

import mlgcn
from mlgcn.config import config_to_dict, parse_arguments, preset_names, preset_summary, read_preset

# Found by walking, so that none is left out whatever preset_names thinks.
FOLDER = Path(mlgcn.__file__).parent / "configs"
FILES = sorted(
    Path(folder, file)
    for folder, _, files in os.walk(FOLDER)
    for file in files
    if Path(file).suffix in (".yaml", ".yml")
)
NAMES = [file.relative_to(FOLDER).with_suffix("").as_posix() for file in FILES]


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
            assert resolved[section][key] == value, f"{section}.{key}"


@pytest.mark.parametrize(("name", "file"), list(zip(NAMES, FILES, strict=True)))
def test_a_preset_says_what_it_is_and_how_to_run_it(name, file):
    head = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert preset_summary(name) == head[0][1:].strip() != ""
    command = next(line for line in head if "train.py" in line)
    assert name == "demo" or f"--config {name}" in command


def test_an_unknown_preset_names_the_nearest_and_all_that_there_are():
    with pytest.raises(ValueError, match=r"unknown preset 'nih-sample'; did you mean 'nih_sample'\? \(known: .*demo"):
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
