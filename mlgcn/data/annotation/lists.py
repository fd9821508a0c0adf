"""The lists that annotation goes by: phrases of findings, cues, headings; read from YAML and checked."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from mlgcn.data.annotation.patterns import Phrase, parse_phrase
from mlgcn.data.ontology import canonical, label_space, label_spaces
from mlgcn.suggestions import unknown_name

FOLDER = Path(__file__).parent
FINDINGS = FOLDER / "findings.yaml"
CUES = FOLDER / "cues.yaml"
MESH = FOLDER / "mesh.yaml"

READINGS = ("present", "absent", "uncertain")
# What is no finding of its own: abnormal without a label, words that mean nothing, a chest that is called normal.
OTHER, NOTHING, NORMAL = "other", "nothing", "normal"
WITHOUT_LABEL = (OTHER, NOTHING, NORMAL)
# By whichever of its two names the label is asked for, it is worked out from the others.
NORMAL_LABELS = ("Normal", "No Finding")
SHORT_NAMES = {"ltml": "ltml_mimic_cxr"}
CUE_KINDS = ("negated", "uncertain", "ignored")
CUE_SIDES = ("before", "after")
END_SIDES = ("any", *CUE_SIDES, "none")


@dataclass(frozen=True)
class Meaning:
    """What a phrase says: a label, or one of WITHOUT_LABEL, and how (READINGS)."""

    label: str
    reading: str


@dataclass(frozen=True)
class Findings:
    """The phrases with their meanings, and the labels that hold where a narrower one does, near and far."""

    labels: tuple[str, ...]
    phrases: tuple[tuple[Phrase, Meaning], ...]
    implies: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Cues:
    """The phrases that turn a meaning, as (kind, side), the words that end their reach by side, and barriers."""

    phrases: tuple[tuple[Phrase, tuple[str, str]], ...]
    terminators: tuple[tuple[Phrase, str], ...]
    barriers: frozenset[str]


@lru_cache
def read_findings(path: Path = FINDINGS) -> Findings:
    """The phrases of all findings.

    Raises: FileNotFoundError; ValueError on a file of another form, a phrase that stands twice under one label or both
        under a label and under `nothing`, and on implied labels that are not there.
    """
    root = read_lists(path)
    labels = tuple(name for name in root if name not in WITHOUT_LABEL)
    phrases: list[tuple[Phrase, Meaning]] = []
    owners: defaultdict[Phrase, dict[str, str]] = defaultdict(dict)
    for name, entry in root.items():
        readings = {"present": entry} if name in WITHOUT_LABEL else entry
        if not isinstance(readings, dict) or not (set(readings) & set(READINGS)):
            raise ValueError(f"{path}: {name!r} has no phrases, expected some of {list(READINGS)}")
        for reading, texts in readings.items():
            if reading == "implies":
                continue
            if reading not in READINGS:
                raise ValueError(f"{path}: {name!r}: {unknown_name('key', reading, [*READINGS, 'implies'])}")
            for text in _texts(texts, path, f"{name}, {reading}"):
                for phrase in parse_phrase(text, f"{path}: {name}"):
                    _refuse_twin(owners[phrase], name, text, path)
                    phrases.append((phrase, Meaning(name, reading)))
    return Findings(labels, tuple(phrases), _implied(root, labels, path))


@lru_cache
def read_cues(path: Path = CUES) -> Cues:
    """The cues of negation, uncertainty and whatever else turns a finding.

    Raises: FileNotFoundError; ValueError on a file of another form.
    """
    root = read_lists(path)
    expected = (*CUE_KINDS, "alternative", "pseudo", "terminators", "barriers")
    if set(root) != set(expected):
        raise ValueError(f"{path}: holds {sorted(root)}, expected {sorted(expected)}")
    phrases: dict[Phrase, tuple[str, str]] = {}
    for kind in expected[:-2]:
        sides = root[kind] if kind in CUE_KINDS else {"both": root[kind]}
        if not isinstance(sides, dict) or not set(sides) <= {*CUE_SIDES, "both"}:
            raise ValueError(f"{path}: {kind!r} holds {sides}, expected the keys {list(CUE_SIDES)}")
        for side, texts in sides.items():
            for text in _texts(texts, path, f"{kind}, {side}"):
                for phrase in parse_phrase(text, f"{path}: {kind}"):
                    if phrases.get(phrase, (kind, ""))[0] != kind:
                        raise ValueError(f"{path}: {text!r} stands under {phrases[phrase][0]!r} and {kind!r}")
                    both = phrases.get(phrase, (kind, side))[1] != side
                    phrases[phrase] = (kind, "both" if both else side)
    ends = root["terminators"]
    if not isinstance(ends, dict) or not set(ends) <= set(END_SIDES):
        raise ValueError(f"{path}: 'terminators' holds {ends}, expected the keys {list(END_SIDES)}")
    terminators = tuple(
        (phrase, side)
        for side, texts in ends.items()
        for text in _texts(texts, path, f"terminators, {side}")
        for phrase in parse_phrase(text, f"{path}: terminators")
    )
    return Cues(tuple(phrases.items()), terminators, frozenset(_texts(root["barriers"], path, "barriers")))


def label_set(labels: str | Sequence[str] | None = None) -> dict[str, str]:
    """The labels to annotate, each with the finding of findings.yaml that it means, in order.

    Args:
        labels: a label space ("ltml", "cxr_lt_2024", ... see ontology.yaml), a text file with a label on each line, or
            the labels themselves; None: all findings and Normal.
    Raises: ValueError on labels that have no phrases, repeated labels, an empty file, or a name that is neither a
        label space nor a file.
    """
    known = read_findings().labels
    if labels is None:
        labels = (*known, NORMAL_LABELS[0])
    elif isinstance(labels, str):
        labels = _named_set(labels)
    by_meaning = {canonical(name) or name: name for name in known}
    normal = {canonical(name) or name for name in NORMAL_LABELS}
    chosen: dict[str, str] = {}
    for label in labels:
        meaning = canonical(label) or label
        if label in chosen:
            raise ValueError(f"the label {label!r} stands twice among those to annotate")
        if meaning not in by_meaning and meaning not in normal:
            raise ValueError(f"no phrases for the {unknown_name('label', label, [*known, *NORMAL_LABELS])}")
        chosen[label] = NORMAL_LABELS[0] if meaning in normal else by_meaning[meaning]
    if not chosen:
        raise ValueError("there are no labels to annotate")
    return chosen


def read_lists(path: Path) -> dict[str, dict[str, list[str]] | list[str]]:
    """A YAML file of nested names and lists, every scalar as text.

    Raises: FileNotFoundError; ValueError on a file that is no YAML mapping or repeats a key.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        # Composed, not constructed: YAML's loader makes False of the word "no" and keeps the last of two equal keys.
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    found = None if root is None else _plain(root, path)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a mapping from names to phrases")
    return found


