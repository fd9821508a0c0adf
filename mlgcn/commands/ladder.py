"""mlgcn ladder: several presets under one budget, each with several seeds, and one table of what each step gains."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from mlgcn.build.ladder import check_rungs, common_settings, rung_names, with_one_split, without_graph
from mlgcn.commands.console import command, say
from mlgcn.commands.describe import describe
from mlgcn.commands.train import train
from mlgcn.config import Config, RunConfig, changed_settings, compose_config, load_config, preset_published
from mlgcn.reporting.compare import CLUSTERS, RESAMPLES
from mlgcn.reporting.ladder import ladder_report
from mlgcn.reporting.ladder_page import write_ladder
from mlgcn.reporting.ladder_tables import ladder_frame, ladder_lines, ladder_rows
from mlgcn.run_directory import LadderDirectory, RunDirectory
from mlgcn.stopping import DivergedError, Interrupted, is_main_process
from mlgcn.training import track_table, training_throughput

DESCRIPTION = (
    "Trains and evaluates presets under one budget, on the same patients, and makes one table of them: metrics with "
    "intervals over patients, differences from the step before and from a baseline, parameters, FLOPs and speed. The "
    "presets stand first; any setting of train.py may follow, as --section.key value, and holds for all of them. The "
    "same command goes on where it was stopped, and leaves alone what is finished."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn ladder`."""
    own, settings = _parser().parse_known_args(list(arguments))
    with command("mlgcn ladder"):
        ladder = LadderDirectory(Path(own.out))
        rungs = rung_names(own.presets)
        if own.baseline is not None and own.baseline not in rungs:
            raise ValueError(f"--baseline {own.baseline} is no rung of this ladder, expected one of {list(rungs)}")
        configs = {name: compose_config([name, *own.budget], settings) for name in rungs}
        check_rungs(configs)
        configs = with_one_split(configs, ladder.split)
        train_rungs(configs, own.seeds, ladder)
        if not is_main_process():
            return
        report = ladder_report(
            {name: ladder.finished(name, own.seeds) for name in rungs},
            [name for name, is_step in rungs.items() if is_step],
            own.baseline or without_graph(configs),
            own.cluster,
            own.resamples,
        )
        report["seeds"] = own.seeds
        _add_costs(report, configs, own.speed, ladder)
        say(ladder_rows(report))
        for line in ladder_lines(report):
            say(line)
        common = yaml.safe_dump(common_settings(list(configs.values())), sort_keys=False)
        files = write_ladder(report, ladder, common)
        track_table(ladder, next(iter(configs.values())).tracking, ladder_frame(report), ladder.figure)
        say(f"written: {', '.join(map(str, files))}")


def train_rungs(configs: Mapping[str, Config], seeds: int, ladder: LadderDirectory) -> None:
    """Trains and evaluates every preset with every seed that has not been yet; one that diverged is not tried again.

    Seeds follow one another, so that a ladder that was stopped has every rung for the first of them.
    Raises: Interrupted; ValueError where a run began with other settings; as train.
    """
    for seed in range(seeds):
        for name, config in configs.items():
            run = ladder.run(name, seed)
            named = replace(config.tracking, name=config.tracking.name or f"{ladder.path.name}/{run.path.name}")
            config = replace(config, run=RunConfig(str(run.path), "auto", seed), tracking=named)
            if run.config.is_file():
                _check_begun(run, config)
            if run.finished or run.diverged.is_file():
                continue
            say(f"\n{name}, seed {seed}: {run.path}")
            try:
                train(config, run)
            except DivergedError as error:
                run.diverged.write_text(f"{error}\n")
                say(f"diverged: {error}")
            except Interrupted as error:
                raise Interrupted(f"{error}; the same command goes on") from None


def _check_begun(run: RunDirectory, config: Config) -> None:
    """Raises ValueError that names the run and the settings with which it began otherwise."""
    if changes := changed_settings(load_config(run.config), config):
        raise ValueError(f"{run.path} began with other settings ({changes}); start a new ladder in another --out")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mlgcn ladder", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("presets", nargs="+", metavar="PRESET", help="names, or in quotes patterns such as 'seo2023/*'")
    parser.add_argument("--seeds", type=_positive, default=3, help="runs of each preset, of the seeds 0, 1, ... (3)")
    parser.add_argument(
        "--budget", nargs="+", default=[], metavar="PRESET", help="presets or files whose settings all rungs take over"
    )
    parser.add_argument("--out", default="runs/ladder", help="folder of the runs and the table (runs/ladder)")
    parser.add_argument("--baseline", help="preset that all are compared with; by default the first without a graph")
    parser.add_argument("--cluster", choices=list(CLUSTERS), default="patient", help="what is drawn together (patient)")
    parser.add_argument("--resamples", type=_positive, default=RESAMPLES, help=f"of the intervals ({RESAMPLES})")
    parser.add_argument(
        "--speed", choices=["once", "again", "no"], default="once", help="whether images/s are measured (once)"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _add_costs(report: dict[str, Any], configs: Mapping[str, Config], speed: str, ladder: LadderDirectory) -> None:
    """Puts into the report what is published of each rung, and what it costs."""
    rates, report["speed"] = _speed(configs, speed, ladder.throughput)
    for name, config in configs.items():
        total = describe(config)["parts"]["total"]
        cost = {"parameters": total["parameters"], "flops": total["flops"], "images_per_second": rates[name]}
        report["rungs"][name] |= {"published": preset_published(name), "cost": cost}


def _speed(configs: Mapping[str, Config], measure: str, file: Path) -> tuple[dict[str, Any], str | None]:
    """Images a second by rung, all measured in one go or none, and what that was measured on."""
    if measure == "no":
        return dict.fromkeys(configs), None
    held: dict[str, Any] = {"images_per_second": {}}
    if measure == "once" and file.is_file():
        held = json.loads(file.read_text())
    if not set(configs) <= set(held["images_per_second"]):
        say("measuring images/s")
        threads = torch.get_num_threads()
        cpu = f"{threads} CPU thread{'s' if threads > 1 else ''}"
        where = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
        held = {"images_per_second": training_throughput(configs), "where": f"{where}, torch {torch.__version__}"}
        file.write_text(json.dumps(held, indent=2))
    return held["images_per_second"], held["where"]
