"""mlgcn predict: scores image files."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from mlgcn.commands.console import command, say
from mlgcn.prediction import Predictor

DESCRIPTION = "Scores image files with a trained model: one row an image, one column a label, probabilities."


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn predict`."""
    parser = ArgumentParser(prog="mlgcn predict", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("images", type=str, nargs="+", help="PNG or JPEG files")
    parser.add_argument("--run", type=str, required=True, help="folder of a run, or a checkpoint")
    parser.add_argument("--out", type=str, required=True, help="CSV file to write")
    parser.add_argument("--batch_size", type=int, default=32, help="images at a time")
    options = parser.parse_args(list(arguments))
    with command("mlgcn predict"):
        scores = Predictor.load(options.run).predict(options.images, options.batch_size)
        scores.to_csv(Path(options.out), index=False)
        say(f"{len(scores)} images scored: {options.out}")
