import pandas as pd
import pytest
import torch

from mlgcn import cli
from mlgcn.config import preset_names


def test_an_unknown_command_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["phantoms"])
    assert stopped.value.code == 2
    assert "unknown command 'phantoms'; did you mean 'phantom'?" in capsys.readouterr().err


def test_help_lists_every_command(capsys):
    cli.main([])
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and purpose in shown for name, purpose in cli.COMMANDS.items())


def test_presets_are_listed_with_what_they_are(capsys):
    cli.main(["presets"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == preset_names()
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines)


def test_phantoms_are_written_with_labels_and_a_contact_sheet(tmp_path, capsys):
    cli.main(["phantom", "--out", str(tmp_path / "out"), "--images", "40", "--size", "32"])
    assert len(pd.read_csv(tmp_path / "out" / "labels.csv")) == len(list((tmp_path / "out" / "images").iterdir())) == 40
    assert (tmp_path / "out" / "contact_sheet.png").stat().st_size
    with pytest.raises(SystemExit) as stopped:
        cli.main(["phantom", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "is not empty" in capsys.readouterr().err


def test_predict_says_which_checkpoint_is_no_checkpoint(tmp_path, capsys):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", "a.png", "--run", str(tmp_path / "other.pt"), "--out", str(tmp_path / "scores.csv")])
    assert stopped.value.code == 2
    assert "other.pt does not describe itself" in capsys.readouterr().err
