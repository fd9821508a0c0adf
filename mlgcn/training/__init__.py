"""Training a run: everything between its configuration and its checkpoints."""

from mlgcn.training.callbacks import Interrupted
from mlgcn.training.fit import fit
from mlgcn.training.module import DivergedError
from mlgcn.training.tracking import Tracking

__all__ = ["DivergedError", "Interrupted", "Tracking", "fit"]
