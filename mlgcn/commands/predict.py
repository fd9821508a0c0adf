"""mlgcn predict: scores image files."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from mlgcn.commands.console import command, say
from mlgcn.config import parse_command
from mlgcn.prediction import Predictor

DESCRIPTION = "Scores image files with a trained model: one row an image, one column a label, probabilities."


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn predict`."""
    parser = ArgumentParser(prog="mlgcn predict", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("images", type=str, nargs="+", help="PNG or JPEG files")
    parser.add_argument("--run", type=str, required=True, help="folder of a run, or a checkpoint")
    parser.add_argument("--out", type=str, required=True, help="CSV file to write")
    parser.add_argument("--batch_size", type=int, default=32, help="images at a time")
    options = parse_command(parser, arguments)
    with command("mlgcn predict"):
        if not Path(options.out).parent.is_dir():
            raise FileNotFoundError(f"--out: there is no folder {Path(options.out).parent}")
        scores = Predictor.load(options.run).predict(options.images, options.batch_size)
        scores.to_csv(Path(options.out), index=False)
        say(f"{len(scores)} images scored: {options.out}")
