"""The table of labels that everything else takes label names and their order from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

VIEWS = ("frontal", "lateral", "unknown")
SPLITS = ("train", "val", "test")
GROUPS = ("head", "medium", "tail")
IMAGE_COLUMNS = ("image_id", "path", "patient_id", "study_id", "view", "split")


class LabelTable:
    """Labels of a set of images: who, where, and which findings.

    Attributes:
        names: label names in the order of the columns.
        values: float32 [N, C]; 1 positive, 0 negative, NaN unknown, and where soft, between 0 and 1 a soft label, as
            doubt or another model's probability gives it. Read-only. A loss learns from soft labels; everything that
            counts or measures takes them for unknown.
        images: one row an image, all strings: image_id, path, patient_id, study_id,
            view (frontal, lateral or unknown) and split (train, val, test, or "" where none is given).

    Without patient_id every image is its own patient, without study_id its own study.
    Args:
        soft: whether values between 0 and 1 may stand in the table.
    Raises: ValueError on values outside {0, 1, NaN}, or where soft outside [0, 1], on repeated label names or image
        ids, columns of other lengths, empty identifiers, unknown views or splits.
    """

    def __init__(
        self,
        values: pd.DataFrame | np.ndarray,
        names: Sequence[str] | None = None,
        *,
        image_id: Iterable[str],
        path: Iterable[str] | None = None,
        patient_id: Iterable[str] | None = None,
        study_id: Iterable[str] | None = None,
        view: Iterable[str] | str = "unknown",
        split: Iterable[str] | str = "",
        soft: bool = False,
    ) -> None:
        if names is None:
            if not isinstance(values, pd.DataFrame):
                raise ValueError("names are needed where values are not a data frame")
            names = list(values.columns)
        elif isinstance(values, pd.DataFrame):
            check_same_labels(list(values.columns), names)
            values = values[list(names)]
        self.names = tuple(str(name) for name in names)
        # A copy: the table freezes its values, and the caller's array must stay writable.
        self.values = np.array(values, dtype=np.float32)
        self.soft = soft
        ids = _texts(image_id)
        columns = {
            "image_id": ids,
            "path": ids if path is None else _texts(path),
            "patient_id": ids if patient_id is None else _texts(patient_id),
            "study_id": ids if study_id is None else _texts(study_id),
            "view": [view] * len(ids) if isinstance(view, str) else _texts(view),
            "split": [split] * len(ids) if isinstance(split, str) else _texts(split),
        }
        for column, entries in columns.items():
            if len(entries) != len(ids):
                raise ValueError(f"{column} has {len(entries)} entries, expected one for each of {len(ids)} images")
        # object, not pandas' string type, whose missing values would not compare equal to anything.
        self.images = pd.DataFrame(columns, dtype=object)
        self._check()
        self.values.flags.writeable = False

    def _check(self) -> None:
        if self.values.shape != (len(self.images), len(self.names)):
            raise ValueError(
                f"values have shape {self.values.shape}, expected ({len(self.images)} images, {len(self.names)} labels)"
            )
        if repeated := _repeated(self.names):
            raise ValueError(f"label names repeat: {repeated}")
        allowed = (self.values >= 0) & (self.values <= 1) if self.soft else (self.values == 0) | (self.values == 1)
        wrong = ~(np.isnan(self.values) | allowed)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"label {self.names[column]!r} of image {self.images.image_id[row]!r} is {self.values[row, column]}, "
                f"expected {'0 to 1' if self.soft else '0, 1'} or NaN"
            )
        if repeated := _repeated(self.images.image_id):
            raise ValueError(f"image ids repeat: {repeated}")
        for column in ("image_id", "patient_id", "study_id"):
            if (empty := (self.images[column] == "")).any():
                raise ValueError(f"{column} is empty in row {int(empty.to_numpy().argmax())}")
        for column, allowed in (("view", VIEWS), ("split", ("", *SPLITS))):
            if unexpected := sorted(set(self.images[column]) - set(allowed)):
                raise ValueError(f"{column} holds {unexpected}, expected one of {list(allowed)}")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"LabelTable({len(self)} images, {self.images.patient_id.nunique()} patients, {len(self.names)} labels)"

    @property
    def certain(self) -> np.ndarray:
        """The values without soft labels, which become unknown: float32 [N, C] of 0, 1, NaN."""
        if not self.soft:
            return self.values
        return np.where((self.values > 0) & (self.values < 1), np.float32(np.nan), self.values)

    @property
    def positives(self) -> np.ndarray:
        """Images positive for each label: int64 [C]."""
        return (self.values == 1).sum(axis=0)

    @property
    def known(self) -> np.ndarray:
        """Images whose value of each label is known, soft ones left out: int64 [C]."""
        return (self.values == 0).sum(axis=0) + self.positives

    @property
    def prevalence(self) -> np.ndarray:
        """Share of positives among the images whose label is known: float64 [C], NaN where none is."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.positives / np.where(self.known > 0, self.known, np.nan))

    def take(self, rows: np.ndarray) -> "LabelTable":
        """The table of some rows, given as a mask [N] or as row numbers, in that order."""
        images = self.images.iloc[rows]
        values = self.values[images.index.to_numpy()]
        return LabelTable(values, self.names, **_columns(images), soft=self.soft)

    def split(self, name: str) -> "LabelTable":
        """The rows of one split, or the whole table for "all".

        Raises: ValueError if the name is none of train, val, test, all, or if the split is empty.
        """
        if name == "all":
            return self
        if name not in SPLITS:
            raise ValueError(f"split is {name!r}, expected one of {[*SPLITS, 'all']}")
        part = self.take((self.images.split == name).to_numpy())
        if not len(part):
            raise ValueError(f"the {name} split is empty; the table has {self.images.split.value_counts().to_dict()}")
        return part

    def with_split(self, split: Iterable[str]) -> "LabelTable":
        """The same table with another split."""
        return LabelTable(self.values, self.names, **{**_columns(self.images), "split": list(split)}, soft=self.soft)

    def with_values(self, values: np.ndarray, names: Sequence[str] | None = None, soft: bool = False) -> "LabelTable":
        """The same images with other values, of the same labels or of those named."""
        return LabelTable(values, self.names if names is None else names, **_columns(self.images), soft=soft)

    def reordered(self, names: Sequence[str]) -> "LabelTable":
        """The same table with its labels in another order.

        Raises: ValueError that names the labels that only one side has.
        """
        check_same_labels(self.names, names)
        order = [self.names.index(name) for name in names]
        return self.with_values(self.values[:, order], names, self.soft)


