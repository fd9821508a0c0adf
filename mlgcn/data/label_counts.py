"""Co-occurrence counts of whatever holds labels: a data set, a CSV file, a run, a saved graph, a foreign pickle."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from mlgcn.data.sources import SOURCES, read_source
from mlgcn.graph import Cooccurrence, cooccurrence, load_adjacency_pickle, load_graph
from mlgcn.labels import LabelTable
from mlgcn.run_directory import RunDirectory
from mlgcn.suggestions import unknown_name

# The options that each kind has a use for.
KINDS = {
    "data source": ("root", "split", "options"),
    "CSV file": ("split", "options"),
    "run": (),
    "label graph": (),
    "pickle": ("names", "images"),
}
SUFFIXES = {
    ".csv": "CSV file",
    ".csv.gz": "CSV file",
    ".json": "label graph",
    ".pkl": "pickle",
    ".pickle": "pickle",
}
# Also those of archives. Other dots belong to the name: runs/lr0.01 and runs/lr0.02 are two.
ENDINGS = r"(\.(csv|json|pkl|pickle|zip|tar|tgz|gz))+$"


def read_counts(
    what: str | Path,
    root: str | Path | None = None,
    *,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    images: int | None = None,
) -> tuple[Cooccurrence, LabelTable | None]:
    """The label counts of what is named, and the label table that they were counted on where there is one.

    Args:
        what: a data source by name, a CSV file of labels, the folder of a run, a label graph (.json), or a pickle of
            {"adj", "nums"}. Of a run and a label graph the counts are those of the training split, as they are.
        root: for a source, the folder of its tables.
        split: train, val, test or all; by default train where the table has that split, else all.
        options: of the source's reader.
        names, images: for a pickle, which tells neither.
    Raises: ValueError if what is none of these or has no use for an option, and as its reader; FileNotFoundError.
    """
    kind = _kind(str(what))
    given = {"root": root, "split": split, "options": options or None, "names": names, "images": images}
    if strange := [name for name, value in given.items() if value is not None and name not in KINDS[kind]]:
        would = f"; {list(KINDS[kind])} would" if KINDS[kind] else ""
        raise ValueError(f"{strange} do not apply to {what}, a {kind}{would}")
    if kind in ("data source", "CSV file"):
        source, folder = (str(what), root) if kind == "data source" else ("table", what)
        table = read_source(source, folder, **(options or {}))
        part = split or ("train" if (table.images.split == "train").any() else "all")
        origin = {"source": Path(what).name, "split": part, "options": dict(options or {}), "date": str(date.today())}
        try:
            table = table.split(part)
            return cooccurrence(table.certain, table.names, origin), table
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from error
    if kind == "pickle":
        return load_adjacency_pickle(what, names, images), None
    return load_graph(RunDirectory(Path(what)).label_graph if kind == "run" else what)[0], None


def graph_options(what: str | Path) -> dict[str, Any] | None:
    """The options of label_graph that the graph of a run or of a label graph's file was made with; {} of others.

    None: it is a run or a file that holds counts but no graph.
    Raises: as read_counts.
    """
    kind = _kind(str(what))
    if kind not in ("run", "label graph"):
        return {}
    graph = load_graph(RunDirectory(Path(what)).label_graph if kind == "run" else what)[1]
    return None if graph is None else dict(graph.options)


def base_name(what: str | Path) -> str:
    """What is named, without its folders and the endings of files: the name of what is made of it."""
    return re.sub(ENDINGS, "", Path(what).resolve().name, flags=re.IGNORECASE)


def _kind(what: str) -> str:
    if what in SOURCES:
        return "data source"
    kind = next((kind for suffix, kind in SUFFIXES.items() if what.lower().endswith(suffix)), None)
    if not Path(what).exists():
        if kind is not None:
            raise FileNotFoundError(f"there is no file {what}")
        raise ValueError(unknown_name("data source or file", what, SOURCES))
    if kind is not None:
        return kind
    if not RunDirectory(Path(what)).label_graph.is_file():
        raise ValueError(f"{what} is no run's folder and no file that ends in one of {list(SUFFIXES)}")
    return "run"
