"""Readers: a table of CXR-LT 2023's size and format to a LabelTable, against pandas.read_csv alone.

Run: python benchmarks/sources.py [--images 264849] [--repeats 7] [--nih ../shared/data/nih]
Both are timed in turn in one process, so the ratio holds on a busy machine too. The whole table of NIH ChestX-ray14 is
read as well where the folder has it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from mlgcn.data.sources import read_source
from mlgcn.data.sources.cxr_lt_2023 import COLUMNS, LABELS


def table_of(images: int, seed: int = 0) -> pd.DataFrame:
    """The rows of train.csv: two images a study; prevalence falls from 32 % to 0.2 %, a factor of 160 as published."""
    rng = np.random.default_rng(seed)
    names = ["-".join(f"{part:08x}" for part in parts) for parts in rng.integers(2**32, size=(images, 5)).tolist()]
    subjects, studies = 10_000_000 + np.arange(images) // 6, 50_000_000 + np.arange(images) // 2
    paths = [
        f"files/p{subject // 1_000_000}/p{subject}/s{study}/{name}.jpg"
        for subject, study, name in zip(subjects.tolist(), studies.tolist(), names, strict=True)
    ]
    views = rng.choice(["AP", "PA", "LATERAL", "LL", ""], size=images)
    codes = rng.choice(["antero-posterior", "postero-anterior", "lateral", ""], size=images)
    columns = dict(zip(COLUMNS, (names, subjects, studies, views, codes, paths), strict=True))
    labels = rng.uniform(size=(images, len(LABELS))) < np.geomspace(0.32, 0.002, len(LABELS))
    return pd.concat([pd.DataFrame(columns), pd.DataFrame(labels.astype(np.int8), columns=list(LABELS))], axis=1)


def seconds(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Prints the median seconds of both, the median of their ratio, and the seconds for NIH."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=264_849)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--nih", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "nih")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.csv"
        table_of(options.images).to_csv(file, index=False)
        ways = partial(pd.read_csv, file), partial(read_source, "cxr_lt_2023", folder)
        times = np.array([[seconds(way) for way in ways] for _ in range(options.repeats)])
    reference, ours = np.median(times, axis=0)
    console.print(
        f"{options.images:,} x {len(LABELS)}: pandas.read_csv {reference:.2f} s, to a LabelTable {ours:.2f} s, "
        f"ratio {np.median(times[:, 1] / times[:, 0]):.1f} x"
    )
    if options.nih.is_dir():
        took = np.median([seconds(partial(read_source, "nih", options.nih)) for _ in range(options.repeats)])
        console.print(f"the whole of NIH ChestX-ray14: {took:.2f} s")
    else:
        console.print(f"NIH ChestX-ray14: there is no {options.nih}")


if __name__ == "__main__":
    main()
