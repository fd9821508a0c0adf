"""What the values in a label column mean: the policy that every reader of such columns takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.data.sources.row_place import row_place

MEANINGS = {"positive": 1.0, "negative": 0.0, "unknown": np.nan}
CERTAIN = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0}


def meaning(name: str, policy: str | float) -> float:
    """The label value that a policy stands for: 1, 0, NaN, or a soft value in [0, 1] given as a number.

    Args:
        name: of the setting, for the message.
    Raises: ValueError on any other policy.
    """
    if isinstance(policy, str) and policy in MEANINGS:
        return MEANINGS[policy]
    try:
        value = np.nan if isinstance(policy, bool) else float(policy)  # YAML reads a bare no as False
    except (TypeError, ValueError):
        value = np.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {policy!r}, expected one of {list(MEANINGS)} or a number in [0, 1]")
    return value


def label_values(
    file: Path,
    rows: pd.DataFrame,
    labels: Sequence[str],
    *,
    uncertain: str | float = "unknown",
    blank: str | float = "unknown",
    soft: bool = False,
) -> tuple[np.ndarray, bool]:
    """The values of label columns, float32 [N, C], and whether soft ones may be among them.

    Args:
        file: where the rows come from, for the messages.
        rows: the table as text, one row an image, as read_table gives it.
        uncertain, blank: what -1 and blank mean: "positive", "negative", "unknown" or a soft value in [0, 1].
        soft: whether the columns may hold any number from 0 to 1.
    Raises: ValueError that names file, line and column of any other value; on another policy.
    """
    doubt, absent = meaning("uncertain", uncertain), meaning("blank", blank)
    known = CERTAIN | {"-1": doubt, "-1.0": doubt, "": absent}
    values = np.empty((len(rows), len(labels)), dtype=np.float32)
    for place, label in enumerate(labels):
        values[:, place] = _column(file, rows[label], known, soft)
    return values, soft or any(0 < value < 1 for value in (doubt, absent))


def _column(file: Path, column: pd.Series, known: dict[str, float], soft: bool) -> np.ndarray:
    """The values of one column [N]; each text is looked at once, however often it stands there."""
    codes, texts = pd.factorize(column)
    values = np.empty(len(texts), dtype=np.float32)
    for place, text in enumerate(texts):
        value = known.get(text.strip())
        if value is None and soft:
            value = _fraction(text)
        if value is None:
            where = row_place(file, (codes == place).argmax())
            expected = "a number from 0 to 1, -1 or blank" if soft else "0, 1, -1 or blank"
            raise ValueError(f"{file}: column {column.name!r} holds {text!r} in {where}, expected {expected}")
        values[place] = value
    return values[codes]


def _fraction(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None
