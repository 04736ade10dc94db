"""What a data set is: mvnp/data/dataset.py."""

import dataclasses

import numpy as np
import pytest

from mvnp.data import Dataset
from mvnp.data.dataset import statistics
from mvnp.errors import DataError
from support.tolerance import assert_close


def dataset(**changes):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 1), dtype=np.uint8)
    fields = {"images": images, "labels": np.arange(6) % 3, "classes": ("a", "b", "c"), "mean": (0.5,), "std": (0.2,)}
    return Dataset(**{"name": "toy", "part": "train", **fields, **changes})


def test_fits_together():
    toy = dataset()
    assert len(toy) == 6
    assert toy.channels == 1
    smaller = dataclasses.replace(toy, images=toy.images[:2], labels=toy.labels[:2])
    assert len(smaller) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": np.zeros((6, 4, 5), np.uint8)},
            r"toy \(train\): images are uint8 \(6, 4, 5\), expected uint8 \(n, H, W, C\)",
        ),
        ({"images": np.zeros((6, 4, 5, 1))}, "images are float64"),
        ({"images": np.zeros((0, 4, 5, 1), np.uint8), "labels": np.zeros(0, np.int64)}, "there is nothing in them"),
        ({"labels": np.arange(5)}, r"labels are int64 \(5,\), expected int64 \(6,\), one an image"),
        ({"labels": np.zeros(6)}, "labels are float64"),
        ({"labels": np.arange(6)}, "labels go from 0 to 5, expected 0 to 2 for 3 classes"),
        ({"labels": np.arange(6) - 4}, "labels go from -4 to 1"),
        ({"std": (0.0,)}, r"std is \(0.0,\), expected numbers above 0"),
        ({"mean": (0.5, 0.5, 0.5)}, "3 means and 1 deviations for 1 channels"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(DataError, match=message):
        dataset(**changes)


def test_statistics():
    images = np.random.default_rng(1).integers(0, 256, (50, 7, 6, 3), dtype=np.uint8)
    images[..., 1] //= 3
    mean, std = statistics(images)
    assert_close(mean, (images / 255).mean(axis=(0, 1, 2)), terms=16)
    assert_close(std, (images / 255).std(axis=(0, 1, 2)), terms=16)


def test_statistics_of_one_brightness():
    with pytest.raises(DataError, match=r"all of one brightness \(7 of 255\)"):
        statistics(np.full((3, 2, 2, 1), 7, np.uint8))
