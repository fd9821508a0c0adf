"""What many tests share: a configuration small enough to train in seconds, and the way to the real data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlgcn.config import Config, config_from_dict

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"

TINY = {
    "data": {"source": "phantom", "options": {"images": 96}, "image_size": 32, "batch_size": 8},
    "embeddings": {"dimensions": 16},
    "model": {"trunk": "resnet18", "weights": "none", "experts": 2, "hidden": 16, "branch": "slim", "heads": 4},
    "optimizer": {"lr": 0.001},
    "training": {"epochs": 2, "log_every": 1, "accelerator": "cpu", "devices": 1},
    "tracking": {"wandb": "disabled"},
}  # fmt: skip


@pytest.fixture
def tiny_config(tmp_path: Path) -> Callable[..., Config]:
    """Builds the small configuration, with settings by section laid over it."""

    def build(**sections: dict[str, object]) -> Config:
        settings = {name: {**TINY.get(name, {}), **sections.get(name, {})} for name in {*TINY, *sections}}
        settings["run"] = {"dir": str(tmp_path / "run"), **sections.get("run", {})}
        return config_from_dict(settings)

    return build


@pytest.fixture(scope="session")
def nih_sample() -> Path:
    """The folder of 723 real X-rays."""
    return _shared("nih-sample")


@pytest.fixture(scope="session")
def nih_table() -> Path:
    """The folder of NIH's whole label table."""
    return _shared("nih")


def _shared(name: str) -> Path:
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real data of {folder.name} are not beside this repository")
    return folder
