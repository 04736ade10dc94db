"""What timm makes of the photographs in tests/data/photos: the cases, and the program that wrote timm_values.npz there.

    python tests/support/timm_values.py      was run with timm 1.0.31, torchvision 0.29.1, Pillow 13.0

For each case the file has the values at every `stride`-th pixel, float32 (C, ., .), and mean and standard deviation of each
channel over all pixels, float64 (2, C).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

PHOTOS = Path(__file__).parent.parent / "data" / "photos"
FILE = PHOTOS / "timm_values.npz"

# name: photograph, size, crop_pct, crop_mode
CASES: dict[str, tuple[str, Any, float, str]] = {
    "T": ("cat.jpg", 224, 1.0, "center"),
    "T2": ("astronaut.jpg", 224, 0.98, "center"),
    "S": ("cat.jpg", 224, 0.93, "center"),
    "S enlarging": ("coffee.png", 224, 0.93, "center"),
    "L3-256": ("coffee.png", 256, 1.0, "center"),
    "L2-512": ("cat.jpg", 512, 0.93, "squash"),
    "L3-512 enlarging": ("coffee.png", 512, 0.93, "squash"),
    "odd": ("cat.jpg", 225, 0.875, "center"),
    "odd, far smaller": ("cat.jpg", 97, 0.9, "center"),
    "squash to a rectangle": ("cat.jpg", (160, 225), 0.9, "squash"),
    "wide": ("cat.jpg", (96, 225), 0.93, "center"),
    "high": ("astronaut.jpg", (225, 97), 0.875, "center"),
}


def stride(size: Any) -> int:
    """Of the values that are kept: about 30 in a row."""
    return max(1, max(np.atleast_1d(size)) // 30)


def main() -> None:
    from PIL import Image
    from timm.data import create_transform
    from timm.data.transforms import ResizeKeepRatio

    arrays = {}
    for name, (photo, size, crop_pct, crop_mode) in CASES.items():
        shape = (3, *size) if isinstance(size, tuple) else (3, size, size)
        transform = create_transform(shape, interpolation="bicubic", crop_pct=crop_pct, crop_mode=crop_mode)
        first = transform.transforms[0]
        if isinstance(first, ResizeKeepRatio):  # for rectangles `create_transform` forgets to hand the interpolation on
            transform.transforms[0] = ResizeKeepRatio(first.size, interpolation="bicubic")
        x = transform(Image.open(PHOTOS / photo).convert("RGB")).numpy()
        assert x.shape == shape
        step = stride(size)
        arrays[f"{name}/values"] = x[:, ::step, ::step]
        arrays[f"{name}/statistics"] = np.stack([x.mean((1, 2), dtype=np.float64), x.std((1, 2), dtype=np.float64)])
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: {FILE.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
