"""Training with external data: labels mapped, unknown ones filled by another model, shares of the draws."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from mlgcn import cli
from mlgcn.commands import evaluate, train
from mlgcn.data.sources.phantom import write_phantoms

pytestmark = pytest.mark.usefixtures("empty_pages")

TINY = {
    "data": {"image_size": 32, "batch_size": 16, "cache": True},
    "embeddings": {"dimensions": 16},
    "model": {"trunk": "resnet18", "weights": "none", "experts": 2, "hidden": 16, "branch": "slim", "heads": 4},
    "training": {"epochs": 1, "accelerator": "cpu", "devices": 1, "log_every": 1},
    "tracking": {"wandb": "disabled"},
}


@pytest.fixture(scope="module")
def folder(module_path):
    """A run on phantoms, and X-rays of another hospital that knows two of their labels, one under another name."""
    (module_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    write_phantoms(module_path / "other", images=64, seed=2, size=40)
    rows = pd.read_csv(module_path / "other" / "labels.csv", dtype=str)
    kept = ["image_id", "path", "patient_id", "study_id", "view", "Pleural Effusion", "Cardiomegaly"]
    rows = rows[kept].rename(columns={"Pleural Effusion": "Effusion"})
    rows.loc[:9, "Effusion"] = "-1"
    rows.to_csv(module_path / "other" / "labels.csv", index=False)
    options = ["--data.source", "phantom", "--data.options.images", "160"]
    train.main(["--config", str(module_path / "tiny.yaml"), "--run.dir", str(module_path / "first"), *options])
    return module_path


def test_a_run_trains_on_a_second_data_set_with_pseudo_labels_and_is_evaluated_on_a_third(folder, capsys):
    other = ["--data.source", "table", "--data.root", str(folder / "other")]
    out = folder / "pseudo.csv"
    cli.main(["predict", "--run", str(folder / "first"), "--pseudo-labels", *other, "--out", str(out)])
    assert f"64 images, {64 * 24 + 10} of {64 * 26} values filled in" in capsys.readouterr().out
    filled = pd.read_csv(out)
    assert filled["Pleural Effusion"][:10].between(0, 1, inclusive="neither").all()

    sources = [
        {"source": "phantom", "options": {"images": 160}, "weight": 2},
        {"source": "table", "root": str(folder / "other"), "name": "other", "pseudo_labels": str(out), "weight": 1},
    ]
    run = folder / "both"
    settings = ["--data.sources", json.dumps(sources), "--sampler.num_samples", "48"]
    train.main(["--config", str(folder / "tiny.yaml"), "--run.dir", str(run), *settings])
    split = pd.read_csv(run / "split.csv")
    assert (split.split[split.image_id.str.startswith("other:")] == "train").all()
    record = json.loads((run / "sources.json").read_text())
    assert record["other"]["labels"]["Pleural Effusion"] == {"Effusion": "same"}
    assert record["other"]["options"]["uncertain"] == "unknown" and record["other"]["weight"] == 1
    # What is filled in is counted nowhere: in no class count, no graph, no metric.
    counted = json.loads((run / "splits.json").read_text())["parts"]["train"]["known"]
    assert counted["Cardiomegaly"] - counted["Pneumothorax"] == 64
    assert counted["Cardiomegaly"] - counted["Pleural Effusion"] == 10
    assert np.isfinite(pd.read_csv(run / "metrics.csv")["train/loss"].dropna()).all()

    capsys.readouterr()
    evaluate.main(["--run", str(run), *other, "--data.labels", "model", "--split", "all"])
    report = json.loads((run / "evaluations" / "other-all" / "metrics.json").read_text())
    defined = {name for name, label in report["per_label"].items() if label["AUC"] is not None}
    assert defined == {"Pleural Effusion", "Cardiomegaly"}


def test_other_labels_are_not_mapped_unasked(folder, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(
            [
                "--run",
                str(folder / "first"),
                "--data.source",
                "table",
                "--data.root",
                str(folder / "other"),
                "--split",
                "all",
            ]
        )
    assert "has the unexpected ['Effusion']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.png", "--pseudo-labels", "--data.source", "phantom"], "--pseudo-labels takes a data set"),
        (["--pseudo-labels"], "--pseudo-labels takes a data set"),
        ([], "name image files, or a data set with --pseudo-labels"),
        (["x.png", "--data.source", "phantom"], "name image files, or a data set with --pseudo-labels"),
    ],
)
def test_predict_says_what_it_needs(folder, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", "--run", str(folder / "first"), "--out", str(folder / "x.csv"), *arguments])
    assert stop.value.code == 2 and message in capsys.readouterr().err
