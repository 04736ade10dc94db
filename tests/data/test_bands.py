"""Pictures of many bands and depths, and ranges of values: mvnp/data/bands.py and mvnp/data/picture.py."""

import io
import json
import sys
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from mvnp.data import ImageTransform, load_parts, read_image, read_picture
from mvnp.data.image_file import open_image
from mvnp.data.picture import bands_of, checked_range, fractions, parsed_range
from mvnp.errors import DataError, DataWarning, InputError, MissingPackageError
from support.png_files import png_of_16_bits

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(8)
BANDS = RNG.integers(0, 65536, (24, 30, 13), dtype=np.uint16)
EIGHT = RNG.integers(0, 256, (24, 30, 5), dtype=np.uint8)


def tiff(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
    return path


def refused(path, channels, match, value_range=None):
    with pytest.raises(DataError, match=match) as caught:
        ImageTransform(8, mean=(0,) * channels, std=(1,) * channels, channels=channels, value_range=value_range).read(path)
    assert str(caught.value).startswith(f"{path}: ")


# As they are stored


@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "contig"},
        {"planarconfig": "contig", "compression": "zlib"},
        {"planarconfig": "contig", "compression": "zlib", "predictor": True},
        {"planarconfig": "contig", "tile": (16, 16)},
        {"planarconfig": "contig", "bigtiff": True},
        {"planarconfig": "contig", "byteorder": ">"},
    ],
)
def test_tiff_of_many_bands(tmp_path, options):
    path = tiff(tmp_path / "x.tif", BANDS, **options)
    np.testing.assert_array_equal(read_picture(path, 13), BANDS)
    np.testing.assert_array_equal(read_picture(path, None), BANDS)
    assert bands_of(path) == (24, 30, 13, "uint16")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_plane_by_plane(tmp_path, compression):
    path = tiff(tmp_path / "x.tif", BANDS.transpose(2, 0, 1), planarconfig="separate", compression=compression)
    np.testing.assert_array_equal(read_picture(path, 13), BANDS)


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 1, 2)])
def test_tiff_a_band_a_page(tmp_path, axes):
    # What tifffile makes of an array whose axes it was told nothing about: pages, and a note of its shape.
    path = tiff(tmp_path / "x.tif", BANDS.transpose(axes))
    np.testing.assert_array_equal(read_picture(path, 13), BANDS)
    np.testing.assert_array_equal(read_picture(path, None), BANDS)
    for channels in (1, 3, 4):
        refused(path, channels, f"has 13 bands, and the model takes {channels}; none is left out")


def test_pages_without_a_note(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        for band in range(4):
            writer.write(BANDS[..., band], photometric="minisblack", metadata=None)
    np.testing.assert_array_equal(read_picture(tmp_path / "x.tif", 4), BANDS[..., :4])
    # For a model of colour it is a document of several pictures, of which the first is taken; which is said.
    with pytest.warns(DataWarning, match="x.tif: has 4 grey pictures of one size, and the first is taken"):
        assert read_picture(tmp_path / "x.tif", 3).size == (30, 24)
    with pytest.warns(DataWarning, match="has 4 grey pictures of one size"):
        np.testing.assert_array_equal(read_picture(tmp_path / "x.tif", 1, (0, 4095))[..., 0], BANDS[..., 0])
    assert open_image(tmp_path / "x.tif").size == (30, 24)


def test_pages_of_other_sizes_are_a_document(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        for side in (24, 12):
            writer.write(EIGHT[:side, :side, 0], photometric="minisblack", metadata=None)
    assert read_picture(tmp_path / "x.tif", 3).size == (24, 24)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "uint32", "float32", "float64"])
