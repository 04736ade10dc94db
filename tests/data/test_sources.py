"""Names and folders to data sets: mvnp/data/sources.py."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mvnp.data import Dataset, ImageFiles, load_dataset, load_parts, write_idx
from mvnp.data.dataset import in_channels
from mvnp.data.fashion_mnist import CLASSES, FULL, MEAN, STD, SUBSET
from mvnp.errors import DataError, InputError
from support.tolerance import assert_close

RNG = np.random.default_rng(0)
IMAGES = {"train": RNG.integers(0, 256, (20, 6, 6), np.uint8), "t10k": RNG.integers(0, 256, (8, 6, 6), np.uint8)}
LABELS = {"train": np.arange(20, dtype=np.uint8) % 4, "t10k": np.arange(8, dtype=np.uint8) % 4}


def idx_folder(root, separator="-", ending=".gz"):
    for part in ("train", "t10k"):
        write_idx(root / f"{part}-images{separator}idx3-ubyte{ending}", IMAGES[part])
        write_idx(root / f"{part}-labels{separator}idx1-ubyte{ending}", LABELS[part])
    return root


def picture_folder(root, classes=("cat", "dog"), count=5):
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            pixels = RNG.integers(0, 100, (9, 12, 3), np.uint8) + np.uint8(min(100 * label, 150))
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def refused(spec, **options):
    with pytest.raises(DataError) as caught:
        load_dataset(spec, **options)
    return str(caught.value)


# Names


def test_shipped_subset_is_the_default():
    train, test = load_dataset()
    assert (train.name, train.part, test.part) == ("fashion-mnist-small", "train", "test")
    assert (train.classes, train.mean, train.std) == (CLASSES, MEAN, STD)
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64
    again, _ = load_dataset("fashion-mnist-small")
    np.testing.assert_array_equal(again.images, train.images)


@pytest.mark.skipif(not FULL.is_dir(), reason=f"the full Fashion-MNIST is not in {FULL}: apt install dataset-fashion-mnist")
def test_full_set():
    train, test = load_dataset("fashion-mnist")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.classes == CLASSES
    # The same files in a folder are known by their labels.
    assert load_dataset(FULL)[0].classes == CLASSES


def test_full_set_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr("mvnp.data.fashion_mnist.FULL", tmp_path / "fashion-mnist")
    message = refused("fashion-mnist")
    assert message.startswith(f"the full Fashion-MNIST is not installed: there is no folder {tmp_path / 'fashion-mnist'}.")
    assert "apt install dataset-fashion-mnist" in message
    assert "folder of its four files" in message


def test_unknown_name():
    message = refused("fashon-mnist")
    assert message.startswith(
        "no data set and no folder 'fashon-mnist' (did you mean 'fashion-mnist'?); give fashion-mnist-small,"
    )
    assert "did you mean" not in refused("/no/such/place")
    assert "no folder ''" in refused("")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x.bin").touch()
    assert refused(tmp_path / "x.bin") == f"{tmp_path / 'x.bin'} is a file; give the folder that it is in"
    (tmp_path / "x.tar.gz").touch()
    assert refused(tmp_path / "x.tar.gz") == f"{tmp_path / 'x.tar.gz'} is a file; unpack it, and give the folder"


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    idx_folder(tmp_path)
    assert len(load_dataset("~")[0]) == 20
    assert "no folder" in refused("~nobody-of-this-name/x")


# Folders of IDX files


@pytest.mark.parametrize(("separator", "ending"), [("-", ".gz"), ("-", ""), (".", "")])
def test_idx_folder(tmp_path, separator, ending):
    train, test = load_dataset(idx_folder(tmp_path, separator, ending))
    np.testing.assert_array_equal(train.images[..., 0], IMAGES["train"])
    np.testing.assert_array_equal(train.labels, LABELS["train"])
    np.testing.assert_array_equal(test.images[..., 0], IMAGES["t10k"])
    np.testing.assert_array_equal(test.labels, LABELS["t10k"])
    assert train.classes == test.classes == ("0", "1", "2", "3")
    assert_close(train.mean, (IMAGES["train"] / 255).mean())
    assert test.mean == train.mean  # of the training images, in both


def test_idx_file_missing(tmp_path):
    idx_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path}: has no t10k-labels-idx1-ubyte.gz (or without .gz); expected images and labels")


def test_more_images_than_labels(tmp_path):
    idx_folder(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", LABELS["t10k"][:-1])
    message = refused(tmp_path)
    assert message.startswith(
        f"{tmp_path / 't10k-images-idx3-ubyte.gz'} holds 8 images but t10k-labels-idx1-ubyte.gz 7 labels;"
    )


def test_images_and_labels_swapped(tmp_path):
    idx_folder(tmp_path)
    shutil.copy(tmp_path / "train-labels-idx1-ubyte.gz", tmp_path / "train-images-idx3-ubyte.gz")
    assert "expected uint8 of 3 dimensions; were two files swapped?" in refused(tmp_path)


def test_truncated_idx_file(tmp_path):
    for file in SUBSET.glob("*.gz"):
        shutil.copy(file, tmp_path)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:100_000])
    assert refused(tmp_path).startswith(f"{file}: the gzip data is damaged or cut off")


def test_no_images(tmp_path):
    idx_folder(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((0, 6, 6), np.uint8))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.zeros(0, np.uint8))
    assert "holds images of shape (0, 6, 6), expected at least one" in refused(tmp_path)


def test_one_label_only(tmp_path):
    idx_folder(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.full(20, 3, np.uint8))
    assert "all training labels are 3; expected at least two classes" in refused(tmp_path)


def test_test_label_beyond_the_classes(tmp_path):
    idx_folder(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.full(8, 9, np.uint8))
    assert "(test): labels go from 9 to 9, expected 0 to 3 for 4 classes" in refused(tmp_path)


def test_sizes_differ(tmp_path):
    idx_folder(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((8, 5, 7), np.uint8))
    assert "of different sizes, 6x6 and 5x7" in refused(tmp_path)


def test_blank_images(tmp_path):
    idx_folder(tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((20, 6, 6), np.uint8))
    assert refused(tmp_path).startswith("the training pictures are all of one brightness (0 of 255)")


# Folders of pictures


def test_picture_folder(tmp_path):
    train, test = load_dataset(picture_folder(tmp_path / "pets"), image_size=8)
    assert isinstance(train, Dataset)
    assert (train.name, train.classes, train.mean) == ("pets", ("cat", "dog"), (0.485, 0.456, 0.406))
    assert train.images.shape == (8, 8, 8, 3)
    assert test.images.shape == (2, 8, 8, 3)
    for part in (train, test):  # dogs are brighter by construction: pictures and labels belong together
        bright = part.images.mean(axis=(1, 2, 3)) > 100
        np.testing.assert_array_equal(bright, part.labels == 1)


def test_grey_picture_folder(tmp_path):
    train, test = load_dataset(picture_folder(tmp_path / "pets"), image_size=8, channels=1)
    assert train.images.shape == (8, 8, 8, 1)
    assert_close(train.mean, (train.images / 255).mean())
    assert test.mean == train.mean


def test_large_folder_stays_on_the_disk(tmp_path, monkeypatch):
    picture_folder(tmp_path / "pets")
    kept = load_dataset(tmp_path / "pets", image_size=8, channels=1)
    monkeypatch.setattr("mvnp.data.sources.KEPT_BYTES", 8 * 8 * 10 - 1)
    lazy = load_dataset(tmp_path / "pets", image_size=8, channels=1)
    for in_memory, on_disk in zip(kept, lazy, strict=True):
        assert isinstance(in_memory.images, np.ndarray)
        assert isinstance(on_disk.images, ImageFiles)
        np.testing.assert_array_equal(on_disk.images[:], in_memory.images)
        assert on_disk.mean == in_memory.mean


def test_corrupted_picture(tmp_path):
    picture_folder(tmp_path)
    (tmp_path / "dog/3.png").write_bytes((tmp_path / "dog/3.png").read_bytes()[:60])
    assert refused(tmp_path).startswith(f"{tmp_path / 'dog' / '3.png'}: cannot be read as a picture (")


def test_empty_folder(tmp_path):
    assert refused(tmp_path).startswith(f"{tmp_path}: no class folders; expected a folder for each class")


@pytest.mark.parametrize(
    "options",
    [{"image_size": 0}, {"image_size": 7.5}, {"image_size": (3, 0)}, {"channels": 0}, {"held_out": -0.1}, {"held_out": 1}],
)
def test_options_that_cannot_be(options):
    with pytest.raises(
        InputError, match=r"expected image_size of at least 1, or \(H, W\), channels from 1 to 65536, held_out of"
    ):
        load_dataset(**options)


# A choice of classes


def test_chosen_classes():
    train, test = load_dataset(classes=["Bag", 0, "9"])
    whole, _ = load_dataset()
    assert train.classes == test.classes == ("Bag", "T-shirt/top", "Ankle boot")
    assert (len(train), len(test)) == (1800, 450)
    for label, number in enumerate((8, 0, 9)):
        np.testing.assert_array_equal(train.images[train.labels == label], whole.images[whole.labels == number])
    assert (train.mean, train.std) == (MEAN, STD)


def test_chosen_classes_of_pictures(tmp_path, monkeypatch):
    picture_folder(tmp_path, ("cat", "dog", "10", "2"))
    kept, _ = load_dataset(tmp_path, image_size=8, classes=["dog", "10"])
    assert kept.classes == ("dog", "10")  # a name goes before a number
    monkeypatch.setattr("mvnp.data.sources.KEPT_BYTES", 0)
    on_disk, _ = load_dataset(tmp_path, image_size=8, classes=["dog", "10"])
    assert isinstance(on_disk.images, ImageFiles)
    np.testing.assert_array_equal(on_disk.images[:], kept.images)
    np.testing.assert_array_equal(on_disk.labels, kept.labels)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["Bags", 1], r"has no class 'Bags' \(did you mean 'Bag'\?\); choose from 0 T-shirt/top, 1 Trouser"),
        ([10, 1], "has no class 10"),
        (["Bag"], "classes are Bag; expected at least two, each once"),
        ("Bag", "has no class|classes are"),
        (["Bag", 8], "classes are Bag, 8; expected at least two, each once"),
        ([], "expected at least two"),
    ],
)
def test_wrong_classes(classes, message):
    with pytest.raises(InputError, match=message):
        load_dataset(classes=classes)


def test_a_class_without_test_pictures(tmp_path):
    picture_folder(tmp_path / "train", ("cat", "dog", "fox", "owl"), count=2)
    picture_folder(tmp_path / "test", ("cat", "dog"), count=2)
    with pytest.raises(DataError, match=r"\(test\): there are no pictures of fox, owl"):
        load_dataset(tmp_path, image_size=8, classes=["fox", "owl"])


def test_grey_pictures_in_three_channels():
    train, _ = load_dataset(classes=[0, 1])
    colour = in_channels(train, 3)
    assert colour.images.shape == (1200, 28, 28, 3)
    assert (colour.channels, colour.mean, colour.std) == (3, MEAN * 3, STD * 3)
    np.testing.assert_array_equal(colour.images[7], np.repeat(train.images[7], 3, axis=2))
    assert in_channels(train, 1) is train
    with pytest.raises(InputError, match="has 3 channels, and the model takes 1"):
        in_channels(colour, 1)


def test_a_table_in_place_of_a_folder(tmp_path):
    (tmp_path / "labels.csv").write_text("image,label\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"labels.csv is a file; give the folder of the pictures, and as the table .* --labels "
    ):
        load_dataset(tmp_path / "labels.csv")
    with pytest.raises(InputError, match="columns are of a table of labels, and there is none; give it with labels="):
        load_dataset(tmp_path, columns={"image": "id"})


def test_names_of_classes_stay_on_one_line(tmp_path):
    for name in ("a\nb", "\x1b[31mc"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("L", (4, 4), 90 * number).save(tmp_path / name / f"{number}.png")
    note = load_parts(tmp_path, image_size=4).notes[0]
    assert r"\x1b[31mc 2, a\nb 2" in note
    assert note.isprintable()
