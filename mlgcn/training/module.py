"""The training and validation step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

from mlgcn.checkpoint import KEY, Description, as_plain
from mlgcn.config import OptimizerConfig
from mlgcn.data.batch import Batch
from mlgcn.data.dataset import UnreadableCount
from mlgcn.data.mixing import mix
from mlgcn.data.transforms import normalise
from mlgcn.losses import MultiExpertLoss
from mlgcn.metrics import multilabel_report
from mlgcn.nn import ExpertNetwork, QueryModel
from mlgcn.seeding import STEPS, torch_seed
from mlgcn.stopping import DivergedError
from mlgcn.training.optimizer import make_optimizer, make_schedule


@dataclass
class Shares:
    """What one process has validated: scores and targets of its images, and the sum of their losses."""

    scores: list[Tensor]
    targets: list[Tensor]
    loss: float = 0.0
    images: int = 0


class TrainingModule(L.LightningModule):
    """Trains a model and measures it on the validation images.

    Logs train/loss, train/classification, train/diversity, train/large_loss_share where there is one and, for
    validation, val/loss, val/mAP, val/mAUC, val/mF1, and the three for head, medium and tail, as val/mAP_head. The
    validation loss is the training loss of images as they are: no large losses reconsidered, nothing remembered.

    Args:
        model, loss: as built.
        description: put into every checkpoint.
        optimizer: settings of the optimiser.
        seed: of mixing and dropout.
        log_every: steps between two rows of training losses.
        train_ids: image ids of the training rows, to name those of a step that went wrong.
        mixing, mixing_alpha: of the training images and targets, see mlgcn.data.mixing.
    Raises: ValueError where the loss remembers images but several processes train.
    """

    def __init__(
        self,
        model: ExpertNetwork,
        loss: MultiExpertLoss,
        description: Description,
        optimizer: OptimizerConfig,
        seed: int = 0,
        log_every: int = 10,
        train_ids: Sequence[str] = (),
        mixing: str = "none",
        mixing_alpha: float | None = None,
    ) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self.description, self.optimizer = description, optimizer
        self.seed, self.log_every, self.train_ids = seed, log_every, train_ids
        self.mixing, self.mixing_alpha = mixing, mixing_alpha
        self.unreadable = UnreadableCount()
        self.validated = Shares([], [])

    def on_fit_start(self) -> None:
        if self.loss.remembers and self.trainer.world_size > 1:
            raise ValueError(
                f"the loss {self.description.config['loss']['name']} remembers images, and {self.trainer.world_size} "
                "processes would not share what they remember: train with one (training.devices 1)"
            )

    def training_step(self, batch: Batch, index: int) -> Tensor | None:
        self.unreadable.add(batch.unreadable)
        if len(batch.images) < 2:  # the others were unreadable, and batch normalisation needs two
            return None
        # Streams by step, so that a resumed run draws what an uninterrupted one would.
        key = (self.seed, STEPS, self.global_rank, self.trainer.current_epoch, index)
        images = self._normalised(batch.images)
        images, targets = mix(images, batch.targets, self.mixing, self.mixing_alpha, *key, 0)
        # Not in the hook of the epoch's start, which a run resumed in mid-epoch does not come by.
        self.loss.set_epoch(self.trainer.current_epoch)
        with torch_seed(*key, 1):
            terms = self.loss(self.model(_channels_last(images), batch.views, batch.slots), targets, batch.rows)
        values = {name: value.detach() for name, value in terms.items()}
        self._check(values, batch)
        self._log_step({f"train/{name}": value for name, value in values.items()})
        return terms["loss"]

    def validation_step(self, batch: Batch, index: int) -> None:
        self.unreadable.add(batch.unreadable)
        if not len(batch.rows):
            return
        logits = self.model(_channels_last(self._normalised(batch.images)), batch.views, batch.slots)
        held = self.validated
        held.scores.append(logits.mean(dim=0).sigmoid().float().cpu())
        held.targets.append(batch.targets.cpu())
        held.loss += float(self.loss(logits, batch.targets)["loss"]) * len(batch.rows)
        held.images += len(batch.rows)

    def on_validation_epoch_end(self) -> None:
        shares, self.validated = _from_all(self.validated), Shares([], [])
        if not sum(share.images for share in shares):
            raise ValueError("no validation image could be read")
        scores = torch.cat([part for share in shares for part in share.scores]).numpy()
        targets = torch.cat([part for share in shares for part in share.targets]).numpy()
        report = multilabel_report(
            scores, targets, self.description.names, self.description.groups, self.description.rule
        )
        metrics = {name: report[name] for name in ("mAP", "mAUC", "mF1")}
        metrics |= {f"{name}_{group}": of[name] for group, of in report["groups"].items() for name in list(metrics)}
        metrics["loss"] = sum(share.loss for share in shares) / sum(share.images for share in shares)
        # A metric without any defined label counts as the worst, so that monitoring never stumbles over it.
        self.log_dict({f"val/{name}": 0.0 if value is None else value for name, value in metrics.items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        encoder = self.model.encoder if isinstance(self.model, QueryModel) else None
        own = () if encoder is None else encoder.parameters()
        optimizer = make_optimizer(self.parameters(), self.optimizer, own)
        schedule = make_schedule(optimizer, self.optimizer, self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if gradient_clip_val is None:
            return
        if self.trainer.precision == "16-mixed":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            # Lightning refuses to clip for fused optimisers under every mixed precision, but only in 16-mixed are
            # the gradients scaled when they come here.
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def _normalised(self, images: Tensor) -> Tensor:
        return normalise(images, tuple(self.description.mean), tuple(self.description.std))

    def _total_steps(self) -> int:
        """Optimiser steps of the whole run.

        Not trainer.estimated_stepping_batches: it builds the loader before a resumed run has restored where in the
        epoch it was, and that is then never restored.
        """
        batches = self.trainer.datamodule.train_batches  # type: ignore[attr-defined]
        return (self.trainer.max_epochs or 1) * math.ceil(batches / self.trainer.accumulate_grad_batches)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = as_plain(self.description)

    def _log_step(self, values: dict[str, Tensor]) -> None:
        # Lightning would write the row only after the hook in which an interrupted run saves itself and stops.
        self.log_dict(values, logger=False, batch_size=1)
        if self.global_step % self.log_every == 0:
            row = {name: float(value) for name, value in values.items()} | {"lr": self._lr, "epoch": self.current_epoch}
            for logger in self.loggers:
                logger.log_metrics(row, self.global_step)

    @property
    def _lr(self) -> float:
        return self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]

    def _check(self, values: dict[str, Tensor], batch: Batch) -> None:
        wrong = [f"{name} {float(value)}" for name, value in values.items() if not math.isfinite(value)]
        if self.trainer.strategy.reduce_boolean_decision(bool(wrong), all=False):  # all processes stop, or none
            ids = [self.train_ids[row] for row in batch.rows.tolist()] if self.train_ids else batch.rows.tolist()
            where = ", ".join(wrong) or "on another process"
            raise DivergedError(
                f"the loss is not finite in epoch {self.current_epoch}, step {self.global_step}: {where}; "
                f"learning rate {self._lr:.3g}; images {', '.join(map(str, ids))}"
            )


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _from_all(share: Shares) -> list[Shares]:
    """What every process has validated, on each of them."""
    if not dist.is_initialized():
        return [share]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, share)
    return gathered
