"""Parts of data sets, tables of labels, CIFAR, MedMNIST and EMNIST: mvnp/data/{sources,labels_csv,cifar,npz_set}.py."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from mvnp.data import BatchLoader, load_dataset, load_parts, write_idx
from mvnp.data.labels_csv import read_labels, read_weights
from mvnp.data.loader import balanced
from mvnp.errors import DataError, InputError

RNG = np.random.default_rng(12)
CLASSES = ("cat", "dog", "owl")


def pictures(folder, names, size=(10, 12)):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), 10 * (number % 20) + 5, np.uint8)).save(path)
    return folder


def by_class(folder, count, parts=("",)):
    return pictures(folder, [f"{part}/{name}/{n}.png".lstrip("/") for part in parts for name in CLASSES for n in range(count)])


def refused(spec, match, **options):
    with pytest.raises(DataError, match=match):
        load_parts(spec, **options)


# Folders


def test_train_val_and_test(tmp_path):
    parts = load_parts(by_class(tmp_path, 4, ("train", "val", "test")), image_size=8)
    assert [part.part for part in parts] == ["train", "val", "test"]
    assert parts.chooser is parts.val
    assert "12 to train, 12 to choose the best epoch, 12 to test" in parts.notes[0]
    # In two parts, as it was before there were three: the test part is the second.
    assert load_dataset(tmp_path, image_size=8)[1].part == "test"


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_one_of_them_alone_chooses(tmp_path, name):
    parts = load_parts(by_class(tmp_path, 2, ("train", name)), image_size=8)
    assert parts.chooser.part == ("test" if name == "test" else "val")
    assert len(list(parts)) == 2


def test_two_folders_for_one_part(tmp_path):
    refused(by_class(tmp_path, 2, ("train", "val", "valid")), "has val and valid; expected one of them", image_size=8)


def test_nothing_held_out(tmp_path):
    parts = load_parts(by_class(tmp_path, 1), image_size=8, held_out=0)
    assert (len(parts.train), parts.val, parts.test, parts.chooser) == (3, None, None, None)
    with pytest.raises(InputError, match="with held_out=0 there is no second part"):
        load_dataset(tmp_path, image_size=8, held_out=0)


def test_rectangles(tmp_path):
    parts = load_parts(by_class(tmp_path, 2), image_size=(6, 9))
    assert parts.train.images.shape == (3, 6, 9, 3)
    loader = BatchLoader(parts.train, 2, train=True, image_size=[12, 18], crop_padding=1)
    images, _ = loader.batch(0, 0)
    assert (images.shape, loader.sides) == ((2, 3, 12, 18), (12, 18))


# Tables of labels


def table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_in_a_table(tmp_path):
    root = pictures(tmp_path / "all", [f"{n}.png" for n in range(6)])
    lines = [f"{n}.png,{CLASSES[n % 3]},{'train' if n < 3 else 'valid'}" for n in range(6)]
    labels = table(tmp_path / "labels.csv", "\ufeffFilename,Class,split\n" + "\n".join(lines) + "\n\n")
    parts = load_parts(root, image_size=8, labels=labels)
    assert parts.train.classes == CLASSES
    assert (parts.train.labels.tolist(), parts.val.labels.tolist(), parts.test) == ([0, 1, 2], [0, 1, 2], None)
    assert parts.val.images[:, 0, 0, 0].tolist() == [35, 45, 55]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_by_name_and_files_without_ending(tmp_path, separator):
    root = pictures(tmp_path / "all", [f"{n:x}.png" for n in range(12)])
    rows = [separator.join((f"{n:x}", "x", f'"{CLASSES[n % 3]}"')) for n in range(12)]
    labels = table(tmp_path / "t.csv", separator.join(("key", "id", "race")) + "\n" + "\n".join(rows))
    parts = load_parts(root, image_size=8, labels=labels, columns={"image": "key", "label": "Race"}, held_out=0.25)
    assert (len(parts.train), len(parts.test)) == (9, 3)
    for part in parts:  # pictures and labels belong together
        assert ((part.images[:, 0, 0, 0] - 5) // 10 % 3).tolist() == part.labels.tolist()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "has 0 lines, expected a table of labels"),
        ("image,label\n", "has 1 lines"),
        (
            "image,b\n0.png,cat\n",
            r"no column for the label \(label, class, .*; it has image, b\. Say which it is: --columns label=NAME",
        ),
        ("image,label\n0.png,\n", "line 2 has nothing in column 2; fill it in"),
        ("image,label\n0.png\n", "line 2 has nothing in column 2"),
        (
            "image,label\n0.png,cat\n9.png,dog\n",
            r"1 of 2 pictures are not in .*: 9\.png \(line 3\); give the folder that they are",
        ),
        ("image,label\n0.png,cat\n\n0.png,dog\n", r"line 4: 0\.png has been on line 2 already"),
        ('image,label\n0.png,"cat\n', "cannot be understood .* is a quotation mark left open"),
        ("image,label,split\n0.png,cat,rest\n", "line 2 is of the part 'rest'; expected train, val or test"),
        ("image,label,split\n0.png,cat,test\n", "no line is of the training part"),
        ("image,label,split\n0.png,cat,train\n1.png,dog,test\n", "classes of test that train does not have: dog"),
        ("image,label\n0.png,cat\n1.png,cat\n", "only one class, 'cat'"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, match):
    pictures(tmp_path, ["0.png", "1.png"])
    refused(tmp_path, match, labels=table(tmp_path / "labels.csv", text))


def test_tables_that_are_no_tables(tmp_path):
    refused(by_class(tmp_path, 2), "there is no such file; expected a table of labels", labels=tmp_path / "no.csv")
    (tmp_path / "x.csv").write_bytes(b"image,label\n\xff\xfe\n")
    refused(tmp_path, "is no text in UTF-8", labels=tmp_path / "x.csv")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.csv")
        refused(tmp_path, "named pipe", labels=tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=r"columns names 'lable' \(did you mean 'label'\?\)"):
        read_labels(table(tmp_path / "l.csv", "a,b\n1,2\n"), tmp_path, {"lable": "b"})


def test_tables_of_weights(tmp_path):
    assert read_weights(table(tmp_path / "w.csv", "class,weight\ncat,1\ndog,2.5\n")) == {"cat": 1.0, "dog": 2.5}
    assert read_weights(table(tmp_path / "w.csv", "cat;1\ndog;0\n")) == {"cat": 1.0, "dog": 0.0}
    for text, match in (
        ("cat,1\ndog,x\n", "line 2 is 'dog,x', expected a class and its weight"),
        ("cat,1\ndog,-1\n", "line 2: 'dog' has the weight -1"),
        ("cat,1\ncat,2\n", "line 2: 'cat' is there twice"),
    ):
        with pytest.raises(DataError, match=match):
            read_weights(table(tmp_path / "w.csv", text))


# CIFAR

DATA = RNG.integers(0, 256, (4, 3072), dtype=np.uint8)
LABELS = [0, 1, 2, 1]


def cifar_10(folder, protocol=2, content=None):
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        content_of = {"batch_label": "x", "labels": LABELS, "data": DATA} if content is None else content
        (folder / name).write_bytes(pickle.dumps(content_of, protocol))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASSES)}, protocol))
    return folder


# A dict of a string, a list and an array as Python 2 pickles them: strings are bytes.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x00K\x01K\x02K\x01eU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\n"
    b"ndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x04M\x00\x0c\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\t(K\x03U\x01|NNN"
    b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x30\x00\x00" + DATA.tobytes() + b"tbu."
)


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, "Python 2"])
def test_cifar_10_in_python(tmp_path, protocol):
    if protocol == "Python 2":
        cifar_10(tmp_path)
        for path in tmp_path.glob("*_batch*"):
            path.write_bytes(PYTHON_2)
    else:
        cifar_10(tmp_path, protocol)
    train, test = load_dataset(tmp_path)
    assert (train.classes, train.images.shape, test.images.shape) == (CLASSES, (20, 32, 32, 3), (4, 32, 32, 3))
    assert train.labels.tolist() == LABELS * 5
    # Red, green and blue one after the other, row by row.
    np.testing.assert_array_equal(test.images[2, 5, 7], DATA[2, [5 * 32 + 7, 1024 + 5 * 32 + 7, 2048 + 5 * 32 + 7]])
    assert load_parts(tmp_path).notes[0].endswith("32x32 pixels, colour")


def test_cifar_10_in_the_folder_of_its_archive(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    cifar_10(tmp_path / "cifar-10-batches-py")
    assert load_dataset(tmp_path)[0].name == "cifar-10-batches-py"


def test_cifar_10_in_binary(tmp_path):
    rows = np.concatenate([np.array(LABELS, np.uint8)[:, None], DATA], axis=1)
    for name in [f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]:
        (tmp_path / name).write_bytes(rows.tobytes())
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\nowl\n\n", encoding="utf-8")
    train, test = load_dataset(tmp_path)
    assert (train.classes, train.labels.tolist()) == (CLASSES, LABELS * 5)
    np.testing.assert_array_equal(test.images[1, 0, :3, 2], DATA[1, 2048:2051])
    (tmp_path / "data_batch_2.bin").write_bytes(rows.tobytes()[:-1])
    refused(tmp_path, r"data_batch_2\.bin: has 12,291 bytes, expected a multiple of 3,073")
    (tmp_path / "data_batch_2.bin").unlink()
    refused(tmp_path, r"has test_batch\.bin, but no data_batch_2\.bin; unpack the archive again")


def test_cifar_100(tmp_path):
    python, binary = tmp_path / "python", tmp_path / "binary"
    python.mkdir()
    binary.mkdir()
    for name in ("train", "test"):
        content = {"fine_labels": LABELS, "coarse_labels": [9] * 4, "data": DATA}
        (python / name).write_bytes(pickle.dumps(content, 2))
        rows = np.concatenate([np.full((4, 1), 9, np.uint8), np.array(LABELS, np.uint8)[:, None], DATA], axis=1)
        (binary / f"{name}.bin").write_bytes(rows.tobytes())
    (python / "meta").write_bytes(pickle.dumps({"fine_label_names": list(CLASSES), "coarse_label_names": ["x", "y"]}, 2))
    (binary / "fine_label_names.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    for one, other in zip(load_dataset(python), load_dataset(binary), strict=True):
        assert one.classes == other.classes == CLASSES
        assert one.labels.tolist() == other.labels.tolist() == LABELS
        np.testing.assert_array_equal(one.images, other.images)


class Trap:
    """What a pickle can do: call anything."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_no_pickle_of_cifar_runs(tmp_path, protocol):
    cifar_10(tmp_path, protocol, {"data": Trap(tmp_path / "written"), "labels": LABELS})
    refused(tmp_path, "nothing of it was run|asks for|calls something")
    cifar_10(tmp_path, 2)
    for content in (
        b"cos\nsystem\n(S'touch written'\ntR.",
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # NEWOBJ
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"(dp0\n.",
        b"\x80\x02}q\x00(U\x04datacnumpy.core.multiarray\n_reconstruct\n(K\x01tRU\x06labels](K\x00eu.",
    ):
        (tmp_path / "test_batch").write_bytes(content)
        refused(tmp_path, "test_batch: ")
    assert not (tmp_path / "written").exists()


