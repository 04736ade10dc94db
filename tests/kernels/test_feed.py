"""Stored pictures on the device: mvnp/training/feed.py, and its twin mvnp/kernels/cuda/feed.py and feed.cu."""

import threading

import numpy as np
import pytest

from mvnp.backend import from_numpy, to_numpy
from mvnp.data import BatchLoader, Dataset
from mvnp.training.feed import Feed, prepared
from support.kernel_checks import EVERY_WAY, assert_caught, assert_close, device

LOADERS = {
    "as they are": {"train": False},
    "training": {"train": True, "crop_padding": 2},
    "reflected": {"train": True, "crop_padding": 3, "crop_fill": "reflect"},
    "no flip": {"train": True, "flip": False, "crop_padding": 0},
    "enlarged": {"train": True, "image_size": 12},
    "a rectangle": {"train": True, "image_size": (5, 9)},
}


def loader(kind: str, dtype: str = "uint8") -> BatchLoader:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (11, 7, 7, 3), np.uint8)
    images = images if dtype == "uint8" else (images / np.float32(255)).astype(np.float32)
    data = Dataset("some", "train", images, np.arange(11) % 2, ("a", "b"), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    return BatchLoader(data, 4, seed=3, **LOADERS[kind])


def check(kind: str, way: str) -> None:
    made = loader(kind)
    want, labels = made.batch(1, 1)
    with device(way) as recorder:
        like = from_numpy(np.zeros(1, np.float32))
        stored = made.stored(1, 1)
        recorder.clear()
        got = prepared(like, stored, made)
        recorder.assert_no_syncs("the batch")
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(stored.labels, labels)
        assert_close(to_numpy(got), want, 1e-6, kind)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("kind", LOADERS)
def test_numbers(kind, way):
    check(kind, way)


def test_fractions_are_prepared_on_the_host():
    made = loader("training", "float32")
    want, _ = made.batch(0, 0)
    with device("in order"):
        got = prepared(from_numpy(np.zeros(1, np.float32)), made.stored(0, 0), made)
        np.testing.assert_array_equal(to_numpy(got), want)


@pytest.mark.parametrize("where", ["host", "device"])
def test_a_feed_gives_the_loaders_batches(where):
    """In order, from the middle on, another epoch, and of each the rows asked for; the next is fetched by a thread, on a GPU
    alone."""
    made = loader("training")
    wanted = [(0, 0), (0, 1), (1, 1), (1, 0), (1, 1)]
    want = [made.batch(epoch, index, slice(1, 3)) for epoch, index in wanted]
    before = threading.active_count()

    def fed() -> list:
        feed = Feed(made, from_numpy(np.zeros(1, np.float32)), lambda total: slice(1, min(3, total)))
        found = [feed.batch(*each) for each in wanted]
        assert (threading.active_count() > before) == (where == "device")
        feed.close()
        return [(to_numpy(images), labels) for images, labels in found]

    if where == "host":
        got = fed()
    else:
        with device("in order"):
            got = fed()
    for (images, labels), (host, of_host) in zip(got, want, strict=True):
        np.testing.assert_allclose(images, host, rtol=0, atol=0 if where == "host" else 1e-5)
        np.testing.assert_array_equal(labels, of_host)
    assert threading.active_count() == before


FAULTS = {
    "not mirrored": ("if (moves[3 * b]) column = W - 1 - column;", ""),
    "rows and columns exchanged": ("h + moves[3 * b + 1]", "h + moves[3 * b + 2]"),
    "the edge repeated": ("row < 0 ? -row", "row < 0 ? -row - 1"),
    "the padding forgotten": ("moves[3 * b + 2] - padding", "moves[3 * b + 2]"),
    "another channel's mean": ("shift[c]", "shift[0]"),
    "read outside": ("row >= 0 && row < H", "row < H"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        check("training", way)
        check("reflected", way)

    assert_caught("feed", *FAULTS[fault], checks)
