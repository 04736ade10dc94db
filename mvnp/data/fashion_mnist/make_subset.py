"""Draws the shipped subset from the full Fashion-MNIST: `python -m mvnp.data.fashion_mnist.make_subset SOURCE`.

From each class, 600 images of the training files become training images and 150 of the t10k files become test images,
chosen by `drawn_order` with seed 0 and kept in the order of the source. Training and test images never mix.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ...errors import DataError, MvnpError
from ..draw import drawn_order
from ..idx import read_idx, write_idx
from . import CLASSES, FULL, SUBSET

PER_CLASS = {"train": 600, "t10k": 150}
SEED = 0


def chosen(labels: np.ndarray, part: str) -> np.ndarray:
    """The positions in the source, ascending, of the images that the subset takes. labels (n,), part train or t10k."""
    order = np.array(drawn_order([f"{part}/{index}" for index in range(len(labels))], SEED))
    take = PER_CLASS[part]
    for label, name in enumerate(CLASSES):
        if (labels == label).sum() < take:
            raise DataError(f"{part} has {(labels == label).sum()} images of {name}, the subset takes {take}")
    return np.sort(np.concatenate([order[labels[order] == label][:take] for label in range(len(CLASSES))]))


def make_subset(source: Path, target: Path) -> None:
    """Write the four files of the subset into `target`, from the four of the full set in `source`."""
    for part in PER_CLASS:
        names = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        images, labels = read_idx(source / names[0], dtype="uint8", ndim=3), read_idx(source / names[1], dtype="uint8", ndim=1)
        if len(images) != len(labels):
            raise DataError(f"{source}: {len(images)} images but {len(labels)} labels in {names[0]} and {names[1]}")
        indices = chosen(labels, part)
        write_idx(target / names[0], images[indices])
        write_idx(target / names[1], labels[indices])


def main() -> int:
    parser = argparse.ArgumentParser(prog="make_subset", description="Draw the shipped subset of Fashion-MNIST.")
    parser.add_argument("source", type=Path, nargs="?", default=FULL, help="folder of the full set (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=SUBSET, help="folder to write into (default: the package)")
    arguments = parser.parse_args()
    try:
        make_subset(arguments.source, arguments.out)
    except (MvnpError, OSError) as error:
        print(f"make_subset: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
