"""Folders of pictures to train on."""

from pathlib import Path

import numpy as np
from PIL import Image


def two_classes(folder: Path, number: int, size: tuple[int, int], ending: str = ".png") -> Path:
    """`number` pictures of noise, (H, W), of a cat and as many of a dog, below the folder; the folder."""
    rng = np.random.default_rng(3)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for at in range(number):
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name / f"{at}{ending}")
    return folder
