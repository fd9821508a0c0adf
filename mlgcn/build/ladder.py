"""The rungs of a ladder: which presets, in which order, and on which patients."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from glob import has_magic
from pathlib import Path
from typing import Any

from mlgcn.build.tables import build_table
from mlgcn.config import Config, DataConfig, config_to_dict, preset_names, preset_published
from mlgcn.data.splits import save_split

BASE = "/base"


def rung_names(asked: Sequence[str]) -> list[str]:
    """The presets in the order of the ladder: as they are named; those of a pattern by their published figure.

    Of a pattern, presets without a figure come last, by name, and what others merely build on (NAME/base) is left out.
    Raises: ValueError where a pattern fits no preset, or a preset comes twice.
    """
    rungs: list[str] = []
    for name in asked:
        fitting = [name]
        if has_magic(name):
            fitting = [preset for preset in preset_names() if fnmatch(preset, name) and not preset.endswith(BASE)]
            if not fitting:
                raise ValueError(f"no preset is named like {name!r}; see: mlgcn presets")
        rungs += sorted(fitting, key=lambda preset: (_published_figure(preset), preset))
    if repeated := sorted({name for name in rungs if rungs.count(name) > 1}):
        raise ValueError(f"the presets {repeated} are named more than once")
    return rungs


def with_one_split(configs: Mapping[str, Config], path: Path) -> dict[str, Config]:
    """The configurations, all on the split of a file, which is written where it is not there yet.

    The data of the first one are divided by its own seed. Without a common split, each seed would have test patients of
    its own, and nothing could be compared in pairs. Where the configurations name a split, it stays.
    Raises: ValueError that names a preset with other data than the first; as build_table.
    """
    first_name, first = next(iter(configs.items()))
    divided = _divided_data(first)
    for name, config in configs.items():
        other = vars(_divided_data(config))
        if differing := [f"data.{key}" for key, value in vars(divided).items() if value != other[key]]:
            raise ValueError(
                f"{name} and {first_name} differ in {', '.join(differing)}, so that they have no test images in "
                "common; give the same to all, on the command line or in a budget"
            )
    if divided.split is not None:
        return dict(configs)
    if not path.is_file():
        table = build_table(replace(first, data=divided)).table
        path.parent.mkdir(parents=True, exist_ok=True)
        save_split(table, path)
    return {name: replace(config, data=replace(config.data, split=str(path))) for name, config in configs.items()}


def without_graph(configs: Mapping[str, Config]) -> str | None:
    """The first rung whose classifiers know nothing of each other, or none."""
    rungs = (name for name, one in configs.items() if one.model.head == "gcn" and one.graph.variant == "none")
    return next(rungs, None)


def common_settings(configs: Sequence[Config]) -> dict[str, dict[str, Any]]:
    """The settings in which all configurations agree, by section."""
    first, *others = [config_to_dict(config) for config in configs]
    common = {
        section: {key: value for key, value in held.items() if all(one[section][key] == value for one in others)}
        for section, held in first.items()
    }
    return {section: held for section, held in common.items() if held}


def _published_figure(name: str) -> float:
    """The first number of what the preset's comment says is published; infinite where there is none."""
    found = re.search(r"\d+(\.\d+)?", preset_published(name) or "")
    return float(found[0]) if found else float("inf")


def _divided_data(config: Config) -> DataConfig:
    """What decides a run's test images: its data set, or the first of several, and how it is divided."""
    data, first = config.data, next(iter(config.data.named_sources().values()))
    return DataConfig(
        source=first.source,
        root=first.root,
        options=first.options,
        labels=data.labels,
        views=data.views,
        split=data.split,
        fractions=data.fractions,
        by_view=data.by_view,
        leaks=data.leaks,
    )
