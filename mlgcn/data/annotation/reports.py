"""Reports with the identifiers of their studies, and Open-i's with their MeSH headings."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from embeddings.reports import EXPECTED, SECTIONS, openi_citation, report_files
from mlgcn.data.sources.files import read_table

STUDY = re.compile(r"s(\d+)\.txt")
PATIENT = re.compile(r"p(\d{8})")
STUDY_COLUMN, PATIENT_COLUMN = "study_id", "patient_id"
PATIENT_COLUMNS = (PATIENT_COLUMN, "subject_id")


@dataclass(frozen=True)
class Report:
    """A report: its study, its patient or "" where none is told, its text, and Open-i's MeSH headings."""

    study_id: str
    patient_id: str
    text: str
    headings: tuple[str, ...] = ()


def read_annotation_reports(
    path: str | Path, column: str | Sequence[str] | None = None, study_column: str = STUDY_COLUMN
) -> list[Report]:
    """The reports of a corpus in the order of the file names or rows; those without text stay among them.

    Of MIMIC-CXR's files (files/p10/p10000032/s50414267.txt) the numbers in the path are the patient and the study; of
    Open-i's the number of the file is the study; a table names its columns (study_id, and patient_id or subject_id
    where it has one).

    Args:
        path: a folder, searched to its depths, or a tar or zip archive of reports; or a .csv or .csv.gz file.
        column: the text column of a table, or several whose texts are put together.
        study_column: the identifiers of a table.
    Raises: FileNotFoundError; ValueError on a path that holds no report, a file that is broken or of another format, a
        table without the columns, and identifiers that are empty or repeat.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}, expected {EXPECTED}")
    is_table = path.is_file() and path.name.endswith((".csv", ".csv.gz"))
    if column is not None and not is_table:
        raise ValueError(f"{path}: only a .csv or .csv.gz file has columns, got column {column!r}")
    reports = list(_table_reports(path, column, study_column) if is_table else _file_reports(path))
    if not reports:
        raise ValueError(f"{path} holds no report, expected {EXPECTED}")
    if not any(report.text for report in reports):
        raise ValueError(f"{path}: none of {len(reports)} reports holds any text")
    seen: set[str] = set()
    for report in reports:
        if not report.study_id:
            raise ValueError(f"{path}: the report that begins {report.text[:40]!r} has no study id")
        if report.study_id in seen:
            raise ValueError(f"{path}: the study {report.study_id!r} stands twice")
        seen.add(report.study_id)
    return reports


def _file_reports(path: Path) -> Iterator[Report]:
    for name, content in sorted(report_files(path)):
        try:
            text = content.decode("utf-8-sig")
            yield _openi_report(name, text) if name.endswith(".xml") else _mimic_report(name, text)
        except (ValueError, ElementTree.ParseError) as error:
            raise ValueError(f"{path}/{name}: {error}") from error


def _openi_report(name: str, content: str) -> Report:
    root = openi_citation(content)
    parts = {part.get("Label"): "".join(part.itertext()).strip() for part in root.iter("AbstractText")}
    text = "\n\n".join(filter(None, (parts.get(section) for section in SECTIONS)))
    headings = tuple(" ".join((heading.text or "").split()) for heading in root.iterfind("MeSH/major"))
    return Report(PurePosixPath(name).stem, "", text, headings)


def _mimic_report(name: str, content: str) -> Report:
    # The whole text: reports without headings say what was seen after the history, which annotation leaves out.
    path = PurePosixPath(name)
    study = STUDY.fullmatch(path.name)
    patients = [found[1] for part in path.parts if (found := PATIENT.fullmatch(part))]
    return Report(study[1] if study else path.stem, patients[-1] if patients else "", content.strip())


def _table_reports(path: Path, column: str | Sequence[str] | None, study_column: str) -> Iterator[Report]:
    columns = [column] if isinstance(column, str) else list(column or [])
    rows = read_table(path, [*columns, study_column])
    if not columns:
        raise ValueError(f"{path}: name the columns that hold text; it has {list(rows)}")
    patient = next((name for name in PATIENT_COLUMNS if name in rows), None)
    patients = rows[patient] if patient else [""] * len(rows)
    texts = ("\n\n".join(filter(None, map(str.strip, row))) for row in rows[columns].to_numpy())
    for study, who, text in zip(rows[study_column], patients, texts, strict=True):
        yield Report(study, who, text)
