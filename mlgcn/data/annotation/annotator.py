"""Labels from reports: 1 where a finding is affirmed, 0 where it is denied, -1 where the report leaves it open."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context

import pandas as pd

from mlgcn.data.annotation.context import AFFIRMED, IGNORED, NEGATED, UNCERTAIN, Context
from mlgcn.data.annotation.lists import (
    NORMAL,
    NORMAL_LABELS,
    NOTHING,
    OTHER,
    Findings,
    Meaning,
    label_set,
    read_cues,
    read_findings,
)
from mlgcn.data.annotation.patterns import PhraseFinder, longest
from mlgcn.data.annotation.sections import sentences

POSITIVE, NEGATIVE, OPEN = 1, 0, -1
RANK = {POSITIVE: 2, OPEN: 1, NEGATIVE: 0}
# As CheXpert has it: a chest with a catheter in it and nothing else is a normal one.
BESIDE_NORMAL = "Support Devices"
CHUNK = 64

Values = dict[str, int]

# What is said of a finding, by the reading of its phrase and what the sentence makes of it.
VALUES = {
    ("present", AFFIRMED): POSITIVE,
    ("present", NEGATED): NEGATIVE,
    ("present", UNCERTAIN): OPEN,
    ("uncertain", AFFIRMED): OPEN,
    ("uncertain", NEGATED): NEGATIVE,
    ("uncertain", UNCERTAIN): OPEN,
    ("absent", AFFIRMED): NEGATIVE,
    ("absent", UNCERTAIN): OPEN,
}


class Annotator:
    """Annotates one report after another.

    Raises: ValueError without spaCy.
    """

    def __init__(self) -> None:
        self.findings: Findings = read_findings()
        cues = read_cues()
        self.finder: PhraseFinder[Meaning] = PhraseFinder(self.findings.phrases, cues.barriers)
        self.context = Context(cues)

    def __call__(self, text: str) -> Values:
        """The value of every finding that the report speaks of, and of Normal.

        Of several mentions a positive one counts most, then an uncertain one. Normal is 0 where anything is abnormal,
        support devices aside, -1 where something may be, 1 where the report denies a finding or calls the chest normal
        and names nothing else.
        """
        values: Values = {}
        for meaning, value in self._mentions(text):
            labels = [meaning.label] if value == NEGATIVE else self._with_wider(meaning.label)
            for label in labels:
                values[label] = max(value, values.get(label, NEGATIVE), key=lambda v: RANK[v])
        if told := [value for label, value in values.items() if label != BESIDE_NORMAL]:
            most = max(told, key=lambda v: RANK[v])
            values[NORMAL_LABELS[0]] = {POSITIVE: NEGATIVE, OPEN: OPEN, NEGATIVE: POSITIVE}[most]
        return {label: value for label, value in values.items() if label not in (OTHER, NORMAL)}

    def _with_wider(self, label: str) -> list[str]:
        return [label, *self.findings.implies.get(label, ())]

    def _mentions(self, text: str) -> Iterator[tuple[Meaning, int]]:
        for words in sentences(text):
            mentions = longest(self.finder.find(words))
            # The "no" of "no acute pulmonary edema" belongs to no phrase of normality.
            named = [mention for mention in mentions if mention.meaning.label != NORMAL]
            own = frozenset(word for mention in named for word in mention.words)
            for mention, state in zip(mentions, self.context.states(words, mentions, own), strict=True):
                meaning = mention.meaning
                if meaning.label == NORMAL:
                    if state == AFFIRMED:
                        yield meaning, NEGATIVE
                elif meaning.label != NOTHING and state != IGNORED and (meaning.reading, state) in VALUES:
                    yield meaning, VALUES[meaning.reading, state]


def annotate(text: str) -> Values:
    """The value of every finding that a report speaks of: 1, 0 or -1; a finding that it does not name is not there.

    Raises: ValueError without spaCy.
    """
    return _annotator()(text)


def annotate_reports(
    reports: Iterable[tuple[str, str]],
    labels: str | Sequence[str] | None = None,
    *,
    workers: int = 1,
    progress: Callable[[Iterator[Values]], Iterable[Values]] = iter,
) -> pd.DataFrame:
    """One row a report and one column a label: 1, 0, -1, or NaN where the report does not speak of it.

    Args:
        reports: identifier and text of each; the index, called study_id, has them in this order.
        labels: as label_set takes them.
        workers: processes.
        progress: what the values of each report pass through as they come.
    Raises: ValueError without spaCy, on labels without phrases, repeated identifiers, and fewer than one
        worker.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    chosen = label_set(labels)
    told = list(reports)
    index = pd.Index([identifier for identifier, _ in told], name="study_id", dtype=object)
    texts = [text for _, text in told]
    if index.has_duplicates:
        raise ValueError(f"reports repeat: {index[index.duplicated()].tolist()[:5]}")
    found = progress(_annotate_all(texts, workers))
    rows = [{label: values.get(name) for label, name in chosen.items()} for values in found]
    return pd.DataFrame(rows, index=index, columns=list(chosen), dtype="float64")


def _annotate_all(texts: Sequence[str], workers: int) -> Iterator[Values]:
    if workers == 1:
        yield from map(annotate, texts)
        return
    # Not forked: torch's threads would not survive it.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(annotate, texts, chunksize=CHUNK)


@lru_cache(maxsize=1)
def _annotator() -> Annotator:
    return Annotator()
