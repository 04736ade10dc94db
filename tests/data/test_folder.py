"""Folders of pictures: mvnp/data/folder.py."""

import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvnp.data import image_files, load_parts, read_idx
from mvnp.data.folder import ImageFiles, find_parts, is_picture, natural_key, pictures_by_class, read_image
from mvnp.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def save(path, pixels=NOISE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def found(root, held_out=0.2, seed=0):
    """{part: {class: names of files}}"""
    classes, parts = find_parts(root, held_out, seed)
    return {
        name: {c: [p.name for p, label in zip(part.paths, part.labels, strict=True) if classes[label] == c] for c in classes}
        for name, part in parts.items()
    }


def refused(root):
    with pytest.raises(DataError) as caught:
        find_parts(root, 0.2, 0)
    assert str(caught.value).startswith(str(root))
    return str(caught.value)


# Finding them


@pytest.mark.parametrize("part", ["test", "val", "valid", "validation"])
def test_train_and_test_folders(tmp_path, part):
    for name in ("train/dog/1.png", "train/dog/2.JPG", "train/cat/1.png", f"{part}/cat/9.png"):
        save(tmp_path / name)
    name = "test" if part == "test" else "val"
    assert found(tmp_path) == {"train": {"cat": ["1.png"], "dog": ["1.png", "2.JPG"]}, name: {"cat": ["9.png"], "dog": []}}


def test_natural_order_of_classes_and_files(tmp_path):
    for number in (10, 2, 1):
        for name in ("a", "B", "ü"):
            save(tmp_path / "train" / f"{name}{number}" / f"x{number}.png")
            save(tmp_path / "train" / f"{name}{number}" / "x3.png")
    save(tmp_path / "test/a1/x.png")
    classes, parts = find_parts(tmp_path, 0.5, 0)
    train = parts["train"]
    assert classes == ("a1", "a2", "a10", "B1", "B2", "B10", "ü1", "ü2", "ü10")
    assert [path.name for path in train.paths[4:6]] == ["x3.png", "x10.png"]
    assert train.labels.tolist() == np.repeat(np.arange(9), 2).tolist()
    assert natural_key("x٣") > natural_key("x3")  # other digits than 0 to 9 are letters


def test_hidden_and_other_files_are_passed_over(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "cat/._1.png", "dog/1.png", "dog/2.png", ".cache/1.png"):
        save(tmp_path / name)
    (tmp_path / "cat/notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "cat/folder.png").mkdir()
    (tmp_path / "README.md").write_text("no class", encoding="utf-8")
    both = found(tmp_path)
    assert sorted(both["train"]["cat"] + both["test"]["cat"]) == ["1.png", "2.png"]
    assert list(both["train"]) == ["cat", "dog"]


def test_a_class_called_train(tmp_path):
    for name in ("train", "bus", "test"):
        save(tmp_path / name / "1.png")
        save(tmp_path / name / "2.png")
        save(tmp_path / name / "more" / "3.png")  # pictures further down do not count
    assert list(found(tmp_path)["train"]) == ["bus", "test", "train"]


def test_unicode_names(tmp_path):
    apart, composed = (unicodedata.normalize(form, "Äpfel") for form in ("NFD", "NFC"))
    save(tmp_path / "train" / apart / "1.png")
    save(tmp_path / "train" / "猫" / "1.png")
    save(tmp_path / "test" / composed / "1.png")
    assert found(tmp_path)["test"] == {composed: ["1.png"], "猫": []}
    save(tmp_path / "train" / composed / "1.png")
    if len(list((tmp_path / "train").iterdir())) == 3:  # macOS has made one folder of the two
        assert "two class folders have names that read the same, 'Äpfel'" in refused(tmp_path)


def test_names_that_are_no_utf8_can_be_printed(tmp_path):
    try:
        save(tmp_path / "caf\udce9" / "1.png")
        save(tmp_path / "caf\udce9" / "2.png")
    except OSError:
        pytest.skip("this file system takes no such names")
    save(tmp_path / "tea/1.png")
    save(tmp_path / "tea/2.png")
    classes, _ = find_parts(tmp_path, 0.5, 0)
    assert classes == ("caf\ufffd", "tea")
    classes[0].encode("utf-8")


def test_held_out_share(tmp_path):
    for index in range(10):
        save(tmp_path / f"a/{index}.png")
    for index in range(3):
        save(tmp_path / f"b/{index}.png")
    both = found(tmp_path, held_out=0.3)
    assert [len(both["test"][name]) for name in "ab"] == [3, 1]
    for name, count in (("a", 10), ("b", 3)):
        assert sorted(both["train"][name] + both["test"][name]) == [f"{index}.png" for index in range(count)]
    assert found(tmp_path, held_out=0.3) == both
    assert any(found(tmp_path, held_out=0.3, seed=seed) != both for seed in range(1, 4))
    # However large or small the share, each part has something of each class.
    for share in (0.001, 0.999):
        assert all(names for part in found(tmp_path, held_out=share).values() for names in part.values())


# Folders that are refused


def test_empty(tmp_path):
    assert "no class folders; expected a folder for each class with its pictures inside" in refused(tmp_path)


def test_pictures_without_classes(tmp_path):
    save(tmp_path / "1.png")
    save(tmp_path / "2.png")
    assert "2 pictures but no class folders" in refused(tmp_path)


def test_one_class(tmp_path):
    save(tmp_path / "cat/1.png")
    save(tmp_path / "cat/2.png")
    assert "only one class, 'cat'; expected a folder for each of at least two classes" in refused(tmp_path)


def test_class_without_pictures(tmp_path):
    save(tmp_path / "cat/1.png")
    (tmp_path / "dog").mkdir()
    assert refused(tmp_path).startswith(f"{tmp_path / 'dog'}: no pictures in this class folder")


def test_one_picture_cannot_be_split(tmp_path):
    save(tmp_path / "cat/1.png")
    save(tmp_path / "dog/1.png")
    assert refused(tmp_path).startswith(f"{tmp_path / 'cat'}: one picture only; expected two")


def test_test_without_train(tmp_path):
    save(tmp_path / "val/cat/1.png")
    (tmp_path / "train").mkdir()
    assert "has val/ with classes but no train/ with classes" in refused(tmp_path)


def test_classes_that_training_does_not_have(tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/Cat/1.png"):
        save(tmp_path / name)
    assert f"{tmp_path / 'test'}: classes that train/ does not have: Cat; expected cat, dog" in refused(tmp_path)


def test_no_test_pictures(tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png"):
        save(tmp_path / name)
    (tmp_path / "test/cat").mkdir(parents=True)
    assert f"{tmp_path / 'test'}: no pictures" in refused(tmp_path)


# Reading them


def test_short_side_is_resized_and_the_centre_cut_out(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = (200, 100, 50)
    path = save(tmp_path / "x.png", pixels)
    np.testing.assert_array_equal(read_image(path, 20, 3), np.broadcast_to([200, 100, 50], (20, 20, 3)))
    path = save(tmp_path / "y.png", np.ascontiguousarray(pixels.transpose(1, 0, 2)))
    middle = read_image(path, 10, 3)[2:-2]  # shrunk by 2, so that what lies beside the cut has a part in two pixels at its edge
    np.testing.assert_array_equal(middle, np.broadcast_to([200, 100, 50], (6, 10, 3)))


def test_grey_and_colour(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    colour, grey = save(tmp_path / "c.png", red), save(tmp_path / "g.png", np.full((8, 8), 90, np.uint8))
    np.testing.assert_array_equal(read_image(colour, 8, 3), red)
    np.testing.assert_array_equal(read_image(colour, 8, 1), np.full((8, 8, 1), 76))  # 0.299 · 255
    np.testing.assert_array_equal(read_image(grey, 8, 3), np.full((8, 8, 3), 90))
    np.testing.assert_array_equal(read_image(grey, 8, 1), np.full((8, 8, 1), 90))


def test_transparent_is_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    got = read_image(save(tmp_path / "x.png", pixels), 4, 3)
    assert got[:2].max() == 0
    assert got[2:].min() == 255


def test_palette_with_transparency_warns_nobody(tmp_path):
    image = Image.fromarray(NOISE).quantize(8)
    image.save(tmp_path / "x.png", transparency=bytes([0, 255, 128]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "x.png", 8, 3).shape == (8, 8, 3)


def test_sixteen_bits_are_not_clipped(tmp_path):
    pixels = np.array([[0, 255, 256], [32768, 65280, 65535]] * 2, np.uint16)[:, :, None].repeat(4, axis=1).reshape(4, 12)
    path = save(tmp_path / "x.png", pixels)
    want = np.array([1] * 4 + [254] * 4, np.uint8).reshape(2, 4)[[0, 1, 0, 1]]  # 256/257 and 65280/257, rounded
    np.testing.assert_array_equal(read_image(path, 4, 1)[..., 0], want)
    np.testing.assert_array_equal(read_image(path, 4, 3), np.stack([want] * 3, axis=2))


def test_floating_pixels(tmp_path):
    path = save(tmp_path / "x.tif", np.full((4, 4), 40.0, np.float32))
    with pytest.raises(
        DataError, match=r"x\.tif: cannot be read as a picture \(its values, float32, go from 40 to 40, expected"
    ):
        read_image(path, 4, 3)


def test_rotation_tag(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, 8:] = 255  # right half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise: the right half comes to lie below
    got = read_image(save(tmp_path / "x.jpg", pixels, exif=exif, quality=95), 16, 1)
    assert got[:7].max() < 40
    assert got[9:].min() > 215


def test_large_jpeg(tmp_path):
    """Decoded at a fraction of its size, it still looks as it should."""
    rows, columns = np.mgrid[:800, :800]
    pixels = np.stack([rows // 4, columns // 4, (rows + columns) // 8], axis=2).astype(np.uint8)
    got = read_image(save(tmp_path / "x.jpg", pixels, quality=95), 50, 3)
    want = pixels.reshape(50, 16, 50, 16, 3).mean(axis=(1, 3))
    assert np.abs(got - want).max() < 6


# Files that are refused


def unreadable(path):
    with pytest.raises(DataError) as caught:
        read_image(path, 8, 3)
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be read as a picture (")
    assert message.endswith("); replace or remove it")
    assert "\n" not in message
    return message


def test_no_picture(tmp_path):
    path = tmp_path / "x.png"
    path.write_text("hello", encoding="utf-8")
    assert "(not a picture of a known format)" in unreadable(path)
    path.write_bytes(b"")
    assert "(the file is empty)" in unreadable(path)
    assert "No such file" in unreadable(tmp_path / "gone.png")


@pytest.mark.parametrize("extension", ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(tmp_path, extension, share):
    path = save(tmp_path / f"x.{extension}", np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    unreadable(path)


def test_corrupted_png(tmp_path):
    path = save(tmp_path / "x.png", np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    unreadable(path)


def test_a_picture_above_the_limit(tmp_path):
    path = save(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"its header declares 20x12 pixels, 0 MB once they are decoded, expected at most 0 MB"):
        read_image(path, 8, 3, max_bytes=20 * 12 * 3 - 1)
    assert read_image(path, 8, 3, max_bytes=20 * 12 * 3).shape == (8, 8, 3)


# Pictures that stay on the disk


def test_image_files_are_indexed_like_an_array(tmp_path):
    paths = tuple(save(tmp_path / f"{value}.png", np.full((6, 6, 3), value, np.uint8)) for value in range(5))
    files = ImageFiles(paths, 6, 1)
    array = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None, None, None], (5, 6, 6, 1))
    assert (files.shape, files.dtype, files.nbytes, len(files)) == (array.shape, array.dtype, 180, 5)
    for key in (2, -1, slice(1, 4), slice(None), np.array([3, 0, 3]), np.array([], int), np.int64(1)):
        np.testing.assert_array_equal(files[key], array[key])
    with pytest.raises(IndexError):
        files[5]
    assert "0.png" not in repr(files)


# What counts as a picture


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *[("1.avif", "AVIF"), ("1.jp2", "JPEG2000"), ("1.jfif", "JPEG"), ("1.JPE", "JPEG"), ("1.dib", "DIB"), ("1.pnm", "PPM")],
        *[("1.qoi", "QOI"), ("1.pcx", "PCX"), ("1.sgi", "SGI"), ("1.tga", "TGA"), ("1.apng", "PNG")],
        *[
            ("png", "PNG"),
            ("jpeg", "JPEG"),
            ("webp", "WEBP"),
            ("avif", "AVIF"),
            ("tiff", "TIFF"),
            ("gif", "GIF"),
            ("bmp", "BMP"),
        ],
    ],
)
def test_all_that_pillow_opens_is_found(tmp_path, name, form):
    Image.init()
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {form}")
    for folder in ("cat", "dog"):
        for number in "12":
            save(tmp_path / folder / f"{number}.png")
    Image.fromarray(NOISE).save(tmp_path / "cat" / name, format=form)
    _, parts = find_parts(tmp_path, 0.5, 0)
    assert [path.name for part in parts.values() for path in part.paths].count(name) == 1
    got = read_image(tmp_path / "cat" / name, 12, 3)
    assert got.shape == (12, 12, 3)
    assert abs(got.mean() - NOISE.mean()) < 25


def test_what_is_passed_over_is_counted_and_said(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"):
        save(tmp_path / name)
    for name in ("cat/notes.txt", "dog/a.txt", "dog/film.mov", "dog/README", "cat/.hidden"):
        (tmp_path / name).write_text("no picture", encoding="utf-8")
    parts = load_parts(tmp_path, image_size=8)
    assert "passed over: 4 files that are no pictures (.txt 2, .mov 1, no ending 1)" in parts.notes
    assert parts.notes[0].startswith(f"{tmp_path.name}: 4 pictures of 2 classes (cat 2, dog 2), 2 to train, 2 to test; 12x20")


def test_damaged_pictures_are_all_named(tmp_path, monkeypatch):
    for name in ("cat", "dog"):
        for number in range(8):
            save(tmp_path / name / f"{number}.png")
    whole = load_parts(tmp_path, image_size=8)
    (tmp_path / "cat/3.png").write_bytes((tmp_path / "cat/3.png").read_bytes()[:60])
    with pytest.raises(
        DataError, match=r"cat/3\.png: cannot be read .*; or give --skip-damaged \(skip_damaged in Python\) to go on"
    ):
        load_parts(tmp_path, image_size=8)
    (tmp_path / "dog/5.png").write_text("no picture", encoding="utf-8")
    for kept_bytes in (2**29, 0):  # in memory, and read for each batch
        monkeypatch.setattr("mvnp.data.sources.KEPT_BYTES", kept_bytes)
        with pytest.raises(DataError) as caught:
            load_parts(tmp_path, image_size=8).train.images[:]
        first, *lines = str(caught.value).split("\n")
        assert first.endswith(
            "pictures cannot be read; repair or remove them, or give --skip-damaged (skip_damaged in Python) to go on without"
            " them:"
        )
        assert ["cat/3.png" in line or "dog/5.png" in line for line in lines] == [True, True]
        rest = load_parts(tmp_path, image_size=8, skip_damaged=True)
        assert len(rest.train) + len(rest.test) == 14
        assert sum("left out: " in note for note in rest.notes) == 2
        assert (len(rest.train.images[:]), len(whole.train)) == (len(rest.train), 12)


def test_what_is_wrong_with_all_is_said_once(tmp_path):
    for name in ("cat", "dog"):
        for number in range(40):
            save(tmp_path / name / f"{number}.tif", np.full((4, 4), -1, np.int32))
    with pytest.raises(DataError, match=r"--range min:max, auto or percentile .* So it is with all of the first 50 pictures$"):
        load_parts(tmp_path, image_size=8)


# Files that are more than pictures


def test_pipes_and_devices_are_refused(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    save(tmp_path / "cat/1.png")
    save(tmp_path / "cat/2.png")
    os.mkfifo(tmp_path / "cat" / "3.png")
    os.mkfifo(tmp_path / "cat" / "pipe")
    assert [path.name for path in pictures_by_class(tmp_path)["cat"]] == ["1.png", "2.png"]
    with pytest.raises(DataError, match=r"3\.png: cannot be read as a picture \(it is a named pipe, expected a file\)"):
        read_image(tmp_path / "cat" / "3.png", 8, 3)
    with pytest.raises(DataError, match=r"3\.png: is a pipe or a device, and no file; expected a picture, or a folder of"):
        image_files(tmp_path / "cat" / "3.png")
    with pytest.raises(DataError, match="it is a device, expected a file"):
        read_image(Path(os.devnull), 8, 3)
    with pytest.raises(DataError, match="named pipe"):
        read_idx(tmp_path / "cat" / "3.png")


@pytest.mark.parametrize("name", ["x.eps", "x.png", "x.jpg", "x"])
def test_postscript_is_no_picture_whatever_it_is_called(tmp_path, name):
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / name).write_bytes(program)
    with pytest.raises(DataError, match="not a picture of a known format"):
        read_image(tmp_path / name, 8, 3)
    assert not is_picture(tmp_path / "x.eps")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_broken_links_are_counted(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (4, 4), (40 * number, 9, 0)).save(tmp_path / name / f"{number}.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "b" / "link.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "b" / "folder").mkdir()
    for number in range(2):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.png")
    notes = load_parts(tmp_path, image_size=4).notes
    assert (
        "passed over: 2 files that are no pictures (a pipe or a device 1, a broken link 1), 1 folder inside class folders,"
        " 2 pictures beside class folders"
    ) in notes