# MedMNIST, Keras


def arrays(count, channels=()):
    return RNG.integers(0, 256, (count, 8, 9, *channels), dtype=np.uint8), np.arange(count) % 3


@pytest.mark.parametrize(("channels", "compressed"), [((), True), ((3,), False), ((5,), True)])
def test_medmnist(tmp_path, channels, compressed):
    stored, made = {}, {}
    for part, count in (("train", 9), ("val", 6), ("test", 3)):
        images, labels = made[part] = arrays(count, channels)
        stored |= {f"{part}_images": images, f"{part}_labels": labels[:, None].astype(np.uint8)}
    (np.savez_compressed if compressed else np.savez)(tmp_path / "pathmnist.npz", **stored)
    parts = load_parts(tmp_path / "pathmnist.npz")
    assert (parts.train.name, parts.train.classes) == ("pathmnist", ("0", "1", "2"))
    for part in parts:
        np.testing.assert_array_equal(part.images, made[part.part][0].reshape(len(part), 8, 9, -1))
        np.testing.assert_array_equal(part.labels, made[part.part][1])
    np.testing.assert_allclose(parts.test.mean, parts.train.images.mean((0, 1, 2)) / 255)


def test_keras_and_floating(tmp_path):
    images, labels = arrays(6)
    np.savez(tmp_path / "mnist.npz", x_train=images / 255, y_train=labels, x_test=images[:3] / 255, y_test=labels[:3])
    parts = load_parts(tmp_path / "mnist.npz")
    assert (parts.train.images.dtype, parts.val, len(parts.test)) == (np.float32, None, 3)
    loaders = [BatchLoader(part, 3, train=False, image_size=8) for part in parts]
    np.testing.assert_allclose(loaders[0].batch(0, 0)[0].shape, (3, 1, 8, 8))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train_labels": None}, "it has train_images, and no train_labels"),
        ({"train_images": None}, "it has the arrays .*; expected train_images or x_train and its labels"),
        ({"train_labels": np.zeros((9, 14), np.int64)}, r"several labels for each picture, expected one"),
        ({"train_labels": np.arange(8)}, r"expected 9 whole numbers from 0"),
        ({"train_labels": -np.ones(9, np.int64)}, "expected 9 whole numbers from 0"),
        ({"train_labels": np.zeros(9, np.int64)}, "all training labels are 0; expected at least two classes"),
        ({"train_images": np.zeros((9, 8, 8, 8), np.uint8)}, "these are volumes, expected pictures"),
        ({"train_images": np.full((9, 8, 8), 300, np.int32)}, "train_images is int32, expected uint8"),
        ({"test_images": np.zeros((3, 4, 4), np.uint8)}, "its parts have pictures of different sizes"),
        ({"test_images": np.array([None])}, "holds object"),
        ({"test_labels": np.array([0, 1, 7])}, r"\(test\): labels go from 0 to 7, expected 0 to 2"),
    ],
)
def test_npz_sets_that_are_refused(tmp_path, change, match):
    (images, labels), (others, other_labels) = arrays(9), arrays(3)
    stored = {"train_images": images, "train_labels": labels, "test_images": others, "test_labels": other_labels, **change}
    np.savez(tmp_path / "x.npz", **{name: array for name, array in stored.items() if array is not None})
    refused(tmp_path / "x.npz", match)


