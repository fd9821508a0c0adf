"""Augmentation: time per batch, against torchvision's transforms called for each image.

Run: python benchmarks/augmentation.py [--batches 32x224 16x96 8x1024] [--repeats 15] [--device cpu] [--threads N]
Both draw the same distributions and are timed in turn in one process, so the ratio holds on a busy machine too. The
reference is `light` and `chexfusion2023` as torchvision.transforms.v2 has their parts.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torchvision.transforms import v2

from mlgcn.data.transforms import augment
from mlgcn.seeding import torch_seed

BILINEAR = v2.InterpolationMode.BILINEAR


def reference(name: str, size: int) -> v2.Transform:
    """The augmentation as torchvision's transforms."""
    if name == "light":
        return v2.Compose(
            [
                v2.RandomAffine(degrees=7, translate=(0.05, 0.05), scale=(0.92, 1.08), interpolation=BILINEAR),
                v2.ColorJitter(brightness=0.15, contrast=0.15),
            ]
        )
    affine = v2.RandomAffine(degrees=45, translate=(0.0625, 0.0625), scale=(0.9, 1.1), interpolation=BILINEAR)
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.9, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([affine]),
            v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)]),
        ]
    )


def one_by_one(images: Tensor, transform: v2.Transform, key: int) -> Tensor:
    """Every image through the transform by itself."""
    with torch_seed(key):
        return torch.stack([transform(image) for image in images])


def seconds(function: Callable[[], object], device: str) -> float:
    """Seconds of one call, the device's work included."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def compare(name: str, count: int, size: int, repeats: int, device: str) -> str:
    """Median times of both ways, and the median of their ratios."""
    images = torch.randint(256, (count, 1, size, size), dtype=torch.uint8).to(device)
    transform = reference(name, size)
    times = np.empty((repeats + 1, 2))
    for key, row in enumerate(times):
        row[0] = seconds(partial(one_by_one, images, transform, key), device)
        row[1] = seconds(partial(augment, images, name, key), device)
    reference_time, ours = np.median(times[1:], axis=0) * 1e3
    ratio = np.median(times[1:, 0] / times[1:, 1])
    return f"{name} [{count}, 1, {size}, {size}]: {reference_time:.1f} ms, ours {ours:.1f} ms, ratio {ratio:.1f} x"


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    """Prints one line a batch and augmentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", nargs="+", default=["32x224", "16x96", "8x1024"], help="images x pixels")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="of torch on the CPU")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    console = Console()
    console.print(f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for batch in options.batches:
        count, size = map(int, batch.split("x"))
        for name in ("light", "chexfusion2023"):
            console.print(compare(name, count, size, options.repeats, options.device), highlight=False)


if __name__ == "__main__":
    main()
