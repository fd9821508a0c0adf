"""The rungs of a ladder: which presets, in which order, and on which patients."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from glob import has_magic
from math import inf
from pathlib import Path
from typing import Any

from mlgcn.build.tables import build_table
from mlgcn.config import Config, DataConfig, RunConfig, config_to_dict, preset_names, preset_published
from mlgcn.data.splits import save_split

BASE = "/base"


def rung_names(asked: Sequence[str]) -> dict[str, bool]:
    """The presets in the order of the ladder, and whether each is a step, to be compared with the one before it.

    They stand as they are named, and are steps; those of a pattern stand by their published figure, and those without
    one, which are no steps, come last, by name. What the presets of a pattern merely build on (NAME/base) is left out.
    Raises: ValueError where a pattern fits no preset, or a preset comes twice.
    """
    rungs: dict[str, bool] = {}
    for name in asked:
        fitting = {name: True}
        if has_magic(name):
            presets = [preset for preset in preset_names() if fnmatch(preset, name) and not preset.endswith(BASE)]
            if not presets:
                raise ValueError(f"no preset is named like {name!r}; see: mlgcn presets")
            figures = {preset: _published_figure(preset) for preset in presets}
            fitting = {preset: figures[preset] < inf for preset in sorted(presets, key=lambda one: (figures[one], one))}
        if repeated := sorted(rungs.keys() & fitting.keys()):
            raise ValueError(f"the presets {repeated} are named more than once")
        rungs |= fitting
    return rungs


def check_rungs(configs: Mapping[str, Config]) -> None:
    """What would keep the runs from being made or compared, told before any of them is trained.

    Raises: ValueError that names a preset which has other data than the first, or scores studies where that scores
        images, or whose run is a setting of the ladder; FileNotFoundError on a run to start from that is not there.
    """
    first_name, first = next(iter(configs.items()))
    expected = _comparable(first)
    for name, config in configs.items():
        if config.run != RunConfig():
            raise ValueError(f"{name}: the section run is the ladder's own; its folder is --out, its seeds are --seeds")
        if differing := [key for key, value in _comparable(config).items() if value != expected[key]]:
            raise ValueError(
                f"{name} and {first_name} differ in {', '.join(differing)}, so that they have no test images in "
                "common; give the same to all, on the command line or in a budget"
            )
        needed = {"model.init": config.model.init, "loss.hard_from": config.loss.hard_from}
        for setting, path in needed.items():
            if path is not None and not Path(path).exists():
                raise FileNotFoundError(f"{name}: {setting} is {path}, which is not there; train it first")


def with_one_split(configs: Mapping[str, Config], path: Path) -> dict[str, Config]:
    """The configurations, all on the split of a file, which is written where it is not there yet.

    The data of the first one are divided by its own seed. Without a common split, each seed would have test patients of
    its own, and nothing could be compared in pairs. Where the configurations name a split, it stays.
    Raises: as build_table.
    """
    first = next(iter(configs.values()))
    if first.data.split is not None:
        return dict(configs)
    if not path.is_file():
        table = build_table(replace(first, data=_divided_data(first))).table
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
    return float(found[0]) if found else inf


def _comparable(config: Config) -> dict[str, Any]:
    """What must be the same for test images to be the same, by setting."""
    shared = {f"data.{key}": value for key, value in vars(_divided_data(config)).items()}
    studies = config.fusion.views is not None or config.evaluation.merge_views
    return shared | {"data.unreadable": config.data.unreadable, "whether they score studies": studies}


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
