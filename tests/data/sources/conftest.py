"""What the readers' tests share."""

from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def xrv_tables() -> Path:
    """The folder of the published tables that torchxrayvision brings along; importing it is not needed for them."""
    spec = find_spec("torchxrayvision")
    if spec is None or spec.origin is None:
        pytest.skip("torchxrayvision, which has published tables, is not installed")
    return Path(spec.origin).parent / "data"
