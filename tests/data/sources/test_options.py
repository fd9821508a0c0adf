"""Options of readers: what YAML made of them is what the reader takes, or one line says what it takes."""

import inspect
import json
from datetime import date
from pathlib import Path

import pytest
import yaml

from mlgcn import cli
from mlgcn.data.sources import SOURCES, read_source, reader_options

OPTIONS = [
    (source, p.name, p.default)
    for source, reader in SOURCES.items()
    for p in inspect.signature(reader).parameters.values()
    if p.kind is p.KEYWORD_ONLY
]


@pytest.mark.parametrize(
    ("source", "option", "given", "taken"),
    [
        ("table", "images", 2024, "2024"),
        ("table", "csv", 1.5, "1.5"),
        ("nih", "images", date(2024, 1, 31), "2024-01-31"),
        ("nih", "images", Path("a"), "a"),
        ("table", "labels", "Mass", ["Mass"]),
        ("table", "labels", 3, ["3"]),
        ("table", "labels", [1, "Mass"], ["1", "Mass"]),
        ("table", "labels", None, None),
        ("padchest", "leave_out", ("exclude", 2), ["exclude", "2"]),
        ("cxr_lt_2026", "ignore", "foo", ["foo"]),
        ("table", "blank", 0.5, 0.5),
        ("table", "blank", 1, 1),
        ("table", "soft", True, True),
        ("cxr_lt_2024", "task", 1, 1),
        ("torchxrayvision", "images", 2024, "2024"),
        ("torchxrayvision", "nrows", 20, 20),
    ],
)
def test_a_number_is_text_again_where_text_is_taken_and_a_lone_name_a_list(source, option, given, taken):
    found = reader_options(source, {option: given})[option]
    assert (type(found), found) == (type(taken), taken)


@pytest.mark.parametrize(
    ("source", "option", "value", "expected"),
    [
        ("table", "soft", "maybe", "true or false"),
        ("table", "soft", 1, "true or false"),
        ("padchest", "least", "two", "a whole number"),
        ("padchest", "least", True, "a whole number"),
        ("padchest", "least", 1.5, "a whole number"),
        ("cxr_lt_2024", "task", "one", "a whole number or null"),
        ("table", "csv", None, "text"),
        ("table", "images", ["a"], "text or null"),
        ("table", "blank", False, "text or a number"),
        ("table", "labels", ["Mass", True], "a list of names or null"),
        ("cxr_lt_2026", "extra", {"foo": 1}, "a list of names"),
    ],
)
def test_another_value_is_named_with_its_option_and_what_was_expected(tmp_path, source, option, value, expected):
    with pytest.raises(ValueError) as error:
        read_source(source, tmp_path, **{option: value})
    assert str(error.value) == (
        f"data.options.{option} of the data source {source!r} is {value!r}, expected {expected}"
    )


@pytest.mark.parametrize(("source", "option", "default"), OPTIONS)
def test_every_option_of_every_reader_takes_its_default_and_refuses_what_it_cannot_mean(source, option, default):
    assert json.dumps(reader_options(source, {option: default})[option]) == json.dumps(default)
    with pytest.raises(ValueError, match=rf"data\.options\.{option} of .* is b'', expected "):
        reader_options(source, {option: b""})


@pytest.mark.parametrize("given", [{"images": 2024, "labels": "Mass", "blank": 1}, {"labels": [1, 2], "soft": True}])
def test_what_was_taken_is_the_same_when_a_record_is_read_again(given):
    taken = reader_options("table", given)
    for record in (json.loads(json.dumps(taken)), yaml.safe_load(yaml.safe_dump(taken))):
        assert reader_options("table", record) == taken


def test_a_folder_and_labels_whose_names_are_numbers_are_found_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2023").write_text("path,1,Mass\na,1,0\n")
    cli.main(["labels", "table", "--root", ".", "--options.csv", "2023", "--options.labels", "1"])
    assert "table: 1 images" in capsys.readouterr().out
    for option, value, told in (("soft", "maybe", "true or false"), ("labels", "{a: 1}", "a list of names or null")):
        with pytest.raises(SystemExit):
            cli.main(["labels", "table", "--root", ".", f"--options.{option}", value])
        error = capsys.readouterr().err
        assert f"data.options.{option} of the data source 'table' is " in error
        assert f"expected {told}" in error and error.count("\n") == 1
