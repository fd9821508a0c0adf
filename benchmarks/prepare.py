"""Decoding and resizing a JPEG of 2544 x 3056 pixels, against OpenCV; and how `mlgcn prepare` scales over processes.

Run: OMP_NUM_THREADS=1 python benchmarks/prepare.py [--size 1024] [--repeats 40] [--noise 0 1.5] [--images 600]
Needs OpenCV: pip install opencv-python-headless

The image is a phantom drawn at 1024 pixels, enlarged, with noise (standard deviation in grey levels), JPEG quality 95;
MIMIC-CXR-JPG has 1.5 MB an image. Each way runs in turn with the reference, cv2.imread(path) and cv2.resize as they are
by default, and with a grey cv2.imread, in one process and one thread; the ratios are medians of theirs to its seconds.
Error: mean absolute difference from area resampling of the whole image in float64, in grey levels. Grey OpenCV and
area resampling (INTER_AREA) stand in the table too.

Scaling: the same image as often as asked for, prepared by one process and by one for each core; the second half is
timed, when all have started.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from mlgcn.data.images import read_image
from mlgcn.data.phantom import draw_phantom
from mlgcn.data.prepare import Settings, prepare
from mlgcn.labels import LabelTable

WIDTH, HEIGHT = 2544, 3056


def write_image(path: Path, noise: float) -> None:
    """A phantom of 2544 x 3056 pixels, JPEG."""
    large = Image.fromarray(draw_phantom(0, 3, 1024)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    grains = np.random.default_rng(0).normal(scale=noise, size=(HEIGHT, WIDTH)) if noise else 0.0
    grey = np.clip(np.rint(np.asarray(large, dtype=np.float64) + grains), 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(path, quality=95)


def area_mean(image: np.ndarray, size: int) -> np.ndarray:
    """The exact mean over each new pixel's area: float64 [size, size], from running sums along both axes."""
    for _ in range(2):
        sums = np.concatenate([np.zeros((1, image.shape[1])), np.cumsum(image, axis=0, dtype=np.float64)])
        edges = np.arange(size + 1) * (len(image) / size)
        whole = np.minimum(edges.astype(int), len(image) - 1)
        at_edges = sums[whole] + (edges - whole)[:, None] * (sums[whole + 1] - sums[whole])
        image = (np.diff(at_edges, axis=0) * (size / len(image))).T
    return image


def ways(path: str, size: int) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to read and resize an image, by name; the first is the reference."""
    grey, square = cv2.IMREAD_GRAYSCALE, (size, size)
    return {
        "cv2.imread + cv2.resize": lambda: cv2.resize(cv2.imread(path), square)[..., 0],
        "the same, grey": lambda: cv2.resize(cv2.imread(path, grey), square),
        "the same, grey, INTER_AREA": lambda: cv2.resize(cv2.imread(path, grey), square, interpolation=cv2.INTER_AREA),
        "ours, antialias": lambda: read_image(path, size)[0].numpy(),
        "ours, area": lambda: read_image(path, size, "area")[0].numpy(),
    }


def compare(path: Path, size: int, repeats: int, title: str) -> Table:
    """Times and errors of each way, one row each."""
    functions = ways(str(path), size)
    seconds = np.empty((repeats + 3, len(functions)))
    for row in seconds:
        for column, function in enumerate(functions.values()):
            start = time.perf_counter()
            function()
            row[column] = time.perf_counter() - start
    seconds = seconds[3:]  # after warming up
    expected = area_mean(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), size)
    table = Table("", "ms", "times cv2", "times cv2, grey", "error", title=title)
    for (name, function), times in zip(functions.items(), seconds.T, strict=True):
        error = np.abs(function() - expected).mean()
        ratios = [f"{np.median(seconds[:, reference] / times):.2f}" for reference in (0, 1)]
        table.add_row(name, f"{np.median(times) * 1000:.1f}", *ratios, f"{error:.2f}")
    return table


def images_a_second(path: Path, folder: Path, size: int, images: int, workers: int) -> float:
    """Images that so many processes prepare in a second, in the second half, when all have started."""
    table = LabelTable(np.zeros((images, 1)), ["label"], image_id=map(str, range(images)), path=[str(path)] * images)
    times: list[float] = []
    prepare(
        table, folder, Settings(size), workers=workers, progress=lambda done, total: times.append(time.perf_counter())
    )
    half = times[images // 2 :]
    return (len(half) - 1) / (half[-1] - half[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="new width and height")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 1.5], help="standard deviations, grey levels")
    parser.add_argument("--images", type=int, default=600, help="for scaling; 0 leaves it out")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as target:
        path = Path(folder) / "image.jpg"
        for noise in options.noise:
            write_image(path, noise)
            title = f"{WIDTH} x {HEIGHT} to {options.size}, noise {noise:g}, {path.stat().st_size / 1e6:.2f} MB"
            console.print(compare(path, options.size, options.repeats, title))
        if options.images:
            rates = [
                images_a_second(path, Path(target) / str(number), options.size, options.images, number)
                for number in options.processes
            ]
            for number, rate in zip(options.processes, rates, strict=True):
                console.print(f"{number} processes: {rate:.1f} images/s, {rate / rates[0]:.2f} times the first")


if __name__ == "__main__":
    main()
