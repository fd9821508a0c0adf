"""The sentences of a report that say what was seen, as plain words."""

import re
from collections.abc import Iterator

# What was asked, done, compared or agreed: the findings that it names are no findings of this image.
UNSEEN = (
    r"indications?|reasons?|(?:clinical )?history|clinical (?:indication|information|data|details|statement|question)|"
    r"(?:reason|indication) for (?:the )?(?:exam(?:ination)?|study)|comparisons?|techniques?|exam(?:ination)?s?|"
    r"type of (?:exam(?:ination)?|study)|procedures?|notifications?|recommendations?|wet read|patient(?: name| id)?"
)
SEEN = r"(?:findings?|impressions?|conclusions?)(?: ?(?:and|/|&) ?impressions?)?|report|opinion|interpretation"
HEADING = re.compile(rf"(?<!\w)(?:(?P<unseen>{UNSEEN})|(?:{SEEN}))[ \t]*:", re.IGNORECASE)
PARAGRAPH = re.compile(r"\n[^\S\n]*\n")

# A blank line, or a line that begins an item of a list, ends a sentence; another line break is where the line was full.
BREAK = re.compile(r"\n\s*\n|\n(?=\s*[-*•])")
ABBREVIATION = re.compile(r"\b(dr|mr|mrs|ms|vs|approx|st)\.")
POSSESSIVE = re.compile(r"['’]s\b")
# "Opacity, ? pneumonia" doubts what follows; a mark that closes on a word ends a sentence.
QUERY = re.compile(r"(?<![^\s,(/])\?+(?=\s*\w)")
CANNOT = re.compile(r"\bcan(?:'t|\s+not)\b")
WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+\d*|[,()]|[.!?;]")
SENTENCE_END = frozenset(".!?;")


def sentences(text: str) -> Iterator[list[str]]:
    """The sentences as words in lower case, with commas and round brackets; hyphens and slashes divide words.

    Sections that say why, how and beside what the image was taken are left out: each up to the next heading, or to the
    end of its first paragraph, after which reports without headings go on.
    """
    words: list[str] = []
    for word in WORD.findall(_cleaned(_seen(text))):
        if word not in SENTENCE_END:
            words.append(word)
        elif words:
            yield words
            words = []
    if words:
        yield words


def _seen(text: str) -> str:
    kept: list[str] = []
    at, unseen = 0, False
    for heading in [*HEADING.finditer(text), None]:
        part = text[at : heading.start() if heading else len(text)]
        kept += PARAGRAPH.split(part.lstrip(), maxsplit=1)[1:] if unseen else [part]
        if heading:
            at, unseen = heading.end(), heading["unseen"] is not None
    return "\n\n".join(kept)


def _cleaned(text: str) -> str:
    text = QUERY.sub(" query ", BREAK.sub(" . ", text.lower().replace("’", "'")))
    text = POSSESSIVE.sub("", ABBREVIATION.sub(r"\1 ", text))
    return CANNOT.sub("cannot", text).replace("n't", " not")
