"""Options of a reader as YAML and command lines give them, made what the reader takes."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args

# What a reader's annotations may hold.
EXPECTED: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "text",
    Sequence[str]: "a list of names",
    NoneType: "null",
}


def taken_options(reader: Callable[..., Any], options: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The options with the values that the reader takes: names and paths that YAML read as numbers are text again.

    A lone name is a list of names where the reader takes one. What the reader has no annotation for stays as it is.

    Args:
        source: the reader's name, for the message.
    Raises: ValueError that names the first option whose value the reader does not take.
    """
    parameters = inspect.signature(reader).parameters.values()
    kinds = {p.name: _kinds(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY}
    return {
        name: _taken(value, kinds[name], f"data.options.{name} of the data source {source!r}")
        if name in kinds
        else value
        for name, value in options.items()
    }


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _taken(value: Any, kinds: tuple[Any, ...], what: str) -> Any:
    """The value as one of these kinds."""
    # By type, since a bool is an int to Python.
    if type(value) in kinds or (type(value) is int and float in kinds):
        return value
    if str in kinds and _is_text(value):
        return str(value)
    if Sequence[str] in kinds:
        names = list(value) if isinstance(value, (list, tuple)) else [value]
        if all(_is_text(name) for name in names):
            return [str(name) for name in names]
    expected = " or ".join(dict.fromkeys(EXPECTED[kind] for kind in kinds))
    raise ValueError(f"{what} is {value!r}, expected {expected}")


def _is_text(value: Any) -> bool:
    """Whether it is text, a path, or what YAML may read in place of one; which text a true or a null was is lost."""
    return isinstance(value, (str, Path, int, float, date)) and not isinstance(value, bool)
