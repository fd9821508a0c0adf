"""Training, validation and test parts that share no patient."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold, MultilabelStratifiedShuffleSplit

from mlgcn.data.sources.files import read_table
from mlgcn.labels import SPLITS, LabelTable

logger = logging.getLogger(__name__)

LEAST_PATIENTS = 10


def complete_split(
    table: LabelTable,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    by_view: bool = False,
    leaks: str = "error",
) -> tuple[LabelTable, str]:
    """The table with every image in train, val or test, and in words how they came there.

    A table without a split, or with training images alone, is divided by patient. One that lacks val or test gives up a
    share of its training patients for it. Where no label of val or of test is known, as of a challenge's held-out
    images, nothing can be measured on that part: it is left out, as if the table lacked it. One that has all three
    stays as it is.

    Args:
        fractions: of the patients, for train, val and test; they add up to 1.
        by_view: whether what is divided keeps the views alike too.
        leaks: what happens where the source's split has a patient in two parts, see check_patients.
    Raises: ValueError if only some images have a split, if a part is missing, if a patient is in two parts unless leaks
        is "warn", or as split_by_patient does.
    """
    given = set(table.images.split)
    if given == {""}:
        return split_by_patient(table, fractions, seed, by_view), _in_words("all patients", fractions, seed, by_view)
    if "" in given:
        missing = int((table.images.split == "").sum())
        raise ValueError(f"{missing} of {len(table)} images have no split while others have one")
    if "train" not in given:
        raise ValueError(f"the table has the splits {sorted(given)}, expected train among them")
    check_patients(table, leaks)
    table, untold = told_parts(table)
    words = "".join(f"; {part}, of which no label is known, is left out" for part in untold)
    lacking = [part for part in SPLITS[1:] if part not in given or part in untold]
    if not lacking:
        return table, "the source's own"
    _check_fractions(fractions)
    parts = [share if part == "train" or part in lacking else 0 for part, share in zip(SPLITS, fractions, strict=True)]
    inner = split_by_patient(table.split("train"), [share / sum(parts) for share in parts], seed, by_view)
    split = table.images.split.copy()
    split[split == "train"] = inner.images.split.to_numpy()
    shares = " and ".join(f"{part}: {fractions[SPLITS.index(part)] / sum(parts):.3g}" for part in lacking)
    whose = f"of its training patients{_alike(by_view)}"
    return table.with_split(split), f"the source's own, {shares} {whose}, seed {seed}{words}"


def told_parts(table: LabelTable) -> tuple[LabelTable, list[str]]:
    """The table without val or test where no label of that part is known, and which parts were left out."""
    given = set(table.images.split)
    untold = [part for part in SPLITS[1:] if part in given and not table.split(part).known.any()]
    return (table.take(~table.images.split.isin(untold).to_numpy()) if untold else table), untold


def split_by_patient(
    table: LabelTable, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0, by_view: bool = False
) -> LabelTable:
    """The table divided by patient, label frequencies kept alike by iterative stratification (Sechidis et al. 2011).

    Patients are alike if they have about as many images, and about as many that are positive for each label.

    Args:
        fractions: of the patients, for train, val and test; they add up to 1, and a 0 leaves val or test empty.
        by_view: whether patients who are alike also have about as many frontal and as many lateral images.
    Raises: ValueError on other fractions, or if there are fewer than 10 patients.
    """
    _check_fractions(fractions)
    member, traits = _patients(table, by_view, LEAST_PATIENTS)
    train, val, test = fractions
    part = np.full(len(traits), "train", dtype=object)
    part[_pick(traits, np.arange(len(traits)), test, seed)] = "test"
    part[_pick(traits, np.flatnonzero(part == "train"), val / (train + val) if val else 0, seed)] = "val"
    return table.with_split(part[member])


def shares(ratios: Sequence[float]) -> tuple[float, ...]:
    """The fractions that ratios such as 7 : 1 : 2 stand for.

    Raises: ValueError unless they are three numbers >= 0, the first > 0.
    """
    if len(ratios) != 3 or not min(ratios) >= 0 or not 0 < ratios[0] < np.inf or not sum(ratios) < np.inf:
        raise ValueError(
            f"ratios are {list(ratios)}, expected three numbers >= 0 for train, val and test, the first > 0"
        )
    return tuple(ratio / sum(ratios) for ratio in ratios)


def folds(table: LabelTable, count: int = 5, seed: int = 0, by_view: bool = False) -> np.ndarray:
    """Which fold every image is in, 0 to count - 1: int64 [N]; no patient is in two, label frequencies kept alike.

    Args:
        count: of folds, at least 3, for fold_split makes one of them the test set and one the validation set.
        by_view: as in split_by_patient.
    Raises: ValueError if there are fewer than 3 folds, or fewer patients than folds or 10.
    """
    if count < 3:
        raise ValueError(
            f"there are to be {count} folds, expected at least 3: one for test, one for val, others to train"
        )
    member, traits = _patients(table, by_view, max(LEAST_PATIENTS, count))
    fold = np.empty(len(traits), dtype=np.int64)
    splitter = MultilabelStratifiedKFold(n_splits=count, shuffle=True, random_state=seed)
    for number, (_, picked) in enumerate(splitter.split(traits, traits)):
        fold[picked] = number
    return fold[member]


def fold_split(table: LabelTable, fold: np.ndarray, number: int) -> LabelTable:
    """The table with one fold to test, the next one (after the last the first) to validate, the others to train.

    Args:
        fold: of every image, as folds gives them [N].
    Raises: ValueError if there is no fold of that number.
    """
    count = int(fold.max()) + 1
    if not 0 <= number < count:
        raise ValueError(f"fold is {number}, expected 0 to {count - 1}")
    split = np.full(len(table), "train", dtype=object)
    split[fold == (number + 1) % count] = "val"
    split[fold == number] = "test"
    return table.with_split(split)


def check_patients(table: LabelTable, leaks: str = "error") -> None:
    """Tells the first patients found in more than one split: raises ValueError, or with leaks="warn" logs a warning."""
    splits = table.images.groupby("patient_id").split.nunique()
    if leaking := splits.index[splits > 1].tolist():
        found = (
            f"{len(leaking)} patients are in more than one split, the first {leaking[:5]}; `mlgcn split --check` tells "
        )
        if leaks != "warn":
            raise ValueError(f"{found}more, `mlgcn split` divides anew, --data.leaks warn goes on")
        logger.warning("%smore: what is measured flatters the model", found)


def save_split(table: LabelTable, path: Path) -> None:
    """Writes which split every image is in."""
    table.images[["image_id", "patient_id", "split"]].to_csv(path, index=False)


def recorded_split(table: LabelTable, path: Path, surplus: bool = False) -> LabelTable:
    """The table with the split of a file, so that no later change of data or code moves a patient.

    Args:
        path: as save_split writes it, with a row for every image. Without the column patient_id, as in official
            lists, no patient is compared. Patients may be in two parts: see check_patients.
        surplus: whether the file may have rows of other images, which are left out and counted in the log.
    Raises: FileNotFoundError; ValueError if the table has images that the file lacks, if unless surplus the file has
        others, if patients differ, if an image repeats, or if a split is none of train, val, test.
    """
    saved = read_table(path, columns=["image_id", "split"]).set_index("image_id")
    ids = table.images.image_id
    if saved.index.has_duplicates:
        raise ValueError(f"{path}: image {saved.index[saved.index.duplicated()][0]!r} is there more than once")
    if surplus and (left := ~saved.index.isin(ids)).any():
        logger.warning("%s: %d of %d rows are of images that the data do not have", path, left.sum(), len(saved))
        saved = saved[~left]
    for has, lacks, where in ((set(ids), set(saved.index), "the data have"), (set(saved.index), set(ids), "it has")):
        if lone := sorted(has - lacks):
            raise ValueError(
                f"the images are not those of {path}: only one side has {lone[:3]}; {where} {len(lone)} images more"
            )
    if wrong := sorted(set(saved.split) - set(SPLITS)):
        raise ValueError(f"{path}: column 'split' holds {wrong[:3]}, expected {list(SPLITS)}")
    if "patient_id" in saved and (moved := saved.patient_id[ids].to_numpy() != table.images.patient_id).any():
        raise ValueError(f"image {ids[moved].iloc[0]!r} belongs to another patient in {path}")
    return table.with_split(saved.split[ids])


def split_report(table: LabelTable, method: str, parts: Sequence[str] | np.ndarray | None = None) -> dict[str, Any]:
    """Images, patients and positives of every part, ready for JSON.

    Keys: method; parts: {part: {images, patients, positives: {label: n}, known: {label: n}}}; warnings, in words.
    Args:
        parts: of every image, "" for none; by default its split. Parts without an image are not in the report.
    """
    part_of = table.images.split.to_numpy() if parts is None else np.array(parts, dtype=object)
    reported, warnings = {}, []
    for name in part_names(part_of):
        part = table.take(part_of == name)
        positives = dict(zip(table.names, part.positives.tolist(), strict=True))
        known = dict(zip(table.names, part.known.tolist(), strict=True))
        reported[name] = {
            "images": len(part),
            "patients": part.images.patient_id.nunique(),
            "positives": positives,
            "known": known,
        }
        if absent := [label for label, count in positives.items() if not count]:
            consequence = "they cannot be learned" if name == "train" else "their metrics are undefined"
            warnings.append(f"no positive in {name}: {', '.join(absent)}; {consequence}")
    if left := int((part_of == "").sum()):
        warnings.append(f"{left} of {len(table)} images are in no part")
    if (table.images.patient_id == table.images.image_id).all():
        warnings.append("no patient is given: every image counts as a patient of its own, so parts may share patients")
    return {"method": method, "parts": reported, "warnings": warnings}


def part_names(parts: Iterable[str]) -> list[str]:
    """The parts that images are in: train, val, test, then others by name; "" is none."""
    found = set(parts) - {""}
    return [name for name in SPLITS if name in found] + sorted(found - set(SPLITS))


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or not np.isclose(sum(fractions), 1) or not fractions[0] > 0:
        raise ValueError(f"fractions are {list(fractions)}, expected three shares, the first > 0, that add up to 1")


def _patients(table: LabelTable, by_view: bool, least: int) -> tuple[np.ndarray, np.ndarray]:
    """The number of each image's patient [N], and what the patients are like: 0/1 [patients, traits].

    A trait is that a patient has 1, 2, 4, ... images, or as many positive for one label, or by_view, of one view.
    Raises: ValueError if there are fewer patients than at least.
    """
    patients, member = np.unique(table.images.patient_id.to_numpy(dtype=str), return_inverse=True)
    if len(patients) < least:
        raise ValueError(f"there are {len(patients)} patients, expected at least {least} to divide")
    marks = [np.ones((len(table), 1), dtype=bool), table.values == 1]
    if by_view:
        marks.append(table.images.view.to_numpy(dtype=str)[:, None] == np.array(["frontal", "lateral"]))
    seen = np.concatenate(marks, axis=1)
    counts = np.zeros((len(patients), seen.shape[1]), dtype=np.int64)
    np.add.at(counts, member, seen)
    steps = 2 ** np.arange(int(counts.max()).bit_length())
    traits = (counts[:, :, None] >= steps).reshape(len(patients), -1)
    return member, traits[:, traits.any(axis=0)].astype(np.int64)


def _pick(traits: np.ndarray, candidates: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A stratified share of the candidates."""
    if not share:
        return candidates[:0]
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    _, picked = next(splitter.split(candidates, traits[candidates]))
    return candidates[picked]


def _in_words(what: str, fractions: Sequence[float], seed: int, by_view: bool) -> str:
    ratio = ":".join(f"{share:g}" for share in fractions)
    return f"{what} divided {ratio} by iterative stratification{_alike(by_view)}, seed {seed}"


def _alike(by_view: bool) -> str:
    return " over labels and views" if by_view else ""
