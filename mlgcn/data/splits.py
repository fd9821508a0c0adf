"""Training, validation and test parts that share no patient."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

from mlgcn.data.sources.files import read_table
from mlgcn.labels import SPLITS, LabelTable


def complete_split(
    table: LabelTable, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0
) -> tuple[LabelTable, str]:
    """The table with every image in train, val or test, and in words how they came there.

    A table without a split is divided by patient. One that has train and test but no val gives up a share of its
    training patients for it. One that has all three stays as it is.

    Args:
        fractions: of the patients, for train, val and test; they add up to 1.
    Raises: ValueError if only some images have a split, if a part is missing, if a patient is in two parts, or as
        split_by_patient does.
    """
    given = set(table.images.split)
    if given == {""}:
        return split_by_patient(table, fractions, seed), _in_words("all patients", fractions, seed)
    if "" in given:
        missing = int((table.images.split == "").sum())
        raise ValueError(f"{missing} of {len(table)} images have no split while others have one")
    check_patients(table)
    if given == {"train", "test"}:
        _check_fractions(fractions)
        share = fractions[1] / (fractions[0] + fractions[1])
        inner = split_by_patient(table.split("train"), (1 - share, share, 0), seed)
        split = table.images.split.copy()
        split[split == "train"] = inner.images.split.to_numpy()
        return table.with_split(split), f"the source's own, val: {share:.3g} of its training patients, seed {seed}"
    if given != set(SPLITS):
        raise ValueError(f"the table has the splits {sorted(given)}, expected train, test and perhaps val")
    return table, "the source's own"


def split_by_patient(table: LabelTable, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0) -> LabelTable:
    """The table divided by patient, label frequencies kept alike by iterative stratification (Sechidis et al. 2011).

    Patients are alike if they have about as many images, and about as many that are positive for each label.

    Args:
        fractions: of the patients, for train, val and test; they add up to 1, and a 0 leaves val or test empty.
    Raises: ValueError on other fractions, or if there are fewer than 10 patients.
    """
    _check_fractions(fractions)
    patients, member = np.unique(table.images.patient_id.to_numpy(dtype=str), return_inverse=True)
    if len(patients) < 10:
        raise ValueError(f"there are {len(patients)} patients, expected at least 10 to divide")
    traits = _patient_traits(table.values, member, len(patients))
    train, val, test = fractions
    part = np.full(len(patients), "train", dtype=object)
    part[_pick(traits, np.arange(len(patients)), test, seed)] = "test"
    part[_pick(traits, np.flatnonzero(part == "train"), val / (train + val) if val else 0, seed)] = "val"
    return table.with_split(part[member])


def check_patients(table: LabelTable) -> None:
    """Raises ValueError that names the first patients found in more than one split."""
    splits = table.images.groupby("patient_id").split.nunique()
    if leaking := splits.index[splits > 1].tolist():
        raise ValueError(f"{len(leaking)} patients are in more than one split, the first {leaking[:5]}")


def save_split(table: LabelTable, path: Path) -> None:
    """Writes which split every image is in."""
    table.images[["image_id", "patient_id", "split"]].to_csv(path, index=False)


def recorded_split(table: LabelTable, path: Path) -> LabelTable:
    """The table with the split that save_split wrote, so that no later change of data or code moves a patient.

    Raises: FileNotFoundError; ValueError if the table has other images, or other patients for them.
    """
    saved = read_table(path, columns=["image_id", "patient_id", "split"]).set_index("image_id")
    ids = table.images.image_id
    if unknown := sorted(set(ids) ^ set(saved.index)):
        raise ValueError(f"the images are not those of {path}: only one side has {unknown[:3]}")
    if (moved := saved.patient_id[ids].to_numpy() != table.images.patient_id.to_numpy()).any():
        raise ValueError(f"image {ids[moved].iloc[0]!r} belongs to another patient in {path}")
    return table.with_split(saved.split[ids])


def split_report(table: LabelTable, method: str) -> dict[str, Any]:
    """Images, patients and positives of every split, ready for JSON.

    Keys: method; parts: {split: {images, patients, positives: {label: n}, known: {label: n}}}; warnings, in words.
    """
    parts, warnings = {}, []
    for name in SPLITS:
        part = table.split(name)
        positives = dict(zip(table.names, part.positives.tolist(), strict=True))
        known = dict(zip(table.names, part.known.tolist(), strict=True))
        parts[name] = {
            "images": len(part),
            "patients": part.images.patient_id.nunique(),
            "positives": positives,
            "known": known,
        }
        if absent := [label for label, count in positives.items() if not count]:
            consequence = "they cannot be learned" if name == "train" else "their metrics are undefined"
            warnings.append(f"no positive in {name}: {', '.join(absent)}; {consequence}")
    if (table.images.patient_id == table.images.image_id).all():
        warnings.append("no patient is given: every image counts as a patient of its own, so parts may share patients")
    return {"method": method, "parts": parts, "warnings": warnings}


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or not np.isclose(sum(fractions), 1) or not fractions[0] > 0:
        raise ValueError(f"fractions are {list(fractions)}, expected three shares, the first > 0, that add up to 1")


def _patient_traits(values: np.ndarray, member: np.ndarray, patients: int) -> np.ndarray:
    """0/1 [patients, traits]: whether a patient has 1, 2, 4, ... images, and as many positive for each label."""
    counts = np.zeros((patients, 1 + values.shape[1]), dtype=np.int64)
    np.add.at(counts, member, np.concatenate([np.ones((len(values), 1)), values == 1], axis=1).astype(np.int64))
    steps = 2 ** np.arange(int(counts.max()).bit_length())
    traits = (counts[:, :, None] >= steps).reshape(patients, -1)
    return traits[:, traits.any(axis=0)].astype(np.int64)


def _pick(traits: np.ndarray, candidates: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A stratified share of the candidates."""
    if not share:
        return candidates[:0]
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    _, picked = next(splitter.split(candidates, traits[candidates]))
    return candidates[picked]


def _in_words(what: str, fractions: Sequence[float], seed: int) -> str:
    return f"{what} divided {':'.join(f'{share:g}' for share in fractions)} by iterative stratification, seed {seed}"
