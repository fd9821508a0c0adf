"""Which labels of different data sets mean the same, and a label table in the labels of another."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from mlgcn.labels import LabelTable
from mlgcn.suggestions import unknown_name

SHIPPED = Path(__file__).with_name("ontology.yaml")
SECTIONS = ("spaces", "findings", "apart")
ENTRIES = ("names", "parents")


@dataclass(frozen=True)
class Ontology:
    """Label spaces, and what their labels mean.

    Attributes:
        spaces: labels by the name of the space, in the order of its own table.
        findings: the finding by the key of each of its names.
        ancestors: by finding, all that it is a kind of, near and far.
    """

    spaces: dict[str, tuple[str, ...]]
    findings: dict[str, str]
    ancestors: dict[str, frozenset[str]]

    def finding(self, name: str) -> str:
        """The finding that a label means; a label that is not known means what others of its spelling mean."""
        return self.findings.get(_key(name), _key(name))

    def above(self, finding: str) -> frozenset[str]:
        """All that the finding is a kind of."""
        return self.ancestors.get(finding, frozenset())


@dataclass(frozen=True)
class Match:
    """A label and what it is taken from: the two names and how the source's finding stands to that of the target.

    how: "same"; "child", the source is a kind of the target, and only its positives count; "parent", the target is a
    kind of the source, and only its negatives count; "unmapped", where one of the two is missing.
    """

    target: str | None
    source: str | None
    how: Literal["same", "child", "parent", "unmapped"]


def label_space(name: str) -> tuple[str, ...]:
    """The labels of a space in its own order.

    Raises: ValueError on an unknown name, with the nearest known one.
    """
    spaces = _shipped().spaces
    if name not in spaces:
        raise ValueError(unknown_name("label space", name, spaces))
    return spaces[name]


def label_spaces() -> dict[str, tuple[str, ...]]:
    """All label spaces by name."""
    return dict(_shipped().spaces)


def canonical(name: str) -> str | None:
    """The finding that a label means, whatever its case, spaces, underscores and other signs; None if none is known."""
    return _shipped().findings.get(_key(name))


def map_labels(table: LabelTable, onto: str | Sequence[str]) -> LabelTable:
    """The same images with the labels of a space, or with those named, in their order.

    A finding has the value of the labels of it, the largest of those known, soft or not; so a table mapped onto its own
    labels stays as it is. Where it has none, it is positive where a kind of it is positive, and negative where one that
    it is a kind of is negative and no kind of that positive. Everything else is unknown: no negative makes a wider
    finding negative, and No Finding says nothing about the others.

    Raises: ValueError on an unknown space, on repeated or no labels.
    """
    names, ontology = _labels(onto), _shipped()
    sources = [ontology.finding(name) for name in table.names]
    columns = np.ascontiguousarray(table.values.T)  # [C, N]: a label's values side by side, since each is read whole
    own = {finding: _own(columns, sources, finding) for finding in dict.fromkeys(sources)}
    kinds = {
        finding: _kind_found(columns, sources, finding, ontology) for finding in {*own, *map(ontology.finding, names)}
    }
    values = np.full((len(names), len(table)), np.nan, dtype=np.float32)
    for value, name in zip(values, names, strict=True):
        finding = ontology.finding(name)
        if finding in own:
            value[:] = own[finding]
        np.copyto(value, 1, where=np.isnan(value) & kinds[finding])
        for wider in ontology.above(finding) & own.keys():
            np.copyto(value, 0, where=np.isnan(value) & (own[wider] == 0) & ~kinds[wider])
    return table.with_values(np.ascontiguousarray(values.T), names, table.soft)


def describe_mapping(names: Sequence[str], onto: str | Sequence[str]) -> list[Match]:
    """How map_labels would take the labels of a space from labels of these names.

    By target in order, of each the same finding first, then its kinds, then what it is a kind of; targets without a
    source stand among them, sources without a target at the end.
    Raises: ValueError on an unknown space or no labels.
    """
    ontology = _shipped()
    matches: list[Match] = []
    for target in _labels(onto):
        finding = ontology.finding(target)
        found = {name: ontology.finding(name) for name in names}
        same = [Match(target, name, "same") for name, f in found.items() if f == finding]
        kinds = [Match(target, name, "child") for name, f in found.items() if finding in ontology.above(f)]
        wider = [Match(target, name, "parent") for name, f in found.items() if f in ontology.above(finding)]
        matches += [*same, *kinds, *wider] or [Match(target, None, "unmapped")]
    used = {match.source for match in matches}
    return matches + [Match(None, name, "unmapped") for name in names if name not in used]


def read_ontology(path: Path) -> Ontology:
    """An ontology from a YAML file of spaces, findings and labels apart, as the shipped one is.

    Raises: FileNotFoundError; ValueError that names the entry on another form, a name under two findings, an unknown
        parent, findings that are kinds of each other, a space that has a finding twice or a label of no finding.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    try:
        _check_keys(content, SECTIONS, "the file")
        entries, spaces = (_mapping(content.get(section), section) for section in ("findings", "spaces"))
        findings, parents = _named(entries), _parents(entries)
        spaces = {name: _texts(labels, f"space {name!r}") for name, labels in spaces.items()}
        _check_spaces(spaces, findings, _texts(content.get("apart", []), "apart"))
        return Ontology(spaces, findings, {finding: _above(finding, parents) for finding in parents})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _own(columns: np.ndarray, sources: list[str], finding: str) -> np.ndarray:
    """The values [N] of a finding's own labels, of columns [C, N] and the finding of each."""
    value = np.full(columns.shape[1], np.nan, dtype=np.float32)
    for column, source in zip(columns, sources, strict=True):
        if source == finding:
            np.fmax(value, column, out=value)
    return value


