"""mlgcn prune: which experts of a run are worth keeping, and the model with those alone."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from mlgcn.commands.console import check_out, command, say
from mlgcn.commands.evaluation_data import add_data_options, images_to_score, with_data
from mlgcn.config import config_from_dict, parse_command
from mlgcn.prediction import Predictor, choose_experts, with_experts
from mlgcn.prediction.thresholds import choose_thresholds
from mlgcn.reporting.expert_tables import expert_rows
from mlgcn.run_directory import RunDirectory

DESCRIPTION = (
    "Tells which experts of a run are worth keeping: for each number of them, those with the highest mAP on the run's "
    "validation images. With --keep and --out, writes the model that has these alone as a checkpoint, its thresholds "
    "chosen anew."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn prune`."""
    options = parse_command(_parser(), arguments, free=["data.options"])
    with command("mlgcn prune"):
        _check(options)
        run, predictor = RunDirectory(Path(options.run)), Predictor.load(options.run)
        config = with_data(config_from_dict(predictor.description.config), options.data, predictor.names)
        reading = config.data.batch_size, config.data.num_workers, config.data.unreadable == "skip"
        there = len(predictor.model.branches)
        if there == 1:
            raise ValueError(f"{options.run} has one expert, there is none to leave out")
        validation = images_to_score(config, "val", run.split, options.data)
        sizes = [options.keep] if options.keep else range(1, there)
        chosen = choose_experts(predictor, validation, sizes, *reading)
        say(expert_rows(chosen))
        if options.out:
            pruned = with_experts(predictor, chosen[-1].experts)
            predictions = pruned.predict_table(validation, *reading)
            pruned.set_thresholds(choose_thresholds(config.evaluation, predictions))
            pruned.save(Path(options.out))
            say(f"written: {options.out}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn prune", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("run", type=str, help="folder of a run")
    parser.add_argument(
        "--keep", type=PositiveInt | None, default=None, help="how many experts; by default every number"
    )
    parser.add_argument("--out", type=str | None, default=None, help="of --keep: checkpoint to write, .ckpt")
    add_data_options(parser)
    return parser


def _check(options: Namespace) -> None:
    if options.out and not options.keep:
        raise ValueError("--out writes the model with as many experts as --keep says: give both")
    if options.out:
        check_out(options.out)
        if Path(options.out).suffix != ".ckpt":
            raise ValueError(f"--out: {options.out} ends in {Path(options.out).suffix!r}, expected .ckpt")
    if not RunDirectory(Path(options.run)).split.is_file():
        raise FileNotFoundError(f"{options.run} is no run with a recorded split, whose validation images decide")
