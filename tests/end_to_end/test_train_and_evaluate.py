"""train.py and evaluate.py from the command line to the report."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score

from mlgcn import Predictor, cli
from mlgcn.build import hard_factors
from mlgcn.commands import evaluate, train
from mlgcn.config import LossConfig
from mlgcn.data.sources.phantom import write_phantoms
from mlgcn.predictions import Predictions

TINY = """
data: {image_size: 32, batch_size: 16, cache: true}
embeddings: {dimensions: 16}
model: {trunk: resnet18, weights: none, experts: 2, hidden: 16, heads: 4}
optimizer: {lr: 0.001}
training: {epochs: 1, accelerator: cpu, devices: 1, log_every: 1}
tracking: {wandb: offline}
"""


@pytest.fixture(scope="module")
def folder(module_path):
    """A finished run on phantoms that were written to disk, and a second, smaller set of them."""
    (module_path / "tiny.yaml").write_text(TINY)
    write_phantoms(module_path / "hospital", images=320, seed=1, size=48)
    write_phantoms(module_path / "other", images=64, seed=2, size=40)
    data = ["--data.source", "table", "--data.root", str(module_path / "hospital")]
    train.main(["--config", str(module_path / "tiny.yaml"), "--run.dir", str(module_path / "run"), *data])
    return module_path


def test_a_run_leaves_everything_in_its_folder(folder):
    run = folder / "run"
    expected = {
        "config.yaml", "environment.json", "splits.json", "label_graph.json", "label_vectors.txt", "metrics.csv",
        "model.ckpt", "predictions.parquet", "test_metrics.json", "report.html", "wandb_id.txt",
        "checkpoints/best.ckpt", "checkpoints/last.ckpt", "figures/precision_recall.png", "figures/frequency.png",
        "model_diagnostics.json", "validation_metrics.json", "figures/classifier_norms.png",
        "figures/edge_influence.png", "loss_gradients.json", "figures/loss_gradients.png", "figures/cases.png",
        "figures/risk_coverage.png",
    }  # fmt: skip
    assert not {name for name in expected if not (run / name).stat().st_size}
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["experts"] == 2
    metrics = pd.read_csv(run / "metrics.csv")
    assert (metrics["train/diversity"].dropna() < 0).all()
    assert {"train/loss", "train/classification", "val/mAP", "val/mAUC", "val/mF1", "lr"} <= set(metrics)


def test_the_metrics_are_those_of_the_predictions_file(folder):
    report = json.loads((folder / "run" / "test_metrics.json").read_text())
    predictions = Predictions.read(folder / "run" / "predictions.parquet")
    assert {"mAP", "mAUC", "mF1", "groups", "per_label", "rule", "undefined"} <= set(report)
    precision = []
    for column, name in enumerate(predictions.names):
        if predictions.targets[:, column].any():
            precision.append(average_precision_score(predictions.targets[:, column], predictions.scores[:, column]))
            assert report["per_label"][name]["AP"] == pytest.approx(precision[-1])
    assert report["mAP"] == pytest.approx(np.mean(precision))


def test_a_run_says_how_well_it_does_on_the_images_that_its_thresholds_were_chosen_on(folder):
    report = json.loads((folder / "run" / "validation_metrics.json").read_text())
    splits = json.loads((folder / "run" / "splits.json").read_text())
    assert report["split"] == "val" and report["images"] == splits["parts"]["val"]["images"]
    evaluate.main(["--run", str(folder / "run"), "--split", "val", "--out", str(folder / "val.json")])
    assert json.loads((folder / "val.json").read_text()) == report


def test_labels_that_were_hard_for_a_run_count_more_in_the_next(folder):
    report = json.loads((folder / "run" / "validation_metrics.json").read_text())
    hard = [name for name, label in report["per_label"].items() if label["AP"] is not None and label["AP"] < 0.2]
    assert 0 < len(hard) < len(report["per_label"])
    found = hard_factors(LossConfig(hard_from=str(folder / "run"), hard_below=0.2), list(report["per_label"]))
    assert found == dict.fromkeys(hard, 2.0)


def test_the_predictions_are_those_of_the_saved_model_on_patients_it_never_saw(folder):
    predictions = Predictions.read(folder / "run" / "predictions.parquet")
    labels = pd.read_csv(folder / "hospital" / "labels.csv").set_index("image_id")
    paths = [folder / "hospital" / labels.path[image] for image in predictions.images.image_id[:5]]
    again = Predictor.load(folder / "run").predict(paths)
    np.testing.assert_allclose(again[list(predictions.names)], predictions.scores[:5], atol=1e-5)
    splits = json.loads((folder / "run" / "splits.json").read_text())
    assert splits["parts"]["test"]["patients"] == predictions.images.patient_id.nunique()
    assert sum(part["patients"] for part in splits["parts"].values()) == labels.patient_id.nunique()


def test_predict_scores_files_from_the_command_line(folder):
    first, second = map(str, sorted((folder / "hospital" / "images").iterdir())[:2])
    # An image may follow the run, though several runs could.
    cli.main(["predict", first, "--run", str(folder / "run"), second, "--out", str(folder / "scores.csv")])
    scores = pd.read_csv(folder / "scores.csv")
    assert scores.path.tolist() == [first, second] and scores.drop(columns="path").to_numpy().shape == (2, 26)


def test_wandb_ran_offline_under_the_id_that_the_run_keeps(folder):
    run_id = (folder / "run" / "wandb_id.txt").read_text()
    (sent,) = (folder / "run" / "wandb").glob(f"offline-run-*-{run_id}/run-{run_id}.wandb")
    assert {path.name.rsplit("_", 2)[0] for path in sent.parent.rglob("*.png")} == {
        path.stem for path in (folder / "run" / "figures").iterdir()
    }


def test_a_run_is_compared_with_another_in_its_report_and_in_wandb(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run", ignore=shutil.ignore_patterns("wandb"))
    own = Predictions.read(folder / "run" / "predictions.parquet")
    Predictions(own.images, own.names, own.scores[::-1], own.targets).write(tmp_path / "worse.parquet")
    again = ["--run.dir", str(tmp_path / "run"), "--run.resume", "auto"]
    train.main([*again, "--evaluation.against", f"[{tmp_path / 'worse.parquet'}]", "--evaluation.image_sheet", "false"])
    found = json.loads((tmp_path / "run" / "comparison.json").read_text())
    assert found["b"] == str(tmp_path / "worse.parquet") and found["images"] == len(own)
    assert found["settings"]["thresholds"] == 0.5 and found["resamples"] == 2000
    assert 'id="increments"' in (tmp_path / "run" / "report.html").read_text()
    sent = {path.name.rsplit("_", 2)[0] for path in (tmp_path / "run" / "wandb").rglob("media/*/*/*")}
    assert {"increments", "per_label"} <= sent
    (table,) = (tmp_path / "run" / "wandb").rglob("increments_*.table.json")
    assert len(json.loads(table.read_text())["data"]) == 26 * 4


def test_evaluating_the_test_split_again_gives_the_same_metrics(folder):
    before = json.loads((folder / "run" / "test_metrics.json").read_text())
    evaluate.main(["--run", str(folder / "run"), "--out", str(folder / "again.json")])
    assert json.loads((folder / "again.json").read_text()) == before


def test_a_run_scores_another_folder_of_the_same_kind_by_label_name(folder):
    labels = pd.read_csv(folder / "other" / "labels.csv")
    ids, findings = list(labels.columns[:5]), list(labels.columns[5:])
    labels[ids + findings[::-1]].to_csv(folder / "other" / "labels.csv", index=False)
    arguments = ["--run", str(folder / "run"), "--data.root", str(folder / "other"), "--split", "all"]
    evaluate.main([*arguments, "--out", str(folder / "other.json")])
    report = json.loads((folder / "other.json").read_text())
    assert report["images"] == len(labels) and report["split"] == "all"
    for name in findings:
        assert report["per_label"][name]["positives"] == labels[name].sum()
    assert (folder / "run" / "evaluations" / "other-all" / "report.html").is_file()


def test_other_labels_than_the_models_are_refused_by_name(folder, capsys):
    labels = pd.read_csv(folder / "other" / "labels.csv").rename(columns={"Hernia": "Hiatal Hernia"})
    labels.to_csv(folder / "other" / "renamed.csv", index=False)
    data = ["--data.root", str(folder / "other"), "--data.options.csv", "renamed.csv"]
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["--run", str(folder / "run"), "--split", "all", *data])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "Hernia" in message and "Hiatal Hernia" in message and message.count("\n") == 1


def test_a_finished_run_is_not_overwritten_but_evaluated_again_on_resume(folder, capsys):
    arguments = ["--config", str(folder / "tiny.yaml"), "--run.dir", str(folder / "run")]
    arguments += ["--data.source", "table", "--data.root", str(folder / "hospital")]
    with pytest.raises(SystemExit):
        train.main(arguments)
    assert "holds a run already" in capsys.readouterr().err
    before = (folder / "run" / "test_metrics.json").read_text()
    thresholds = Predictor.load(folder / "run").description.thresholds
    train.main(["--run.dir", str(folder / "run"), "--run.resume", "auto", "--evaluation.tta_merge", "logits"])
    assert (folder / "run" / "test_metrics.json").read_text() == before
    found = Predictor.load(folder / "run")
    assert found.settings.tta_merge == "logits" and found.description.thresholds == thresholds


def test_resuming_with_other_settings_names_them(folder, capsys):
    with pytest.raises(SystemExit):
        train.main(["--run.dir", str(folder / "run"), "--run.resume", "auto", "--model.experts", "3"])
    assert "model.experts: 2 -> 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.imagesize", "64"], "did you mean '--data.image_size'?"),
        (["--config", "dem"], "did you mean 'demo'?"),
        (
            ["--data.source", "nih", "--data.root", "no/such/folder", "--data.options", "{}"],
            "there is no no/such/folder",
        ),
        (["--data.source", "nih", "--data.options", "{}"], "--data.root FOLDER"),
        (["--data.source", "nhi", "--data.root", "."], "did you mean 'nih'?"),
        (["--data.options.image", "5"], "did you mean 'images'?"),
        (["--loss.name", "bcee"], "did you mean 'bce'?"),
        (["--loss.name", "focal", "--loss.gamma_neg", "1"], "did you mean 'gamma'? (known: alpha, gamma)"),
        (["--loss.name", "focal", "--loss.gamma", "-1"], "loss.gamma must be >= 0, got -1"),
        (["--sampler.name", "cycl"], "did you mean 'cycle'?"),
        (["--model.experts", "1"], "loss.diversity"),
        (["--model.weights", "no/such/file.pt"], "no file no/such/file.pt"),
        (["--evaluation.against", "[no/such/run]"], "there is no run or predictions file no/such/run"),
        (
            ["--evaluation.normal_gating", "0.5", "--data.labels", "[Edema, Mass]"],
            "one label that means a normal image",
        ),
        (
            ["--evaluation.merge_views", "true", "--evaluation.view_weights", "{frontal: 0, lateral: 1, unknown: 0}"],
            "has a weight > 0",
        ),
    ],
)
def test_bad_input_is_one_line_that_says_what_was_expected(folder, tmp_path, capsys, arguments, message):
    small = ["--config", str(folder / "tiny.yaml"), "--data.options.images", "96", "--tracking.wandb", "disabled"]
    with pytest.raises(SystemExit) as stopped:
        train.main([*small, "--run.dir", str(tmp_path / "run"), *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("train.py: error:") and error.count("\n") == 1
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_labels_without_a_positive_in_training_are_warned_of_and_reported(folder, tmp_path, capsys):
    small = ["--config", str(folder / "tiny.yaml"), "--data.options.images", "96", "--tracking.wandb", "disabled"]
    small += ["--evaluation.image_sheet", "false"]
    train.main([*small, "--run.dir", str(tmp_path / "run"), "--sampler.num_samples", "16"])
    assert not (tmp_path / "run" / "figures" / "cases.png").exists()
    assert "no positive in train" in capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "splits.json").read_text())
    absent = [name for name, count in report["parts"]["train"]["positives"].items() if not count]
    assert absent and all(name in " ".join(report["warnings"]) for name in absent)
    assert "which it therefore cannot have learned" in (tmp_path / "run" / "report.html").read_text()


def test_real_xrays_train_and_report_on_unseen_patients(nih_sample, tmp_path):
    arguments = ["--config", "nih_sample", "--data.root", str(nih_sample), "--run.dir", str(tmp_path / "run")]
    train.main([*arguments, "--sampler.num_samples", "96", "--training.epochs", "1", "--tracking.wandb", "disabled"])
    report = json.loads((tmp_path / "run" / "test_metrics.json").read_text())
    predictions = Predictions.read(tmp_path / "run" / "predictions.parquet")
    assert report["images"] == len(predictions) > 100
    assert 0 < report["mAP"] <= 1 and len(report["per_label"]) == 14
