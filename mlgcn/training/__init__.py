"""Training a run: everything between its configuration and its checkpoints."""

from mlgcn.training.callbacks import Interrupted
from mlgcn.training.fit import fit
from mlgcn.training.module import DivergedError
from mlgcn.training.tracking import Tracking, is_main_process

__all__ = ["DivergedError", "Interrupted", "Tracking", "fit", "is_main_process"]
