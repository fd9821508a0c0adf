"""Submissions to the CXR-LT challenges, in the form of the organisers' samples."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pandas as pd

from mlgcn.data.ontology import describe_mapping
from mlgcn.predictions import ID_COLUMNS, Predictions
from mlgcn.reporting.submission_check import FILE, FORMATS, Sample, check_submission, problems_of, read_sample

__all__ = [
    "FORMATS",
    "Submission",
    "check_submission",
    "image_rows",
    "label_sources",
    "per_image",
    "read_sample",
    "write_submission",
]

CODE = "code"
NO_CODE = "__pycache__"
EXAMPLES = 10
# Half the smallest steps of float32 at 0 and at 1: inside, and beyond every other score. The nearest float32 would tie
# with scores that are there already.
ABOVE_0, BELOW_1 = 2.0**-150, 1 - 2.0**-25


@dataclass(frozen=True)
class Submission:
    """What a submission was made of.

    Attributes:
        images: how many rows it has.
        sources: by label of the sample, the label of the predictions that it was taken from.
        moved: how many scores were exactly 0 or 1, and were moved inside.
        unused_images, unused_labels: what was predicted beyond the sample.
        code: how many files stand in code/.
    """

    images: int
    sources: dict[str, str]
    moved: int
    unused_images: int
    unused_labels: list[str]
    code: int


def write_submission(
    predictions: Predictions, sample: Path, out: Path, format: str, code: Path | None = None
) -> Submission:
    """Writes a zip with submission.csv at its root, rows and columns those of the sample, and tells what went into it.

    Scores are probabilities. Where float32 has them at exactly 0 or 1, they are moved inside by half its smallest step,
    so that all keep their order.

    Args:
        code: a folder whose files go into code/, without __pycache__ and names that begin with a dot.
    Raises: ValueError on what read_sample, label_sources and image_rows refuse, on scores with which the submission
        would not pass check_submission, where all problems are named, on an `out` that is no .zip, on a folder without
        code; FileNotFoundError.
    """
    wanted = read_sample(sample, format)
    files = [] if code is None else _code_files(code, out)
    if out.suffix != ".zip":
        raise ValueError(f"{out} ends in {out.suffix!r}, expected .zip")
    sources = label_sources(predictions.names, wanted)
    hint = "; of predicted studies, --data.source gives each image the scores of its study"
    rows = image_rows(predictions.images["image_id"], wanted, hint)
    columns = [predictions.names.index(sources[label]) for label in wanted.labels]
    scores = predictions.scores[rows][:, columns].astype(np.float64)
    text = _csv(wanted, scores)
    if problems := problems_of(text, format, wanted):
        raise ValueError("\n  ".join([f"{out} would not be fit to send and was not written:", *problems]))
    at_0, at_1 = scores == 0, scores == 1
    if moved := int(at_0.sum() + at_1.sum()):
        scores[at_0], scores[at_1] = ABOVE_0, BELOW_1
        text = _csv(wanted, scores)
    _write_zip(out, text, files)
    return Submission(
        images=len(rows),
        sources=sources,
        moved=moved,
        unused_images=len(predictions) - len(rows),
        unused_labels=[name for name in predictions.names if name not in sources.values()],
        code=len(files),
    )


def label_sources(names: Sequence[str], sample: Sample) -> dict[str, str]:
    """By label of the sample the one of these names that it is taken from: the same name, else another of its finding.

    Raises: ValueError that names the labels that have none, or one that could be taken from several.
    """
    same: dict[str, list[str]] = {label: [] for label in sample.labels}
    for match in describe_mapping(names, sample.labels):
        if match.how == "same" and match.target is not None and match.source is not None:
            same[match.target].append(match.source)
    if missing := [label for label, found in same.items() if not found]:
        raise ValueError(
            f"{sample.path}: nothing is predicted for the labels {missing}, there are predictions for {list(names)}"
        )
    sources = {label: label if label in found else found[0] for label, found in same.items()}
    for label, found in same.items():
        if len(found) > 1 and label not in found:
            raise ValueError(f"{sample.path}: label {label!r} could be any of {found}, which mean the same")
    return sources


def image_rows(ids: Sequence[str] | pd.Series, sample: Sample, hint: str = "") -> np.ndarray:
    """Where the sample's images stand among these ids: int [N], in the sample's order.

    Args:
        hint: what to do about those that are not there, as the end of the message.
    Raises: ValueError that counts those that are not there, and names the first ten.
    """
    rows = pd.Index(ids).get_indexer(pd.Index(sample.ids))
    if (missing := rows < 0).any():
        first = [sample.ids[row] for row in np.flatnonzero(missing)[:EXAMPLES]]
        raise ValueError(
            f"{sample.path}: {missing.sum()} of its {len(rows)} images are not among the {len(ids)} at hand: "
            f"{', '.join(first)}{', ...' if missing.sum() > EXAMPLES else ''}{hint}"
        )
    return rows


def per_image(studies: Predictions, images: pd.DataFrame) -> Predictions:
    """Each image with the scores of its study; the targets are unknown.

    Args:
        studies: one row a study, as Predictor.predict_table gives them where views are joined or merged.
        images: image_id, patient_id, study_id, view.
    Raises: ValueError that names a study without scores.
    """
    rows = pd.Index(studies.images["study_id"]).get_indexer(pd.Index(images["study_id"]))
    if (missing := rows < 0).any():
        raise ValueError(f"study {images['study_id'].iloc[int(missing.argmax())]!r} has no scores")
    scores = studies.scores[rows]
    return Predictions(images[list(ID_COLUMNS)], studies.names, scores, np.full_like(scores, np.nan))


def _csv(sample: Sample, scores: np.ndarray) -> str:
    """The CSV file of scores [N, C], columns as the sample's labels."""
    table = pd.DataFrame(scores, columns=list(sample.labels))
    table[sample.id_column] = list(sample.ids)
    text = io.StringIO()
    # Nine digits tell every two float32 apart, and what lies half a step off them.
    table[list(sample.header)].to_csv(text, index=False, float_format="%.9g", lineterminator="\n")
    return text.getvalue()


def _code_files(folder: Path, out: Path) -> list[tuple[Path, str]]:
    """The files below a folder, each with its name in the zip, by the alphabet; the zip itself stays out."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} of code")
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != NO_CODE and not name.startswith("."))
        below = [Path(place) / name for name in sorted(names) if not name.startswith(".")]
        files += [file for file in below if file.is_file() and file.resolve() != out.resolve()]
    if not files:
        raise ValueError(f"{folder}: has no files of code")
    return [(file, f"{CODE}/{file.relative_to(folder).as_posix()}") for file in files]


def _write_zip(out: Path, text: str, files: Sequence[tuple[Path, str]]) -> None:
    # strict_timestamps: files older than 1980 get that year.
    with ZipFile(out, "w", ZIP_DEFLATED, strict_timestamps=False) as archive:
        entry = ZipInfo(FILE)  # of a fixed date, so that the same scores give the same file
        entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
        archive.writestr(entry, text)
        for file, name in files:
            archive.write(file, name)
