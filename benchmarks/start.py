"""Where the time goes before a run's first step: importing libraries, our own work, and a step to compare with.

Run: PYTHONPATH=. python benchmarks/start.py [--source nih --root ../shared/data/nih | --prepared 264849]
With --prepared the table is as `mlgcn prepare` writes one of CXR-LT 2023 with so many images, whose files are empty:
none is read before the first step, but all must be there. Elsewhere it is no matter if they are absent.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="phantom")
    parser.add_argument("--root", default=None)
    parser.add_argument("--prepared", type=int, default=0, metavar="IMAGES")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, value in _seconds(options, Path(folder)).items():
            Console().print(f"{name:<36}{value:6.2f} s")


def _seconds(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """What each part takes, in turn; the folder is for the prepared table."""
    warnings.simplefilter("ignore")  # of labels without an edge, or without a positive
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        done = work()
        seconds[name] = time.perf_counter() - begin
        return done

    timed("importing Lightning and torchvision", _import_libraries)
    build, config_from_dict = timed("importing mlgcn", _import_ours)
    from mlgcn.data.datamodule import check_present
    from mlgcn.data.dataset import ImageDataset
    from mlgcn.data.splits import split_report

    if options.prepared:
        _write_prepared(folder, options.prepared)
    data = {"source": "table", "root": str(folder)} if options.prepared else vars(options)
    config = config_from_dict({"data": {key: data[key] for key in ("source", "root")}, "model": {"weights": "none"}})
    built = timed("table and split", lambda: build.build_table(config))
    train = built.table.split("train")
    known = timed("label graph and GloVe", lambda: build.build_label_knowledge(config, train))
    timed("sampler and its first draw", lambda: next(iter(build.build_sampler(config, train))))
    timed("whether the images are there", lambda: _tolerant(check_present, built.table))
    timed("data set", lambda: ImageDataset(train, config.data.image_size))
    timed("report of the split", lambda: split_report(built.table, built.method))
    model = timed("network", lambda: build.build_model(config, known.vectors, known.graph).model)
    images = torch.randn(4, 3, 224, 224)
    timed("a step of 4 images at 224 px", lambda: model(images).sum().backward())
    return seconds


def _tolerant(check: Callable[[Any], None], table: Any) -> None:
    with suppress(FileNotFoundError):
        check(table)


def _write_prepared(folder: Path, images: int) -> None:
    """labels.csv as mlgcn.data.prepare writes it, and empty files."""
    import pandas as pd
    from sources import table_of

    from mlgcn.data.sources import read_source

    (folder / "images").mkdir()
    table_of(images).to_csv(folder / "train.csv", index=False)
    table = read_source("cxr_lt_2023", folder)
    rows = table.images.assign(path="images/" + table.images.image_id + ".png")
    labels = pd.DataFrame(table.values, columns=list(table.names)).astype("Int8")
    pd.concat([rows, labels], axis=1).to_csv(folder / "labels.csv", index=False)
    for path in rows.path:
        (folder / path).touch()


def _import_libraries() -> None:
    import lightning  # noqa: F401
    import torchvision  # noqa: F401


def _import_ours() -> tuple[Any, Any]:
    from mlgcn import build
    from mlgcn.config import config_from_dict

    return build, config_from_dict


if __name__ == "__main__":
    main()
