"""Tables of a label graph: every number where its column says, names whole whatever stands in them."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn.reporting.graph_tables import (
    change_rows,
    edge_rows,
    label_rows,
    neighbour_rows,
    sampling_rows,
    threshold_rows,
)
from mlgcn.reporting.tables import as_text, number

NAN = float("nan")
LONG = "Atelectasis_of_the_left_lower_lobe_with_consolidation_number_"
ODD = [
    'say "hi"',
    "[red]alarm[/red]",
    "<b>bold</b>",
    "Überblähung",
    r"$\frac{1}{2}$",
    ":smile:",
    LONG + "1",
    LONG + "2",
]


def cells(text):
    """The cells of each line that has any; the columns stand at least two spaces apart."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip(" ─")]


def squeezed(text):
    """The text without spaces and line breaks."""
    return "".join(text.split())


def labels(names):
    """A frame as label_statistics gives it."""
    size = np.arange(len(names))
    return pd.DataFrame(
        {
            "label": names, "images": 12345 - size, "prevalence": 0.5 / 10**size, "group": "head",
            "labels_per_image": 1 + size / 3, "out_degree": size, "in_degree": 1234 + size,
        }
    )  # fmt: skip


def edges(pairs):
    """A frame as edge_table gives it."""
    size = np.arange(len(pairs))
    frame = pd.DataFrame(pairs, columns=["source", "target"])
    return frame.assign(
        source_images=10000 + size, target_images=7, together=size, probability=size / 7, reverse=1e-4 * (size + 1),
        lift=2.5 + size, q_value=10.0 ** -(100 * size),
    )  # fmt: skip


def test_a_line_for_each_label_holds_its_numbers():
    head, *rows = cells(as_text(label_rows(labels(["Mass", "Edema", "Hernia", "Nodule"]))))
    assert head == ["label", "images", "prevalence", "group", "labels in them", "edges out", "edges in"]
    assert rows == [
        ["Mass", "12,345", "0.500", "head", "1.00", "0", "1,234"],
        ["Edema", "12,344", "0.050", "head", "1.33", "1", "1,235"],
        ["Hernia", "12,343", "0.005", "head", "1.67", "2", "1,236"],
        ["Nodule", "12,342", "0.0005", "head", "2.00", "3", "1,237"],
    ]


def test_a_line_for_each_edge_holds_its_numbers():
    frame = edges([("Mass", "Edema"), ("Edema", "Mass"), ("Mass", "Hernia")])
    head, *rows = cells(as_text(edge_rows(frame)))
    assert head == ["label i", "label j", "images of i", "of both", "P(j|i)", "P(i|j)", "lift", "q"]
    assert rows == [
        ["Mass", "Edema", "10,000", "0", "0.000", "0.0001", "2.500", "1.000"],
        ["Edema", "Mass", "10,001", "1", "0.143", "0.0002", "3.500", "1e-100"],
        ["Mass", "Hernia", "10,002", "2", "0.286", "0.0003", "4.500", "1e-200"],
    ]


def test_what_is_not_known_is_a_dash():
    unknown = labels(["Mass"]).assign(prevalence=NAN, labels_per_image=NAN)
    assert cells(as_text(label_rows(unknown)))[1] == ["Mass", "12,345", "–", "head", "–", "0", "1,234"]
    bare = edges([("Mass", "Edema")]).drop(columns=["lift", "q_value"]).assign(probability=NAN)
    assert cells(as_text(edge_rows(bare)))[1][4:] == ["–", "0.0001", "–", "–"]
    untold = changes().assign(probability_a=NAN, shift=NAN)
    assert cells(as_text(change_rows(untold, "test")))[1] == [
        "Mass", "Edema", "–", "0.375", "–", "1,000", "20", "only here",
    ]  # fmt: skip


