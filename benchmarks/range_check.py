"""How often the range check is wrong: false alarms and misses on X-rays and phantoms.

Run: python benchmarks/range_check.py [--nih FOLDER] [--phantoms 1000]
FOLDER holds images of NIH ChestX-ray14 with their label table. Each image is checked as it is, inverted, and with
10, 12 and 14 bits in a file of 16 or cut to their lower byte. `taken` is the share for which the check says something.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from mlgcn.data.images import decode_grey
from mlgcn.data.phantom import draw_phantom
from mlgcn.data.range_check import check_range
from mlgcn.data.sources import read_source

DEPTHS = (10, 12, 14)


def deeper(image: np.ndarray, bits: int) -> np.ndarray:
    """The image with so many bits, the new ones noise: uint16 [H, W]."""
    noise = np.random.default_rng(0).uniform(size=image.shape)
    return ((image + noise) / 256 * 2**bits).astype(np.uint16)


def spoiled() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Ways to spoil an image, by name."""
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {"as it is": lambda image: image}
    ways["inverted"] = lambda image: 255 - image
    for bits in DEPTHS:
        ways[f"{bits} bits in 16"] = lambda image, bits=bits: deeper(image, bits)
        ways[f"lower byte of {bits} bits"] = lambda image, bits=bits: deeper(image, bits).astype(np.uint8)
    ways["12 bits cut off at 255"] = lambda image: np.minimum(deeper(image, 12), 255).astype(np.uint8)
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nih", type=Path, help="folder of NIH ChestX-ray14")
    parser.add_argument("--phantoms", type=int, default=1000, help="how many phantoms")
    options = parser.parse_args()
    console = Console(width=120)
    sets = {"phantoms": [draw_phantom(0, index, 128) for index in range(options.phantoms)]}
    if options.nih:
        sets["NIH"] = [decode_grey(path) for path in read_source("nih", options.nih).images.path]
    for name, images in sets.items():
        console.print(f"{len(images)} {name}")
        for way, spoil in spoiled().items():
            taken = sum(check_range(spoil(image)) is not None for image in images)
            console.print(f"  {way}: {taken} taken, {taken / len(images):.2%}")


if __name__ == "__main__":
    main()
