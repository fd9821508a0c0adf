"""By which groups of labels an evaluation tells its metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml

from mlgcn.labels import describe_rule, group_labels
from mlgcn.metrics.groups import group_columns

RULES = ("prevalence", "rank")
LEAST_FOR_RANK = 18
Groups: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Grouping:
    """Label names by group, and the same by other rules.

    Attributes:
        groups, rule: those that tables and intervals are for, and the rule in words.
        others: by another rule's words, its groups.
    """

    groups: Groups
    rule: str
    others: Mapping[str, Groups] = field(default_factory=dict)


def group_by(
    names: Sequence[str], prevalence: np.ndarray, asked: str = RULES[0], counted: str = "the training split"
) -> Grouping:
    """The groups that are asked for, and beside them those by every other rule that can be counted.

    Args:
        prevalence: of the labels [C], NaN where not known.
        asked: prevalence, rank (see mlgcn.labels.label_groups), a YAML or JSON file of group: [labels], or the same
            inline: "{lung: [Edema, Mass], heart: [Cardiomegaly]}".
        counted: where the prevalence was counted, in words.
    Raises: ValueError on fewer than 18 labels for rank, on a file or text of another form, or unless every label is in
        one of its groups; FileNotFoundError.
    """
    groups: Groups
    if asked in RULES:
        groups, rule = group_labels(names, prevalence, asked), describe_rule(asked, counted)
    else:
        groups, rule = _given(asked)
        group_columns(names, groups)
    return Grouping(groups, rule, other_groups(names, prevalence, rule, counted))


def other_groups(
    names: Sequence[str], prevalence: np.ndarray, rule: str, counted: str = "the training split"
) -> dict[str, Groups]:
    """The groups by every rule that can be counted, other than the one in these words; as in group_by."""
    countable = [other for other in RULES if other != "rank" or len(names) >= LEAST_FOR_RANK]
    found = {describe_rule(other, counted): group_labels(names, prevalence, other) for other in countable}
    return {words: groups for words, groups in found.items() if words != rule}


def _given(asked: str) -> tuple[dict[str, list[str]], str]:
    """Groups as they are listed, and from where."""
    inline, path = asked.lstrip().startswith("{"), Path(asked)
    if not inline and path.suffix not in (".yaml", ".yml", ".json"):
        raise ValueError(
            f"groups are {asked!r}, expected one of {list(RULES)}, a YAML or JSON file, or "
            "'{GROUP: [LABEL, ...], ...}'"
        )
    if not inline and not path.is_file():
        raise FileNotFoundError(f"groups: there is no file {path}")
    where = "groups" if inline else str(path)
    try:
        held: Any = yaml.safe_load(asked if inline else path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(held, dict) or not held:
        raise ValueError(f"{where}: expected names of groups, each with a list of labels")
    for group, members in held.items():
        if not isinstance(group, str) or not isinstance(members, list) or not all(isinstance(m, str) for m in members):
            raise ValueError(f"{where}: group {group!r} holds {members!r}, expected a list of names of labels")
    return held, "as given on the command line" if inline else f"as given in {path.name}"
