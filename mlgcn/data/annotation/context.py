"""What a sentence says of a finding that it names: that it is there, that it is not, or neither.

Source: Harkema et al. 2009 (ConText): cues, the side on which they reach, and what ends their reach.
"""

from collections.abc import Sequence
from typing import Any

from mlgcn.data.annotation.lists import Cues
from mlgcn.data.annotation.patterns import M, Mention, PhraseFinder

AFFIRMED, NEGATED, UNCERTAIN, IGNORED = "affirmed", "negated", "uncertain", "ignored"
# One of several that "or" joins is not certain, if the word stands this close.
ALTERNATIVE_WORDS = 5
LISTING = frozenset({"or", "and", "nor"})

STATES = (NEGATED, UNCERTAIN, IGNORED)

Cue = Mention[tuple[str, str]]


class Context:
    """Cues, and where each of them reaches.

    Raises: ValueError without spaCy.
    """

    def __init__(self, cues: Cues) -> None:
        self.cues = PhraseFinder(cues.phrases, cues.barriers - {"no", "without"})
        self.ends = PhraseFinder(cues.terminators)

    def states(self, words: Sequence[str], mentions: Sequence[Mention[Any]], own: frozenset[int]) -> list[str]:
        """What is said of each mention in a sentence: AFFIRMED, NEGATED, UNCERTAIN or IGNORED.

        own: words that belong to findings, and so to no cue.
        """
        cues = _outermost([cue for cue in self.cues.find(words) if not cue.words <= own])
        ends = [(end.start, end.meaning) for end in _outermost(self.ends.find(words)) if end.meaning != "none"]
        return [self._state(mention, cues, ends, words) for mention in mentions]

    def _state(
        self, mention: Mention[Any], cues: Sequence[Cue], ends: Sequence[tuple[int, str]], words: Sequence[str]
    ) -> str:
        reaching = [(gap, cue) for cue in cues if (gap := _reach(mention, cue, ends, words)) is not None]
        near = [(gap, cue.meaning[0] != NEGATED, cue.meaning[0]) for gap, cue in reaching if cue.meaning[0] in STATES]
        if near:
            return min(near)[2]
        joined = any(
            gap <= ALTERNATIVE_WORDS and not any(_between(mention, cue, other) for other in cues)
            for gap, cue in reaching
            if cue.meaning[0] == "alternative"
        )
        return UNCERTAIN if joined else AFFIRMED


def _reach(mention: Mention[Any], cue: Cue, ends: Sequence[tuple[int, str]], words: Sequence[str]) -> int | None:
    """How many words lie between a mention and a cue that reaches it; None where it does not."""
    kind, side = cue.meaning
    # "Heart and mediastinum are within normal limits" denies the one by its own words, and is no denial of that.
    if kind == "pseudo" or cue.words & mention.words:
        return None
    if mention.start < cue.start and cue.end <= mention.end:  # "heart is not enlarged"
        return 0
    if cue.start < mention.start and mention.end <= cue.end:  # "no opacity to suggest"
        return 0
    if cue.end <= mention.start and side != "after":
        # Up to its last word, since a finding that holds a verb is a statement of its own: "no effusion, heart is big".
        between = range(cue.end, mention.end - 1)
        stopped = any(at in between for at, where in ends if where != "after")
        # "Pneumonia unlikely, small effusion" doubts what precedes, "unlikely pneumonia" what follows.
        closed = side == "both" and kind in STATES and words[cue.end] == ","
        return None if stopped or closed else mention.start - cue.end
    if mention.end <= cue.start and side != "before":
        between = range(mention.end, cue.start)
        stopped = any(at in between for at, where in ends if where != "before")
        # "Effusion, pneumothorax not seen" denies one, "effusion, mass and pneumothorax not seen" all.
        part = words[mention.end : cue.start]
        unlisted = "," in part and not LISTING & set(part)
        return None if stopped or unlisted else cue.start - mention.end
    return None


def _between(mention: Mention[Any], cue: Cue, other: Cue) -> bool:
    return min(mention.end, cue.end) <= other.start and other.end <= max(mention.start, cue.start)


def _outermost(mentions: Sequence[Mention[M]]) -> list[Mention[M]]:
    """The mentions that lie in no longer one, of which they are a part: "no" in "no change"."""
    spans = {(mention.start, mention.end) for mention in mentions}
    return [
        mention
        for mention in mentions
        if not any(
            start <= mention.start and mention.end <= end and (start, end) != (mention.start, mention.end)
            for start, end in spans
        )
    ]