def test_of_the_thresholds_every_second_stands_with_its_numbers():
    steps = np.arange(1, 20)
    frame = pd.DataFrame({"threshold": 0.05 * steps, "edges": 2000 - 100 * steps, "isolated": steps})
    head, *rows = cells(as_text(threshold_rows(frame, 1234)))
    assert head == ["threshold", "edges", "labels without an edge, of 1,234"]
    assert rows == [[f"0.{tenth}0", f"{2000 - 200 * tenth:,}", str(2 * tenth)] for tenth in range(1, 10)]


def changes():
    """A frame as compare_graphs gives it."""
    columns = ["source", "target", "probability_a", "probability_b", "shift", "images_a", "images_b", "change"]
    rows = [
        ["Mass", "Edema", 0.5, 0.375, -0.125, 1000, 20, "lost"],
        ["Edema", "Mass", 0, 0.25, 0.25, 20, 1000, ""],
        ["Hernia", "Mass", 0.25, 0.75, 0.5, 40, 30, "gained"],
        ["Mass", "Hernia", 0.625, 0.5, -0.125, 1000, 20, "kept"],
    ]
    return pd.DataFrame(rows, columns=columns)


def test_a_shift_has_its_sign_and_an_edge_the_side_that_it_stands_on():
    head, *rows = cells(as_text(change_rows(changes(), "test")))
    assert head == ["label i", "label j", "P(j|i)", "test", "shift", "images of i", "test", "edge"]
    assert rows == [
        ["Mass", "Edema", "0.500", "0.375", "-0.125", "1,000", "20", "only here"],
        ["Edema", "Mass", "0.000", "0.250", "+0.250", "20", "1,000"],
        ["Hernia", "Mass", "0.250", "0.750", "+0.500", "40", "30", "only in test"],
        ["Mass", "Hernia", "0.625", "0.500", "-0.125", "1,000", "20", "in both"],
    ]


@pytest.mark.parametrize("against", [*ODD, "[/]", "mimic-cxr-2.0.0-chexpert.csv.gz test", 80 * "a"])
def test_whatever_the_other_side_is_called_it_stands_whole_and_cuts_no_number(against):
    lines = as_text(change_rows(changes(), against)).splitlines()
    head, rows = squeezed("".join(lines[: rule_at(lines)])), cells("\n".join(lines[rule_at(lines) :]))
    assert "…" not in "".join(lines) and max(map(len, lines)) <= 100
    assert len([letter for letter in head if letter in against]) >= 2 * len(squeezed(against))
    assert [row[:7] for row in rows if len(row) >= 7] == [
        ["Mass", "Edema", "0.500", "0.375", "-0.125", "1,000", "20"],
        ["Edema", "Mass", "0.000", "0.250", "+0.250", "20", "1,000"],
        ["Hernia", "Mass", "0.250", "0.750", "+0.500", "40", "30"],
        ["Mass", "Hernia", "0.625", "0.500", "-0.125", "1,000", "20"],
    ]
    gained = [row[-1] for row in rows[rows.index(next(row for row in rows if row[0] == "Hernia")) : -1]]
    assert squeezed("".join(gained)) == squeezed(f"only in {against}")


def rule_at(lines):
    """The line below the heads."""
    return next(at for at, line in enumerate(lines) if "─" in line)


def test_a_table_without_a_row_is_none():
    near = pd.DataFrame(columns=["label", "rank", "neighbour", "cosine"])
    tables = [label_rows(labels([])), edge_rows(edges([])), change_rows(changes()[:0], "test"), neighbour_rows(near)]
    assert [as_text(table) for table in tables] == ["none\n"] * 4


def drawn(names, expected=1.5):
    """A frame as simulate gives it, the rare label first."""
    size = np.arange(len(names))
    frame = pd.DataFrame({"images": 1000 * size, "expected": expected, "mean": 2345.67 + size, "std": 0.25 + size})
    return frame.set_index(pd.Index(names, name="label"))