# EMNIST


def emnist(folder, split, offset=1):
    for part, count in (("train", 12), ("test", 6)):
        images = RNG.integers(0, 256, (count, 5, 5), dtype=np.uint8)
        write_idx(folder / f"emnist-{split}-{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"emnist-{split}-{part}-labels-idx1-ubyte.gz", (np.arange(count) % 3 + offset).astype(np.uint8))
    return images


def test_emnist(tmp_path):
    stored = emnist(tmp_path, "letters")
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n", encoding="ascii")
    train, test = load_dataset(tmp_path)
    assert (train.classes, train.labels.tolist()) == (("A", "B", "C"), [0, 1, 2] * 4)
    np.testing.assert_array_equal(test.images[..., 0], stored.transpose(0, 2, 1))  # upright
    emnist(tmp_path, "digits", offset=0)
    refused(tmp_path, r"has the files of several data sets; give one of .*emnist-digits, .*emnist-letters")
    assert load_dataset(tmp_path / "emnist-digits")[0].classes == ("0", "1", "2")
    assert load_dataset(tmp_path / "emnist-letters")[0].classes == ("A", "B", "C")
    (tmp_path / "emnist-letters-mapping.txt").unlink()
    assert load_dataset(tmp_path / "emnist-letters")[0].classes == ("1", "2", "3")


# The balanced sampler


def test_each_class_equally_often():
    labels = np.repeat([0, 1, 2], [40, 16, 4])
    rng = np.random.default_rng(0)
    order = balanced(rng.permutation(60), labels, rng)
    assert np.bincount(labels[order]).tolist() == [20, 20, 20]
    for start in range(0, 60, 3):  # in any stretch, and not one class after the other
        assert sorted(labels[order[start : start + 3]]) == [0, 1, 2]
    assert len(np.unique(order[labels[order] == 0])) == 20  # none twice before all were there
    assert np.bincount(order[labels[order] == 2] - 56).tolist() == [5, 5, 5, 5]
    uneven = np.repeat([0, 1, 2], [8, 1, 1])
    assert np.bincount(uneven[balanced(np.arange(10), uneven, rng)]).max() <= 4


def test_the_balanced_sampler_depends_on_seed_and_epoch_alone():
    train, _ = load_dataset()
    few = load_dataset(classes=[0, 1])[0]
    loader = BatchLoader(few, 16, train=True, seed=3, sampler="balanced")
    first = loader.order(0).copy()
    assert not np.array_equal(first, loader.order(1))
    np.testing.assert_array_equal(BatchLoader(few, 8, train=True, seed=3, sampler="balanced").order(0), first)
    with pytest.raises(InputError, match=r"unknown sampler 'balance' .did you mean 'balanced'"):
        BatchLoader(train, 8, train=True, sampler="balance")
