"""Where the time goes before a run's first step: importing libraries, our own work, and a step to compare with.

Run: PYTHONPATH=. python benchmarks/start.py [--source nih --root ../shared/data/nih]
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="phantom")
    parser.add_argument("--root", default=None)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of labels without an edge, or without a positive
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        done = work()
        seconds[name] = time.perf_counter() - begin
        return done

    timed("importing Lightning and torchvision", _import_libraries)
    build, config_from_dict = timed("importing mlgcn", _import_ours)
    data = {"source": options.source, "root": options.root}
    config = config_from_dict({"data": data, "model": {"weights": "none"}})
    train = timed("table and split", lambda: build.build_table(config)).table.split("train")
    known = timed("label graph and GloVe", lambda: build.build_label_knowledge(config, train))
    timed("sampler and its first draw", lambda: next(iter(build.build_sampler(config, train))))
    model = timed("network", lambda: build.build_model(config, known.vectors, known.graph).model)
    images = torch.randn(4, 3, 224, 224)
    timed("a step of 4 images at 224 px", lambda: model(images).sum().backward())
    for name, value in seconds.items():
        Console().print(f"{name:<36}{value:6.2f} s")


def _import_libraries() -> None:
    import lightning  # noqa: F401
    import torchvision  # noqa: F401


def _import_ours() -> tuple[Any, Any]:
    from mlgcn import build
    from mlgcn.config import config_from_dict

    return build, config_from_dict


if __name__ == "__main__":
    main()
