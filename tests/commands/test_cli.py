from pathlib import Path

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
    assert all(len(line) <= 100 for line in lines)
    found, folder = {}, ""
    for line in filter(str.strip, lines[3:]):
        if line.strip().endswith("/"):
            folder = line.strip()
        elif not line.startswith(" " * 10):  # else it goes on with the line above
            name, source = line.split(maxsplit=1)
            found[(folder if line.startswith("   ") else "") + name] = source
    assert sorted(found) == preset_names()
    assert all(len(source) > 20 for source in found.values())
    assert found["seo2023/experts2"].rstrip().endswith("mAP 0.229 (development)")


def test_presets_as_markdown_are_what_the_documentation_has(capsys):
    cli.main(["presets", "--markdown"])
    assert capsys.readouterr().out in (Path(__file__).parents[2] / "docs" / "presets.md").read_text()


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
