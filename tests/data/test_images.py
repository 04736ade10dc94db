"""Pictures as models take them: mvnp/data/images.py and mvnp/data/image_file.py."""

import dataclasses
import json
import math
import os
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

import mvnp
from mvnp.data import BatchLoader, Dataset, ImageTransform, image_files, images, load_dataset, open_image, read_image
from mvnp.errors import DataError, InputError
from mvnp.models.variants import VARIANTS
from support.timm_values import CASES, FILE, PHOTOS, stride
from support.tolerance import assert_close, grey_levels

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PLAIN = ImageTransform(mean=(0, 0, 0), std=(1, 1, 1))


def save(path, pixels=NOISE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


# The published definition, by two independent ways


@pytest.mark.parametrize("name", CASES)
def test_values_of_timm(name):
    photo, size, crop_pct, crop_mode = CASES[name]
    x = ImageTransform(size, crop_pct, crop_mode)(open_image(PHOTOS / photo))
    # A JPEG is decoded alike by all versions of libjpeg-turbo; others round elsewhere on the way from waves to colours.
    times = 0 if photo.endswith(".png") else 4
    tolerance = grey_levels(times, 1 / 255 / min(ImageTransform().std))
    with np.load(FILE) as values:
        step = stride(size)
        np.testing.assert_allclose(x[:, ::step, ::step], values[f"{name}/values"], rtol=0, atol=tolerance)
        mean_and_std = np.stack([x.mean((1, 2), dtype=np.float64), x.std((1, 2), dtype=np.float64)])
        np.testing.assert_allclose(mean_and_std, values[f"{name}/statistics"], rtol=0, atol=tolerance / 8)


def keys(t):
    """Keys (1981), eq. 15, with a = -1/2."""
    t = np.abs(t)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def along(pixels, n_out):
    """Bicubic resampling of the last axis, in float64, rounded to 8 bits."""
    n_in = pixels.shape[-1]
    if n_in == n_out:
        return pixels
    ratio = n_in / n_out
    distance = np.arange(n_in) + 0.5 - (np.arange(n_out)[:, None] + 0.5) * ratio
    weights = keys(distance / max(ratio, 1.0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(np.floor(pixels @ weights.T + 0.5), 0, 255)


def by_definition(pixels, size, crop_pct, crop_mode):
    """uint8 (H, W, C) resized and cut, as numbers (C, size, size): along the rows first, and along the columns first."""
    h, w, _ = pixels.shape
    S = math.floor(size / crop_pct)
    if crop_mode == "squash":
        h_new, w_new = S, S
    elif h < w:
        h_new, w_new = S, S * w // h
    else:
        h_new, w_new = S * h // w, S
    planes = pixels.transpose(2, 0, 1).astype(float)
    rows_first = along(along(planes, w_new).swapaxes(1, 2), h_new).swapaxes(1, 2)
    columns_first = along(along(planes.swapaxes(1, 2), h_new).swapaxes(1, 2), w_new)
    top, left = (int(np.rint((n - size) / 2)) for n in (h_new, w_new))
    return [resized[:, top : top + size, left : left + size] for resized in (rows_first, columns_first)]


def assert_levels(got, wants):
    """Pillow's weights have 22 bits: what lies within them of a half may be rounded the other way, here and there."""
    off = min((np.abs(got - want) for want in wants), key=np.sum)
    assert off.max() <= grey_levels(2)
    assert (off > 0.01).mean() < 0.01


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("photo", ["cat.jpg", "astronaut.jpg", "coffee.png"])
def test_variants_by_definition(name, photo):
    variant, image = VARIANTS[name], open_image(PHOTOS / photo)
    want = by_definition(np.asarray(image), variant.input_size, variant.crop_pct, variant.crop_mode)
    mean, std = np.array([0.485, 0.456, 0.406])[:, None, None], np.array([0.229, 0.224, 0.225])[:, None, None]
    x = ImageTransform.of_variant(name)(image)
    assert x.shape == (3, variant.input_size, variant.input_size)
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert_levels((x * std + mean) * 255, want)


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_any_size_of_image_and_of_input(crop_mode):
    rng = np.random.default_rng(1)
    for _ in range(30):
        h, w = rng.integers(1, 70, 2)
        size, crop_pct = int(rng.integers(20, 50)), float(rng.uniform(0.5, 1.0))
        pixels = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        got = ImageTransform(size, crop_pct, crop_mode).cut(pixels)
        assert got.shape == (size, size, 3)
        assert_levels(got.transpose(2, 0, 1), by_definition(pixels, size, crop_pct, crop_mode))


@pytest.mark.parametrize(("h", "w"), [(40, 60), (60, 40), (37, 37), (1, 90), (90, 1)])
@pytest.mark.parametrize("size", [(32, 32), (20, 48), (48, 20), (1, 7)])
def test_a_rectangle_is_covered_and_keeps_proportions(h, w, size):
    # A plane that rises by 1 across and down: after the cut the slopes tell the ratio, the middle the place.
    rows, columns = np.mgrid[:h, :w].astype(np.uint8)
    pixels = np.stack([rows, columns, columns], axis=2) * 2
    x = ImageTransform(size, 0.9, mean=(0, 0, 0), std=(1, 1, 1))(pixels)
    assert x.shape == (3, *size)
    middle = x[:2].mean((1, 2)) * 255 / 2
    ratio = min(h / math.floor(size[0] / 0.9), w / math.floor(size[1] / 0.9))
    assert middle == pytest.approx([(h - 1) / 2, (w - 1) / 2], abs=0.75 * ratio + 0.3)


def test_a_tuple_of_equal_sides_is_a_square():
    image = open_image(PHOTOS / "cat.jpg")
    np.testing.assert_array_equal(ImageTransform((97, 97), 0.9)(image), ImageTransform(97, 0.9)(image))


@pytest.mark.parametrize("turned", [False, True])
def test_a_thin_strip_takes_no_memory(turned, monkeypatch):
    # 1 x 400,000 pixels would be resized to 224 x 89,600,000; what is cut from it is the same whether or not all of it is made.
    smooth = np.rint(127 + 120 * np.sin(np.arange(4000) / 3)).astype(np.uint8)[None].repeat(5, axis=0)
    pixels = smooth.T if turned else smooth
    whole = PLAIN.cut(pixels)
    monkeypatch.setattr(images, "MOST_PIXELS", 10**6)
    assert np.abs(whole.astype(int) - PLAIN.cut(pixels)).max() <= grey_levels(2)
    extreme = np.zeros((1, 400_000), np.uint8)
    assert PLAIN(extreme.T if turned else extreme).max() == 0


# How pictures are stored


def test_grey_and_colour(tmp_path):
    grey = save(tmp_path / "grey.png", np.full((8, 8), 90, np.uint8))
    assert open_image(grey).mode == "L"
    assert (PLAIN.cut(open_image(grey)) == 90).all()
    one = ImageTransform(8, mean=[0.5], std=[0.25], channels=1)
    assert_close(one(open_image(grey)), np.full((1, 8, 8), (90 / 255 - 0.5) / 0.25), terms=16)
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert (one.cut(red) == 76).all()  # 0.299 · 255


def test_one_bit(tmp_path):
    pixels = np.eye(8, dtype=bool)
    np.testing.assert_array_equal(open_image(save(tmp_path / "x.png", pixels)), pixels * 255)


def test_transparent_is_white(tmp_path):
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [10, 20, 30, 51]]], np.uint8)
    image = open_image(save(tmp_path / "x.png", pixels))
    assert image.mode == "RGB"
    want = [[[10, 20, 30], [255, 255, 255], [206, 208, 210]]]  # 0.2 · colour + 0.8 · 255
    np.testing.assert_allclose(np.asarray(image), want, atol=grey_levels(2))
    np.testing.assert_array_equal(ImageTransform((1, 3)).cut(pixels), np.asarray(image))