def _plain(node: yaml.Node, path: Path) -> dict | list | str:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, path) for item in node.value]
    found: dict[str, object] = {}
    for key, value in node.value:
        if key.value in found:
            raise ValueError(f"{path}, line {key.start_mark.line + 1}: the key {key.value!r} stands twice")
        found[str(key.value)] = _plain(value, path)
    return found


def _texts(texts: object, path: Path, where: str) -> Iterator[str]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{path}: {where}: got {texts!r}, expected a list of phrases")
    yield from texts


def _refuse_twin(owners: dict[str, str], name: str, text: str, path: Path) -> None:
    """Labels may share a phrase, and it means both; a label has it once, and what means nothing has no label."""
    if name in owners:
        raise ValueError(f"{path}: {name!r} has the phrase {text!r} twice, also as {owners[name]!r}")
    if owners and NOTHING in (name, *owners):
        raise ValueError(
            f"{path}: {text!r} stands under {name!r} and {next(iter(owners))!r}, which contradict each other"
        )
    owners[name] = text


def _implied(
    root: dict[str, dict[str, list[str]] | list[str]], labels: Sequence[str], path: Path
) -> dict[str, tuple[str, ...]]:
    direct: dict[str, list[str]] = {}
    for name in labels:
        entry = root[name]
        direct[name] = (
            list(_texts(entry.get("implies", []), path, f"{name}, implies")) if isinstance(entry, dict) else []
        )
        for wider in direct[name]:
            if wider not in labels:
                raise ValueError(f"{path}: {name!r} implies the {unknown_name('label', wider, labels)}")
    implied = {}
    for name in labels:
        reached, waiting = dict.fromkeys(direct[name]), list(direct[name])
        while waiting:
            new = [wider for wider in direct[waiting.pop()] if wider not in reached]
            reached.update(dict.fromkeys(new))
            waiting += new
        implied[name] = tuple(reached)
    return implied


def _named_set(name: str) -> Sequence[str]:
    spaces = label_spaces()
    if (space := SHORT_NAMES.get(name, name)) in spaces:
        return label_space(space)
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"{unknown_name('label space', name, [*SHORT_NAMES, *spaces])}, and there is no such file")
    labels = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not labels:
        raise ValueError(f"{path} holds no labels, expected one on each line")
    return labels
