"""mlgcn labels: what the labels of a data set mean, and what becomes of them in the label space of another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from mlgcn.commands.console import command, say
from mlgcn.config import parse_command
from mlgcn.data.ontology import canonical, describe_mapping, label_space, label_spaces, map_labels
from mlgcn.data.sources import OPTIONAL_LABELS, SOURCES, read_source
from mlgcn.labels import LabelTable, describe_rule
from mlgcn.reporting.label_tables import finding_rows, match_rows, space_rows
from mlgcn.suggestions import unknown_name

DESCRIPTION = (
    "Lists labels with the finding that each means or, with --onto, what each label of another label space is taken "
    "from. Whatever no label tells is unknown, never negative. Without SOURCE lists the label spaces."
)
SOURCE = "a data source by name, a CSV file of labels, or a label space by name where no data are at hand"
HOW = """same: the same finding, its values are kept
child: a kind of the finding, whose positives make it positive
parent: what the finding is a kind of, whose negatives make it negative
unmapped: no label tells it, it is unknown"""


def main(arguments: Sequence[str]) -> None:
    """The command line of `mlgcn labels`."""
    options = parse_command(_parser(), arguments, free=["options", "data.options"])
    with command("mlgcn labels"):
        if options.source is None:
            _refuse(
                options,
                "without SOURCE the label spaces are listed; --{} needs one",
                ("root", "options", "split", "onto"),
            )
            say(space_rows(label_spaces()))
            return
        if options.onto is not None:
            label_space(options.onto)  # before a large table is read
        names, table = _read(options)
        if options.onto is None:
            _say_findings(names, table)
        else:
            _say_mapping(options, names, table)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mlgcn labels", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("source", nargs="?", type=str | None, default=None, metavar="SOURCE", help=SOURCE)
    parser.add_argument("--onto", type=str | None, default=None, help="the label space to map onto")
    parser.add_argument("--root", "--data.root", type=str | None, default=None,
                        help="folder of the data source's tables, to count images")  # fmt: skip
    parser.add_argument("--options", "--data.options", type=dict[str, Any] | None, default=None,
                        help="options of the reader")  # fmt: skip
    parser.add_argument("--split", choices=["train", "val", "test", "all"], default=None,
                        help="which images; by default train where the data have that split, else all")  # fmt: skip
    return parser


def _read(options: Namespace) -> tuple[tuple[str, ...], LabelTable | None]:
    """The labels of the source in their order, and where there are data, the images of the split."""
    source, root, spaces = options.source, options.root, label_spaces()
    if source not in SOURCES and Path(source).is_file():
        _refuse(options, "{source} is a file; --{} does not apply to it", ("root",))
        source, root = "table", source
    elif source not in SOURCES and source not in spaces:
        raise ValueError(unknown_name("data source, label space or file", source, {*SOURCES, *spaces}))
    if source not in SOURCES or (source in spaces and source != "phantom" and root is None):
        useless = ("options", "split") if source in SOURCES else ("root", "options", "split")
        _refuse(options, "{source} is here the label space alone, without data; --{} does not apply to it", useless)
        optional = OPTIONAL_LABELS.get(source, {})
        for label, option in optional.items():
            say(f"{source}: {label} is a label only with --root and --options.{option} true")
        return tuple(name for name in spaces[source] if name not in optional), None
    table = read_source(source, root, **(options.options or {}))
    split = options.split or ("train" if (table.images.split == "train").any() else "all")
    table = table.split(split)
    say(f"{options.source}: {len(table):,} images" + ("" if split == "all" else f" of the {split} split"))
    return table.names, table


def _refuse(options: Namespace, message: str, names: Sequence[str]) -> None:
    """Raises ValueError if an option of no use is given."""
    for name in names:
        if options[name] is not None:
            raise ValueError(message.format(name, source=options.source))


def _say_findings(names: Sequence[str], table: LabelTable | None) -> None:
    say(finding_rows(names, table))
    told = sum(canonical(name) is not None for name in names)
    say(f"{told:,} of {len(names):,} labels mean a finding of the ontology.")
    if table is not None:
        say(f"Groups {describe_rule('prevalence', 'these images')}.")


def _say_mapping(options: Namespace, names: Sequence[str], table: LabelTable | None) -> None:
    matches = describe_mapping(names, options.onto)
    say(match_rows(matches, table, None if table is None else map_labels(table, options.onto)))
    told = {match.target for match in matches if match.how != "unmapped"}
    say(f"{len(told):,} of the {len(label_space(options.onto)):,} labels of {options.onto} are told.\n\n{HOW}")