def test_grey_with_opacity(tmp_path):
    image = Image.new("LA", (2, 1))
    image.putdata([(40, 255), (40, 0)])
    got = open_image(save(tmp_path / "x.png", image))
    assert (got.mode, np.asarray(got).tolist()) == ("L", [[40, 255]])


def test_palette(tmp_path):
    image = Image.fromarray(NOISE).quantize(16)
    plain = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(open_image(save(tmp_path / "x.gif", image)), plain)
    image.save(tmp_path / "x.png", transparency=0)
    want = np.where(np.asarray(image)[..., None] == 0, 255, plain)
    np.testing.assert_array_equal(open_image(tmp_path / "x.png"), want)


def test_cmyk(tmp_path):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 0] = 255  # cyan takes all red away
    inks[:8, :, 3] = 128  # and some black in the upper half
    image = open_image(
        save(tmp_path / "x.jpg", Image.merge("CMYK", [Image.fromarray(ink) for ink in inks.transpose(2, 0, 1)]), quality=100)
    )
    assert image.mode == "RGB"
    tolerance = grey_levels(6)  # two inks: the transform of JPEG, back, and their product
    np.testing.assert_allclose(np.asarray(image)[4, 4], [0, 127, 127], atol=tolerance)
    np.testing.assert_allclose(np.asarray(image)[12, 4], [0, 255, 255], atol=tolerance)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_sixteen_bits(tmp_path, name):
    pixels = np.array([[0, 128, 129, 32767, 32768, 65279, 65406, 65407, 65535]], np.uint16)
    got = open_image(save(tmp_path / name, pixels))
    assert (got.mode, np.asarray(got).tolist()) == ("L", [[0, 0, 1, 127, 128, 254, 254, 255, 255]])
    np.testing.assert_array_equal(ImageTransform((1, 9), channels=1, mean=[0], std=[1]).cut(pixels)[..., 0], np.asarray(got))
    np.testing.assert_array_equal(open_image(save(tmp_path / "i.tif", pixels.astype(np.int32))), np.asarray(got))