def test_every_depth(tmp_path, dtype):
    pixels = RNG.integers(0, 120, (10, 12, 5)).astype(dtype)
    path = tiff(tmp_path / "x.tif", pixels, planarconfig="contig")
    got = read_picture(path, 5)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "named.npz"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_files(tmp_path, name, order):
    pixels = np.array(BANDS, order=order)
    if name == "x.npy":
        np.save(tmp_path / name, pixels)
    elif name == "x.npz":
        np.savez(tmp_path / name, pixels)
    else:
        np.savez_compressed(tmp_path / name, image=pixels, label=np.array(3))
    np.testing.assert_array_equal(read_picture(tmp_path / name, 13), BANDS)
    assert bands_of(tmp_path / name) == (24, 30, 13, "uint16")


def test_a_numpy_file_of_two_axes_is_grey(tmp_path):
    np.save(tmp_path / "x.npy", EIGHT[..., 0])
    np.testing.assert_array_equal(read_picture(tmp_path / "x.npy", 1)[..., 0], EIGHT[..., 0])
    np.testing.assert_array_equal(read_picture(tmp_path / "x.npy", 3), EIGHT[..., [0, 0, 0]])


def test_all_four_bands_of_a_picture_with_opacity(tmp_path):
    pixels = RNG.integers(0, 256, (9, 9, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png", 4), pixels)
    assert bands_of(tmp_path / "x.png") == (9, 9, 3, "8 bits")


def test_no_band_is_left_out_in_silence(tmp_path):
    # Red, green, blue and infrared: Pillow alone would show three of them.
    infrared = tiff(tmp_path / "x.tif", EIGHT[..., :4], photometric="rgb", planarconfig="contig", extrasamples=["unspecified"])
    refused(infrared, 3, "has 4 bands, and the model takes 3; none is left out: give pictures of 3 bands, or a model of 4")
    np.testing.assert_array_equal(read_picture(infrared, 4), EIGHT[..., :4])
    np.save(tmp_path / "x.npy", EIGHT)
    refused(tmp_path / "x.npy", 3, "has 5 bands, and the model takes 3")
    # Opacity is no band.
    opaque = tiff(tmp_path / "y.tif", EIGHT[..., :4], photometric="rgb", planarconfig="contig", extrasamples=["unassalpha"])
    assert read_picture(opaque, 3).mode == "RGB"
    Image.fromarray(EIGHT[..., :3]).save(tmp_path / "c.png")
    with pytest.raises(DataError, match="has 3 bands, and the model takes 13"):
        read_picture(tmp_path / "c.png", 13)


def test_without_tifffile(tmp_path, monkeypatch):
    path = tiff(tmp_path / "x.tif", BANDS, planarconfig="contig")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(MissingPackageError, match=r"x\.tif: TIFF files .* pip install 'mvnp\[tiff\]'; or save the bands as a"):
        read_picture(path, 13)


# Ranges


def test_a_range_by_its_definition():
    stored = np.array([[[-5.0], [0.0], [1000.0], [4095.0], [5000.0]]])
    np.testing.assert_allclose(fractions(stored, (0, 4095))[0, :, 0], [0, 0, 1000 / 4095, 1, 1], rtol=1e-6)
    assert fractions(stored, (0, 4095)).dtype == np.float32
    np.testing.assert_allclose(fractions(stored, "auto")[0, :, 0], (stored[0, :, 0] + 5) / 5005, rtol=1e-6)
    many = np.arange(101.0).reshape(1, 101, 1)
    np.testing.assert_allclose(
        fractions(many, "percentile")[0, :, 0], np.clip((np.arange(101) - 2) / 96, 0, 1), rtol=1e-5, atol=1e-7
    )


def test_large_whole_numbers_keep_their_digits():
    stored = np.array([[[2**31], [2**31 + 1], [2**31 + 4]]], np.uint32)
    np.testing.assert_allclose(fractions(stored, (2**31, 2**31 + 4))[0, :, 0], [0, 0.25, 1])


def test_without_a_range():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fractions(EIGHT, None) is EIGHT
        np.testing.assert_allclose(fractions(BANDS, None), BANDS / 65535, rtol=1e-6)
        unit = RNG.random((4, 4, 2))
        np.testing.assert_array_equal(fractions(unit, None), unit.astype(np.float32))


def test_twelve_bits_in_sixteen(tmp_path):
    pixels = np.linspace(0, 4095, 12 * 12).reshape(12, 12).astype(np.uint16)
    for path in (tmp_path / "x.png", tmp_path / "x.tif"):
        Image.fromarray(pixels).save(path)
        with pytest.warns(
            DataWarning, match=r"its values, 0 to 4095, use less than a tenth of the range from 0 to 65535; where"
        ):
            dark = open_image(path)
        assert np.asarray(dark).max() == 16
        transform = ImageTransform(12, mean=(0,), std=(1,), channels=1, value_range=(0, 4095))
        np.testing.assert_allclose(transform.read(path)[0], pixels / 4095, atol=1e-6)


def test_values_that_a_range_must_tell(tmp_path):
    signed = RNG.integers(-100, 30000, (10, 10), dtype=np.int32)
    signed[0, 0] = -100
    Image.fromarray(signed).save(tmp_path / "i.tif")
    Image.fromarray((signed / 7).astype(np.float32)).save(tmp_path / "f.tif")
    for name, expected in (("i.tif", "8 or 16 bits"), ("f.tif", "0 to 1")):
        refused(tmp_path / name, 1, rf"expected {expected}\); say which values are black and white, with --range min:max, auto")
        transform = ImageTransform(10, mean=(0,), std=(1,), channels=1, value_range="auto")
        x = transform.read(tmp_path / name)[0]
        np.testing.assert_allclose(x, (signed - signed.min()) / (signed.max() - signed.min()), atol=1e-4)
    np.save(tmp_path / "x.npy", signed[..., None].repeat(4, 2))
    refused(
        tmp_path / "x.npy",
        4,
        r"its values, int32, go from -?\d+ to \d+, expected uint8 or uint16\); say which values are black",
    )


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path, hole):
    pixels = RNG.random((6, 6, 4))
    pixels[2, 3, 1] = hole
    np.save(tmp_path / "x.npy", pixels)
    refused(tmp_path / "x.npy", 4, r"1 of its 144 values are not finite \(NaN or infinite\); fill them in first")
    refused(tmp_path / "x.npy", 4, "1 of its 144 values are not finite", value_range=(0, 1))


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_png_of_16_bits_has_all_of_them(tmp_path, samples):
    pixels = RNG.integers(0, 4096, (9, 12, samples), dtype=np.uint16)
    path = png_of_16_bits(tmp_path / "x.png", pixels)
    np.testing.assert_array_equal(read_picture(path, samples, (0, 4095)), pixels)
    assert bands_of(path) == (9, 12, 3, "16 bits")
    with pytest.raises(DataError, match=r"12x9 pixels, .* with --picture-limit 1 "):
        read_picture(path, samples, (0, 4095), max_bytes=9 * 12 * 4 * samples - 1)
    path.write_bytes(path.read_bytes()[:-40])
    refused(path, samples, "cannot be read as a picture", value_range=(0, 4095))


def test_png_of_16_bits_as_a_model_sees_it(tmp_path):
    pixels = RNG.integers(0, 4096, (8, 8, 4), dtype=np.uint16)
    path = png_of_16_bits(tmp_path / "x.png", pixels[..., :3])
    transform = ImageTransform(8, mean=(0,) * 3, std=(1,) * 3, value_range=(0, 4095))
    np.testing.assert_allclose(transform.read(path), pixels[..., :3].transpose(2, 0, 1) / 4095, atol=1e-6)
    grey = ImageTransform(8, mean=(0,), std=(1,), channels=1, value_range=(0, 4095)).read(path)[0]
    np.testing.assert_allclose(grey, pixels[..., :3] @ [0.299, 0.587, 0.114] / 4095, atol=0.51 / 4095)
    with pytest.warns(DataWarning, match="use less than a tenth"):  # the upper 8 bits alone
        assert read_picture(png_of_16_bits(path, pixels[..., :3] // 2), 3).mode == "RGB"


def test_opacity_of_a_png_of_16_bits(tmp_path):
    pixels = RNG.integers(0, 4096, (5, 7, 4), dtype=np.uint16)
    pixels[..., 3] = 65535
    path = png_of_16_bits(tmp_path / "x.png", pixels)
    np.testing.assert_array_equal(read_picture(path, 3, (0, 4095)), pixels[..., :3])
    pixels[2, 3, 3] = 65534
    refused(png_of_16_bits(path, pixels), 3, "1 of its 35 pixels are transparent, and a range is", value_range=(0, 4095))
    np.testing.assert_array_equal(read_picture(path, 4), pixels)


def test_a_png_of_16_bits_is_turned_upright(tmp_path):
    pixels = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    path = png_of_16_bits(tmp_path / "x.png", pixels, eXIf=exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(read_picture(path, 3, (0, 65535)), np.rot90(pixels, -1))


def test_floating_fractions_need_no_range(tmp_path):
    pixels = RNG.random((8, 8), dtype=np.float32)
    for name in ("x.tif", "x.npy"):
        path = tmp_path / name
        tiff(path, pixels) if name == "x.tif" else np.save(path, pixels)
        x = ImageTransform(8, mean=(0,), std=(1,), channels=1).read(path)[0]
        np.testing.assert_allclose(x, pixels, atol=1e-6)
        colour = ImageTransform(8, mean=(0,) * 3, std=(1,) * 3).read(path)
        np.testing.assert_allclose(colour, [pixels] * 3, atol=1e-6)
    tiff(tmp_path / "x.tif", 40 * pixels)
    refused(tmp_path / "x.tif", 3, r"its values, float32, go from .* expected 0 to 1\); say which values are black and white")


def test_ranges_as_text():
    assert [parsed_range(text) for text in ("0:4095", "-1.5:2e3", "auto")] == [(0.0, 4095.0), (-1.5, 2000.0), "auto"]
    for text in ("", "4095", "5:5", "7:1", "nan:1", "0:inf", "a:b", "0:1:2", "Auto"):
        with pytest.raises(ValueError, match=r"is no range|could not convert"):
            parsed_range(text)
    assert checked_range("x", [1, 2]) == (1.0, 2.0)
    with pytest.raises(InputError, match="x: value_range is 3, expected two numbers"):
        checked_range("x", 3)


# What the model sees


def test_bands_are_resized_like_grey_pictures(tmp_path):
    path = tiff(tmp_path / "x.tif", EIGHT, planarconfig="contig")
    many = ImageTransform(16, 0.8, mean=(0.1,) * 5, std=(0.3,) * 5, channels=5).read(path)
    for band in range(5):
        one = ImageTransform(16, 0.8, mean=(0.1,), std=(0.3,), channels=1)(EIGHT[..., band])
        np.testing.assert_array_equal(many[band], one[0])
    stored = read_image(path, (10, 16), 5)
    assert stored.shape == (10, 16, 5)
    Image.fromarray(EIGHT[..., 3]).save(tmp_path / "x.png")
    np.testing.assert_array_equal(stored[..., 3], read_image(tmp_path / "x.png", (10, 16), 1)[..., 0])


def test_arrays_of_many_bands():
    transform = ImageTransform(12, mean=(0.5,) * 13, std=(0.2,) * 13, channels=13)
    assert transform(BANDS).shape == (13, 12, 12)
    with pytest.raises(InputError, match="has 5 bands, and the model takes 13"):
        transform(EIGHT)
    again = ImageTransform(**json.loads(json.dumps(vars(transform))))
    np.testing.assert_array_equal(again(BANDS), transform(BANDS))


def test_a_folder_of_many_bands(tmp_path):
    for label, name in enumerate(("crop", "water")):
        for number in range(5):
            scene = RNG.integers(0, 3000, (20, 24, 6)) + 400 * label
            tiff(tmp_path / name / f"{number}.tif", scene.astype(np.uint16), planarconfig="contig")
    with pytest.warns(DataWarning, match="use less than a tenth of the range from 0 to 65535"):
        parts = load_parts(tmp_path, image_size=(20, 24))
    assert (parts.train.images.shape, parts.train.images.dtype) == ((8, 20, 24, 6), np.float32)
    assert "20x24 pixels of uint16, given at 20x24, 6 bands" in parts.notes[0]
    np.testing.assert_allclose(parts.train.mean, parts.train.images.mean((0, 1, 2), dtype=np.float64))
    np.testing.assert_allclose(parts.train.std, parts.train.images.std((0, 1, 2), dtype=np.float64))
    ranged = load_parts(tmp_path, image_size=(20, 24), value_range="auto")
    low, high = ranged.train.value_range
    assert 0 <= low < 50
    assert 3300 < high < 3400
    stored = np.clip(parts.test.images * 65535, low, high)  # the range is that of the pictures for training
    np.testing.assert_allclose(ranged.test.images * (high - low) + low, stored, atol=0.05)
    (tmp_path / "crop/9.png").parent.mkdir(exist_ok=True)
    Image.fromarray(EIGHT[..., :3]).save(tmp_path / "crop/9.png")
    with pytest.raises(
        DataError, match=r"the pictures have different numbers of bands, 3 \(9\.png\) and 6 \(0\.tif\); expected"
    ):
        load_parts(tmp_path, image_size=16)


def test_a_band_that_says_nothing(tmp_path):
    for name in ("a", "b"):
        for number in range(3):
            (tmp_path / name).mkdir(exist_ok=True)
            pixels = RNG.random((8, 8, 4)).astype(np.float32)
            pixels[..., 2] = 0.3
            np.save(tmp_path / name / f"{number}.npy", pixels)
    with pytest.warns(DataWarning, match="of the 4 bands, number 3 is the same in all training pictures"):
        train = load_parts(tmp_path, image_size=8).train
    assert train.std[2] == 1.0
    assert train.mean[2] == pytest.approx(0.3)


# Files that lie


def test_what_a_header_claims_is_not_believed(tmp_path):
    def claim(shape, dtype="<f8", body=b""):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
        (tmp_path / "x.npy").write_bytes(stream.getvalue() + body)
        return tmp_path / "x.npy"

    refused(
        claim((10**6, 10**6, 3)), 3, r"declares 1000000x1000000 pixels, 24,000,000 MB once they are decoded, expected at most"
    )
    refused(claim((100, 100, 3)), 3, r"declares float64 of shape \(100, 100, 3\), 240,000 bytes, and has")
    refused(claim((100, 100), "|O"), 3, "holds object, expected whole or floating numbers")
    refused(claim((3,)), 3, r"holds an array of shape \(3,\), expected \(H, W\) or \(H, W, C\)")
    refused(claim((3, 224, 50000), "|u1"), 3, r"has 50000 bands, expected at most 4096; is it \(C, H, W\)")


def test_no_pickle_is_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    np.save(tmp_path / "x.npy", np.array([[Trap(), Trap()]], dtype=object), allow_pickle=True)
    refused(tmp_path / "x.npy", 1, "holds object")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_of_zip_that_numpy_does_not_write(tmp_path, packing):
    stream = io.BytesIO()
    np.save(stream, EIGHT)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", packing) as archive:
        archive.writestr("a.npy", stream.getvalue())
    refused(tmp_path / "x.npz", 5, "is locked or packed in another way than numpy.savez does it")


def test_arrays_of_which_none_is_meant(tmp_path):
    np.savez(tmp_path / "x.npz", a=EIGHT, b=EIGHT)
    refused(tmp_path / "x.npz", 5, "it has the arrays a, b, expected one, or one that is called 'image'")


def test_a_tiff_that_unfolds_to_more_than_it_declares(tmp_path):
    path = tiff(
        tmp_path / "x.tif", np.zeros((2000, 2000, 13), np.uint16), planarconfig="contig", compression="zlib", rowsperstrip=2000
    )
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["ImageLength"]
    small = bytearray(content)
    small[tag.valueoffset : tag.valueoffset + 2] = (2).to_bytes(2, "little")
    path.write_bytes(small)
    refused(path, 13, "unfold to more than|cannot be read as a picture")
