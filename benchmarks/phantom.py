"""Chest phantoms drawn by one thread in a second: `OMP_NUM_THREADS=1 python benchmarks/phantom.py [--size 96]`."""

import argparse
import sys
import time

from mlgcn.data.phantom import draw_phantom


def main() -> None:
    """Draws once to warm up, then as many as asked for, and prints the rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--images", type=int, default=600, help="how many")
    options = parser.parse_args()
    draw_phantom(1, 0, options.size)
    start = time.perf_counter()
    for index in range(options.images):
        draw_phantom(0, index, options.size)
    rate = options.images / (time.perf_counter() - start)
    sys.stdout.write(f"{rate:.0f} phantoms of {options.size} px a second\n")


if __name__ == "__main__":
    main()
