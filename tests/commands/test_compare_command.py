"""mlgcn compare, as it is called."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlgcn import cli
from mlgcn.predictions import Predictions
from mlgcn.reporting.compare import compare

FEW = ["--resamples", "20"]


@pytest.fixture(autouse=True)
def _sides(tmp_path, monkeypatch):
    """Predictions of two seeds of one model, and of another."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [str(row) for row in range(40)]
    images = pd.DataFrame({"image_id": ids, "patient_id": [row[:1] for row in ids], "study_id": ids, "view": "frontal"})
    targets = rng.integers(0, 2, size=(40, 2))
    for name in ("one-0", "one-1", "other"):
        Predictions(images, ["Mass", "Hernia"], rng.uniform(size=(40, 2)), targets).write(f"{name}.parquet")


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["compare", *arguments])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_is_written_is_what_is_shown_and_asked_for(capsys):
    cli.main(
        ["compare", "one-*.parquet", "other.parquet", "--cluster", "image", *FEW, "--seed", "3", "--level", "0.9",
         "--metrics", "mBACC", "microAP", "--groups", "prevalence", "--threshold", "0.4", "--out", "out.json"]
    )  # fmt: skip
    result = json.loads(Path("out.json").read_text())
    sides = ["one-*.parquet", "other.parquet"]
    assert result == compare(sides, "image", 20, 3, 0.9, ["mBACC", "microAP"], "prevalence", 0.4)
    shown = capsys.readouterr().out
    assert "A: one-*.parquet, mean of 2 seeds\nB: other.parquet\n" in shown and "written: out.json" in shown
    row = next(line.split() for line in shown.splitlines() if "microAP" in line)
    entry = result["micro"]["AP"]
    assert row[:5] == ["all", "microAP", f"{entry['a']:.3f}", f"{entry['b']:.3f}", f"{entry['delta']:+.3f}"]
    assert "90 % interval" in shown and "Thresholds: 0.4 for every label" in " ".join(shown.split())


def test_the_increments_are_drawn_where_that_is_asked_for(capsys):
    cli.main(["compare", "one-0.parquet", "other.parquet", *FEW, "--figure", "increments.svg"])
    assert "written: increments.svg" in capsys.readouterr().out and "<svg" in Path("increments.svg").read_text()


def test_without_options_patients_are_drawn_2000_times(capsys):
    cli.main(["compare", "one-0.parquet", "one-1.parquet", "other.parquet"])
    shown = capsys.readouterr().out
    assert shown.count("2,000 resamples of 10 patients, seed 0") == 2 and "written" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other.parquet"], "1 sides to compare (other.parquet), expected at least 2"),
        (["other.parquet", "gone.csv"], "there is no run or predictions file gone.csv"),
        (["other.parquet", "one-0.parquet", "--out", "gone/out.json"], "--out: there is no folder gone"),
        (["other.parquet", "one-0.parquet", "--out", "."], "--out: . is a folder, expected a file to write"),
        (["other.parquet", "one-0.parquet", "--figure", "a.jpg"], "--figure: a.jpg ends in '.jpg', expected one of"),
        (["other.parquet", "one-0.parquet", "--figure", "gone/a.png"], "--figure: there is no folder gone"),
        (
            ["other.parquet", "one-0.parquet", "--figure", "a.png", "--metrics", "microAP", "OF1"],
            "--figure: --metrics microAP OF1 has no metric of single labels to draw",
        ),
        (["other.parquet", "one-0.parquet", "--threshold", "half"], "threshold is 'half', expected a number in [0, 1]"),
        (["other.parquet", "one-0.parquet", "--threshold", "own"], "other.parquet is no run with metrics"),
        (["other.parquet", "one-0.parquet", "--level", "1"], "level"),
        (["other.parquet", "one-0.parquet", "--resamples", "0"], "resamples"),
        (["other.parquet", "one-0.parquet", "--clusters", "image"], "did you mean '--cluster'"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    line = refused(arguments, capsys)
    assert line.startswith("mlgcn compare: error: ") and message in line
