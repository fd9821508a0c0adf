"""A run that was stopped goes on as if it had not been."""

import json
import os
import signal

import pandas as pd
import pytest
import torch

from embeddings import read_label_texts
from mlgcn.checkpoint import load_model
from mlgcn.config import config_from_dict, config_to_dict
from mlgcn.run_directory import RunDirectory
from mlgcn.stopping import Interrupted
from mlgcn.training import Tracking, fit
from mlgcn.training.callbacks import SaveOnInterrupt


def run_of(tmp_path, name):
    run = RunDirectory(tmp_path / name)
    run.path.mkdir()
    return run


def interrupt_at(monkeypatch, step):
    """Sends this process a Ctrl-C when that step begins."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SaveOnInterrupt, "on_train_batch_start", on_train_batch_start, raising=False)


def resumed(config):
    settings = config_to_dict(config)
    settings["run"]["resume"] = "auto"
    return config_from_dict(settings)


NOISY = {"loss": {"name": "anr", "large_loss": "abandon", "large_loss_step": 0.1}, "data": {"mixing": "mixup"}}
STUDIES = {"fusion": {"views": 2, "layers": 1, "heads": 4}, "data": {"num_workers": 2, "batch_size": 4}}
MEMORY = {"loss": {"name": "nvum", "hard_labels": {"Edema": 2.0}}}


@pytest.mark.parametrize(
    ("step", "sections"),
    [(3, MEMORY), (3, {"data": {"num_workers": 2}}), (8, {}), (11, NOISY), (3, STUDIES)],
    ids=["memory", "workers", "plain", "noisy", "studies"],
)
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, tiny_config, monkeypatch, step, sections
):
    config = tiny_config(model={"dropout": 0.1}, **sections)
    whole, parts = run_of(tmp_path, "whole"), run_of(tmp_path, "parts")
    fit(config, whole, Tracking(whole, config))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_at(patch, step)
        fit(config, parts, Tracking(parts, config))
    fit(resumed(config), parts, Tracking(parts, config))

    expected, found = (torch.load(run.last, weights_only=True) for run in (whole, parts))
    assert expected["global_step"] == found["global_step"] > step
    for name, value in expected["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][name], value, rtol=0, atol=0, msg=name)
    logged = [pd.read_csv(run.metrics).drop(columns="seconds") for run in (whole, parts)]
    pd.testing.assert_frame_equal(*logged)
    assert ("train/large_loss_share" in logged[0]) == (sections is NOISY)
    load_model(parts.best)  # which needs nothing of what a loss keeps
    began = [json.loads(run.environment.read_text())["weights"] for run in (whole, parts)]
    assert began == ["resnet18: random weights, not pretrained"] * 2


def test_a_text_encoder_is_trained_and_resumed_exactly(tmp_path, tiny_config, encoder_sections, monkeypatch):
    model = {**encoder_sections["model"], "experts": 1}
    few = {"loss": {"diversity": 0}, "sampler": {"num_samples": 24}, "training": {"epochs": 1}}
    few["data"] = {"options": {"images": 48}}
    config = tiny_config(**{**encoder_sections, "model": model}, **few, optimizer={"schedule": "one_cycle"})
    whole, parts = run_of(tmp_path, "whole"), run_of(tmp_path, "parts")
    fit(config, whole, Tracking(whole, config))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_at(patch, 1)
        fit(config, parts, Tracking(parts, config))
    fit(resumed(config), parts, Tracking(parts, config))
    expected, found = (torch.load(run.last, weights_only=True) for run in (whole, parts))
    assert expected["global_step"] == found["global_step"] == 3
    for name, value in expected["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][name], value, rtol=0, atol=0, msg=name)
    texts, began = read_label_texts(["Edema"], encoder_sections["embeddings"]["model"])
    trained = expected["state_dict"]
    assert not [
        name
        for name, weight in began.named_parameters()
        if torch.equal(weight, trained[f"model.encoder.network.{name}"])
    ]
    assert found["mlgcn"]["texts"]["tokenizer"] == texts.tokenizer
