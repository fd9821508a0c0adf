"""Checks of single settings."""

from typing import Any


def at_least(name: str, value: int, least: int) -> None:
    """Raises ValueError that names the setting unless it has at least this value."""
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")


def all_at_least_1(section: str, config: Any, *names: str) -> None:
    """As at_least, of several settings of a section."""
    for name in names:
        at_least(f"{section}.{name}", getattr(config, name), 1)


def part_of_1(name: str, value: float) -> None:
    """Raises ValueError that names the setting unless 0 <= value < 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be >= 0 and < 1, got {value}")
