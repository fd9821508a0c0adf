"""What is wrong with a file that is to be sent to a CXR-LT challenge."""

import csv
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from mlgcn.data.ontology import label_space
from mlgcn.suggestions import unknown_name

FILE = "submission.csv"
IDS, CELLS = 10, 3  # examples in a message
# Of a column's scores that are exactly 0 or 1, from which on it is taken for decisions: so many ties rank nothing.
BINARISED = 0.9


@dataclass(frozen=True)
class Format:
    """What a challenge asks for: the column of image ids, and for each task the space of the label columns."""

    id_column: str
    spaces: tuple[str, ...]


# As public solutions wrote them (2024: yamagishi0824/cxrlt24-multiview-pp, 2026: hieuphamha19/CXR_LT); the organisers'
# own descriptions were not at hand.
FORMATS = {
    "cxr_lt_2023": Format("dicom_id", ("cxr_lt_2023",)),
    "cxr_lt_2024": Format("dicom_id", ("cxr_lt_2024_task1", "cxr_lt_2024_task2", "cxr_lt_2024_task3")),
    "cxr_lt_2026": Format("ImageID", ("cxr_lt_2026", "cxr_lt_2026_task2")),
}


@dataclass(frozen=True)
class Sample:
    """The rows and columns that the organisers want: their sample submission without its values."""

    path: Path
    id_column: str
    header: tuple[str, ...]
    ids: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns in their order."""
        return tuple(name for name in self.header if name != self.id_column)


@dataclass(frozen=True)
class Sheet:
    """A CSV file as text: the header, and all rows that are not blank, each with the line that it ends in."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The cells of the first column of that name."""
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def places(self, id_column: str) -> list[str]:
        """What a message calls each row: its line and, where there is a column of ids, its image."""
        if id_column not in self.header:
            return [f"line {line}" for line in self.lines]
        return [f"line {line} (image {name!r})" for line, name in zip(self.lines, self.column(id_column), strict=True)]


def check_submission(file: Path, sample: Path | None, format: str) -> list[str]:
    """All that is wrong with a submission, one entry a problem; none if it can be sent.

    Scores are ASCII decimal numbers in [0, 1]. A column is refused as binarised if it holds two values alone, and as
    nearly binarised if at least BINARISED of its scores are exactly 0 or 1.

    Args:
        file: a zip with submission.csv at its root, or that CSV file alone.
        sample: the organisers' sample, whose ids and columns the submission must have in the same order. Without it,
            the columns must be the labels of one of the challenge's tasks, in any order, and any ids will do.
        format: one of FORMATS.
    Raises: FileNotFoundError; ValueError on an unknown format, or on a sample that is not as read_sample says.
    """
    known_format(format)
    wanted = None if sample is None else read_sample(sample, format)
    try:
        text, problems = _text(file)
    except ValueError as error:
        return [str(error)]
    return problems + problems_of(text, format, wanted)


def problems_of(text: str, format: str, sample: Sample | None) -> list[str]:
    """All that is wrong with the text of a submission's CSV file, as check_submission has it."""
    form = known_format(format)
    try:
        sheet = _sheet(text)
    except ValueError as error:
        return [str(error)]
    labels = sample.labels if sample is not None else _nearest_space(form, sheet.header)
    expected = [form.id_column, *labels] if sample is None else list(sample.header)
    problems = _column_problems(sheet.header, expected, ordered=sample is not None)
    if form.id_column in sheet.header:
        ids = sheet.column(form.id_column)
        problems += _id_problems(ids, sheet.lines, None if sample is None else sample.ids)
    places = sheet.places(form.id_column)
    for label in labels:
        if label in sheet.header:
            problems += _value_problems(label, sheet.column(label), places)
    return problems


def known_format(name: str) -> Format:
    """The format of that name. Raises: ValueError on an unknown one, with the nearest known one."""
    if name not in FORMATS:
        raise ValueError(unknown_name("format", name, FORMATS))
    return FORMATS[name]


