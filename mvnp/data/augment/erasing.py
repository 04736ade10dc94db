"""Random erasing: a box of noise where the picture was, so that no single part can be relied on.

    probability p for each picture, n boxes, for each box up to ten tries:

    A = H W U(0.02, 1/3) / n        r = e^U(ln 0.3, ln 1/0.3)        h = round √(A r)        w = round √(A / r)        (1)

The first that is smaller than the picture, h < H and w < W, is filled, at a place that is equally likely everywhere. It acts
on standardised pictures, so that noise N(0, 1) looks like one; what is erased changes no label.

Zhong et al.: Random erasing data augmentation, arXiv:1708.04896, algorithm 1; limits and modes as in timm.
"""

from __future__ import annotations

import math

import numpy as np

from ...errors import InputError, check_array, check_choice, refusing

TRIES = 10
AREA, RATIO = (0.02, 1 / 3), (0.3, 1 / 0.3)
MODES = ("pixel", "rand", "const")

Box = tuple[int, int, int, int]  # top, left, height, width


class RandomErasing:
    """(1), for batches of standardised pictures (B, C, H, W).

    probability    p
    mode           "pixel": a normal number for each value; "rand": one for each band of a box; "const": 0, the mean colour
    count          n, or the least and the most of it
    clean          share of the batch, from its beginning, that is left as it is
    """

    @refusing
    def __init__(
        self, probability: float = 0.25, mode: str = "pixel", count: int | tuple[int, int] = 1, clean: float = 0.0
    ) -> None:
        least, most = (count, count) if isinstance(count, int) else count
        if not 0 <= probability <= 1:
            raise InputError(f"RandomErasing: probability is {probability!r}, expected a number in [0, 1]")
        if not 1 <= least <= most:
            raise InputError(f"RandomErasing: count is {count!r}, expected at least 1, or two such numbers in order")
        if not 0 <= clean < 1:
            raise InputError(f"RandomErasing: clean is {clean!r}, expected a share in [0, 1)")
        check_choice("mode of erasing", mode, MODES)
        self.probability, self.mode, self.count, self.clean = probability, mode, (least, most), clean

    @refusing
    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The batch with its boxes, as a copy."""
        check_array("RandomErasing", "images", images, ("B", "C", "H", "W"))
        images = images.copy()
        total, bands, height, width = images.shape
        for index in range(total):
            gate, count = rng.random(), int(rng.integers(self.count[0], self.count[1] + 1))
            boxes = [self.draw(height, width, count, rng) for _ in range(count)]
            if index >= math.floor(total * self.clean) and gate <= self.probability:
                for box in boxes:
                    if box is not None:
                        erase(images[index], box, self.noise(bands, *box[2:], rng))
        return images

    def draw(self, height: int, width: int, count: int, rng: np.random.Generator) -> Box | None:
        """One of `count` boxes of a picture; None where no try fits."""
        draws, (down, right) = rng.random((TRIES, 2)), rng.random(2)
        for area, shape in draws:
            h, w = box_size(height, width, count, area, shape)
            if h < height and w < width:
                return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
        return None

    def noise(self, bands: int, h: int, w: int, rng: np.random.Generator) -> np.ndarray:
        """What fills a box: (bands, h, w), or (bands, 1, 1)."""
        if self.mode == "const":
            return np.zeros((bands, 1, 1), np.float32)
        return rng.standard_normal((bands, h, w) if self.mode == "pixel" else (bands, 1, 1), np.float32)


def box_size(height: int, width: int, count: int, area: float, shape: float) -> tuple[int, int]:
    """(h, w) of (1), for two uniform draws `area` and `shape` from 0 … 1."""
    a = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area) / count
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    r = math.exp(low + (high - low) * shape)
    return round(math.sqrt(a * r)), round(math.sqrt(a / r))


def erase(image: np.ndarray, box: Box, noise: np.ndarray) -> None:
    """Fill a box of a picture (C, H, W), in place."""
    top, left, h, w = box
    image[:, top : top + h, left : left + w] = noise
