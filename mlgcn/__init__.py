"""Long-tailed multi-label classification of chest X-rays with experts and label graphs."""

import importlib
import os
import warnings
from importlib.metadata import version
from typing import Any

__version__ = version("mlgcn")
# Before torch is loaded: by default its threads burn their cores while they wait for each other, so that on a machine
# with other work training slows down tens of times instead of in proportion.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# torch_geometric compiles a few functions with it when imported.
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)

__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    # By name and on demand, so that importing the label tools loads no network.
    if name == "Predictor":
        return importlib.import_module("mlgcn.prediction").Predictor
    raise AttributeError(f"module 'mlgcn' has no attribute {name!r}")
