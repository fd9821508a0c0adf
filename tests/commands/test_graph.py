"""mlgcn graph, as it is called: what it prints, what it writes, and the one line that bad input gets."""

import io
import json
import pickle
import re
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
from jsonargparse import set_parsing_settings

from mlgcn import cli
from mlgcn.commands import embed, graph
from mlgcn.config import config_from_dict, save_config
from mlgcn.data.label_counts import graph_options
from mlgcn.data.sources import read_source
from mlgcn.data.splits import save_split
from mlgcn.graph import cooccurrence, label_graph, load_graph, save_graph
from mlgcn.graph.inspect import compare_graphs
from mlgcn.run_directory import RunDirectory

NAMES = ["Edema", "[red]Mass[/red]", "<b>Nodule</b>", "Alone"]


def draw(seed, images=60):
    """Images of four labels: the second always with the first, the last alone."""
    rng = np.random.default_rng(seed)
    values = (rng.uniform(size=(images, 4)) < [0.4, 0.4, 0.3, 0]).astype(int)
    values[values[:, 1] == 1, 0] = 1
    values[:12] = [0, 0, 0, 1]
    return values


def written(path, values, names=NAMES, **columns):
    rows = pd.DataFrame(values, columns=names)
    rows.insert(0, "path", [f"{row}.png" for row in range(len(rows))])
    rows.assign(**columns).to_csv(path, index=False)
    return str(path)


def likely(values):
    """P(j|i), one pair at a time."""
    found = {}
    for i, j in np.ndindex(4, 4):
        rows = [row for row in values.tolist() if row[i]]
        if i != j and rows:
            found[i, j] = sum(row[j] for row in rows) / len(rows)
    return found


def one_line(text):
    return " ".join(text.split())


