"""mlgcn phantom: writes chest phantoms to disk."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from mlgcn.commands.console import command, say
from mlgcn.config import parse_command
from mlgcn.data.sources.phantom import write_phantoms

DESCRIPTION = (
    "Writes synthetic chest X-rays as PNG with labels.csv and a contact sheet; --data.source table reads them."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn phantom`."""
    parser = ArgumentParser(prog="mlgcn phantom", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--out", type=str, required=True, help="folder to write to; must be empty or absent")
    parser.add_argument("--images", type=int, default=1000, help="how many images")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    parser.add_argument("--seed", type=int, default=0, help="which phantoms")
    options = parse_command(parser, arguments)
    with command("mlgcn phantom"):
        table = write_phantoms(Path(options.out), options.images, options.seed, options.size)
        say(f"{len(table)} phantoms of {table.images.patient_id.nunique()} patients: {options.out}")