def check_same_labels(found: Sequence[str], expected: Sequence[str]) -> None:
    """Raises ValueError that names the difference unless both hold the same labels, in any order."""
    missing, extra = [n for n in expected if n not in set(found)], [n for n in found if n not in set(expected)]
    if missing or extra:
        parts = [f"{what} {labels}" for what, labels in (("lacks", missing), ("has the unexpected", extra)) if labels]
        raise ValueError(f"other labels than expected: {' and '.join(parts)}")


def studies_of(images: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """One row a study in order of appearance, with the columns of the images; and of each image its row there, [N].

    Its image_id is study_id, its view that of all its images, or unknown where they differ; the rest is as its first
    image has it.
    Raises: ValueError that names a study whose images have several patients or splits.
    """
    groups, _ = pd.factorize(images["study_id"])
    studies = images[~images["study_id"].duplicated()].reset_index(drop=True)
    for column in images.columns.intersection(["patient_id", "split"]):
        differs = _differs(column, images, studies, groups)
        if differs.any():
            row = int(differs.argmax())
            found = sorted([studies[column][groups[row]], images[column].iloc[row]])
            raise ValueError(f"study {images['study_id'].iloc[row]!r} has several of {column}: {found}, expected one")
    several = np.isin(np.arange(len(studies)), groups[_differs("view", images, studies, groups)])
    return studies.assign(image_id=studies["study_id"], view=studies["view"].mask(several, "unknown")), groups


def merge_labels(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Labels of groups of images: 1 if any is 1, else the largest soft one, else 0 if any is 0, else NaN: [G, C].

    Args:
        values: [N, C] as in LabelTable.
        groups: of each image, 0 to G - 1, none of them empty; int [N].
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    # That is the largest known value; fmax passes over NaN.
    return np.fmax.reduceat(values[order], starts, axis=0)


def label_groups(
    table: LabelTable, rule: str = "prevalence", given: Mapping[str, Sequence[str]] | None = None
) -> dict[str, list[str]]:
    """Label names by group: {"head": [...], "medium": [...], "tail": [...]}, each from frequent to rare.

    Args:
        table: the training split, whose counts decide.
        rule: "prevalence" (head > 10 %, medium 1-10 %, tail < 1 % of the images whose label is known; the CXR-LT
            overviews), "rank" (the 9 most frequent, the 9 least frequent, the rest; Seo et al. 2023, Table 1), "given".
        given: for "given", the names of each group; every label belongs to exactly one.
    Raises: ValueError on an unknown rule, on fewer than 18 labels for "rank", or on a given list that is no partition.
    """
    return group_labels(table.names, table.prevalence, rule, given)


def group_labels(
    names: Sequence[str],
    prevalence: np.ndarray,
    rule: str = "prevalence",
    given: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[str]]:
    """Label names by group, as label_groups gives them, from the prevalence of each label [C], NaN where not known."""
    frequency = np.nan_to_num(prevalence)
    order = sorted(range(len(names)), key=lambda i: (-frequency[i], i))
    if rule == "prevalence":
        group_of = {i: "head" if frequency[i] > 0.1 else "medium" if frequency[i] >= 0.01 else "tail" for i in order}
    elif rule == "rank":
        if len(order) < 18:
            raise ValueError(f"rule 'rank' needs at least 18 labels, got {len(order)}")
        group_of = {i: "head" if r < 9 else "tail" if r >= len(order) - 9 else "medium" for r, i in enumerate(order)}
    elif rule == "given":
        group_of = _given_groups(names, given or {})
    else:
        raise ValueError(f"rule is {rule!r}, expected one of ['prevalence', 'rank', 'given']")
    return {group: [names[i] for i in order if group_of[i] == group] for group in GROUPS}


def middle_labels(
    groups: Mapping[str, Sequence[str]], positives: Mapping[str, int], count: int = 1
) -> dict[str, list[str]]:
    """Of each group so many labels at even ranks of frequency, one being the median, among those with a positive.

    Groups without any are left out.
    """
    found = {}
    for group, members in groups.items():
        order = sorted((name for name in members if positives[name]), key=lambda name: -positives[name])
        if order:
            found[group] = list(dict.fromkeys(order[(2 * at + 1) * len(order) // (2 * count)] for at in range(count)))
    return found


def describe_rule(rule: str, counted: str = "the training split") -> str:
    """The grouping rule in words, for the tables that print it, and what was counted for it."""
    return {
        "prevalence": f"by prevalence in {counted}: head > 10 %, medium 1-10 %, tail < 1 %",
        "rank": f"by rank in {counted}: head the 9 most frequent labels, tail the 9 least frequent",
        "given": "as listed in the configuration",
    }[rule]


def _given_groups(names: Sequence[str], given: Mapping[str, Sequence[str]]) -> dict[int, str]:
    if unknown := sorted(set(given) - set(GROUPS)):
        raise ValueError(f"given groups are named {unknown}, expected some of {list(GROUPS)}")
    listed = [name for group in given.values() for name in group]
    if sorted(listed) != sorted(names):
        wrong = sorted(set(listed) ^ set(names)) or _repeated(listed)
        raise ValueError(f"the given groups must hold every label exactly once; check {wrong}")
    return {names.index(name): group for group, members in given.items() for name in members}


def _differs(column: str, images: pd.DataFrame, studies: pd.DataFrame, groups: np.ndarray) -> np.ndarray:
    """Which images have another entry than the first of their study: bool [N]."""
    return images[column].to_numpy() != studies[column].to_numpy()[groups]


def _columns(images: pd.DataFrame) -> dict[str, Any]:
    return {column: images[column].tolist() for column in IMAGE_COLUMNS}


def _texts(entries: Iterable[Any]) -> list[str]:
    """As text; what is missing is empty, lest all patients without an identifier become one called nan."""
    entries = entries.tolist() if isinstance(entries, pd.Series) else entries
    return [entry if type(entry) is str else "" if pd.isna(entry) is True else str(entry) for entry in entries]


def _repeated(values: Iterable[str]) -> list[str]:
    """The first few values that occur more than once."""
    column = pd.Series(list(values), dtype=object)
    if column.is_unique:
        return []
    counts = column.value_counts()
    return counts.index[counts > 1].tolist()[:5]
