"""Radiology reports: their texts from the files of a corpus, and the sentences that word vectors are trained on."""

import re
import sys
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import pandas as pd
from gensim.models import KeyedVectors
from gensim.models.phrases import FrozenPhrases, Phrases
from gensim.parsing.preprocessing import STOPWORDS
from gensim.utils import tokenize

from embeddings.glove import train_glove

# What the radiologist saw. Indication and comparison hold what was asked and what was seen before.
SECTIONS = ("FINDINGS", "IMPRESSION")
EXPECTED = "a folder or archive of Open-i's .xml or MIMIC-CXR's .txt reports, or a .csv or .csv.gz file"

# Headings of MIMIC-CXR's reports. Others, such as "LUNGS:", divide the findings and do not end them.
HEADING = re.compile(
    r"^[ \t]*(FINDINGS?|IMPRESSIONS?|FINDINGS? AND IMPRESSIONS?|FINDINGS?/IMPRESSIONS?|EXAM(?:INATION)?|TECHNIQUE|"
    r"INDICATIONS?|COMPARISONS?|HISTORY|CLINICAL [A-Z ]+|REASON FOR [A-Z ]+|NOTIFICATIONS?|RECOMMENDATIONS?|WET READ)"
    r"[ \t]*:",
    re.MULTILINE,
)

# Open-i writes XXXX for what could identify a patient, also within x-ray, and MIMIC-CXR ___.
REMOVED = re.compile(r"(?:\b[xX]-)?X{3,}|_+|\w*\d(?:\w|[.,:/-](?=\d))*")
POSSESSIVE = re.compile(r"['’](?:s\b)?")
# A single line break is where MIMIC-CXR's lines are full, unless a list goes on after it.
SENTENCE_END = re.compile(r"[.;:!?]+|\n\s*\n|\n(?=\s*[-*•])")
CLAUSE_END = re.compile(r"[^\w\s-]|(?<!\w)-|-(?!\w)")
BREAK = ""  # stands in a sentence where a comma or a removed number keeps words from being neighbours

# Words that no phrase holds: those of grammar, denial, verbs of describing, and units.
NEVER_JOINED = STOPWORDS | {
    *("negative", "absent", "denies", "nor", "versus", "mm", "cm", "consists", "compatible", "consistent", "measuring"),
    *("appear", "appears", "demonstrate", "demonstrates", "show", "shows", "reveal", "reveals", "remain", "remains"),
    *("represent", "represents", "suggest", "suggests", "seen", "noted", "identified"),
}


