"""The predictions file: scores and targets of images, which metrics and reports need instead of a model."""

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn.csv_table import read_csv
from mlgcn.labels import VIEWS, check_same_labels, merge_labels, studies_of
from mlgcn.npz_arrays import as_texts, expect_real, read_npz
from mlgcn.suggestions import check_known, unknown_name

logger = logging.getLogger(__name__)

ID_COLUMNS = ("image_id", "patient_id", "study_id", "view")
SCORE, TARGET, SPREAD = "score/", "target/", "spread/"
# Of the score of a view in the mean of its study, as CheXFusion's.
VIEW_WEIGHTS = {"frontal": 7.0, "lateral": 3.0, "unknown": 5.0}


class Predictions:
    """What a model said about images, next to what is known about them.

    Attributes:
        images: one row an image, all strings: image_id, patient_id, study_id, view, then whatever else is told of the
            images, such as their hospital; what is not told there is "".
        names: label names in the order of the columns.
        scores: float32 [N, C], each in [0, 1].
        targets: float32 [N, C]; 1 positive, 0 negative, NaN unknown.
        spreads: float32 [N, C], how far the model's experts lie apart: the standard deviation of their probabilities
            (divided by E); None where that is not known.

    Raises: ValueError that names column and row on repeated, empty or missing image ids, on a view that is none, on
        scores outside [0, 1] or not finite, on targets outside {0, 1, NaN}, on spreads below 0 or not finite; or on
        other shapes, or no label. Rows count from 0.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        names: Sequence[str],
        scores: np.ndarray,
        targets: np.ndarray,
        spreads: np.ndarray | None = None,
    ) -> None:
        if missing := [column for column in ID_COLUMNS if column not in images]:
            raise ValueError(f"columns {missing} are missing, expected {list(ID_COLUMNS)}")
        # object, not pandas' string type, whose missing values would not compare equal to anything.
        self.images = images[list(ID_COLUMNS)].astype(object).reset_index(drop=True)
        for column in images.columns.drop(list(ID_COLUMNS)):
            self.images[column] = _texts(images[column])
        self.names = tuple(names)
        self.scores = np.asarray(scores, dtype=np.float32)
        self.targets = np.asarray(targets, dtype=np.float32)
        self.spreads = None if spreads is None else np.asarray(spreads, dtype=np.float32)
        self._check()

    def _check(self) -> None:
        if not self.names:
            raise ValueError("there are no labels, expected at least one")
        if repeated := pd.Series(self.names, dtype=object).value_counts().loc[lambda count: count > 1].index.tolist():
            raise ValueError(f"label names repeat: {repeated[:5]}")
        for what, values in (("scores", self.scores), ("targets", self.targets), ("spreads", self.spreads)):
            if values is not None and values.shape != (len(self.images), len(self.names)):
                raise ValueError(
                    f"{what} have shape {values.shape}, expected ({len(self.images)} images, {len(self.names)} labels)"
                )
        for column in ID_COLUMNS:
            wrong = ~self.images[column].map(lambda value: isinstance(value, str) and value != "").astype(bool)
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                raise ValueError(
                    f"column {column!r}, row {row}: {self.images[column][row]!r}, expected text that is not empty"
                )
        if (repeated_id := self.images.image_id.duplicated()).any():
            row = int(np.flatnonzero(repeated_id)[0])
            raise ValueError(f"column 'image_id', row {row}: {self.images.image_id[row]!r} occurs a second time")
        if (unknown := ~self.images.view.isin(VIEWS)).any():
            row = int(unknown.argmax())
            raise ValueError(f"column 'view', row {row}: {self.images.view[row]!r}, expected one of {list(VIEWS)}")
        # Comparisons with NaN are false: it is refused as a score and needs its own clause as a target.
        self._refuse(~((self.scores >= 0) & (self.scores <= 1)), SCORE, self.scores, "a number in [0, 1]")
        known = ~np.isnan(self.targets)
        self._refuse(known & (self.targets != 0) & (self.targets != 1), TARGET, self.targets, "0, 1 or blank")
        if self.spreads is not None:
            wrong = ~((self.spreads >= 0) & np.isfinite(self.spreads))
            self._refuse(wrong, SPREAD, self.spreads, "a number >= 0")

    def _refuse(self, wrong: np.ndarray, prefix: str, values: np.ndarray, expected: str) -> None:
        if wrong.any():
            row, label = np.argwhere(wrong)[0]
            image = self.images.image_id[row]
            raise ValueError(
                f"column {prefix + self.names[label]!r}, row {row} (image {image!r}): {values[row, label]}, "
                f"expected {expected}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Predictions({len(self)} images, {len(self.names)} labels)"

    def aligned(self, names: Sequence[str]) -> "Predictions":
        """The same predictions with the labels in this order.

        Raises: ValueError that names the labels that only one side has.
        """
        check_same_labels(self.names, names)
        order = [self.names.index(name) for name in names]
        spreads = None if self.spreads is None else self.spreads[:, order]
        return Predictions(self.images, names, self.scores[:, order], self.targets[:, order], spreads)

    def by_study(self, weights: Mapping[str, float] = VIEW_WEIGHTS) -> "Predictions":
        """One row a study, in order of appearance: the weighted mean of its images' scores, its targets merged.

        image_id is then the study's; view and targets are merged as mlgcn.data.studies.study_table does. Spreads are
        averaged as scores are, which is the most that the experts' own means over the study can lie apart.

        Args:
            weights: by view, relative to one another.
        Raises: ValueError as study_shares.
        """
        studies, groups, shares = study_shares(self.images, weights)
        share = shares[:, None]

        def mean(values: np.ndarray) -> np.ndarray:
            means = np.zeros((len(studies), len(self.names)))
            np.add.at(means, groups, share * values)
            return means

        spreads = None if self.spreads is None else mean(self.spreads)
        return Predictions(studies, self.names, mean(self.scores), merge_labels(self.targets, groups), spreads)

    def table(self) -> pd.DataFrame:
        """One row an image: the columns of images, then score/<label> and target/<label> for each.

        Last spread/<label> for each, where spreads are known.
        """
        parts = [self.images]
        for prefix, values in ((SCORE, self.scores), (TARGET, self.targets), (SPREAD, self.spreads)):
            if values is not None:
                parts.append(pd.DataFrame(values, columns=[prefix + name for name in self.names]))
        return pd.concat(parts, axis=1)

    def write(self, path: Path) -> None:
        """Writes the table as Parquet, or as CSV if the path ends in .csv; folders are made where they are missing."""
        path = Path(path)
        _check_suffix(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            self.table().to_csv(path, index=False)
        else:
            self.table().to_parquet(path, index=False)

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """The predictions of a Parquet, CSV or .npz file, whoever wrote it; columns go by name, in any order.

        An .npz file holds targets [N, C] and scores or logits [N, C], and where it has them spreads [N, C], names [C],
        image_id, patient_id, study_id and view [N]; without names labels are 0 to C - 1, without identifiers rows are,
        and without patient_id, which is logged, every image is a patient of its own. Further columns, in an .npz file
        arrays [N], are kept as text, bytes read as UTF-8.
        Raises: ValueError that names file, column and row if the file is not as the class says or has no images;
            FileNotFoundError.
        """
        path = Path(path)
        _check_suffix(path, reading=True)
        if not path.exists():
            raise FileNotFoundError(f"there is no file {path}")
        try:
            if path.suffix == ".npz":
                predictions = _from_arrays(path)
            else:
                predictions = _from_table(read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path))
            if not len(predictions):
                raise ValueError("there are no images, expected at least one")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return predictions


def _check_suffix(path: Path, reading: bool = False) -> None:
    if path.suffix not in (".parquet", ".csv", *([".npz"] if reading else [])):
        expected = ".parquet, .csv or .npz" if reading else ".parquet or .csv"
        raise ValueError(f"{path} ends in {path.suffix!r}, expected {expected}")


def _from_arrays(path: Path) -> Predictions:
    arrays = read_npz(path)
    known = ("targets", "scores", "logits", "spreads", "names", *ID_COLUMNS)
    further = [name for name in arrays if name not in known]
    for name in further:
        if get_close_matches(name, known, cutoff=0.8):  # a slip, which would leave a patient unknown, say
            raise ValueError(unknown_name("array", name, known))
    if "targets" not in arrays or ("scores" in arrays) == ("logits" in arrays):
        raise ValueError(f"holds the arrays {sorted(arrays)}, expected targets and either scores or logits")
    for name in known[:4]:
        if name in arrays:
            expect_real(name, arrays[name])
    scores = arrays["scores"] if "scores" in arrays else _sigmoid(arrays["logits"])
    targets = arrays["targets"]
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ValueError(f"scores have shape {scores.shape} and targets {targets.shape}, expected [N, C] both")
    rows, labels = scores.shape
    ids = arrays.get("image_id", np.arange(rows))
    images = {
        "image_id": ids,
        "patient_id": arrays.get("patient_id", ids),
        "study_id": arrays.get("study_id", ids),
        "view": arrays.get("view", np.full(rows, "unknown")),
        **{name: arrays[name] for name in further},
    }
    columns = {name: as_texts(name, column, rows, "images") for name, column in images.items()}
    names = as_texts("names", arrays.get("names", np.arange(labels)), labels, "labels")
    if "patient_id" not in arrays:
        study = "" if "study_id" in arrays else " and study"
        logger.warning("%s has no array patient_id: every image counts as a patient%s of its own", path, study)
    return Predictions(pd.DataFrame(columns, dtype=object), names, scores, targets, arrays.get("spreads"))


def study_shares(
    images: pd.DataFrame, weights: Mapping[str, float] = VIEW_WEIGHTS
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Studies and the row there of each image, as studies_of has them, and what each image counts in its study: [N].

    Args:
        images: rows with study_id, patient_id and view.
        weights: by view, relative to one another.
    Raises: ValueError on weights that are negative or all 0, on a view that is none or has no weight, on a study
        whose images weigh nothing or have several patients.
    """
    studies, groups = studies_of(images)
    weight = _weights(images.view, weights)
    total = np.bincount(groups, weight, minlength=len(studies))
    if not total.all():
        study = studies["study_id"][int((total == 0).argmax())]
        raise ValueError(f"no image of study {study!r} has a weight > 0 (its view decides: {dict(weights)})")
    return studies, groups, weight / total[groups]


