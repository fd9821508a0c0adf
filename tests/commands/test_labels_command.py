"""mlgcn labels, as it is called: what it prints, and the one line that bad input gets."""

import numpy as np
import pandas as pd
import pytest

from mlgcn.commands import labels
from mlgcn.data.ontology import label_space, label_spaces
from mlgcn.data.sources import OPTIONAL_LABELS, reader_options

TRAIN = [[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, ""]]
TEST = [[1, 1, 1]] * 3
NAMES = ["Effusion", "[b]Rare[/b]", "Rib Fracture"]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A CSV file of three labels in a folder to work in, four images to train on and three to test."""
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame([*TRAIN, *TEST], columns=NAMES)
    rows.insert(0, "path", [f"{row}.png" for row in range(len(rows))])
    rows.assign(split=["train"] * 4 + ["test"] * 3).to_csv("labels.csv", index=False)
    return tmp_path


def shown(arguments, capsys):
    labels.main(arguments)
    return capsys.readouterr().out


def cells(text):
    """The lines of a table by their first cell, split at two spaces or more."""
    lines = [line.strip().split("  ") for line in text.splitlines()]
    parts = [[part.strip() for part in line if part.strip()] for line in lines]
    return {line[0]: line[1:] for line in parts if line}


def refused(arguments, capsys):
    """The line that bad input gets, after exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        labels.main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_nih_onto_cxr_lt_names_the_source_of_every_label(capsys):
    text = shown(["nih", "--onto", "cxr_lt_2023"], capsys)
    rows = cells(text)
    assert [name for name in rows if name in label_space("cxr_lt_2023")] == list(label_space("cxr_lt_2023"))
    assert rows["Pleural Effusion"] == ["Effusion", "same"]
    assert rows["Pleural Thickening"] == ["Pleural_Thickening", "same"]
    assert rows["Lung Opacity"] == ["–", "unmapped"]
    # As the reader gives them by default.
    assert rows["No Finding"] == ["–", "unmapped"]
    assert text.startswith("nih: No Finding is a label only with --root and --options.no_finding true\n")
    assert "14 of the 26 labels of cxr_lt_2023 are told." in text and "positives" not in text.partition("told.")[0]
    assert "Of no use here" not in text and "unmapped: no label tells it, it is unknown" in text


def test_labels_that_need_an_option_are_those_that_the_reader_has_with_it_alone():
    for source, optional in OPTIONAL_LABELS.items():
        assert set(optional) <= set(label_space(source))
        assert [reader_options(source, {})[option] for option in optional.values()] == [False] * len(optional)


def test_what_is_of_no_use_on_the_side_of_the_source_is_listed(capsys):
    text = " ".join(shown(["chexpert", "--onto", "nih"], capsys).split())
    unused = ["Enlarged Cardiomediastinum", "Lung Opacity", "Lung Lesion", "Pleural Other", "Fracture"]
    assert f"Of no use here: {', '.join(unused)}, Support Devices." in text


def test_with_data_the_images_are_counted_before_and_after(written, capsys):
    text = shown(["labels.csv", "--onto", "cxr_lt_2024"], capsys)
    assert text.startswith("labels.csv: 4 images of the train split\n")
    rows = cells(text)
    assert rows["Pleural Effusion"] == ["Effusion", "same", "2", "4", "2", "4"]
    assert rows["Rib Fracture"] == ["Rib Fracture", "same", "1", "3", "1", "3"]
    assert rows["Fracture"] == ["Rib Fracture", "child", "1", "3", "1", "1"]
    assert rows["Hydropneumothorax"] == ["Effusion", "parent", "2", "4", "0", "2"]
    assert rows["Mass"] == ["–", "unmapped", "0", "0"]
    assert "Of no use here: [b]Rare[/b]." in text


def test_a_label_with_many_sources_is_named_and_counted_once(capsys):
    lines = shown(["padchest", "--onto", "cxr_lt_2026"], capsys).splitlines()
    first = next(row for row, line in enumerate(lines) if line.startswith(" fracture "))
    assert lines[first].split() == ["fracture", "fracture", "same"]
    assert [line.strip().rsplit("  ", 1)[0].strip() for line in lines[first + 1 : first + 6]] == [
        "callus rib fracture", "clavicle fracture", "humeral fracture", "rib fracture", "vertebral fracture",
    ]  # fmt: skip


def test_without_a_target_space_labels_stand_from_frequent_to_rare_with_their_finding_and_group(written, capsys):
    text = shown(["labels.csv", "--split", "all"], capsys)
    assert text.startswith("labels.csv: 7 images\n")
    values = np.array([[value if value != "" else np.nan for value in row] for row in TRAIN + TEST])
    rows = cells(text)
    for name, finding in zip(NAMES, ["Pleural Effusion", "–", "Rib Fracture"], strict=True):
        column = values[:, NAMES.index(name)]
        known = column[~np.isnan(column)]
        expected = [finding, str(int(known.sum())), str(len(known)), f"{known.mean():.3f}", "head"]
        assert rows[name] == expected
    order = sorted(NAMES, key=lambda name: -float(rows[name][3]))
    assert [name for name in rows if name in NAMES] == order
    assert "2 of 3 labels mean a finding of the ontology." in text and "Groups by prevalence in these images" in text


def test_phantoms_need_no_folder_and_take_options(capsys):
    text = shown(["phantom", "--options.images", "64", "--onto", "cxr_lt_2024_task2"], capsys)
    assert text.startswith("phantom: 64 images\n")
    assert "26 of the 26 labels" in text and cells(text)["Normal"][:2] == ["No Finding", "same"]


def test_a_space_without_data_lists_its_labels_in_order(capsys):
    text = shown(["padchest"], capsys)
    rows = cells(text)
    assert rows["pulmonary edema"] == ["Edema"] and rows["exclude"] == ["–"]
    assert [name for name in rows if name in label_space("padchest")] == list(label_space("padchest"))
    assert "163 of 193 labels mean a finding of the ontology." in text


def test_without_a_source_the_spaces_are_listed(capsys):
    rows = cells(shown([], capsys))
    assert {name: int(rows[name][0]) for name in label_spaces()} == {n: len(s) for n, s in label_spaces().items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nhi"], "unknown data source, label space or file 'nhi'; did you mean 'nih'?"),
        (["nih", "--onto", "cxr_lt_2022"], "unknown label space 'cxr_lt_2022'; did you mean 'cxr_lt_202"),
        (["--onto", "nih"], "without SOURCE the label spaces are listed; --onto needs one"),
        (["vinbigdata", "--root", "."], "label space alone, without data; --root does not apply to it"),
        (["nih", "--split", "test"], "nih is here the label space alone, without data; --split does not apply to it"),
        (["labels.csv", "--root", "."], "labels.csv is a file; --root does not apply to it"),
        (["labels.csv", "--split", "val"], "the val split is empty"),
        (["table"], "the data source 'table' needs the folder of its tables"),
        (["nih", "--root", "gone"], "there is no gone"),
        (["phantom", "--options.imges", "9"], "'imges'; did you mean 'images'?"),
        (["nih", "--ont", "x"], "unknown option '--ont'; did you mean '--onto'?"),
    ],
)
def test_bad_input_is_one_line(written, capsys, arguments, message):
    line = refused(arguments, capsys)
    assert line.startswith("mlgcn labels: error: ") and message in line
