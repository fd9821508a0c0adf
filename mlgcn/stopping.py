"""Why a run stops early, and which of its processes speaks; known without loading what trains."""

import os

# Whoever starts several processes tells each its rank by one of these.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


class Interrupted(Exception):
    """Training was asked to stop and has saved itself; the message says how to go on."""


class DivergedError(RuntimeError):
    """The loss is no longer a number; the message says where."""


def is_main_process() -> bool:
    """Whether this is the process that writes and speaks; of several, Lightning starts the others with a rank."""
    return not any(int(os.environ.get(name, 0)) for name in RANKS)