def refused(arguments, capsys):
    """The line that bad input gets, after exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        graph.main(arguments)
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1 and shown.err.startswith("mlgcn graph: error: ")
    assert not [line for line in shown.out.splitlines() if not line.startswith("warning: ")]
    return shown.err.removeprefix("mlgcn graph: error: ").strip()


@pytest.fixture(scope="module")
def train():
    return draw(0)


@pytest.fixture(scope="module")
def tested():
    return draw(1)


@pytest.fixture(scope="module")
def csv(tmp_path_factory, train, tested):
    """A CSV file of both splits."""
    split = ["train"] * len(train) + ["test"] * len(tested)
    return written(tmp_path_factory.mktemp("data") / "labels.v2.csv", np.vstack([train, tested]), split=split)


@pytest.fixture(scope="module")
def shown(csv, tmp_path_factory):
    """What a run with everything prints, and its folder."""
    folder = tmp_path_factory.mktemp("graph") / "out"
    console = io.StringIO()
    with redirect_stdout(console):
        arguments = ["--against_split", "test", "--sampler", "cycle", "least_sampled", "--draws", "50", "--top", "2"]
        cli.main(["graph", csv, "--out", str(folder), *arguments])
    return console.getvalue(), folder


def test_the_training_images_are_counted_and_the_place_of_the_files_is_told_last(shown, train):
    text, folder = shown
    mean = train.sum() / len(train)
    assert f"60 images, 4 labels, {mean:.2f} labels an image (source labels.v2.csv, split train, date " in text
    assert text.endswith(f"figures, files and the interactive page: {folder / 'graph.html'}\n")
    cooc, made = load_graph(folder / "label_graph.json")
    np.testing.assert_array_equal(cooc.counts, train.T @ train)
    assert (made.options["threshold"], made.options["reweight"], made.options["variant"]) == (0.4, 0.2, "paper")


def test_each_warning_stands_once_and_in_one_line(shown, train):
    text, _ = shown
    isolated, certain = [line for line in text.splitlines() if "warning" in line]
    assert isolated == "warning: label graph of 4 labels: 1 label without an edge at threshold 0.4: 'Alone'"
    assert certain.startswith("warning: label graph of 4 labels: 1 edge with P(j|i) >= 0.95: '[red]Mass[/red]' -> ")
    assert text.startswith("warning: ") and sum(p >= 0.95 for p in likely(train).values()) == 1


def test_another_split_of_the_same_data_is_compared_with(shown, train, tested):
    text, folder = shown
    here, there = ({pair for pair, p in likely(values).items() if p >= 0.4} for values in (train, tested))
    told = f"edges only here {len(here - there)}, only there {len(there - here)}, in both {len(here & there)}"
    assert f"Against test: {told}\n" in text and "Not compared" not in text
    changes = pd.read_csv(folder / "changes.csv", keep_default_na=False)
    shifts = {(NAMES.index(row.source), NAMES.index(row.target)): float(row.shift) for row in changes.itertuples()}
    assert shifts == pytest.approx({pair: likely(tested)[pair] - likely(train)[pair] for pair in shifts})
    assert here | there <= shifts.keys()


def test_samplers_are_tried_out_on_the_training_images(shown, train):
    text, folder = shown
    assert "Positives of each label in 50 draws" in text
    cycle = pd.read_csv(folder / "sampling_cycle.csv", index_col="label")
    assert cycle.images.to_dict() == dict(zip(NAMES, train.sum(axis=0), strict=True))
    expected = sum(50 * train[train[:, label] == 1].mean(axis=0) / 4 for label in range(4))
    np.testing.assert_allclose(cycle.expected, expected)
    assert {path.name for path in folder.glob("sampling*")} == {"sampling_cycle.csv", "sampling_least_sampled.csv"}
    assert (folder / "figures" / "sampling.png").is_file() and (folder / "figures" / "changes.png").is_file()


def test_a_run_is_compared_with_a_csv_by_the_labels_that_both_have(tmp_path, train, tested, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cooc = cooccurrence(train, NAMES)
    (tmp_path / "lr0.1").mkdir()
    save_graph(RunDirectory(tmp_path / "lr0.1").label_graph, cooc)
    written(tmp_path / "other.csv", tested, [NAMES[1], NAMES[0], "Other", NAMES[3]])
    graph.main(["lr0.1", "--against", "other.csv", "--against_split", "all", "--threshold", "0.3", "--groups",
                "prevalence", "--symmetric", "true", "--variant", "released"])  # fmt: skip
    text = one_line(capsys.readouterr().out)
    assert "Against other.csv all: " in text
    told = "Not compared, being only here: <b>Nodule</b>. Not compared, being only in other.csv all: Other. "
    assert told in text
    assert text.endswith("figures, files and the interactive page: graphs/lr0.1/graph.html")
    _, made = load_graph("graphs/lr0.1/label_graph.json")
    assert {name: made.options[name] for name in ("threshold", "symmetric", "variant")} == {
        "threshold": 0.3, "symmetric": True, "variant": "released",
    }  # fmt: skip


OWN = {
    "threshold": 0.35, "reweight": 0.3, "variant": "released", "shrinkage": 2.0, "significance": 0.5, "symmetric": True,
}  # fmt: skip


@pytest.fixture
def held(tmp_path, monkeypatch, train):
    """A folder to work in with what holds counts; the run and its file with the graph of OWN, old.json with none."""
    monkeypatch.chdir(tmp_path)
    cooc = cooccurrence(train, NAMES)
    (tmp_path / "run").mkdir()
    with pytest.warns(UserWarning, match="label graph"):
        save_graph(RunDirectory(tmp_path / "run").label_graph, cooc, label_graph(cooc, **OWN))
    save_graph("old.json", cooc)
    written("labels.csv", train)
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps({"adj": cooc.counts, "nums": cooc.totals}))
    return tmp_path


def test_a_run_is_drawn_from_and_compared_with_its_other_splits_by_its_own_data(held, train, tested, capsys):
    values, names = np.concatenate([train, tested]), NAMES
    written("all.csv", values)
    table = read_source("table", "all.csv", labels=names)
    table = table.with_split(["train"] * len(train) + ["test"] * len(tested))
    run = RunDirectory(held / "run")
    data = {"source": "table", "root": "all.csv", "options": {"labels": list(names)}}
    save_config(config_from_dict({"data": data}), run.config)
    save_split(table, run.split)
    graph.main(["run", "--out", "out", "--against_split", "test", "--sampler", "cycle", "--draws", "64"])
    assert "Against test: edges only here" in one_line(capsys.readouterr().out)
    own = {name: OWN[name] for name in ("threshold", "shrinkage", "significance", "symmetric")}
    expected = compare_graphs(cooccurrence(train, names), cooccurrence(tested, names), **own)
    found = pd.read_csv("out/changes.csv", keep_default_na=False, na_values={"shift": [""]})
    assert found.change.tolist() == expected.change.tolist()
    drawn = pd.read_csv("out/sampling_cycle.csv")
    assert drawn["images"].tolist() == train.sum(axis=0).astype(int).tolist()


@pytest.mark.parametrize("what", ["run", "run/label_graph.json"])
@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ([], {}),
        (
            ["--threshold", "0", "--symmetric", "false", "--shrinkage", "0"],
            {"threshold": 0, "symmetric": False, "shrinkage": 0},
        ),
    ],
)
def test_a_run_keeps_the_options_of_its_graph_but_for_those_that_are_given(held, capsys, what, arguments, changed):
    graph.main([what, "--out", "out", *arguments])
    cooc, made = load_graph("out/label_graph.json")
    assert made.options == OWN | changed
    assert f"Edges at threshold {made.options['threshold']:g}\n" in capsys.readouterr().out
    expected = label_graph(cooc, **OWN | changed)
    np.testing.assert_array_equal(made.edge_index, expected.edge_index)
    np.testing.assert_array_equal(made.edge_weight, expected.edge_weight)


def test_only_a_run_and_a_label_graph_have_options_of_their_own(held):
    assert graph_options("run") == graph_options(held / "run" / "label_graph.json") == OWN
    assert [graph_options(what) for what in ("labels.csv", "phantom", "adj.pkl")] == [{}] * 3
    assert graph_options("old.json") is None  # counts without a graph
    with pytest.raises(FileNotFoundError, match=r"there is no file gone\.json"):
        graph_options("gone.json")
    with pytest.raises(ValueError, match="unknown data source or file 'phantm'; did you mean 'phantom'"):
        graph_options("phantm")


def test_counts_without_a_graph_get_the_defaults_of_label_graph_and_that_is_said(held, capsys):
    graph.main(["old.json", "--out", "out"])
    assert (
        "warning: old.json holds no label graph; this is the one that its counts would give" in capsys.readouterr().out
    )
    with pytest.warns(UserWarning, match="label graph"):
        expected = label_graph(load_graph("old.json")[0]).options
    assert load_graph("out/label_graph.json")[1].options == expected


def test_a_pickle_takes_its_names_from_a_file(tmp_path, train, capsys):
    counts = train.T @ train
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps({"adj": counts, "nums": counts.diagonal()}))
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    names = ["--names", str(tmp_path / "names.txt")]
    graph.main([str(tmp_path / "adj.pkl"), *names, "--images", "60", "--out", str(tmp_path / "out")])
    text = capsys.readouterr().out
    assert "60 images, 4 labels (source adj.pkl)\n" in text and "[red]Mass[/red]" in text
    assert "without the number of images" in refused([str(tmp_path / "adj.pkl"), *names], capsys)
    assert "got 3 names for 4 labels" in _with_names(tmp_path, NAMES[:3], capsys)


def _with_names(folder, names, capsys):
    (folder / "names.txt").write_text("\n".join(names), encoding="utf-8")
    return refused([str(folder / "adj.pkl"), "--names", str(folder / "names.txt"), "--images", "60"], capsys)


def test_a_source_takes_the_options_of_its_reader_and_the_page_names_them(tmp_path, capsys):
    graph.main(["phantom", "--data.options.images", "64", "--data.options.seed", "5", "--out", str(tmp_path)])
    assert "64 images, 26 labels" in capsys.readouterr().out
    data = re.search(r'id="data">(.*?)</script>', (tmp_path / "graph.html").read_text("utf-8"), re.S)[1]
    assert len(json.loads(data)["names"]) == 26


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phantm"], "unknown data source or file 'phantm'; did you mean 'phantom'?"),
        (["gone.csv"], "there is no file gone.csv"),
        (["."], "is no run's folder and no file that ends in one of"),
        (["header.csv"], "header.csv: has no rows"),
        (["single.csv"], "a label graph needs at least two labels, got ['Mass']"),
        (["labels.csv", "--images", "9"], "['images'] do not apply to labels.csv, a CSV file"),
        (["labels.csv", "--names", "gone.txt"], "gone.txt"),
        (["labels.csv", "--split", "val"], "labels.csv: the val split is empty"),
        (["labels.csv", "--split", "tset"], "'tset'"),
        (["labels.csv", "--data.options.blnk", "negative"], "'blnk'; did you mean 'blank'"),
        (["labels.csv", "--threshold", "1.5"], "threshold must be between 0 and 1, got 1.5"),
        (["labels.csv", "--variant", "papr"], "variant is 'papr'"),
        (["labels.csv", "--groups", "rank"], "needs at least 18 labels, got 4"),
        (["labels.csv", "--top", "0"], "top"),
        (["labels.csv", "--thresold", "0.2"], "unknown option '--thresold'; did you mean '--threshold'?"),
        (["labels.csv", "--sampler", "cicle"], "unknown sampler 'cicle'; did you mean 'cycle'?"),
        (["labels.csv", "--sampler", "cycle", "--draws", "0"], "draws"),
        (
            ["graph.json", "--sampler", "cycle"],
            "--sampler draws images, but graph.json holds counts alone; name the data or a run",
        ),
        (["run", "--sampler", "cycle"], "--sampler draws images, but run holds counts alone"),
        (["adj.pkl", "--images", "60", "--sampler", "cycle"], "--sampler draws images, but adj.pkl holds counts alone"),
        (["labels.csv", "--against", "single.csv"], "the graphs share the labels ['Mass'], expected at least two"),
        (["labels.csv", "--against_split", "val"], "labels.csv: the val split is empty"),
        (["labels.csv", "--against_root", "x"], "--against_root has no effect without --against"),
        (["labels.csv", "--against", "graph.json", "--against_split", "all"], "['split'] do not apply to graph.json"),
        (["labels.csv", "--out", "begun"], "--out: begun is a run, whose label_graph.json would be lost"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, monkeypatch, train, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    names = ["Mass", *NAMES[1:]]
    written("labels.csv", train, names, split="train")
    (tmp_path / "header.csv").write_text("path,Mass,Edema\n")
    written("single.csv", train[:, :1], ["Mass"])
    cooc = cooccurrence(train, names)
    for folder in ("run", "begun"):
        (tmp_path / folder).mkdir()
    for path in (RunDirectory(tmp_path / "run").label_graph, tmp_path / "graph.json"):
        save_graph(path, cooc)
    RunDirectory(tmp_path / "begun").config.touch()
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps({"adj": cooc.counts, "nums": cooc.totals}))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert message in refused(arguments, capsys)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_help_tells_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        graph.main(["--help"])
    assert stopped.value.code == 0
    text = one_line(capsys.readouterr().out)
    assert all(f"--{name}" in text for name in (*graph.GRAPH, "against_split", "data.root", "sampler", "top"))


def test_help_of_embed_tells_what_each_option_of_the_vectors_is(capsys):
    set_parsing_settings(docstring_parse_attribute_docstrings=False)  # whatever an earlier test has left
    with pytest.raises(SystemExit) as stopped:
        embed.main(["--help"])
    assert stopped.value.code == 0
    text = one_line(capsys.readouterr().out)
    source = text.partition("--embeddings.source SOURCE ")[2].partition("--embeddings.dimensions ")[0]
    assert source.startswith("glove (trained on the labels of the training split), one_hot, random, text (")
    assert "Size of glove, random and projected vectors." in text
