"""mlgcn submit, as it is called: from a run or its predictions to the zip, and what it says of others' files."""

import io
import shutil
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

from mlgcn import Predictor, cli
from mlgcn.data.sources import read_source
from mlgcn.data.splits import save_split
from mlgcn.predictions import Predictions

FORMAT = ["--format", "cxr_lt_2024", "--sample", "sample.csv"]
LABELS = ["Normal", "Pleural Effusion", "Hernia"]
PHANTOMS = ["--data.source", "phantom", "--data.options.images", "12"]


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_model):
    """A run with a model and without predictions, and a sample of seven phantoms, backwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    Predictor(*tiny_model()).save(tmp_path / "run" / "model.ckpt")
    ids = read_source("phantom", images=12).images.image_id.tolist()[:2:-1][:7]
    pd.DataFrame({"dicom_id": ids, **dict.fromkeys(LABELS, 0)}).to_csv("sample.csv", index=False)
    return tmp_path


def stored(path, seed=0, images=12):
    """Predictions of the phantoms with scores by chance."""
    table = read_source("phantom", images=12).take(np.arange(images))
    scores = np.random.default_rng(seed).uniform(size=(images, 3))
    Predictions(table.images, ["Hernia", "No Finding", "Effusion"], scores, np.full_like(scores, np.nan)).write(path)


def submitted():
    with ZipFile("out.zip") as archive:
        return pd.read_csv(io.BytesIO(archive.read("submission.csv")), index_col="dicom_id")


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["submit", *arguments])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_the_predictions_that_are_asked_for_are_submitted(folder, capsys):
    stored(folder / "run" / "predictions.parquet", seed=1)
    stored(folder / "run" / "evaluations" / "tta" / "predictions.parquet", seed=2)
    (folder / "work").mkdir()
    (folder / "work" / "main.py").write_text("pass")
    for arguments, seed in [
        (["run"], 1), (["run", "--predictions", "tta"], 2), (["run/predictions.parquet", "--code", "work"], 1)
    ]:  # fmt: skip
        cli.main(["submit", *arguments, *FORMAT, "--out", "out.zip"])
        scores = np.random.default_rng(seed).uniform(size=(12, 3))
        np.testing.assert_allclose(submitted()[["Hernia", "Normal", "Pleural Effusion"]], scores[:4:-1], rtol=1e-6)
    shown = capsys.readouterr().out
    assert "written: out.zip, 7 images, 3 labels, 1 files of code" in shown
    assert "labels of another spelling: Normal from No Finding, Pleural Effusion from Effusion" in shown
    assert "left out: 5 predicted images" in shown
    assert "the sample is not as cxr_lt_2024 usually is: columns are missing: ['Atelectasis'" in shown
    assert ZipFile("out.zip").namelist() == ["submission.csv", "code/main.py"]
    cli.main(["submit", "--check", "out.zip", *FORMAT])
    assert capsys.readouterr().out == "out.zip: no problem found\n"


def test_the_samples_images_are_scored_by_the_model(folder, capsys):
    cli.main(["submit", "run", *FORMAT, "--out", "out.zip", *PHANTOMS])
    shown = capsys.readouterr().out
    assert "7 images scored: run/evaluations/submission-sample/predictions.parquet" in shown
    assert "left out: the labels Mass, Lung Opacity" in shown
    found = submitted()
    paths = read_source("phantom", images=12).images.set_index("image_id").path
    scores = Predictor.load("run").predict(paths[found.index].tolist())
    expected = scores[["No Finding", "Effusion", "Hernia"]]
    np.testing.assert_allclose(found[LABELS], expected, rtol=1e-5)
    cli.main(["submit", "run", "--predictions", "submission-sample", *FORMAT, "--out", "again.zip"])
    assert (folder / "again.zip").read_bytes() == (folder / "out.zip").read_bytes()


def test_several_runs_are_submitted_as_an_ensemble(folder, tiny_model, capsys):
    (folder / "second").mkdir()
    other = Predictor(*tiny_model(seed=1))
    other.save(folder / "second" / "model.ckpt")
    cli.main(["submit", "run", "second", "--weights", "3", "1", *FORMAT, "--out", "out.zip", *PHANTOMS])
    assert "7 images scored: out.parquet" in capsys.readouterr().out
    paths = read_source("phantom", images=12).images.set_index("image_id").path[submitted().index].tolist()
    both = [model.predict(paths) for model in (Predictor.load("run"), other)]
    first, second = (scores[["No Finding", "Effusion", "Hernia"]] for scores in both)
    np.testing.assert_allclose(submitted()[LABELS], 0.75 * first + 0.25 * second, rtol=1e-5)


def test_images_that_a_member_was_trained_on_are_not_submitted_by_an_ensemble(folder, capsys):
    shutil.copytree(folder / "run", folder / "second")
    arguments = ["run", "second", *FORMAT, "--out", "out.zip", *PHANTOMS]
    save_split(read_source("phantom", images=12).with_split(["train"] * 12), folder / "second" / "split.csv")
    line = refused(arguments, capsys)
    assert "second was trained on" in line and "patients of the images to score" in line
    cli.main(["submit", *arguments, "--data.leaks", "warn"])
    assert "is not recorded, and was not compared: run\n" in capsys.readouterr().out


def test_a_run_that_scores_studies_gives_each_image_those_of_its_study(folder, tiny_model):
    Predictor(*tiny_model(evaluation={"merge_views": True})).save(folder / "run" / "model.ckpt")
    cli.main(["submit", "run", *FORMAT, "--out", "out.zip", *PHANTOMS])
    images = read_source("phantom", images=12).images
    single = Predictor.load("run").predict(images.path.tolist())[["No Finding", "Effusion", "Hernia"]].to_numpy()
    weight = images.view.map({"frontal": 7, "lateral": 3, "unknown": 5}).to_numpy()
    assert images.study_id.duplicated().any()
    for image, row in submitted().iterrows():
        same = (images.study_id == images.study_id[images.image_id == image].item()).to_numpy()
        np.testing.assert_allclose(row[LABELS], np.average(single[same], axis=0, weights=weight[same]), rtol=1e-5)


def test_all_that_is_wrong_with_a_submission_is_said(folder, capsys):
    table = pd.read_csv("sample.csv", dtype=str)
    table.iloc[1:].assign(Hernia=[str(row % 2) for row in range(6)]).to_csv("bad.csv", index=False)
    lines = refused(["--check", "bad.csv", *FORMAT], capsys).splitlines()
    assert lines == [
        "mlgcn submit: error: bad.csv: 4 problems",
        f"  1 of the sample's 7 ids are missing: {table.dicom_id[0]}",
        "  column 'Normal' is constant: 0 in every row",
        "  column 'Pleural Effusion' is constant: 0 in every row",
        "  column 'Hernia' is binarised: it holds 0 and 1 alone, expected probabilities",
    ]
    assert "columns are missing: ['Atelectasis'" in refused(["--check", "bad.csv", "--format", "cxr_lt_2023"], capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", *FORMAT], "name a run, --sample and --out; or --check FILE"),
        (["run", *FORMAT, "--out", "gone/out.zip"], "--out: there is no folder gone"),
        (["run", *FORMAT, "--out", "out.zip"], "--predictions can take ['other'], --data.source scores images"),
        (["run", *FORMAT, "--out", "out.zip", "--predictions", "none"], "no file run/evaluations/none/predictions"),
        (["gone", *FORMAT, "--out", "out.zip", *PHANTOMS], "there is no folder of a run gone"),
        (["run", "second", *FORMAT, "--out", "out.zip"], "several runs are an ensemble, which scores images"),
        (["run", *FORMAT, "--out", "out.zip", "--predictions", "other"], "--data.source gives each image"),
        (["run", *FORMAT, "--out", "out.zip", "--predictions", "other"], "2 of its 7 images are not among the 10"),
        (["run", *FORMAT, "--out", "out.zip", *PHANTOMS[:-1], "8"], "4 of its 7 images are not among the 8 at hand"),
        (["run", *FORMAT, "--out", "out.zip", "--data.root", "x"], "--data.root and --data.options need --data.source"),
        (["run", "--predictions", "other", *FORMAT, "--out", "out.zip", *PHANTOMS], "give one of them"),
        (["run", "--check", "out.zip", *FORMAT], "--check FILE takes --format and --sample only"),
        (["run", "--format", "cxr_lt_2025", "--out", "out.zip"], "cxr_lt_2025"),
    ],
)
def test_bad_input_is_one_line(arguments, message, folder, capsys):
    stored(folder / "run" / "evaluations" / "other" / "predictions.parquet", images=10)
    (line,) = refused(arguments, capsys).splitlines()
    assert line.startswith("mlgcn submit: error: ") and message in line
    assert not (folder / "out.zip").exists()


def test_a_label_that_the_model_lacks_stops_before_anything_is_scored(folder, capsys):
    pd.read_csv("sample.csv").assign(Bulla=0).to_csv("sample.csv", index=False)
    line = refused(["run", *FORMAT, "--out", "out.zip", *PHANTOMS], capsys)
    assert "sample.csv: nothing is predicted for the labels ['Bulla']" in line
    assert not (folder / "run" / "evaluations").exists()
