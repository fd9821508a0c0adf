"""Which process speaks, and that asking does not load what trains."""

import subprocess
import sys

import pytest

from mlgcn.stopping import RANKS, is_main_process


@pytest.fixture
def alone(monkeypatch):
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_process_that_nobody_gave_a_rank_speaks(alone):
    assert is_main_process()


@pytest.mark.parametrize("name", RANKS)
def test_of_several_processes_the_first_speaks(alone, name):
    alone.setenv(name, "0")
    assert is_main_process()
    alone.setenv(name, "3")
    assert not is_main_process()


def test_commands_that_do_not_train_load_no_lightning():
    commands = "main(['presets']); main(['labels'])"
    code = f"import sys; from mlgcn.cli import main; {commands}; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0