def _weights(views: pd.Series, weights: Mapping[str, float]) -> np.ndarray:
    """The weight of every image: float64 [N]."""
    check_known(VIEWS, weights, "view")
    if not all(np.isfinite(weight) and weight >= 0 for weight in weights.values()) or not any(weights.values()):
        raise ValueError(f"weights are {dict(weights)}, expected numbers >= 0, one of them > 0")
    weight = views.map(weights).to_numpy(dtype=np.float64)
    if (lacking := np.isnan(weight)).any():
        row = int(lacking.argmax())
        raise ValueError(f"column 'view', row {row}: {views.iloc[row]!r}, expected one of {list(weights)}")
    return weight


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    # In double precision, which does not saturate before |logit| 36.
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -700, 700)))


def _from_table(table: pd.DataFrame) -> Predictions:
    columns = pd.Index(table.columns)
    if columns.has_duplicates:
        raise ValueError(f"columns repeat: {columns[columns.duplicated()].tolist()[:5]}")
    scored, targeted, spread = (
        [str(column).removeprefix(prefix) for column in columns if str(column).startswith(prefix)]
        for prefix in (SCORE, TARGET, SPREAD)
    )
    pairs = [(scored, targeted, TARGET), (targeted, scored, SCORE)]
    pairs += [(scored, spread, SPREAD), (spread, scored, SCORE)] if spread else []
    for names, others, prefix in pairs:
        if lone := [prefix + name for name in names if name not in set(others)]:
            also = f", and where one has it a {SPREAD} column" if spread else ""
            raise ValueError(f"columns {lone[:5]} are missing; every label needs a {SCORE} and a {TARGET} column{also}")
    if not scored:
        raise ValueError(f"there is no column {SCORE}<label>")

    def values(prefix: str) -> np.ndarray:
        return np.stack([_numbers(table[prefix + name]) for name in scored], axis=1)

    further = [column for column in columns if not str(column).startswith((SCORE, TARGET, SPREAD))]
    return Predictions(table[further], scored, values(SCORE), values(TARGET), values(SPREAD) if spread else None)


def _texts(column: pd.Series) -> list[str]:
    """The column as text, an empty cell as ""."""
    return ["" if missing else str(cell) for cell, missing in zip(column, column.isna(), strict=True)]


def _numbers(column: pd.Series) -> np.ndarray:
    """The column as float32, an empty cell as NaN."""
    if column.dtype != object and pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float32, na_value=np.nan)
    cells = column.to_numpy(dtype=object)
    values = np.full(len(cells), np.nan, dtype=np.float32)
    for row, cell in enumerate(cells):
        try:
            values[row] = np.nan if cell in ("", None) else float(cell)
        except (TypeError, ValueError):
            raise ValueError(f"column {column.name!r}, row {row}: {cell!r}, expected a number") from None
    return values
