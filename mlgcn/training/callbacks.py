"""What a run does beside training: save itself in time, and say how it goes."""

import logging
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from mlgcn.stopping import Interrupted

logger = logging.getLogger(__name__)


class SaveOnInterrupt(Callback):
    """On Ctrl-C or SIGTERM, finishes the step, saves the checkpoint, and stops; a second Ctrl-C stops at once.

    A checkpoint from the middle of a batch would not go on as if nothing had happened.
    Raises: Interrupted after saving.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked = False
        self.before: dict[signal.Signals, Any] = {}

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, self._ask)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        # Between optimiser steps only: accumulated gradients are in no checkpoint.
        if (index + 1) % trainer.accumulate_grad_batches == 0 and self._stop(trainer):
            trainer.save_checkpoint(self.path)
            raise Interrupted(f"stopped after step {trainer.global_step}")

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._stop(trainer):  # asked during validation, after which the epoch was saved
            raise Interrupted(f"stopped after epoch {trainer.current_epoch + 1}")

    def _stop(self, trainer: L.Trainer) -> bool:
        # Every process must take part in saving, so all stop if one was asked.
        return bool(trainer.strategy.reduce_boolean_decision(self.asked, all=False))

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        while self.before:
            signal.signal(*self.before.popitem())

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        logger.warning("stopping after this step; once more to stop at once, without saving")


class SaveOnError(Callback):
    """Saves where training went wrong, for a look at it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, error: BaseException) -> None:
        if isinstance(error, Exception) and not isinstance(error, Interrupted):
            trainer.save_checkpoint(self.path)
            logger.error("the state at the error is kept in %s", self.path)


class EpochLines(Callback):
    """One line an epoch: losses, validation metrics, time."""

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.start = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        shown = {name: float(value) for name, value in trainer.callback_metrics.items() if name in SHOWN}
        values = "  ".join(f"{label} {shown[name]:.3f}" for name, label in SHOWN.items() if name in shown)
        seconds = time.monotonic() - self.start
        if trainer.is_global_zero:
            logger.info("epoch %d/%d  %s  %.0f s", trainer.current_epoch + 1, trainer.max_epochs or 0, values, seconds)
        self.start += seconds


SHOWN = {
    "train/loss": "loss",
    "train/diversity": "diversity",
    "val/loss": "val loss",
    "val/mAP": "val mAP",
    "val/mAUC": "val mAUC",
}
