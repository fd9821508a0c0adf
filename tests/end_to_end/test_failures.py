"""What a run does when things go wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mlgcn.commands import train
from mlgcn.data.sources.phantom import write_phantoms
from mlgcn.losses import MultiExpertLoss

ROOT = Path(__file__).parent.parent.parent
SMALL = [
    "--config", "demo", "--data.image_size", "32", "--data.batch_size", "8", "--model.experts", "2",
    "--model.hidden", "16", "--embeddings.dimensions", "16", "--training.accelerator", "cpu", "--training.devices", "1",
    "--training.precision", "32-true", "--training.epochs", "20", "--sampler.num_samples", "96",
    "--tracking.wandb", "disabled",
]  # fmt: skip


def test_a_loss_that_is_not_finite_stops_the_run_saves_it_and_says_where(tmp_path, monkeypatch, capsys):
    original = MultiExpertLoss.forward
    calls = []

    def poisoned(self, *inputs):
        calls.append(None)
        terms = original(self, *inputs)
        return {name: value * torch.nan for name, value in terms.items()} if len(calls) == 3 else terms

    monkeypatch.setattr(MultiExpertLoss, "forward", poisoned)
    with pytest.raises(SystemExit) as stopped:
        train.main([*SMALL, "--data.options.images", "96", "--run.dir", str(tmp_path / "run")])
    assert stopped.value.code == 3
    message = capsys.readouterr().err
    assert "epoch 0, step 2" in message and "phantom-0-" in message and "nan" in message
    saved = torch.load(tmp_path / "run" / "checkpoints" / "error.ckpt", weights_only=True)
    assert saved["global_step"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--evaluation.tta", "[resolution]"], "evaluation.tta resolution: near 3/4 and 5/4 of data.image_size 32"),
        (["--fusion.trunks", "features"], "data.image_size 32 leaves a last map of one place"),
    ],
)
def test_images_too_small_for_the_settings_stop_a_run_before_it_trains(tmp_path, capsys, options, message):
    few = ["--data.options.images", "96", "--embeddings.source", "random", "--run.dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stopped:
        train.main([*SMALL, *few, *options])
    assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "train.py", *SMALL, "--data.options.images", "512", "--run.dir", str(run)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "best.ckpt").exists():  # the first epoch is over
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert f"python train.py --run.dir {run} --run.resume auto" in output
    assert "Traceback" not in output
    assert (run / "checkpoints" / "last.ckpt").is_file()


@pytest.fixture
def damaged(tmp_path):
    """Phantoms on disk, one of them truncated."""
    folder = tmp_path / "data"
    table = write_phantoms(folder, images=96, seed=0, size=32)
    path = Path(table.images.path[7])
    path.write_bytes(path.read_bytes()[:100])
    return folder, path


def test_an_unreadable_image_stops_the_run_by_name(tmp_path, damaged, capsys):
    folder, path = damaged
    data = ["--data.source", "table", "--data.root", str(folder), "--data.options", "{}"]
    with pytest.raises(SystemExit) as stopped:
        train.main([*SMALL, *data, "--run.dir", str(tmp_path / "run"), "--sampler.name", "random"])
    assert stopped.value.code == 2
    assert str(path) in capsys.readouterr().err


def test_an_unreadable_image_is_skipped_and_named_if_asked(tmp_path, damaged, capsys):
    folder, path = damaged
    data = ["--data.source", "table", "--data.root", str(folder), "--data.options", "{}", "--data.unreadable", "skip"]
    data += ["--training.epochs", "1", "--sampler.name", "random"]
    train.main([*SMALL, *data, "--run.dir", str(tmp_path / "run")])
    assert f"skipped: {path}" in capsys.readouterr().out


def test_two_processes_train_one_run(tmp_path):
    """Under Lightning's DDP over gloo: one folder, one report."""
    command = [sys.executable, "train.py", *SMALL, "--data.options.images", "128", "--run.dir", str(tmp_path / "run")]
    command += ["--training.devices", "2", "--training.epochs", "1", "--training.log_every", "1"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "run" / "report.html").is_file()
