"""Checks of single settings."""


def at_least(name: str, value: int, least: int) -> None:
    """Raises ValueError that names the setting unless it has at least this value."""
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
