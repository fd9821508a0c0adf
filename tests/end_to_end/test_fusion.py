"""Fusion of views from the command line: stage 1 on images, stage 2 on studies from its checkpoint."""

import json

import pandas as pd
import pytest
import yaml

from mlgcn.commands import evaluate, train
from mlgcn.predictions import Predictions

pytestmark = pytest.mark.usefixtures("empty_pages")

TINY = {
    "data": {"source": "phantom", "options": {"images": 120}, "image_size": 64, "batch_size": 8},
    "embeddings": {"dimensions": 16},
    "model": {"trunk": "resnet18", "weights": "none", "experts": 2, "head": "query", "branch": "slim"},
    "query": {"width": 32, "layers": 1, "heads": 4},
    "training": {"epochs": 1, "accelerator": "cpu", "devices": 1},
    "tracking": {"wandb": "disabled"},
}


@pytest.fixture(scope="module")
def folder(module_path):
    (module_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    train.main(["--config", str(module_path / "tiny.yaml"), "--run.dir", str(module_path / "stage1")])
    return module_path


def stage2(folder, name, *settings):
    start = [
        "--config",
        str(folder / "tiny.yaml"),
        "--model.init",
        str(folder / "stage1"),
        "--run.dir",
        str(folder / name),
    ]
    train.main([*start, *settings])
    return folder / name


def test_stage_2_starts_from_stage_1_and_scores_studies(folder, capsys):
    fusion = ["--fusion.views", "2", "--fusion.layers", "1", "--fusion.heads", "4"]
    run = stage2(folder, "stage2", *fusion, "--fusion.trunks", "trunk", "--model.freeze", "features")
    said = capsys.readouterr().out
    assert "started from" in said and "new, or new in part: fusion" in said
    found = Predictions.read(run / "predictions.parquet")
    split = pd.read_csv(run / "split.csv", dtype=str)
    patients = set(split.patient_id[split.split == "test"])
    assert not found.images.image_id.duplicated().any() and (found.images.image_id == found.images.study_id).all()
    assert set(found.images.patient_id) == patients and len(found) < (split.split == "test").sum()
    # What was frozen is what stage 1 had learned.
    assert json.loads((run / "test_metrics.json").read_text())["mAUC"] is not None


def test_a_run_on_single_images_scores_studies_where_asked_to(folder):
    evaluate.main(["--run", str(folder / "stage1"), "--merge_views", "true", "--tta", "hflip"])
    whole = Predictions.read(folder / "stage1" / "predictions.parquet")
    merged = Predictions.read(folder / "stage1/evaluations/data-test-tta_hflip-merge_views_True/predictions.parquet")
    assert list(merged.images.image_id) == list(dict.fromkeys(whole.images.study_id))


def test_stage_1_of_another_trunk_is_refused(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        stage2(folder, "other", "--model.trunk", "resnet34")
    message = "has another trunk or other experts than this run (model.trunk resnet18 there, resnet34 here): "
    assert stop.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["--fusion.views", "2", "--data.mixing", "mixup"], "data.mixing blends single images"),
        (["--fusion.views", "2", "--evaluation.merge_views", "true"], "evaluation.merge_views merges scores of images"),
        (["--fusion.views", "0"], "fusion.views must be >= 1, got 0"),
        (["--query.groups", "4", "--query.classifier", "shared"], "query.groups needs query.classifier separate"),
        (["--query.heads", "5"], "query.width is 32, expected a multiple of 4 and of the 5 heads"),
        (["--model.init", "nowhere"], "there is no checkpoint nowhere"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(folder, capsys, settings, message):
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(folder / "tiny.yaml"), "--run.dir", str(folder / "bad"), *settings])
    assert stop.value.code == 2 and message in capsys.readouterr().err
