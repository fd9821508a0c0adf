"""mlgcn ladder, as it is called: trains what is missing, leaves alone what is finished, and makes the table."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mlgcn import cli
from mlgcn.commands import ladder as ladder_command
from mlgcn.commands.train import train
from mlgcn.config import load_config
from mlgcn.run_directory import LadderDirectory
from mlgcn.stopping import DivergedError, Interrupted

pytestmark = pytest.mark.usefixtures("empty_pages")

TINY = {
    "data": {"source": "phantom", "options": {"images": 120}, "image_size": 32, "batch_size": 8, "num_workers": 0},
    "sampler": {"num_samples": 16},
    "embeddings": {"dimensions": 16},
    "model": {"trunk": "resnet18", "weights": "none", "experts": 2, "hidden": 16, "branch": "slim", "heads": 4},
    "training": {"epochs": 1, "accelerator": "cpu", "devices": 1, "precision": "32-true"},
    "tracking": {"wandb": "disabled"},
    "evaluation": {"image_sheet": False},
}  # fmt: skip
RUNGS = ["seo2023/full", "seo2023/no_graph", "seo2023/ml_gcn"]
COMMAND = ["ladder", *RUNGS, "--seeds", "1", "--budget", "tiny.yaml", "--out", "out", "--resamples", "20"]
LADDER = LadderDirectory(Path("out"))


@pytest.fixture(scope="module")
def folder(module_path):
    """A folder with a budget."""
    (module_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return module_path


@pytest.fixture(autouse=True)
def _inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def recorded(monkeypatch, failing):
    """The presets that are trained from now on; for those that fail, an error to raise instead."""
    trained = []

    def stand_in(config, run):
        trained.append(run.path.name)
        if trained[-1] in failing:
            run.path.mkdir(parents=True, exist_ok=True)  # as fit does before it trains
            raise failing[trained[-1]]
        train(config, run)

    monkeypatch.setattr(ladder_command, "train", stand_in)
    return trained


def test_a_ladder_goes_on_where_it_was_stopped_and_then_makes_its_table(monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        trained = recorded(patch, {"seo2023-no_graph-seed-0": Interrupted("stopped after step 1")})
        cli.main(COMMAND)
    assert stopped.value.code == 130 and trained == ["seo2023-full-seed-0", "seo2023-no_graph-seed-0"]
    assert "stopped after step 1; the same command goes on" in capsys.readouterr().out
    monkeypatch.setattr(ladder_command, "training_throughput", lambda configs: dict.fromkeys(configs, 4.5))
    trained = recorded(monkeypatch, {"seo2023-ml_gcn-seed-0": DivergedError("the loss is not finite in epoch 0")})
    cli.main(COMMAND)
    assert trained == ["seo2023-no_graph-seed-0", "seo2023-ml_gcn-seed-0"]
    assert LADDER.run("seo2023/ml_gcn", 0).diverged.read_text() == "the loss is not finite in epoch 0\n"
    assert "the others having diverged: seo2023/ml_gcn (0)." in " ".join(capsys.readouterr().out.split())
    report = json.loads(LADDER.table("json").read_text())
    assert report["baseline"] == "seo2023/no_graph" and list(report["rungs"]) == RUNGS
    for name, rung in report["rungs"].items():
        assert rung["cost"]["parameters"] > 1e6 and rung["cost"]["images_per_second"] == 4.5
        assert rung["seeds"] == (name != "seo2023/ml_gcn")
        if rung["seeds"]:
            metrics = json.loads(LADDER.run(name, 0).test.metrics.read_text())
            assert rung["metrics"]["mAP"]["by_seed"] == {"0": metrics["mAP"]}
            assert load_config(LADDER.run(name, 0).config).tracking.name == f"out/{LADDER.run(name, 0).path.name}"
    splits = [pd.read_csv(run) for run in sorted(Path("out").glob("*-seed-0/split.csv"))]
    assert len(splits) == 2 and all(split.equals(pd.read_csv(LADDER.split)) for split in splits)
    assert "wandb" not in {path.name for path in Path("out").iterdir()}


def test_a_finished_ladder_trains_and_measures_nothing_and_gives_the_same_table(monkeypatch):
    before = LADDER.table("md").read_text()
    trained = recorded(monkeypatch, {})
    monkeypatch.setattr(ladder_command, "training_throughput", None)
    cli.main(COMMAND)
    assert trained == [] and LADDER.table("md").read_text() == before
    cli.main([*COMMAND, "--speed", "no", "--baseline", "seo2023/full", "--resamples", "50", "--cluster", "image"])
    report = json.loads(LADDER.table("json").read_text())
    assert (report["speed"], report["baseline"], report["resamples"]) == (None, "seo2023/full", 50)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seo2023/fill"], "unknown preset 'seo2023/fill'; did you mean 'seo2023/full'"),
        (["sea/*"], "no preset is named like 'sea/*'"),
        (["seo2023/full", "--baseline", "seo2023/no_graph"], "--baseline seo2023/no_graph is no rung of this ladder"),
        (["seo2023/full", "--run.dir", "elsewhere"], "the section run is the ladder's own"),
        (["seo2023/full", "--seeds", "0"], "argument --seeds: expected a whole number of at least 1, got '0'"),
        (["seo2023/full", "--training.epoch", "3"], "did you mean '--training.epochs'"),
        (
            [*COMMAND[1:], "--optimizer.lr", "0.5"],
            " began with other settings (optimizer.lr: 0.0001 -> 0.5); start a new ladder in another --out",
        ),
        ([*COMMAND[1:], "--budget", "gone.yaml"], "there is no file gone.yaml"),
        (["seo2023/full", "lai2023/bce"], "lai2023/bce and seo2023/full differ in data.source"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["ladder", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