def read_sample(path: Path, format: str) -> Sample:
    """The rows and columns of a sample submission, a CSV file; its values do not matter.

    Raises: FileNotFoundError; ValueError that names the file if it is no CSV file, lacks the format's column of ids,
        has no other column or no rows, or has ids that are blank or columns or ids that repeat.
    """
    id_column = known_format(format).id_column
    if not path.is_file():
        raise FileNotFoundError(f"there is no sample {path}")
    try:
        sheet = _sheet(_decoded(path.read_bytes()))
        if id_column not in sheet.header:
            raise ValueError(f"lacks the column {id_column!r} of {format}; it has {sheet.header}")
        if len(sheet.header) < 2:
            raise ValueError(f"has no column beside {id_column!r}")
        problems = _column_problems(sheet.header, sheet.header, ordered=True)
        problems += _id_problems(sheet.column(id_column), sheet.lines, None)
        if problems:
            raise ValueError("; ".join(problems))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Sample(path, id_column, tuple(sheet.header), tuple(sheet.column(id_column)))


def _text(file: Path) -> tuple[str, list[str]]:
    """The text of the submission's CSV file, and what is wrong with where it stands. Raises: ValueError without one."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    if file.suffix.lower() not in (".zip", ".csv"):
        raise ValueError(f"the file ends in {file.suffix!r}, expected .zip or .csv")
    if file.suffix.lower() == ".csv":
        return _decoded(file.read_bytes()), []
    try:
        with ZipFile(file) as archive:
            names = archive.namelist()
            root, deeper = ([name for name in names if name == FILE], [n for n in names if n.endswith(f"/{FILE}")])
            content = archive.read((root or deeper)[0]) if root or deeper else None
    # RuntimeError: it asks for a password; NotImplementedError: it is packed in a way that Python does not know.
    except (BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise ValueError(f"the zip cannot be read: {error}") from None
    if content is None:
        raise ValueError(f"the zip has no {FILE} at its root; it has {_some(names, IDS)}")
    if not root:
        return _decoded(content), [f"{FILE} stands in a folder, {deeper[0]!r}, expected at the root of the zip"]
    return _decoded(content), [f"the zip has {len(root)} files {FILE}"] if len(root) > 1 else []


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the CSV file is not text in UTF-8: {error}") from None


def _sheet(text: str) -> Sheet:
    """The cells of a CSV file. Raises: ValueError if it is empty, or on rows of another length than the header."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(row, reader.line_num) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is not readable as CSV: {error}") from None
    if not rows:
        raise ValueError("the CSV file is empty")
    (header, _), *below = rows
    if ragged := [f"{len(row)} in line {line}" for row, line in below if len(row) != len(header)]:
        raise ValueError(f"{len(ragged)} rows have another number of cells than the {len(header)} of the header: "
                         f"{_some(ragged, CELLS)}")  # fmt: skip
    return Sheet(header, [row for row, _ in below], [line for _, line in below])


def _nearest_space(form: Format, header: Sequence[str]) -> tuple[str, ...]:
    """The labels of the task that shares most with the columns; of two, the one that asks for fewer others."""
    spaces = [label_space(name) for name in form.spaces]
    return max(spaces, key=lambda labels: (len({*labels} & {*header}), -len(labels)))


def _column_problems(header: Sequence[str], expected: Sequence[str], ordered: bool) -> list[str]:
    problems = []
    if missing := [name for name in expected if name not in header]:
        problems.append(f"columns are missing: {missing}")
    if extra := [name for name in dict.fromkeys(header) if name not in expected]:
        problems.append(f"columns are not asked for: {extra}")
    if repeated := [name for name in dict.fromkeys(header) if header.count(name) > 1]:
        problems.append(f"columns repeat: {repeated}")
    if ordered and not problems and list(header) != list(expected):
        at = next(at for at, (found, name) in enumerate(zip(header, expected, strict=True)) if found != name)
        problems.append(
            f"columns are in another order than the sample's: column {at + 1} is {header[at]!r}, "
            f"expected {expected[at]!r}"
        )
    return problems


