"""At which other resolutions an image can be scored."""

import math

# What a convolutional network halves five times, and attention within windows expects.
STEP = 32
# Shares of the pixels a side, of test-time augmentation.
RESOLUTIONS = (0.75, 1.25)


def side_near(size: int, share: float, multiple: int = 1) -> int:
    """The pixels a side that come nearest to a share of the size: a multiple of 32 and of another, at least one such.

    Args:
        size, multiple: pixels.
    """
    step = math.lcm(STEP, multiple)
    return max(step, round(share * size / step) * step)
