"""How the commands speak: plain lines, and one line where the input was bad or the output has no place."""

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import RenderableType

from mlgcn.reporting.tables import as_text
from mlgcn.stopping import DivergedError, Interrupted, is_main_process

# By name, since importing Lightning takes seconds that most commands have no use for.
LIGHTNING_ERROR = "MisconfigurationException"


def say(what: str | RenderableType) -> None:
    """Prints a line or a table to standard output; of several processes, only the main one does."""
    if is_main_process():
        sys.stdout.write(what + "\n" if isinstance(what, str) else as_text(what, _width()))
        sys.stdout.flush()


def check_out(out: str) -> None:
    """Raises FileNotFoundError if the folder of --out is missing, ValueError if --out is a folder itself."""
    if not Path(out).parent.is_dir():
        raise FileNotFoundError(f"--out: there is no folder {Path(out).parent}")
    if Path(out).is_dir():
        raise ValueError(f"--out: {out} is a folder, expected a file to write")


def _width() -> int:
    """Of a terminal its own, but enough for the tables; elsewhere always the same."""
    return max(100, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 100


@contextmanager
def command(prog: str) -> Iterator[None]:
    """Runs a command: log lines go to standard output, bad input becomes one line and exit code 2.

    A run that was interrupted exits with 130, one whose loss diverged with 3.
    """
    level = logging.INFO if is_main_process() else logging.ERROR
    logging.basicConfig(format="%(message)s", level=level, stream=sys.stdout, force=True)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it logs what it raises too
    for noisy in ("lightning", "lightning.pytorch", "gensim", "httpx", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    warnings.showwarning = lambda message, *_, **__: logging.getLogger("mlgcn").warning("warning: %s", message)
    for others in ("torch.*", "torchdata.*", "lightning.*"):
        # Their advice is for whoever maintains this package, not for whoever uses it.
        warnings.filterwarnings("ignore", module=others)
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        say(str(error) or "stopped")
        sys.exit(130)
    except DivergedError as error:
        sys.stderr.write(f"{prog}: error: {error}\n")
        sys.exit(3)
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more can be written, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if not isinstance(error, (ValueError, OSError)) and type(error).__name__ != LIGHTNING_ERROR:
            raise
        # An error in a loader's worker comes with the worker's traceback; what it was stands in the last line.
        message = str(error).strip().splitlines()[-1] if str(error).startswith("Caught ") else str(error)
        sys.stderr.write(f"{prog}: error: {message}\n")
        sys.exit(2)
