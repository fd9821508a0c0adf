"""From a preset and the command line to a checked Config, and from a Config to YAML and back."""

import argparse
import copy
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from mlgcn.config.presets import read_preset
from mlgcn.config.sections import Config, RunConfig
from mlgcn.run_directory import RunDirectory
from mlgcn.suggestions import unknown_name

SECTIONS: dict[str, type] = {name: type(section) for name, section in vars(Config()).items()}
# Settings of type dict: their keys are checked by whoever takes them.
FREE = ("data.options", "loss.hard_labels", "evaluation.given_groups", "evaluation.view_weights")
# Settings that may differ when a run goes on: they change how long it takes, where it is told or how it is measured in
# the end, not what it learns. (The split is recorded in the run, wherever it once came from.)
MAY_CHANGE = (
    "run.dir", "run.resume", "data.root", "data.split", "data.num_workers", "data.cache", "training.log_every",
    "tracking.wandb", "tracking.project", "tracking.name", "evaluation.tta", "evaluation.tta_merge",
    "evaluation.merge_views", "evaluation.view_weights", "evaluation.normal_gating", "evaluation.threshold",
    "evaluation.bootstrap", "evaluation.cluster", "evaluation.against", "evaluation.image_sheet",
)  # fmt: skip


def parse_arguments(
    arguments: Sequence[str], prog: str = "train.py", description: str = "", default: str = "demo"
) -> tuple[Config, str]:
    """The configuration that the command line asks for, and the name of the preset, file or run it starts from.

    Settings come from --config NAME|FILE.yaml, or from the run that --run.resume auto goes on with, or from the
    default preset; --section.key value changes them. Exits with a one-line message on bad input, and after --help or
    --print_config.
    """
    parser = _parser(prog, description)
    parser.add_argument("--config", help="preset (see `mlgcn presets`) or YAML file")
    parser.add_argument("--print_config", type=bool, default=False, help="show the resolved configuration and stop")
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config")
    first.add_argument("--print_config", action="store_true")
    try:
        chosen, rest = first.parse_known_args(list(arguments))
        check_options(parser, rest, FREE)
        name = chosen.config or str(_begun(parser.parse_args(rest).run) or default)
        config = _resolve(parser, read_preset(name), rest)
        if begun := _begun(config.run):
            check_same_run(load_config(begun), config)
    except (ValueError, FileNotFoundError, argparse.ArgumentError) as error:
        parser.exit(2, f"{prog}: error: {' '.join(str(error).split())}\n")
    if chosen.print_config:
        sys.stdout.write(to_yaml(config))
        raise SystemExit(0)
    return config, name


def compose_config(presets: Sequence[str], arguments: Sequence[str] = ()) -> Config:
    """The settings of the first preset or file, those of each further one laid over them, then --section.key value.

    Raises: ValueError and FileNotFoundError as read_preset; ValueError on a setting that is unknown or has another
        type or value.
    """
    parser = _parser("settings", "")
    try:
        check_options(parser, arguments, FREE)
        return _resolve(parser, read_preset(*presets), arguments)
    except argparse.ArgumentError as error:
        raise ValueError(" ".join(str(error).split())) from error


def config_from_dict(settings: dict[str, Any]) -> Config:
    """A checked Config from settings by section; what is left out has its default.

    Raises: ValueError that names an unknown section or setting, or one of a wrong type or value.
    """
    return _resolve(_parser("config", ""), settings, [])


def config_to_dict(config: Config) -> dict[str, Any]:
    """Plain containers only, ready for YAML, JSON and checkpoints."""
    return {
        section: {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        for section, values in dataclasses.asdict(config).items()
    }


def to_yaml(config: Config) -> str:
    """The configuration as YAML, sections in their order."""
    return yaml.safe_dump(config_to_dict(config), sort_keys=False)


def save_config(config: Config, path: Path) -> None:
    """Writes the resolved configuration."""
    path.write_text(to_yaml(config))


def load_config(path: Path) -> Config:
    """Reads a configuration that save_config wrote, or any YAML file of settings."""
    return config_from_dict(read_preset(str(path)))


def check_same_run(saved: Config, wanted: Config) -> None:
    """Raises ValueError that names every setting in which a run that goes on would differ from what it began as."""
    if changes := changed_settings(saved, wanted):
        raise ValueError(f"the run began with other settings ({changes}); start a new one in another run.dir")


def changed_settings(saved: Config, wanted: Config) -> str:
    """In words, the settings in which a run that goes on would differ from what it began as; "" if it may go on."""
    before, after = (_flat(config_to_dict(config)) for config in (saved, wanted))
    # A schedule is made for a number of epochs; a constant rate can go on for longer.
    free = (*MAY_CHANGE, "training.epochs") if saved.optimizer.schedule == "constant" else MAY_CHANGE
    differing = [key for key in before if before[key] != after[key] and key not in free]
    return ", ".join(f"{key}: {before[key]!r} -> {after[key]!r}" for key in differing)


def _parser(prog: str, description: str) -> ArgumentParser:
    # Puts the text below each field into --help.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    usage = f"{prog} [--config NAME|FILE.yaml] [--section.key value ...]"
    parser = ArgumentParser(prog=prog, description=description, usage=usage, allow_abbrev=False, exit_on_error=False)
    for name, section in SECTIONS.items():
        parser.add_argument(f"--{name}", type=section, default=section())
    return parser


def _resolve(parser: ArgumentParser, settings: dict[str, Any], arguments: Sequence[str]) -> Config:
    known = _flat(config_to_dict(Config()))
    for section, values in settings.items():
        if section not in SECTIONS:
            raise ValueError(unknown_name("section", str(section), SECTIONS))
        if not isinstance(values, dict):
            raise ValueError(f"section {section!r} must hold settings, got {values!r}")
        for key in values:
            if f"{section}.{key}" not in known:
                raise ValueError(unknown_name("setting", f"{section}.{key}", known))
    try:
        # Defaults are taken unchecked, so that the settings are parsed first. A copy: parsing writes into them.
        parsed = parser.parse_object(copy.deepcopy(settings))
        for section, values in settings.items():
            parser.set_defaults({f"{section}.{key}": parsed[section][key] for key in values})
        namespace = parser.parse_args(list(arguments))
    except argparse.ArgumentError as error:
        raise ValueError(" ".join(str(error).split())) from error
    values = parser.instantiate(namespace)
    return Config(**{name: values[name] for name in SECTIONS})


def check_options(parser: ArgumentParser, arguments: Sequence[str], free: Sequence[str] = ()) -> None:
    """Raises ValueError that names the nearest known option unless the parser knows every option given.

    Args:
        free: options of type dict, below which any name may stand.
    """
    known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    for argument in arguments:
        option = argument.split("=")[0]
        below = any(option.startswith(f"--{setting}.") for setting in free)
        if option.startswith("--") and option not in known and not below:
            raise ValueError(unknown_name("option", option, known))


def parse_command(parser: ArgumentParser, arguments: Sequence[str], free: Sequence[str] = ()) -> Namespace:
    """What the command line of a tool asks for; exits with a one-line message on bad input."""
    parser.exit_on_error = False
    try:
        check_options(parser, arguments, free)
        return parser.parse_args(list(arguments))
    except (ValueError, argparse.ArgumentError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")


def _begun(run: RunConfig | Namespace) -> Path | None:
    """The configuration of the run to go on with, if there is one."""
    if run.resume != "auto" or not run.dir:
        return None
    path = RunDirectory(Path(run.dir)).config
    return path if path.is_file() else None


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, values in settings.items() for key, value in values.items()}
