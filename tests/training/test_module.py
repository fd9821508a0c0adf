"""One step of training and of validation, without a trainer around it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mlgcn.build import build_loss
from mlgcn.config import LossConfig, OptimizerConfig
from mlgcn.data.batch import Batch
from mlgcn.data.mixing import mix
from mlgcn.data.transforms import normalise
from mlgcn.labels import LabelTable
from mlgcn.losses import LOSSES, BCELoss, MultiExpertLoss, NVUMLoss
from mlgcn.run_directory import RunDirectory
from mlgcn.seeding import STEPS
from mlgcn.training import Tracking, fit
from mlgcn.training.module import TrainingModule

IMAGES, LABELS = 12, 5


class Recording(MultiExpertLoss):
    """A loss that keeps what it was given."""

    def forward(self, expert_logits, targets, rows=None):
        self.given = expert_logits, targets, rows
        return super().forward(expert_logits, targets, rows)


def targets_of(images):
    values = np.random.default_rng(0).integers(0, 2, size=(images, LABELS)).astype(np.float32)
    values[3, 2] = np.nan
    return values


@pytest.fixture
def module_of(tiny_model, monkeypatch):
    """Builds the module around the tiny network, as if a trainer were in some epoch."""

    def build(loss, epoch=0, processes=1, **settings):
        model, description = tiny_model()
        module = TrainingModule(model, loss, description, OptimizerConfig(), 3, **settings)
        strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
        module._trainer = SimpleNamespace(
            current_epoch=epoch, global_rank=0, world_size=processes, strategy=strategy, global_step=0
        )
        module.logged = []
        monkeypatch.setattr(TrainingModule, "_log_step", lambda self, values: self.logged.append(values))
        return module

    return build


@pytest.fixture(scope="module")
def batch():
    pixels = np.random.default_rng(1).integers(0, 256, size=(IMAGES, 1, 32, 32), dtype=np.uint8)
    return Batch(torch.tensor(pixels), torch.tensor(targets_of(IMAGES)), torch.arange(IMAGES))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_the_experts(name, module_of, batch):
    table = LabelTable(targets_of(IMAGES), [f"label {i}" for i in range(LABELS)], image_id=map(str, range(IMAGES)))
    module = module_of(build_loss(LossConfig(name=name, large_loss="abandon", large_loss_first=0.05), table)).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    before = {key: value.clone() for key, value in module.model.named_parameters()}
    for step in range(2):
        optimizer.zero_grad()
        module.training_step(batch, step).backward()
        optimizer.step()
    assert not [key for key, value in module.model.named_parameters() if torch.equal(value, before[key])]
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())
    assert [row["train/large_loss_share"].item() for row in module.logged] == pytest.approx([0.05, 0.05])
    with torch.no_grad():
        module.eval().validation_step(batch, 0)
    assert np.isfinite(module.validated.loss)


def test_a_training_step_tells_the_loss_the_rows_and_the_epoch(module_of, batch):
    loss = Recording(BCELoss())
    module_of(loss, epoch=7).train().training_step(batch, 0)
    assert loss.epoch == 7 and torch.equal(loss.given[2], batch.rows)
    assert torch.equal(loss.given[1].nan_to_num(-1), batch.targets.nan_to_num(-1))


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_training_images_and_targets_are_mixed_in_the_stream_of_the_step(mixing, module_of, batch, monkeypatch):
    shown = []
    loss = Recording(BCELoss())
    module = module_of(loss, epoch=2, mixing=mixing, mixing_alpha=1.0).train()
    module.model.register_forward_pre_hook(lambda model, inputs: shown.append(inputs[0]))
    module.training_step(batch, 4)
    module.training_step(batch, 4)
    assert torch.equal(shown[0], shown[1]) and not torch.equal(shown[0], normalise(batch.images))
    seen = set()
    for seed in range(2):  # the stream is that of the seed, epoch and step, and not that of dropout
        images, targets = mix(normalise(batch.images), batch.targets, mixing, 1.0, 3 + seed, STEPS, 0, 2, 4, 0)
        seen.add(torch.equal(images, shown[0]) and torch.equal(targets.nan_to_num(-1), loss.given[1].nan_to_num(-1)))
    assert seen == {True, False}


def test_validation_takes_images_as_they_are_and_remembers_nothing(module_of, batch):
    shown = []
    loss = Recording(NVUMLoss([3] * LABELS, IMAGES))
    module = module_of(loss, mixing="mixup").eval()
    module.model.register_forward_pre_hook(lambda model, inputs: shown.append(inputs[0]))
    with torch.no_grad():
        module.validation_step(batch, 0)
    assert torch.equal(shown[0], normalise(batch.images))
    assert loss.given[1] is batch.targets and loss.given[2] is None and not loss.base.memory.any()


def test_processes_do_not_share_a_memory(module_of):
    memory = MultiExpertLoss(NVUMLoss([3] * LABELS, IMAGES))
    module_of(memory).on_fit_start()
    module_of(MultiExpertLoss(BCELoss()), processes=2).on_fit_start()
    with pytest.raises(
        ValueError, match=r"remembers images, and 2 processes .* train with one \(training\.devices 1\)"
    ):
        module_of(memory, processes=2).on_fit_start()


def test_a_memory_of_single_images_does_not_go_with_mixing_them(tiny_config, tmp_path):
    config = tiny_config(loss={"name": "nvum"}, data={"mixing": "cutmix"})
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"loss\.name nvum remembers single images: with it, data\.mixing must be none"
    ):
        fit(config, run, Tracking(run, config))
    assert not run.path.exists()
