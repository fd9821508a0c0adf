"""mlgcn presets: what --config knows by name."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from mlgcn.commands.console import say
from mlgcn.config import parse_command, preset_names, preset_summary


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn presets`."""
    parse_command(ArgumentParser(prog="mlgcn presets", description="Lists the presets by name."), arguments)
    for name in preset_names():
        say(f"{name:<24}{preset_summary(name)}")
