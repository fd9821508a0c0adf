"""Training a run: everything between its configuration and its checkpoints."""

from mlgcn.training.fit import fit
from mlgcn.training.tracking import Tracking

__all__ = ["Tracking", "fit"]