def read_reports(path: str | Path, column: str | Sequence[str] | None = None) -> list[str]:
    """The texts of a corpus, one a report, in the order of the file names or rows.

    Of Open-i's reports (ecgen-radiology/1.xml) the findings and the impression; of MIMIC-CXR's (p10000032/
    s50414267.txt) too, or the whole text where no heading names them; of a table the named columns. A warning counts
    the reports without such text, which are left out.

    Args:
        path: a folder, searched to its depths, or a tar or zip archive of reports; or a .csv or .csv.gz file.
        column: the text column of a table, or several whose texts are put together.
    Raises: FileNotFoundError; ValueError on a path that holds no report, a file that is broken or of another format,
        and a table without the columns.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}, expected {EXPECTED}")
    is_table = path.is_file() and path.name.endswith((".csv", ".csv.gz"))
    if column is not None and not is_table:
        raise ValueError(f"{path}: only a .csv or .csv.gz file has columns, got column {column!r}")
    texts = _table_texts(path, column) if is_table else _file_texts(path)
    if not texts:
        raise ValueError(f"{path} holds no report, expected {EXPECTED}")
    held = [text for text in texts if text]
    if not held:
        raise ValueError(f"{path}: none of {len(texts)} reports holds any text")
    if len(held) < len(texts):
        warnings.warn(
            f"{path}: {len(texts) - len(held)} of {len(texts)} reports hold no text and are left out", stacklevel=2
        )
    return held


def report_files(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each report in a folder or archive; archives are read, never unpacked.

    Raises: ValueError on what cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            for file in path.rglob("*"):
                if _is_report(file.name) and file.is_file():
                    yield file.relative_to(path).as_posix(), file.read_bytes()
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                for member in archive:
                    if _is_report(member.name) and (content := archive.extractfile(member)):
                        yield member.name, content.read()
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in filter(_is_report, archive.namelist()):
                    yield name, archive.read(name)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path}: not readable: {error}") from error


def openi_citation(content: str) -> ElementTree.Element:
    """The root of a report of Open-i, whose AbstractText are the sections and whose MeSH are the headings.

    Raises: ValueError on another root and on a document type; ElementTree.ParseError.
    """
    # Without a document type there are no entities, so that a file can neither grow while it is read nor name others.
    if "<!DOCTYPE" in content:
        raise ValueError("declares a document type, which no report of Open-i does")
    root = ElementTree.fromstring(content)
    if root.tag != "eCitation":
        raise ValueError(f"holds <{root.tag}>, expected Open-i's <eCitation>")
    return root


def report_sentences(
    texts: Iterable[str], phrases: bool = True, *, min_count: int = 10, threshold: float = 0.5
) -> list[list[str]]:
    """The sentences of all texts as lower-case words; numbers and the marks of removed names (XXXX, ___) are dropped.

    Args:
        phrases: turn words that keep company into one token, up to four of them: pleural_effusion, left_lower_lobe.
            No phrase crosses a comma, a number or a mark, or holds a word of grammar or denial, so that what a "no"
            denies stays a token of its own.
        min_count: how often a phrase must stand in the texts.
        threshold: of the normalized pointwise mutual information, from -1 to 1; words that always stand together
            have 1, words that meet by chance 0. At 0.5 Open-i's reports give about 300 phrases.
    Source: Bouma 2009 for the score; Mikolov et al. 2013, section 4, for the passes.
    Raises: ValueError on a single string, and on a min_count or threshold out of range.
    """
    if isinstance(texts, str):
        raise ValueError("texts are a list of strings, one a report, got a single string")
    sentences = [words for text in texts for words in _sentences(text)]
    for _ in range(2 if phrases else 0):
        sentences = _join_phrases(sentences, min_count, threshold)
    return [[word for word in words if word != BREAK] for words in sentences]


def report_vectors(
    sentences: Iterable[Sequence[str]],
    *,
    dimensions: int = 100,
    window: int = 10,
    min_count: int = 5,
    steps: int = 50,
    seed: int = 0,
) -> KeyedVectors:
    """GloVe vectors of words and phrases, the most frequent first: train_glove with pairs weighted by distance.

    Raises: as train_glove.
    """
    return train_glove(
        sentences,
        dimensions=dimensions,
        window=window,
        distance_weighting=True,
        min_count=min_count,
        steps=steps,
        seed=seed,
    )


def _sentences(text: str) -> Iterator[list[str]]:
    """The words of each sentence that has any, with breaks."""
    text = POSSESSIVE.sub("", REMOVED.sub(",", text))
    for sentence in SENTENCE_END.split(text):
        clauses = [list(tokenize(clause, lowercase=True)) for clause in CLAUSE_END.split(sentence)]
        # Interned, since each word of a large corpus stands there a thousand times.
        if words := [sys.intern(word) for clause in clauses if clause for word in (*clause, BREAK)]:
            yield words


def _join_phrases(sentences: list[list[str]], min_count: int, threshold: float) -> list[list[str]]:
    """The sentences with neighbours that make a phrase as one token; a second pass lengthens the phrases."""
    runs = [[(may, list(run)) for may, run in groupby(words, key=_may_join)] for words in sentences]
    # gensim counts words and phrases by their spelling in one table, so that a phrase of an earlier pass, "a_b", must
    # be spelt otherwise than what is now a candidate, "a b".
    learned = Phrases(
        (run for pieces in runs for may, run in pieces if may),
        min_count=min_count,
        threshold=threshold,
        scoring="npmi",
        delimiter=" ",
    )
    phrases = FrozenPhrases(learned)
    return [
        [sys.intern(word.replace(" ", "_")) for may, run in pieces for word in (phrases[run] if may else run)]
        for pieces in runs
    ]


def _may_join(word: str) -> bool:
    return word != BREAK and word not in NEVER_JOINED


def _file_texts(path: Path) -> list[str]:
    """The texts of the reports in a folder or archive, blank where a report has none."""
    readers = {".xml": _openi_text, ".txt": _mimic_text}
    texts: dict[str, str] = {}
    for name, content in report_files(path):
        try:
            texts[name] = readers[PurePosixPath(name).suffix](content.decode("utf-8-sig"))
        except (ValueError, ElementTree.ParseError) as error:
            raise ValueError(f"{path}/{name}: {error}") from error
    return [texts[name] for name in sorted(texts)]


def _is_report(name: str) -> bool:
    # MIMIC-CXR's folder has a LICENSE.txt and a SHA256SUMS.txt as well.
    return re.fullmatch(r"s\d+\.txt|[^.].*\.xml", PurePosixPath(name).name) is not None


def _openi_text(content: str) -> str:
    parts = {
        part.get("Label"): "".join(part.itertext()).strip() for part in openi_citation(content).iter("AbstractText")
    }
    return "\n\n".join(filter(None, (parts.get(section) for section in SECTIONS)))


def _mimic_text(content: str) -> str:
    _, *parts = HEADING.split(content)
    sections = zip(parts[::2], parts[1::2], strict=True)
    bodies = [body.strip() for heading, body in sections if heading.startswith(("FINDING", "IMPRESSION"))]
    return "\n\n".join(filter(None, bodies)) if bodies else content.strip()


def _table_texts(path: Path, column: str | Sequence[str] | None) -> list[str]:
    """The text of each row, blank where its columns are."""
    try:
        # The header is read as a row, since pandas shifts the columns where every row is longer than their names.
        rows = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError, EOFError, zlib.error) as error:  # pandas' errors of reading are ValueErrors
        raise ValueError(f"{path}: not readable as CSV: {str(error).strip()}") from error
    names = rows.iloc[0].tolist()
    columns = [column] if isinstance(column, str) else list(column or [])
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f"{path}: lacks the columns {missing}; it has {names}")
    if not columns:
        raise ValueError(f"{path}: name the columns that hold text; it has {names}")
    cells = rows.iloc[1:, [names.index(name) for name in columns]].to_numpy()
    return ["\n\n".join(filter(None, map(str.strip, row))) for row in cells]
