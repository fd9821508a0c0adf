import json

import numpy as np
import pandas as pd
import pytest
import wandb
from PIL import Image

from mlgcn.config import TrackingConfig
from mlgcn.run_directory import LadderDirectory, RunDirectory
from mlgcn.training.tracking import CsvLogger, Tracking, track_table


def test_metrics_of_one_step_share_a_row_and_columns_come_as_they_arise(tmp_path):
    logger = CsvLogger(tmp_path / "metrics.csv")
    logger.log_metrics({"train/loss": 2.0}, 0)
    logger.log_metrics({"train/loss": 1.0}, 10)
    logger.log_metrics({"val/mAP": 0.5}, 10)
    logger.save()
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert rows.step.tolist() == [0, 10] and rows["train/loss"].tolist() == [2.0, 1.0]
    assert rows["val/mAP"].isna().tolist() == [True, False] and rows["val/mAP"][1] == 0.5


def test_a_resumed_run_keeps_what_came_before_and_forgets_what_it_does_again(tmp_path):
    first = CsvLogger(tmp_path / "metrics.csv")
    for step in range(6):
        first.log_metrics({"train/loss": float(step)}, step)
    first.finalize("interrupted")
    second = CsvLogger(tmp_path / "metrics.csv")
    second.forget_after(4)
    second.log_metrics({"train/loss": 40.0}, 4)
    second.finalize("success")
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert rows.step.tolist() == [0, 1, 2, 3, 4] and rows["train/loss"].tolist() == [0, 1, 2, 3, 40]
    assert rows.seconds.is_monotonic_increasing


def test_wandb_mode_decides_over_the_configuration(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run = RunDirectory(tmp_path)
    assert len(Tracking(run, tiny_config(tracking={"wandb": "online"})).start()) == 1
    assert not run.wandb_id.exists()


def test_online_without_a_login_is_an_error_and_never_asks(tmp_path, tiny_config, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(type(wandb.api), "api_key", None, raising=False)
    with pytest.raises(ValueError, match="no W&B login is stored: run `wandb login`, or use offline"):
        Tracking(RunDirectory(tmp_path), tiny_config(tracking={"wandb": "online"}))


def test_a_run_keeps_its_wandb_id(tmp_path, tiny_config, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run, config = RunDirectory(tmp_path), tiny_config(tracking={"wandb": "offline"})
    ids = []
    for _ in range(2):
        tracking = Tracking(run, config)
        tracking.start()
        ids.append(tracking.wandb.id)
        tracking.finish()
    assert ids[0] == ids[1] == run.wandb_id.read_text()


def sent_tables(folder):
    """The tables that stand below a folder for W&B, by name: columns and rows."""
    files = sorted(folder.glob("wandb/offline-run-*/files/media/table/**/*.table.json"))
    tables = {}
    for file in files:
        held = json.loads(file.read_text())
        name = str(file.relative_to(file.parents[len(file.parts) - file.parts.index("table") - 2]))
        tables[name.rsplit("_", 2)[0]] = pd.DataFrame(held["data"], columns=held["columns"])
    return tables


def test_metrics_figures_and_gains_by_label_are_sent(tmp_path, tiny_config, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracking = Tracking(RunDirectory(tmp_path), tiny_config(tracking={"wandb": "offline"}))
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    labels = {
        "Mass": {"group": "head", "AP": 0.25, "positives": 3},
        "Hernia": {"group": "tail", "AP": None, "positives": 0},
    }
    means = {"mAP": 0.25, "mAUC": 0.5, "mF1": None, "mBACC": 0.6, "no_skill_mAP": 0.1}
    report = {**means, "groups": {"head": means}, "per_label": labels}
    gains = pd.DataFrame({"label": ["Mass", "Hernia"], "against": ["B", None], "delta": [0.5, None]})
    tracking.evaluation(report, {}, gains)  # nothing is open yet
    tracking.start()
    tracking.evaluation(report, {"a": tmp_path / "a.png"}, gains)
    summary = dict(tracking.wandb.summary)
    tracking.finish()
    assert summary["test/mAP"] == 0.25 and summary["test/mAUC_head"] == 0.5 and "test/mF1" not in summary
    assert summary["test/mBACC"] == summary["test/mBACC_head"] == 0.6
    tables = sent_tables(tmp_path)
    assert set(tables) == {"test/per_label", "test/increments"}
    assert tables["test/per_label"].label.tolist() == ["Mass", "Hernia"]
    assert tables["test/per_label"].AP.tolist()[0] == 0.25 and tables["test/per_label"].positives.tolist() == [3, 0]
    assert tables["test/increments"].against.tolist() == ["B", ""] and tables["test/increments"].delta[0] == 0.5
    assert len(list(tmp_path.glob("wandb/offline-run-*/files/media/images/figures/a_*.png"))) == 1


def test_the_table_of_a_ladder_is_sent_with_its_figure_unless_wandb_is_off(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    ladder = LadderDirectory(tmp_path)
    Image.new("L", (4, 4)).save(ladder.figure)
    table = pd.DataFrame({"rung": ["one", "two"], "mAP": [0.5, np.nan], "seeds": [3, 2], "note": ["a", None]})
    track_table(ladder, TrackingConfig("disabled"), table, ladder.figure)
    assert not ladder.wandb_id.exists()
    track_table(ladder, TrackingConfig("offline"), table, ladder.figure)
    (sent,) = sent_tables(tmp_path).values()
    assert sent.rung.tolist() == ["one", "two"] and sent.seeds.tolist() == [3, 2] and sent.note.tolist() == ["a", ""]
    assert sent.mAP[0] == 0.5 and len(list(tmp_path.glob("wandb/offline-run-*/files/media/images/figures/ladder_*")))


def test_what_is_undefined_of_the_diagnostics_is_not_sent(tmp_path, tiny_config, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracking = Tracking(RunDirectory(tmp_path), tiny_config(tracking={"wandb": "offline"}))
    tracking.diagnostics({"before the start": 1.0})  # nothing is open yet
    tracking.start()
    tracking.diagnostics({"similarity": 0.5, "disagreement": None})
    summary = dict(tracking.wandb.summary)
    tracking.finish()
    assert summary["diagnostics/similarity"] == 0.5 and "diagnostics/disagreement" not in summary