def test_samplers_stand_side_by_side_from_the_frequent_to_the_rare_label():
    text = as_text(sampling_rows({"cycle": drawn(["Mass", "Edema"]), "least_sampled": drawn(["Mass", "Edema"], NAN)}))
    assert cells(text)[:2] == [["cycle:", "cycle:", "least_sampled:", "least_sampled:"],
                               ["label", "images", "expected", "drawn", "expected", "drawn"]]  # fmt: skip
    assert cells(text)[2:] == [
        ["Edema", "1,000", "1.5", "2346.7 ± 1.2", "–", "2346.7 ± 1.2"],
        ["Mass", "0", "1.5", "2345.7 ± 0.2", "–", "2345.7 ± 0.2"],
    ]


def test_no_number_is_cut_however_many_samplers_there_are():
    names = ["cycle", "least_sampled", "class_aware", "random", "sqrt", "inverse_frequency", "another"]
    text = as_text(sampling_rows({name: drawn([LONG + "1", LONG + "2"]) for name in names}))
    assert "…" not in text and text.count("2346.7 ± 1.2") == text.count("2345.7 ± 0.2") == len(names)
    assert all(text.count(f"{name}:") == 2 for name in names)


def test_neighbours_stand_behind_their_label():
    rows = [("Mass", 1, "Nodule", 0.987), ("Mass", 2, ODD[1], -0.5), ("Nodule", 1, "Mass", 0.987)]
    head, *lines = cells(as_text(neighbour_rows(pd.DataFrame(rows, columns=["label", "rank", "neighbour", "cosine"]))))
    assert head == ["label", "label and cosine of its nearest neighbours"]
    assert lines == [["Mass", "Nodule 0.99, [red]alarm[/red] -0.50"], ["Nodule", "Mass 0.99"]]


@pytest.mark.parametrize(("most", "more"), [(1, 2), (2, 1), (3, 0)])
def test_what_is_not_shown_is_counted(most, more):
    names = ["Mass", "Edema", "Hernia"]
    near = pd.DataFrame([(name, 1, "x", 0.5) for name in names], columns=["label", "rank", "neighbour", "cosine"])
    tables = {
        "labels": [label_rows(labels(names), most), neighbour_rows(near, most)],
        "pairs": [
            edge_rows(edges([(name, "x") for name in names]), most),
            change_rows(changes()[:3].assign(source=names, target="x"), "test", most),
        ],
    }
    for what, shown in tables.items():
        for text in map(as_text, shown):
            assert [name in text for name in names] == [True] * most + [False] * more
            assert (f"... and {more} more {what}" in text) == bool(more) and ("..." in text) == bool(more)
    sampled = as_text(sampling_rows({"cycle": drawn(names)}, most))
    assert [name in sampled for name in names[::-1]] == [True] * most + [False] * more
    assert ("... and" in sampled) == bool(more)


@pytest.mark.parametrize("name", ODD)
def test_odd_names_stand_whole_in_every_table(name):
    near = pd.DataFrame([(name, 1, name, 0.5)], columns=["label", "rank", "neighbour", "cosine"])
    tables = [
        label_rows(labels([name])),
        edge_rows(edges([(name, name)])),
        change_rows(changes().assign(source=name)[:1], "test"),
        sampling_rows({"cycle": drawn([name])}),
        neighbour_rows(near),
    ]
    for text in map(as_text, tables):
        assert "…" not in text and max(map(len, text.splitlines())) <= 100
        assert squeezed(name) in squeezed("".join(line[0] for line in cells(text)[1:]))


@settings(max_examples=60)
@given(name=st.text(st.characters(min_codepoint=33, max_codepoint=0x17F, categories=("L", "N", "P", "S")), min_size=1,
                    max_size=70))  # fmt: skip
def test_no_character_of_a_name_is_taken_for_markup_or_cut(name):
    lines = cells(as_text(label_rows(labels([name]))))[1:]
    assert "".join(line[0] for line in lines) == name
    assert lines[0][1:] == ["12,345", number(0.5), "head", "1.00", "0", "1,234"]
