"""`mlgcn NAME ...`: the tools beside train.py and evaluate.py."""

import sys
from collections.abc import Sequence
from importlib import import_module

from mlgcn.suggestions import unknown_name

# Each is a module of mlgcn.commands, loaded only when asked for.
COMMANDS = {
    "annotate": "make labels of radiology reports, and score them on Open-i's",
    "compare": "tell which of several models is better on the same images",
    "describe": "count the parameters and FLOPs of a configuration, part by part",
    "embed": "train or convert label vectors, and show which labels lie close",
    "graph": "inspect which labels stand together, and the label graph made of it",
    "labels": "tell what labels mean, and map those of one data set onto another's",
    "ladder": "train several presets under one budget, and table what each step gains",
    "phantom": "write chest phantoms to disk, with a contact sheet",
    "predict": "score image files with a trained model",
    "prepare": "resize a data set once, so that training reads small files",
    "presets": "list the presets that --config knows",
    "prune": "tell which experts of a run are worth keeping, and save the model with those alone",
    "split": "divide a data set by patient, or look for leaks between its parts",
    "submit": "write a submission to a CXR-LT challenge, or say what is wrong with one",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of mlgcn: exits with 2 on an unknown command."""
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help"):
        lines = [f"  {command:<10}{purpose}" for command, purpose in COMMANDS.items()]
        sys.stdout.write("usage: mlgcn COMMAND ...   (mlgcn COMMAND --help tells more)\n\n" + "\n".join(lines) + "\n")
        return
    if name not in COMMANDS:
        sys.stderr.write(f"mlgcn: error: {unknown_name('command', name, COMMANDS)}\n")
        sys.exit(2)
    import_module(f"mlgcn.commands.{name}").main(rest)