def _kind_found(columns: np.ndarray, sources: list[str], finding: str, ontology: Ontology) -> np.ndarray:
    """Whether a kind of the finding is positive, bool [N]."""
    found = np.zeros(columns.shape[1], dtype=bool)
    for column, source in zip(columns, sources, strict=True):
        if finding in ontology.above(source):
            found |= column == 1
    return found


def _labels(onto: str | Sequence[str]) -> tuple[str, ...]:
    names = label_space(onto) if isinstance(onto, str) else tuple(onto)
    if not names:
        raise ValueError("there are no labels to map onto")
    return names


@lru_cache(maxsize=1)
def _shipped() -> Ontology:
    return read_ontology(SHIPPED)


def _named(findings: dict[str, Any]) -> dict[str, str]:
    """The finding by the key of each of its names, its own among them."""
    named: dict[str, str] = {}
    for finding, entry in findings.items():
        _check_keys(entry, ENTRIES, f"finding {finding!r}")
        for name in _texts([finding, *_texts(entry.get("names", []), f"names of {finding!r}")], f"finding {finding!r}"):
            if (key := _key(name)) in named:
                raise ValueError(f"{name!r} stands under two findings, {named[key]!r} and {finding!r}")
            named[key] = finding
    return named


def _parents(findings: dict[str, dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    parents = {
        finding: _texts(entry.get("parents", []), f"parents of {finding!r}") for finding, entry in findings.items()
    }
    for finding, over in parents.items():
        for parent in over:
            if parent not in findings:
                raise ValueError(f"finding {finding!r}: {unknown_name('parent', parent, findings)}")
    return parents


def _above(finding: str, parents: dict[str, tuple[str, ...]]) -> frozenset[str]:
    above: set[str] = set()
    ahead = list(parents[finding])
    while ahead:
        parent = ahead.pop()
        if parent == finding:
            raise ValueError(f"finding {finding!r} is a kind of itself by way of its parents {list(parents[finding])}")
        if parent not in above:
            above.add(parent)
            ahead += parents[parent]
    return frozenset(above)


def _check_spaces(spaces: dict[str, tuple[str, ...]], findings: dict[str, str], apart: Iterable[str]) -> None:
    away = {_key(name) for name in apart}
    if both := sorted(findings[key] for key in away & findings.keys()):
        raise ValueError(f"apart: {both} are findings as well")
    for space, labels in spaces.items():
        first: dict[str, str] = {}
        for label in labels:
            key = _key(label)
            if key not in findings and key not in away:
                raise ValueError(f"space {space!r}: {label!r} is the name of no finding and not set apart")
            if (finding := findings.get(key, key)) in first:
                raise ValueError(f"space {space!r}: {first[finding]!r} and {label!r} mean the same")
            first[finding] = label


def _check_keys(entry: Any, known: Sequence[str], what: str) -> None:
    for key in _mapping(entry, what):
        if key not in known:
            raise ValueError(f"{what}: {unknown_name('entry', str(key), known)}")


def _mapping(entry: Any, what: str) -> dict[Any, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f"{what}: got {entry!r}, expected a mapping")
    return entry


def _texts(names: Any, what: str) -> tuple[str, ...]:
    """The names of a list. Raises: ValueError unless it is one, and each name a text with a letter or digit."""
    if not isinstance(names, list):
        raise ValueError(f"{what}: got {names!r}, expected a list of names")
    for name in names:
        if not isinstance(name, str) or not _key(name):
            raise ValueError(f"{what}: got {name!r} where a name should stand")
    return tuple(names)


def _key(name: str) -> str:
    """What two spellings of a name share: its letters and digits in lower case."""
    return re.sub(r"[\W_]+", "", name).casefold()


class _UniqueKeys(yaml.SafeLoader):
    """YAML's own loader keeps the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if (text := str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{text!r} stands twice", key.start_mark)
            seen.add(text)
        return super().construct_mapping(node, deep)
