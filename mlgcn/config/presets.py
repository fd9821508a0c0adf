"""Presets: YAML files that ship with the package, found by name from anywhere."""

from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from mlgcn.suggestions import unknown_name

FOLDER = Path(__file__).parent.parent / "configs"
PUBLISHED = "# Published:"


def preset_names() -> list[str]:
    """Names of all presets, such as "demo"; those in folders as "folder/name"."""
    return sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml"))


def preset_summary(name: str) -> str:
    """The first line of the comment that a preset starts with: what it is, and where it comes from."""
    return _path(name).read_text().splitlines()[0].removeprefix("#").strip()


def preset_published(name: str) -> str | None:
    """The published figure that the preset stands for, as its comment says, or none if it speaks of none."""
    lines = _path(name).read_text().splitlines()
    return next((line.removeprefix(PUBLISHED).strip() for line in lines if line.startswith(PUBLISHED)), None)


def preset_changes(name: str) -> tuple[str | None, dict[str, Any]]:
    """The base of a preset, if it has one, and the settings that it changes of it, or of the defaults, by section."""
    base, settings = _parsed(_path(name))
    return None if base is None else str(base), settings


def read_preset(name: str, *over: str) -> dict[str, Any]:
    """The settings of a preset or of a YAML file, by section, with those of others laid over them in turn.

    A file may name a preset or another file (from its own folder) as its `base`, whose settings it changes.
    Raises: ValueError on an unknown preset (naming the nearest), a file that is no mapping of sections, or bases that
        go round in circles; FileNotFoundError if a name that ends in .yaml or .yml is no file.
    """
    return reduce(_merged, (_read(_path(one), seen=()) for one in (name, *over)))


def _path(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise FileNotFoundError(f"--config: there is no file {name}")
        return Path(name)
    if name not in preset_names():
        raise ValueError(unknown_name("preset", name, preset_names()))
    return FOLDER / f"{name}.yaml"


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise ValueError(f"{path}: its bases go round in circles: {[str(p) for p in seen]}")
    base, settings = _parsed(path)
    if base is None:
        return settings
    is_file = str(base).endswith((".yaml", ".yml"))
    return _merged(_read(_path(str(path.parent / base) if is_file else str(base)), (*seen, path)), settings)


def _parsed(path: Path) -> tuple[Any, dict[str, Any]]:
    """What a file names as its base, and its own settings."""
    try:
        settings = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: expected sections such as 'data:' and 'model:', got {type(settings).__name__}")
    base = settings.pop("base", None)
    if wrong := [key for key, value in settings.items() if not isinstance(value, dict)]:
        raise ValueError(f"{path}: section {wrong[0]!r} must hold settings, got {settings[wrong[0]]!r}")
    return base, settings


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The base with the change laid over it, section by section."""
    return base | {section: {**base.get(section, {}), **settings} for section, settings in change.items()}
