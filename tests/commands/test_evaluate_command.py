"""evaluate.py, mlgcn predict and mlgcn prune on runs, checkpoints and ensembles, as they are called."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlgcn import Predictor, cli
from mlgcn.commands import evaluate, measuring
from mlgcn.config import config_from_dict, save_config
from mlgcn.data.sources import read_source
from mlgcn.data.splits import save_split
from mlgcn.metrics import best_f1_thresholds
from mlgcn.prediction import with_experts
from mlgcn.prediction.merging import fitted_weights
from mlgcn.predictions import Predictions
from mlgcn.reporting.compare import compare
from mlgcn.run_directory import EvaluationFiles, RunDirectory

NAMES = ["Effusion", "Mass", "Hernia", "Lung Opacity", "No Finding"]
# Without head, medium and tail no page is drawn, which takes longer than all else.
PLAIN = ["--groups", "{every: [Effusion, Mass, Hernia, Lung Opacity, No Finding]}"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, tiny_model):
    """Images with labels and a split, and three runs on them that were never trained: one, two, and other.

    The model of two takes larger images. other has two's model, and another record: it learned of test images. As of a
    ladder's runs, the split once came from a file that is not to be found from here.
    """
    pytest.importorskip("timm", reason="timm, whose smallest network this takes, is not installed")
    folder, rng = tmp_path_factory.mktemp("workplace"), np.random.default_rng(0)
    split = np.repeat(["train", "val", "test"], [6, 10, 8])
    rows = pd.DataFrame({"path": [f"{n}.png" for n in range(24)], "patient_id": [f"p{n}" for n in range(24)]})
    rows = rows.assign(image_id=rows.path.str[:-4], split=split, **dict.fromkeys(NAMES, 0))
    rows[NAMES] = rng.integers(0, 2, size=(24, 5))
    (folder / "data").mkdir()
    rows.to_csv(folder / "data" / "labels.csv", index=False)
    for path in rows.path:
        Image.fromarray(rng.integers(0, 256, size=(32, 32), dtype=np.uint8)).save(folder / "data" / path)
    table = read_source("table", folder / "data")
    for seed, name in enumerate(["one", "two"]):
        run = RunDirectory(folder / name)
        run.path.mkdir()
        data = {"source": "table", "root": str(folder / "data"), "options": {}, "image_size": 32 + 32 * seed}
        data["split"] = "ladder/split.csv"
        model = {"trunk": "timm/test_resnet", "branch": "pretrained"}
        predictor = Predictor(*tiny_model(seed=seed, data=data, model=model), device="cpu")
        predictor.save(run.model)
        save_config(config_from_dict(predictor.description.config), run.config)
        save_split(table, run.split)
    shutil.copytree(folder / "two", folder / "other")
    split[[15, 23]] = ["test", "train"]
    save_split(table.with_split(split), folder / "other" / "split.csv")
    return folder


@pytest.fixture(scope="module")
def models(workplace):
    return {run: Predictor.load(workplace / run, "cpu") for run in ("one", "two")}


@pytest.fixture(scope="module")
def alone(workplace, models):
    """What each run says of the images of a part."""
    parts = {split: read_source("table", workplace / "data").split(split) for split in ("val", "test")}
    return {(run, split): model.predict_table(parts[split]) for run, model in models.items() for split in parts}


@pytest.fixture(autouse=True)
def _there(workplace, monkeypatch):
    monkeypatch.chdir(workplace)


def refused(main, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_an_ensemble_is_chosen_on_validation_and_stored_as_a_side_to_compare(alone, capsys):
    evaluate.main(["--run", "one", "two", "--weights", "fitted", "--dir", "both", "--out", "both.json"])
    report = json.loads(Path("both.json").read_text())
    assert report == json.loads(Path("both/metrics.json").read_text()) and Path("both/report.html").is_file()
    members = {split: np.stack([alone[run, split].scores for run in ("one", "two")]) for split in ("val", "test")}
    validation = alone["one", "val"].targets
    weights = fitted_weights(members["val"], validation)
    made = {"members": ["one", "two"], "merge": "mean", "weights": weights.tolist(), "fitted": True}
    assert report["ensemble"] == made
    merged = {split: np.tensordot(weights, scores.astype(float), axes=1) for split, scores in members.items()}
    found = Predictions.read(Path("both/predictions.parquet"))
    np.testing.assert_allclose(found.scores, merged["test"], rtol=1e-6)
    thresholds = best_f1_thresholds(merged["val"].astype(np.float32), validation)
    np.testing.assert_allclose([report["per_label"][name]["threshold"] for name in NAMES], thresholds, rtol=1e-6)
    assert "run" not in report and report["split"] == "test" and report["images"] == 8
    shown = capsys.readouterr().out
    members = f"ensemble, mean with the weights one {weights[0]:.3f}, two {weights[1]:.3f}"
    assert "chosen on 10 validation images" in shown and members in " ".join(shown.split())
    assert f"Evaluated: {members}." in Path("both/report.html").read_text()
    cli.main(["compare", "both", "both/predictions.parquet", "--resamples", "20", "--method", "bca", "--out", "c.json"])
    compared = json.loads(Path("c.json").read_text())
    assert compared["mAP"]["delta"] == 0 and compared["settings"]["method"] == "bca"
    assert "BCa" in capsys.readouterr().out


def test_weights_and_merge_are_taken_as_given(alone):
    evaluate.main(
        ["--run", "one", "two", "--ensemble_merge", "geometric", "--weights", "3", "1", "--threshold", "0.4",
         "--dir", "given", *PLAIN]
    )  # fmt: skip
    report = json.loads(Path("given/metrics.json").read_text())
    assert report["ensemble"]["weights"] == [0.75, 0.25] and not report["ensemble"]["fitted"]
    assert {label["threshold"] for label in report["per_label"].values()} == {0.4}
    one, two = (np.log(alone[run, "test"].scores.astype(float)) for run in ("one", "two"))
    found = Predictions.read(Path("given/predictions.parquet"))
    np.testing.assert_allclose(found.scores, np.exp(0.75 * one + 0.25 * two), rtol=1e-6)


def test_a_checkpoint_is_scored_on_the_split_that_the_data_have(alone, capsys):
    evaluate.main(
        ["--run", "one/model.ckpt", "--data.source", "table", "--data.root", "data", "--dir", "alone", *PLAIN]
    )
    found = Predictions.read(Path("alone/predictions.parquet"))
    np.testing.assert_array_equal(found.scores, alone["one", "test"].scores)
    report = json.loads(Path("alone/metrics.json").read_text())
    assert report["checkpoint"] == "model.ckpt" and not list(Path("one").glob("*.parquet"))
    assert "metrics: alone/metrics.json" in capsys.readouterr().out


def test_all_images_of_a_run_are_scored_and_the_page_shows_none_of_them(alone):
    folder = Path("one/evaluations/data-all")
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "cases.png").touch()
    evaluate.main(["--run", "one", "--split", "all", "--image_sheet", "false"])
    found = Predictions.read(folder / "predictions.parquet")
    assert len(found) == 24
    np.testing.assert_allclose(found.scores[16:], alone["one", "test"].scores, rtol=1e-5)
    assert (folder / "report.html").is_file() and not (folder / "figures" / "cases.png").exists()


def test_images_that_a_run_was_trained_on_are_told_but_of_its_training_split(capsys):
    evaluate.main(["--run", "one", "--split", "train", *PLAIN])
    evaluate.main(["--run", "one", *PLAIN])
    assert "was trained on" not in capsys.readouterr().out
    elsewhere = ["--run", "other", "--data.split", "one/split.csv", *PLAIN]
    evaluate.main(elsewhere)
    told = "other was trained on 1 patients of the images to score, the first ['p23']"
    assert told in capsys.readouterr().out
    assert told in refused(evaluate.main, [*elsewhere, "--data.leaks", "error"], capsys)


def test_a_file_of_groups_has_a_folder_of_its_own_and_no_page_of_before():
    Path("organs.yaml").write_text(PLAIN[1])
    folder = Path("one/evaluations/data-test-groups_given_organs")
    folder.mkdir(parents=True)
    (folder / "report.html").touch()
    evaluate.main(["--run", "one", "--groups", "organs.yaml"])
    assert json.loads((folder / "metrics.json").read_text())["rule"] == "as given in organs.yaml"
    assert not (folder / "report.html").exists()


def test_a_checkpoint_is_scored_on_the_split_of_a_file(alone):
    arguments = ["--run", "one/model.ckpt", "--data.split", "one/split.csv", "--dir", "by_file", *PLAIN]
    evaluate.main(arguments)
    found = Predictions.read(Path("by_file/predictions.parquet"))
    assert found.images.image_id.tolist() == alone["one", "test"].images.image_id.tolist()
    np.testing.assert_array_equal(found.scores, alone["one", "test"].scores)


def test_a_run_is_scored_on_the_split_of_a_file_apart_from_its_own():
    evaluate.main(["--run", "one", "--data.split", "other/split.csv", *PLAIN])
    found = Predictions.read(Path("one/evaluations/data-test-groups_given-split_split/predictions.parquet"))
    assert found.images.image_id.tolist() == ["15", "16", "17", "18", "19", "20", "21", "22"]
    assert not Path("one/predictions.parquet").exists()


def test_unreadable_validation_images_are_left_out_where_the_runs_say_so(models):
    for name, model in models.items():
        config = model.description.config
        described = replace(model.description, config=config | {"data": config["data"] | {"unreadable": "skip"}})
        run = RunDirectory(Path("skipping", name))
        run.path.mkdir(parents=True)
        Predictor(model.model, described, "cpu").save(run.model)
        shutil.copy(Path(name, "split.csv"), run.split)
    runs = ["skipping/one", "skipping/two"]
    hidden = Path("data/7.png").rename("7.png")
    try:
        cli.main(["predict", "--run", *runs, "--weights", "fitted", "--out", "skipping.csv", "data/0.png"])
    finally:
        hidden.rename("data/7.png")
    assert len(pd.read_csv("skipping.csv")) == 1


def test_some_experts_alone_are_scored_apart_from_the_run(models):
    evaluate.main(["--run", "one", "--experts", "2", *PLAIN])
    folder = Path("one/evaluations/data-test-experts_2-groups_given")
    expected = with_experts(models["one"], [2])
    table = read_source("table", "data").split("test")
    found = Predictions.read(folder / "predictions.parquet")
    np.testing.assert_array_equal(found.scores, expected.predict_table(table).scores)


def test_what_is_gained_over_others_is_written_shown_and_gone_with_the_next_evaluation(alone, capsys):
    alone["one", "test"].write("one.parquet")
    alone["two", "test"].write("two.parquet")
    asked = ["--run", "two", "--dir", "gained", "--bootstrap", "30", "--seed", "4", "--cluster", "image"]
    evaluate.main([*asked, "--against", "one.parquet", "two.parquet"])
    files = EvaluationFiles(Path("gained"), Path("gained/metrics.json"))
    found = json.loads(files.comparison.read_text())
    assert found == compare(["gained", "one.parquet", "two.parquet"], "image", 4000, 4)
    assert {entry["delta"] for entry in found["comparisons"][1]["per_label"]["Mass"].values()} == {0}
    assert "B: one.parquet" in capsys.readouterr().out and 'id="increments"' in files.report.read_text()
    evaluate.main(asked)
    assert not files.comparison.exists() and "increments" not in files.report.read_text()


def test_a_runs_own_sides_are_those_of_its_own_test_images_alone(alone, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measuring, "write_page", lambda files, *_: files.report)
    shutil.copytree("two", tmp_path / "run")
    alone["one", "test"].write("side.parquet")
    run, predictor = RunDirectory(tmp_path / "run"), Predictor.load("two", "cpu")
    settings = predictor.description.config["evaluation"] | {"against": ["side.parquet"]}
    Predictor.load("two", "cpu", settings=settings).save(run.model)
    evaluate.main(["--run", str(run.path), "--split", "val"])
    assert not list(run.path.rglob("comparison.json"))
    evaluate.main(["--run", str(run.path)])
    assert json.loads(run.test.comparison.read_text())["b"] == "side.parquet"
    Path("side.parquet").unlink()
    line = refused(evaluate.main, ["--run", str(run.path)], capsys)
    assert "compared with side.parquet (evaluation.against), which is not there" in line
    evaluate.main(["--run", str(run.path), "--against"])
    assert not run.test.comparison.exists()


def test_files_are_scored_by_an_ensemble(models, capsys):
    paths = ["data/0.png", "data/7.png"]
    cli.main(["predict", "--run", "one", "two", "--ensemble_merge", "logits", "--out", "scores.csv", *paths])
    found = pd.read_csv("scores.csv")
    logits = []
    for model in models.values():
        scores = model.predict(paths)[NAMES].to_numpy(dtype=float)
        logits.append(np.log(scores / (1 - scores)))
    np.testing.assert_allclose(found[NAMES], 1 / (1 + np.exp(-np.mean(logits, axis=0))), rtol=1e-5)
    assert found.path.tolist() == paths
    assert "mean of the logits with the weights one 0.500, two 0.500" in capsys.readouterr().out


def test_weights_are_fitted_on_patients_that_one_was_trained_on_only_where_that_is_said(capsys):
    shutil.copytree("two", "leaky")
    rows = pd.read_csv("leaky/split.csv", dtype=str)
    rows.loc[rows.image_id == "0", "patient_id"] = "p6"  # of a validation image
    rows.to_csv("leaky/split.csv", index=False)
    arguments = ["predict", "--run", "one", "leaky", "--weights", "fitted", "--out", "leaky.csv", "data/0.png"]
    assert "--data.leaks warn goes on" in refused(cli.main, arguments, capsys)
    cli.main([*arguments, "--data.leaks", "warn"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "leaky was trained on 1 patients" in shown and len(pd.read_csv("leaky.csv")) == 1


def test_pruning_keeps_the_better_expert_and_its_thresholds(models, capsys):
    cli.main(["prune", "one", "--keep", "1", "--out", "pruned.ckpt"])
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if line.strip()[:1].isdigit()]
    table = read_source("table", "data").split("val")
    pruned = Predictor.load("pruned.ckpt", "cpu")
    predictions = pruned.predict_table(table)
    expected = [with_experts(models["one"], [expert]).predict_table(table) for expert in (1, 2)]
    kept = int(lines[1][0])
    np.testing.assert_array_equal(predictions.scores, expected[kept - 1].scores)
    thresholds = best_f1_thresholds(predictions.scores, predictions.targets)
    np.testing.assert_allclose(pruned.description.thresholds, thresholds)
    assert lines[0][:2] == ["1", "2"] and lines[1][-1] == f"{sum(p.numel() for p in pruned.model.parameters()):,}"
    assert len(pruned.model.branches) == 1 and "written: pruned.ckpt" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "one", "other"], "other was trained on 1 patients of the images to score, the first ['p23']"),
        (["--run", "one", "other", "--split", "val"], "one and other have other validation images"),
        (["--run", "one", "two/model.ckpt"], "the validation images of two/model.ckpt are not known; --threshold 0.5"),
        (["--run", "one", "two", "--weights", "1"], "weights are [1.0], expected 2 numbers"),
        (["--run", "one", "two", "--weights", "1", "many"], "--weights are ['1', 'many'], expected a number for each"),
        (["--run", "one", "one"], "members repeat: ['one']"),
        (["--run", "one", "--weights", "fitted"], "--weights and --ensemble_merge are for several runs, one was named"),
        (["--run", "one", "--dir", "two"], "--dir: two is a run, expected a folder of its own"),
        (["--run", "one", "--by", "view", "sex"], "--by sex: what a run predicts has no such columns; join them to"),
        (["--run", "one", "--groups", "rank"], "rule 'rank' needs at least 18 labels, got 5"),
        (["--run", "one", "--groups", "{a: [Mass]}"], "groups do not hold every label once"),
        (["--run", "one", "--data.split", "one/split.csv", "--split", "all"], "--data.split has no effect with"),
        (["--run", "one", "--against", "gone"], "there is no run or predictions file gone"),
        (
            ["--run", "one", "--against", "short.csv"],
            "short.csv lacks 1 images that are to be predicted, such as ['23",
        ),
        (["--run", "one", "--split", "val", "--against", "short.csv"], "short.csv has 7 images that are not to be"),
        (["--run", "one", "--against", "renamed.csv"], "renamed.csv: other labels than expected: lacks"),
        (
            ["--run", "one", "--merge_views", "true", "--view_weights", "{frontal: 0, lateral: 1, unknown: 0}"],
            "no image of study",
        ),
        (["--run", "one", "--view_weights", "{front: 1}"], "front"),
        (["--predictions", "short.csv", "--against", "short.csv"], "--against: for runs, without effect on --predi"),
        (
            ["--predictions", "short.csv", "--tta", "hflip", "--data.source", "nih", "--split", "val"],
            "--data.source --split --tta: for runs, without effect on --predictions",
        ),
        (["--predictions", "short.csv", "--view_weights", "{frontal: 1}"], "has no effect on --predictions without"),
        (["--run", "one", "--out", "data"], "--out: data is a folder, expected a file to write"),
        (["--predictions", "short.csv", "--out", "data"], "--out: data is a folder, expected a file to write"),
        (["--run", "data"], "--run: data is no run, it has no config.yaml"),
        (["--run", "one/model.ckpt", "--data.source", "phantom", "--data.labels", "model"], "no split of their own"),
    ],
)
def test_what_cannot_be_scored_is_one_line_before_anything_is(arguments, message, alone, capsys, monkeypatch):
    whole = alone["one", "test"]
    parts = whole.scores[:-1], whole.targets[:-1]
    Predictions(whole.images[:-1], NAMES, *parts).write("short.csv")
    Predictions(whole.images[:-1], ["Elsewhere", *NAMES[1:]], *parts).write("renamed.csv")
    monkeypatch.setattr(Predictor, "predict_table", None)
    line = refused(evaluate.main, arguments, capsys)
    assert line.startswith("evaluate.py: error: ") and message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "--out", "pruned.ckpt"], "--out writes the model with as many experts as --keep says"),
        (["one", "--keep", "1", "--out", "gone/pruned.ckpt"], "--out: there is no folder gone"),
        (["one", "--keep", "1", "--out", "pruned.txt"], "--out: pruned.txt ends in '.txt', expected .ckpt"),
        (["one/model.ckpt"], "one/model.ckpt is no run with a recorded split"),
    ],
)
def test_what_cannot_be_pruned_is_one_line(arguments, message, capsys):
    assert message in refused(lambda rest: cli.main(["prune", *rest]), arguments, capsys)