def test_sixteen_bits_with_a_transparent_value(tmp_path):
    path = save(tmp_path / "x.png", np.array([[0, 700, 701]], np.uint16), transparency=700)
    assert np.asarray(open_image(path)).tolist() == [[0, 255, 3]]


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.float32), np.full((4, 4), -1, np.int32), np.full((4, 4), 70000, np.int32)]
)
def test_numbers_that_are_no_brightness(tmp_path, pixels):
    with pytest.raises(
        DataError, match=r"x\.tif: cannot be read as a picture \(its pixels are of Pillow's mode [IF], expected"
    ):
        open_image(save(tmp_path / "x.tif", pixels))


UPRIGHT = np.array([[10, 80, 160], [60, 120, 250]], np.uint8)  # no two of its eight turns are the same
STORED = {  # EXIF 2.3, tag 0x0112: where the stored picture's row 0 and column 0 belong
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: UPRIGHT.T[::-1],
    7: UPRIGHT[::-1, ::-1].T,
    8: UPRIGHT.T[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "x.png", np.ascontiguousarray(STORED[orientation]), exif=exif)
    np.testing.assert_array_equal(open_image(path), UPRIGHT)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0"]
)
def test_damaged_tags_do_not_hide_the_picture(tmp_path, exif):
    path = save(tmp_path / "x.jpg", exif=exif)
    assert open_image(path).size == (60, 40)


@pytest.mark.parametrize("extension", ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm"])
def test_formats(tmp_path, extension):
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)[..., None].repeat(3, axis=2)
    got = np.asarray(open_image(save(tmp_path / f"x.{extension}", smooth)).convert("RGB"))
    lossy = {"jpg": 8, "webp": 8}  # whole levels: at the quality that they are written in, some waves are left out
    assert np.abs(got.astype(int) - smooth).max() <= lossy.get(extension, 0)