def _id_problems(ids: Sequence[str], lines: Sequence[int], wanted: Sequence[str] | None) -> list[str]:
    if not ids:
        return ["there are no rows"]
    problems: list[str] = []
    first: dict[str, int] = {}
    repeated = []
    for name, line in zip(ids, lines, strict=True):
        if name in first:
            repeated.append(f"{name!r} (lines {first[name]} and {line})")
        first.setdefault(name, line)
    if "" in first:
        problems.append(f"the id is blank in line {first['']}")
    if repeated:
        problems.append(f"{len(repeated)} rows repeat an id: {_some(repeated, IDS)}")
    if wanted is None:
        return problems
    asked = set(wanted)
    if missing := [name for name in wanted if name not in first]:
        problems.append(f"{len(missing)} of the sample's {len(wanted)} ids are missing: {_some(missing, IDS)}")
    if extra := [f"{name!r} (line {line})" for name, line in first.items() if name not in asked]:
        problems.append(f"{len(extra)} ids are not in the sample: {_some(extra, IDS)}")
    if not problems and list(ids) != list(wanted):
        row = next(row for row, (found, name) in enumerate(zip(ids, wanted, strict=True)) if found != name)
        problems.append(
            f"rows are in another order than the sample's: line {lines[row]} is {ids[row]!r}, expected {wanted[row]!r}"
        )
    return problems


def _value_problems(label: str, cells: Sequence[str], places: Sequence[str]) -> list[str]:
    values, number = _numbers(cells)
    blank = np.isnan(values) & number
    outside = number & ~blank & ~((values >= 0) & (values <= 1))
    problems = []
    for wrong, what in ((~number, "no number"), (blank, "blank or NaN"), (outside, "outside [0, 1]")):
        if wrong.any():
            examples = [f"{cells[row]!r} in {places[row]}" for row in np.flatnonzero(wrong)[:CELLS]]
            more = ", ..." if wrong.sum() > CELLS else ""
            problems.append(
                f"column {label!r}: {wrong.sum()} of {len(cells)} values are {what}: {', '.join(examples)}{more}"
            )
    scores = values[number & ~blank]
    distinct = np.unique(scores)
    if len(distinct) == 1 and len(scores) > 1:
        problems.append(f"column {label!r} is constant: {distinct[0]:g} in every row")
    elif len(distinct) == 2 and (len(scores) > 2 or set(distinct) == {0, 1}):
        problems.append(
            f"column {label!r} is binarised: it holds {distinct[0]:g} and {distinct[1]:g} alone, expected probabilities"
        )
    elif (hard := np.isin(scores, (0, 1))).any() and hard.mean() >= BINARISED:
        problems.append(
            f"column {label!r} is nearly binarised: {hard.sum()} of {len(scores)} scores are exactly 0 or 1, expected "
            f"probabilities, fewer than {100 * BINARISED:.0f} % of them 0 or 1"
        )
    return problems


def _numbers(cells: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The cells as float64 [N], NaN where they are blank or no number; and whether each is a number or blank."""
    values, number = np.full(len(cells), np.nan), np.ones(len(cells), dtype=bool)
    for row, cell in enumerate(cells):
        try:
            # Python, unlike what reads a submission, takes 0_1 for 1 and knows the digits of all scripts.
            if not cell.isascii() or "_" in cell:
                raise ValueError
            values[row] = float(cell) if cell.strip() else np.nan
        except ValueError:
            number[row] = False
    return values, number


def _some(items: Iterable[str], most: int) -> str:
    """The first of the items, with dots for the rest."""
    items = list(items)
    return ", ".join(items[:most]) + (", ..." if len(items) > most else "")
