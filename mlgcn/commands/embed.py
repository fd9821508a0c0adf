"""mlgcn embed: label vectors from labels, reports, language models or files, and which labels lie close in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gensim.models import KeyedVectors
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings
from jsonargparse.typing import PositiveInt

from embeddings import (
    agreement,
    load_vectors,
    map_2d,
    nearest,
    pmi,
    read_reports,
    report_sentences,
    report_vectors,
    save_vectors,
)
from embeddings.reports import NEVER_JOINED
from mlgcn.build import build_vectors
from mlgcn.commands.console import command, say
from mlgcn.config import EmbeddingsConfig, parse_command
from mlgcn.data.label_counts import base_name, read_counts
from mlgcn.graph import Cooccurrence
from mlgcn.labels import LabelTable, group_labels
from mlgcn.reporting.figures import save_figures
from mlgcn.reporting.graph_tables import neighbour_rows
from mlgcn.reporting.network import embedding_map_figure
from mlgcn.suggestions import unknown_name

WORD_DIMENSIONS = 100
DESCRIPTION = (
    "Makes label vectors as --embeddings says, or word vectors from reports; prints the nearest neighbours and how "
    "well they agree with co-occurrence, draws a map, and writes the vectors for --embeddings.source."
)


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn embed`."""
    options = parse_command(_parser(), arguments, free=["data.options"])
    with command("mlgcn embed"):
        embeddings = EmbeddingsConfig(**vars(options.embeddings))
        _check(options, embeddings)
        labels = None
        if options.what:  # first, since word vectors take their time
            labels = read_counts(options.what, options.data.root, split=options.split, options=options.data.options)
        folder = Path(options.out or f"vectors/{base_name(options.what or options.reports)}")
        if options.reports:
            words = _word_vectors(options, folder / "words.txt")
            if options.show:
                say(neighbour_rows(_near_words(words, options)))
        if labels:
            _label_vectors(options, embeddings, folder, *labels)
        say(f"vectors: {folder}")


def _check(options: Namespace, embeddings: EmbeddingsConfig) -> None:
    """Raises ValueError if there is nothing to do, or an option has no effect."""
    if not options.what and not options.reports:
        raise ValueError("name the labels (a data source or a CSV file), --reports, or both")
    if options.reports and embeddings != EmbeddingsConfig():
        raise ValueError("--embeddings has no effect beside --reports, which makes the vectors; give one of them")
    idle = [f"--{name}" for name in ("column", "dimensions", "show") if options[name] not in (None, [])]
    if idle and not options.reports:
        raise ValueError(f"{idle} have no effect without --reports; label vectors take --embeddings.dimensions")


def _word_vectors(options: Namespace, file: Path) -> KeyedVectors:
    texts = read_reports(options.reports, options.column)
    sentences = report_sentences(texts)
    dimensions = WORD_DIMENSIONS if options.dimensions is None else options.dimensions
    words = report_vectors(sentences, dimensions=dimensions, seed=options.seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_vectors(words, file)
    tokens = sum(map(len, sentences))
    say(f"{len(texts):,} reports, {len(sentences):,} sentences, {tokens:,} tokens; {len(words):,} words: {file}")
    return words


def _near_words(words: KeyedVectors, options: Namespace) -> pd.DataFrame:
    """The nearest words that say something; those of grammar, which stand beside every word, are left out."""
    for word in options.show:
        if word not in words:
            raise ValueError(unknown_name("word", word, words.index_to_key))
    near = nearest(words, options.show, len(words))
    return near[~near.neighbour.isin(NEVER_JOINED)].groupby("label", sort=False).head(options.neighbours)


def _label_vectors(
    options: Namespace, embeddings: EmbeddingsConfig, folder: Path, cooc: Cooccurrence, table: LabelTable | None
) -> None:
    """Makes the vectors of the labels, writes them and shows what they hold."""
    if options.reports:
        words = folder / "words.txt"
        try:
            vectors = load_vectors(words, cooc.names)
        except ValueError as error:
            raise ValueError(
                f"{error}; the reports say such words too seldom. Other words' vectors stand there"
            ) from error
    else:
        vectors = build_vectors(embeddings, _values(table, options), cooc.names, options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    save_vectors(vectors, folder / "vectors.txt")
    neighbours = nearest(vectors, count=options.neighbours)
    neighbours.to_csv(folder / "neighbours.csv", index=False)
    groups = group_labels(cooc.names, cooc.prevalence)
    save_figures({"map": embedding_map_figure(map_2d(vectors), groups)}, folder)
    say(neighbour_rows(neighbours))
    say(_agreement_line(vectors, cooc))


def _values(table: LabelTable | None, options: Namespace) -> Any:
    if table is None:
        raise ValueError(f"{options.what} holds counts alone; vectors are trained on a data source or a CSV file")
    return table.certain


def _agreement_line(vectors: KeyedVectors, cooc: Cooccurrence) -> str:
    information = pmi(cooc.counts, cooc.observed, cooc.known)
    told = np.count_nonzero(~np.isnan(information[np.triu_indices(len(vectors), k=1)]))
    correlation = agreement(vectors, information)
    return (
        f"rank correlation of cosine similarity and co-occurrence (pointwise mutual information) over "
        f"{told:,} pairs of labels that occur: " + ("undefined" if np.isnan(correlation) else f"{correlation:.3f}")
    )


def _parser() -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True)  # the texts of --embeddings
    parser = ArgumentParser(prog="mlgcn embed", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("what", type=str | None, nargs="?", default=None,
                        help="whose labels: a data source by name (see --data.root) or a CSV file")  # fmt: skip
    parser.add_argument("--out", type=str | None, default=None, help="folder to write to; by default vectors/WHAT")
    parser.add_argument("--data.root", type=str | None, default=None, help="folder of the data source's tables")
    parser.add_argument("--data.options", type=dict[str, Any] | None, default=None, help="options of the reader")
    parser.add_argument("--split", choices=["train", "val", "test", "all"], default=None,
                        help="which images; by default train where the data have that split, else all")  # fmt: skip
    parser.add_argument("--embeddings", type=EmbeddingsConfig, default=EmbeddingsConfig())
    parser.add_argument("--reports", type=str | None, default=None,
                        help="train word vectors on these: folder or archive of Open-i's or MIMIC-CXR's reports, or a "
                        "CSV file (--column); labels get the mean of their words")  # fmt: skip
    parser.add_argument("--column", type=str, nargs="*", default=None, help="text columns of a CSV file of reports")
    parser.add_argument("--dimensions", type=int | None, default=None,
                        help=f"size of word vectors from reports, by default {WORD_DIMENSIONS}")  # fmt: skip
    parser.add_argument("--show", type=str, nargs="*", default=[], help="words whose neighbours to print")
    parser.add_argument("--neighbours", type=PositiveInt, default=5, help="neighbours of each label or word")
    parser.add_argument("--seed", type=int, default=0, help="of the random start")
    return parser