def test_first_of_several_pictures(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (50, 200)]
    for name in ("x.gif", "x.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert (np.asarray(open_image(tmp_path / name).convert("L")) == 50).all()


# What is no picture


def refused(path, *parts):
    with pytest.raises(DataError) as caught:
        open_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be read as a picture (")
    assert message.endswith("); replace or remove it")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_no_picture(tmp_path):
    refused(tmp_path / "gone.jpg", "(No such file or directory)")
    refused(tmp_path, "(Is a directory)")
    for content, part in ((b"", "(the file is empty)"), (b"hello", "(not a picture of a known format)")):
        (tmp_path / "x.jpg").write_bytes(content)
        refused(tmp_path / "x.jpg", part)


@pytest.mark.parametrize("name", ["cat.jpg", "coffee.png"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_cut_off(tmp_path, name, share):
    content = (PHOTOS / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    refused(tmp_path / name)


@pytest.mark.parametrize("header", [b"P5 0 7 255\n", b"P5 7 0 255\n", b"GIF89a\0\0\0\0\0\0\0;"])
def test_no_pixels(tmp_path, header):
    (tmp_path / "x.pgm").write_bytes(header)
    refused(tmp_path / "x.pgm")


def test_decompression_bomb(tmp_path):
    # A PNG header that promises 60,000 x 60,000 pixels, 10.8 GB, in 100 bytes.
    path = save(tmp_path / "x.png", np.zeros((4, 4, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    refused(path, "3600000000 pixels", "decompression bomb")


def test_a_large_photograph_is_taken_without_a_warning(tmp_path, monkeypatch):
    path = save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)  # 2400 pixels: Pillow warns, and refuses above 3000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(path).size == (60, 40)


# Arrays


def test_arrays():
    image = Image.fromarray(NOISE)
    want = ImageTransform(32)(image)
    np.testing.assert_array_equal(ImageTransform(32)(NOISE), want)
    np.testing.assert_array_equal(ImageTransform(32)(NOISE / 255.0), want)
    np.testing.assert_array_equal(
        ImageTransform(32)(NOISE.transpose(1, 0, 2)[::2].transpose(1, 0, 2)), ImageTransform(32)(NOISE[:, ::2].copy())
    )
    grey = ImageTransform(32)(NOISE[..., 0])
    np.testing.assert_array_equal(ImageTransform(32)(NOISE[..., :1]), grey)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\), expected \(H, W\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"shape \(1, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (np.zeros(8, np.uint8), r"shape \(8,\)"),
        (np.zeros((8, 8, 3), np.uint16), "dtype uint16, expected uint8, uint16 .grey only."),
        (np.zeros((8, 8), np.int64), "dtype int64"),
        (np.zeros((8, 8), bool), "dtype bool"),
        (np.full((8, 8), 1.5), "values from 1.5 to 1.5, expected 0 to 1"),
        (np.full((8, 8), np.nan), "values from nan to nan"),
        (Image.new("F", (4, 4)), "mode F, expected 8 or 16 bits"),
        (Image.new("RGB", (0, 4)), "0x4 pixels"),
        ("cat.jpg", r"a str, expected a Pillow image or a NumPy array; open_image\(path\) opens a file"),
        (None, "a NoneType"),
    ],
)
def test_arrays_that_are_no_pictures(image, message):
    with pytest.raises(InputError, match=message):
        ImageTransform(8)(image)


# The transform's arguments


def test_arguments_survive_json():
    for transform in (
        ImageTransform.of_variant("mamba_vision_L2_512_21k"),
        ImageTransform((20, 30), 0.9, mean=[0.5], std=[1], channels=1),
    ):
        again = ImageTransform(**json.loads(json.dumps(dataclasses.asdict(transform))))
        assert again == transform
        assert hash(again) == hash(transform)


def test_variants_have_their_own():
    assert ImageTransform.of_variant("mamba_vision_S") == ImageTransform(224, 0.93, "center")
    assert ImageTransform.of_variant("mamba_vision_L3_512_21k") == ImageTransform(512, 0.93, "squash")
    with pytest.raises(InputError, match=r"unknown model 'mamba_vision_s' .did you mean 'mamba_vision_S'"):
        ImageTransform.of_variant("mamba_vision_s")


def test_a_loaders_pictures_as_files(tmp_path):
    # The same pictures, once out of a data set by the loader and once out of files by the transform.
    rng = np.random.default_rng(3)
    for shape, size in (((20, 20, 1), 48), ((48, 48, 3), 48), ((20, 30, 1), 48), ((40, 40, 3), 24)):
        stored = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
        channels = shape[2]
        dataset = Dataset("x", "test", stored, np.zeros(4, np.int64), ("a",), (0.4,) * channels, (0.3,) * channels)
        loader = BatchLoader(dataset, 4, train=False, image_size=size)
        transform = ImageTransform.of_loader(loader)
        want, _ = loader.batch(0, 0)
        for number, pixels in enumerate(stored):
            path = save(tmp_path / "x.png", pixels[..., 0] if channels == 1 else pixels)
            np.testing.assert_allclose(transform(open_image(path)), want[number], rtol=0, atol=grey_levels(3, 1 / 255 / 0.3))


def test_a_folders_pictures_as_files(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        save(tmp_path / "set" / name, np.random.default_rng(len(name)).integers(0, 256, (60, 91, 3), dtype=np.uint8))
    _, test_set = load_dataset(tmp_path / "set", image_size=32)
    loader = BatchLoader(test_set, 4, train=False, image_size=32)
    want, labels = loader.batch(0, 0)
    transform = ImageTransform.of_loader(loader)
    assert (transform.crop_mode, transform.interpolation) == ("center", "bicubic")
    smooth = save(tmp_path / "set/a/1.png", np.add.outer(np.arange(60), np.arange(91)).astype(np.uint8)[..., None].repeat(3, 2))
    direct = read_image(smooth, 32, 3)
    off = 60 / 32  # levels: the cut may begin half a pixel off, across and down, and so much brighter is the next one
    assert np.abs(transform.cut(open_image(smooth)).astype(int) - direct).max() <= off + grey_levels(2)
    assert want.shape == (len(labels), 3, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size is 0, expected an integer of at least 1, or two"),
        ({"size": 2.5}, "size is 2.5"),
        ({"size": True}, "size is True"),
        ({"size": (3,)}, r"size is \(3,\)"),
        ({"size": (3, 4, 5)}, "size is"),
        ({"size": (3, -4)}, "size is"),
        ({"size": "224"}, "size is '224'"),
        ({"crop_pct": 0}, r"crop_pct is 0, expected a number in \(0, 1\]"),
        ({"crop_pct": 1.1}, "crop_pct is 1.1"),
        ({"crop_pct": math.nan}, "crop_pct is nan"),
        ({"interpolation": "cubic"}, "unknown interpolation 'cubic' .did you mean 'bicubic'"),
        ({"crop_mode": "centre"}, "unknown crop_mode 'centre' .did you mean 'center'"),
        ({"channels": 4}, "channels is 4, expected 3 .colour. or 1 .grey."),
        ({"channels": 1}, "mean is .* expected 1 numbers"),
        ({"mean": (0.5,)}, r"mean is \(0.5,\), expected 3 numbers, one for each channel"),
        ({"mean": 0.5}, "mean is 0.5"),
        ({"std": (1, 1, math.inf)}, "std is"),
        ({"std": (1, 0, 1)}, "expected numbers above 0"),
        ({"mean": ("a", "b", "c")}, "mean is"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        ImageTransform(**arguments)


# Files and folders


def test_files_and_folders(tmp_path):
    names = ["b/10.png", "b/9.PNG", "a.jpeg", "b/deeper/1.png", ".hidden/1.png", "b/.2.png", "10.png", "9.png"]
    for name in names:
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    want = ["9.png", "10.png", "a.jpeg", "b/9.PNG", "b/10.png", "b/deeper/1.png"]
    assert image_files(tmp_path) == [tmp_path / name for name in want]
    assert image_files([str(tmp_path / "notes.txt"), tmp_path / "b" / "deeper"]) == [
        tmp_path / "notes.txt",
        tmp_path / "b/deeper/1.png",
    ]


def test_stars_that_the_shell_left(tmp_path):
    for name in ("10.png", "9.png", "x[1].png"):
        save(tmp_path / name)
    assert [path.name for path in image_files(tmp_path / "*.png")] == ["9.png", "10.png", "x[1].png"]
    assert image_files(tmp_path / "x[1].png") == [tmp_path / "x[1].png"]  # a name as it is comes first


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links(tmp_path):
    save(tmp_path / "elsewhere/1.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/dog").symlink_to(tmp_path / "elsewhere")  # twice the same is twice
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "set")  # and a circle ends
    (tmp_path / "set/gone.png").symlink_to(tmp_path / "nowhere")
    assert [str(path.relative_to(tmp_path)) for path in image_files(tmp_path / "set")] == [
        "set/cat/1.png",
        "set/dog/1.png",
    ]


def test_nothing_there(tmp_path):
    with pytest.raises(
        DataError, match=r"gone\.png: there is no such file or folder; expected a picture, or a folder of pictures"
    ):
        image_files(tmp_path / "gone.png")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"no pictures in this folder; expected files that end in \.png, \.jpg"):
        image_files([tmp_path])
    with pytest.raises(DataError, match="no pictures were given"):
        image_files([])


def test_a_photograph_through_a_model():
    model = mvnp.MambaVision(
        dim=4, in_dim=4, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), window_size=(8, 8, 2, 2), num_classes=3
    )
    x = ImageTransform((48, 64), 0.9)(open_image(PHOTOS / "cat.jpg"))
    assert model(x[None]).shape == (1, 3)
