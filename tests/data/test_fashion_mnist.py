"""The shipped part of Fashion-MNIST: mvnp/data/fashion_mnist/."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from mvnp.data import load_dataset, read_idx
from mvnp.data.dataset import statistics
from mvnp.data.fashion_mnist import FULL, LABELS_CRC, MEAN, STD, SUBSET
from mvnp.data.fashion_mnist.make_subset import chosen, make_subset
from mvnp.errors import DataError

FILES = {  # SHA-256 of what the files hold once they are unpacked
    "train-images-idx3-ubyte.gz": "df19e565daf9d56b7fd342a546f1c5cdb4a0fd46a9d73624c80c00f925fa0a3c",
    "train-labels-idx1-ubyte.gz": "4d18f763c5dec8e24378fbfdd88015a58120fc3d0c7dd03120ba5caa5ed139c9",
    "t10k-images-idx3-ubyte.gz": "a3d82adc4eb730dba5a8c6e4d9d0ebc2000bf642c0604e431dcbdcd8ddef35d6",
    "t10k-labels-idx1-ubyte.gz": "469197518e3815c44192ae626671d7d4eea83eeeef31566abf72d2946b9488a9",
}

needs_full_set = pytest.mark.skipif(
    not FULL.is_dir(), reason=f"the full Fashion-MNIST is not in {FULL}: apt install dataset-fashion-mnist"
)


@pytest.mark.parametrize("name", FILES)
def test_checksum(name):
    assert hashlib.sha256(read_idx(SUBSET / name).tobytes()).hexdigest() == FILES[name]


def test_counts():
    train, test = load_dataset("fashion-mnist-small")
    assert train.images.shape == (6000, 28, 28, 1)
    assert test.images.shape == (1500, 28, 28, 1)
    assert np.bincount(train.labels).tolist() == [600] * 10
    assert np.bincount(test.labels).tolist() == [150] * 10
    assert len(np.unique(train.labels[:50])) == 10  # not sorted by class


def test_licence_and_size():
    licence = (SUBSET / "LICENSE").read_text(encoding="utf-8")
    assert "2017 Zalando SE" in licence
    assert "Permission is hereby granted, free of charge" in licence
    assert "arXiv:1708.07747" in (SUBSET / "README.md").read_text(encoding="utf-8")
    assert sum(file.stat().st_size for file in SUBSET.glob("*.gz")) < 4_000_000


def test_no_image_is_in_both_parts():
    train, test = load_dataset("fashion-mnist-small")
    seen = {image.tobytes() for image in train.images}
    assert not [index for index, image in enumerate(test.images) if image.tobytes() in seen]


@needs_full_set
def test_drawn_again_it_is_the_same(tmp_path):
    make_subset(FULL, tmp_path)
    for name in FILES:
        np.testing.assert_array_equal(read_idx(tmp_path / name), read_idx(SUBSET / name))


@needs_full_set
@pytest.mark.parametrize("part", ["train", "t10k"])
def test_is_part_of_the_full_set(part):
    """By pixels and label, without the code that drew it."""
    images, labels = (read_idx(FULL / f"{part}-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1"))
    full = {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    images, labels = (read_idx(SUBSET / f"{part}-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1"))
    small = {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    assert small <= full
    assert len(small) == len(labels)  # none twice


@needs_full_set
def test_the_constants():
    import zlib

    mean, std = statistics(read_idx(FULL / "train-images-idx3-ubyte.gz")[..., None])
    assert (round(mean[0], 5),) == MEAN
    assert (round(std[0], 5),) == STD
    assert zlib.crc32(read_idx(FULL / "train-labels-idx1-ubyte.gz").tobytes()) == LABELS_CRC


def test_chosen_is_balanced_and_ascending():
    labels = np.random.default_rng(0).integers(0, 10, 3000).astype(np.uint8)
    indices = chosen(labels, "t10k")
    assert np.bincount(labels[indices]).tolist() == [150] * 10
    assert (np.diff(indices) > 0).all()
    with pytest.raises(DataError, match="train has 2 images of T-shirt/top, the subset takes 600"):
        chosen(np.array([0, 0, 1], np.uint8), "train")


def test_command_refuses_a_folder_without_the_files(tmp_path):
    command = [sys.executable, "-m", "mvnp.data.fashion_mnist.make_subset", str(tmp_path), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr.startswith(f"make_subset: {tmp_path / 'train-images-idx3-ubyte.gz'}: no such file")
    assert "Traceback" not in done.stderr
