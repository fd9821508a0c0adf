"""Phrases as the lists write them, and where they stand in a text."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import Any, Generic, TypeVar

# The words of each part; what stands between parts is not said.
Phrase = tuple[tuple[str, ...], ...]
GAP = "..."
GAP_WORDS = 6
PUNCTUATION = frozenset(",()")

M = TypeVar("M", bound=Hashable)


@dataclass(frozen=True)
class Mention(Generic[M]):
    """A phrase in a sentence: its meaning, its first word, the word after its last, and which words are its own."""

    meaning: M
    start: int
    end: int
    words: frozenset[int]


def parse_phrase(text: str, where: str) -> list[Phrase]:
    """The phrases that a written one stands for: "pleural (fluid|effusion(|s))" for three.

    Raises: ValueError on unbalanced brackets, signs that no phrase holds, and a gap at either end.
    """
    phrases = []
    for spelling in _expand(text, where):
        parts = tuple(tuple(part.split()) for part in spelling.split(GAP))
        if not all(parts):
            raise ValueError(f"{where}: {text!r} has an empty part, expected words on both sides of every {GAP}")
        if wrong := [word for part in parts for word in part if not re.fullmatch(r"[a-z0-9]+", word)]:
            raise ValueError(f"{where}: {text!r} holds {wrong[0]!r}, expected words of a-z and 0-9")
        phrases.append(parts)
    return list(dict.fromkeys(phrases))


class PhraseFinder(Generic[M]):
    """Finds phrases in sentences: the words by spaCy's PhraseMatcher, then the parts that belong together.

    Raises: ValueError without spaCy.
    """

    def __init__(self, phrases: Iterable[tuple[Phrase, M]], barriers: Iterable[str] = ()) -> None:
        spacy = load_spacy()
        self.barriers = frozenset(barriers) | PUNCTUATION
        self.vocab = spacy.blank("en").vocab
        self.doc = spacy.tokens.Doc
        self.matcher = spacy.matcher.PhraseMatcher(self.vocab, attr="ORTH")
        # By the words of its first part, the phrases that begin so; the words of later parts by themselves.
        self.phrases: defaultdict[int, list[tuple[list[int], M]]] = defaultdict(list)
        for phrase, meaning in phrases:
            first, *rest = (self._add(part) for part in phrase)
            self.phrases[first].append((rest, meaning))

    def _add(self, part: tuple[str, ...]) -> int:
        key = " ".join(part)
        if key not in self.matcher:
            self.matcher.add(key, [self.doc(self.vocab, words=list(part))])
        return int(self.vocab.strings[key])

    def find(self, words: Sequence[str]) -> list[Mention[M]]:
        """All mentions in one sentence, also those within others."""
        matches = self.matcher(self.doc(self.vocab, words=list(words)))
        places: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for key, start, end in matches:
            places[key].append((start, end))
        found = []
        for key, spans in places.items():
            for rest, meaning in self.phrases.get(key, ()):
                for span in spans:
                    if (chain := self._chain(span, rest, places, words)) is not None:
                        own = frozenset(i for start, end in chain for i in range(start, end))
                        found.append(Mention(meaning, chain[0][0], chain[-1][1], own))
        return found

    def _chain(
        self, first: tuple[int, int], rest: list[int], places: dict[int, list[tuple[int, int]]], words: Sequence[str]
    ) -> list[tuple[int, int]] | None:
        """The spans of all parts, each the nearest after the one before; None where one is missing."""
        chain = [first]
        for key in rest:
            end = chain[-1][1]
            near = [span for span in places.get(key, ()) if 0 <= span[0] - end <= GAP_WORDS]
            if not near or self.barriers & set(words[end : min(near)[0]]):
                return None
            chain.append(min(near))
        return chain


def longest(mentions: Sequence[Mention[M]]) -> list[Mention[M]]:
    """The mentions whose words are not all among those of a longer one."""
    return [mention for mention in mentions if not any(mention.words < other.words for other in mentions)]


def load_spacy() -> ModuleType:
    """spaCy with its matchers.

    Raises: ValueError that names the extra.
    """
    try:
        import spacy
        import spacy.matcher
        import spacy.tokens
    except ImportError as error:
        raise ValueError("annotation of reports needs spaCy: pip install 'mlgcn[annotate]'") from error
    module: Any = spacy
    return module


def _expand(text: str, where: str) -> Iterator[str]:
    """Every spelling of a text with (a|b), which may nest."""
    pieces: list[list[str]] = []
    depth, piece = 0, ""
    for sign in text:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if (sign == "(" and depth == 1) or (sign == ")" and depth == 0):
            pieces.append([piece] if sign == "(" else [s for way in _ways(piece) for s in _expand(way, where)])
            piece = ""
        else:
            piece += sign
        if depth < 0:
            break
    if depth:
        raise ValueError(f"{where}: {text!r} has unbalanced brackets")
    for spelling in product(*pieces, [piece]):
        yield "".join(spelling)


def _ways(text: str) -> list[str]:
    """The alternatives of a bracket, divided by the bars that stand in no inner one."""
    ways, depth = [""], 0
    for sign in text:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "|" and depth == 0:
            ways.append("")
        else:
            ways[-1] += sign
    return ways
