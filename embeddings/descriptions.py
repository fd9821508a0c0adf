"""What labels mean, in plain language: texts for a text encoder."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import yaml

SHIPPED = Path(__file__).with_name("descriptions.yaml")
ALIASES = "aliases"
FORM = "expected lines NAME: TEXT"


def label_descriptions(names: Sequence[str], path: str | Path | None = None) -> list[str]:
    """What each label is and how it looks, one text per name in their order.

    Names and aliases match whatever their case, spaces, underscores and other signs.

    Args:
        path: a YAML file of your own, which maps names to descriptions and may hold a mapping `aliases` from a name
            to a list of other names. Nothing is added to it. None: the descriptions that ship with the package.
    Raises: FileNotFoundError if there is no such file; ValueError on a file of another form, and on names without a
        description, all of them listed with the nearest that has one.
    """
    known = _read(SHIPPED if path is None else Path(path))
    if lacking := [name for name in names if _key(name) not in known]:
        raise ValueError(f"no description of {', '.join(_with_nearest(name, known) for name in lacking)}")
    return [known[_key(name)][1] for name in names]


def _read(path: Path) -> dict[str, tuple[str, str]]:
    """Each name as the file has it and its description, by key; aliases are names too."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of descriptions {path}")
    # Composed, not constructed: YAML's loader would make False of the name "No" and keep the last of two equal names
    # without a word, while nodes hold what is written and where.
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    known: dict[str, tuple[str, str]] = {}
    for name, value in sorted(_pairs(root, path), key=lambda pair: pair[0].value == ALIASES):  # aliases last
        if name.value == ALIASES:
            for target, aliases in _pairs(value, path):
                _add_aliases(known, target, aliases, path)
        else:
            _add(known, name, _text(value, path), path)
    return known


def _add_aliases(known: dict[str, tuple[str, str]], target: yaml.ScalarNode, aliases: yaml.Node, path: Path) -> None:
    if _key(target.value) not in known:
        raise ValueError(f"{_where(path, target)}: {target.value!r} has aliases but no description")
    if not isinstance(aliases, yaml.SequenceNode):
        raise ValueError(f"{_where(path, aliases)}: the aliases of {target.value!r} are no list")
    for alias in aliases.value:
        _text(alias, path)
        _add(known, alias, known[_key(target.value)][1], path)


def _pairs(node: yaml.Node | None, path: Path) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise ValueError(f"{path if node is None else _where(path, node)}: there are no names, {FORM}")
    for name, _ in node.value:
        if not isinstance(name, yaml.ScalarNode):
            raise ValueError(f"{_where(path, name)}: a name is no text, {FORM}")
    return node.value


def _text(node: yaml.Node, path: Path) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.tag.endswith(":str") or not node.value.strip():
        raise ValueError(f"{_where(path, node)}: got {node.value!r} where a text should stand, {FORM}")
    return node.value.strip()


def _add(known: dict[str, tuple[str, str]], name: yaml.ScalarNode, text: str, path: Path) -> None:
    if twin := known.get(_key(name.value)):
        raise ValueError(f"{_where(path, name)}: {name.value!r} has a description already, as {twin[0]!r}")
    known[_key(name.value)] = (name.value, text)


def _where(path: Path, node: yaml.Node) -> str:
    return f"{path}, line {node.start_mark.line + 1}"


def _key(name: str) -> str:
    """What two spellings of a name share: its letters and digits in lower case."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _with_nearest(name: str, known: dict[str, tuple[str, str]]) -> str:
    near = get_close_matches(_key(name), known, n=1)
    return repr(name) + (f" (nearest: {known[near[0]][0]!r})" if near else "")
