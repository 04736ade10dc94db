"""What data is known again by, and the table of what was held out: mvnp/data/fingerprint.py and held_out.py."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mvnp.data import Dataset, load_parts
from mvnp.data.fingerprint import changes, fingerprint
from mvnp.data.held_out import held_out_table, read_held_out
from mvnp.errors import DataError


@pytest.fixture
def photos(tmp_path):
    """Eight pictures of two classes."""
    rng = np.random.default_rng(7)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def parts_of(folder, **options):
    return load_parts(folder, image_size=6, held_out=0.25, **options)


def test_the_same_data_is_the_same_wherever_it_lies(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "elsewhere" / "photos")
    one, other = parts_of(photos), parts_of(tmp_path / "elsewhere" / "photos")
    for part, again in zip(one, other, strict=True):
        assert fingerprint(part) == fingerprint(again)
        assert changes("training", fingerprint(part), fingerprint(again)) == []


def test_what_has_changed_is_told(photos):
    before = fingerprint(parts_of(photos).train)
    train = parts_of(photos).train
    assert changes("training", fingerprint(replace(train, labels=1 - train.labels)), before) == [
        "the training labels are others"
    ]
    assert changes("training", fingerprint(replace(train, images=255 - train.images)), before) == [
        "the training pictures show something else"
    ]
    assert changes("training", fingerprint(replace(train, classes=("dog", "cat"))), before) == [
        "the classes are dog, cat, and were cat, dog"
    ]
    fewer = replace(train, images=train.images[:5], labels=train.labels[:5], files=train.files[:5])
    assert changes("training", fingerprint(fewer), before) == ["there are 5 training pictures, and there were 6"]
    small = replace(train, images=train.images[:, :4])
    assert "the training pictures are 4x6x3, and were 6x6x3 (height, width, channels)" in changes(
        "training", fingerprint(small), before
    )
    path = train.files[0]
    path.rename(path.with_name("9.png"))
    renamed = replace(train, files=(path.with_name("9.png"), *train.files[1:]))
    assert changes("training", fingerprint(renamed), before) == [
        "the training pictures have other names, or come in another order"
    ]
    with open(path.with_name("9.png"), "ab") as file:
        file.write(b"more")
    assert "files of training pictures have other sizes" in changes("training", fingerprint(renamed), before)


def test_of_many_pictures_some_are_looked_at():
    images = np.zeros((1000, 2, 2, 1), np.uint8)
    data = Dataset("x", "train", images, np.arange(1000) % 2, ("a", "b"), (0.5,), (0.5,))
    before = fingerprint(data)
    for position, seen in ((0, True), (999, True), (1, False)):
        images[position] = 9
        assert (fingerprint(data) != before) == seen
        images[position] = 0


def test_files_are_as_many_as_pictures(photos):
    train = parts_of(photos).train
    with pytest.raises(DataError, match="5 files for 6 images, expected one an image"):
        replace(train, files=train.files[:5])
    some = parts_of(photos, classes=["dog", "cat"]).train
    assert [path.parent.name for path in some.files] == [some.classes[label] for label in some.labels]


def test_held_out_pictures_come_back(photos, tmp_path):
    (photos / "cat" / "0.png").rename(photos / "cat" / 'a, "b"\n=c.png')
    parts = parts_of(photos)
    table = tmp_path / "held-out.csv"
    table.write_bytes(held_out_table([parts.test]))
    assert read_held_out(table) == {
        "test": [(path, parts.test.classes[label]) for path, label in zip(parts.test.files, parts.test.labels, strict=True)]
    }
    assert held_out_table([]) is None
    assert held_out_table([replace(parts.test, files=())]) is None


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"image,label,split\n", b"a,b,c\n1,2,test\n", b"image,label,split\nx.png,cat\n"),
        *(b"image,label,split\nx,cat,train\n", b'image,label,split\n"x,cat,test\n', b"image,label,split\n,cat,test\n"),
        b"image,label,split\nx\0,cat,test\n",
    ],
)
def test_a_damaged_table_is_refused(tmp_path, damaged):
    (tmp_path / "held-out.csv").write_bytes(damaged)
    with pytest.raises(DataError, match=r"held-out\.csv is damaged"):
        read_held_out(tmp_path / "held-out.csv")
