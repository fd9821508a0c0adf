"""Training a run: everything between its configuration and its checkpoints."""

from mlgcn.training.fit import fit
from mlgcn.training.throughput import training_throughput
from mlgcn.training.tracking import Tracking, track_table

__all__ = ["Tracking", "fit", "track_table", "training_throughput"]
