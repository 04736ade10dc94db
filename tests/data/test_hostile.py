"""Whatever bytes a picture or a data file has, it is read or refused by an error of ours."""

import io
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvnp.data import ImageTransform, read_idx, read_image, read_picture, write_idx
from mvnp.data.cifar import read_cifar
from mvnp.data.labels_csv import read_labels, read_weights
from mvnp.data.npz_set import read_npz_set
from mvnp.data.picture import bands_of
from mvnp.errors import MvnpError
from support.png_files import png_of_16_bits

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
BANDS = RNG.integers(0, 4096, (24, 30, 13), dtype=np.uint16)
EACH = 25  # damages of each file
SIZES = (0, 1, 0xFFFF, 0x10000, 60_000, 2**24, 2**31 - 1, 2**32 - 1)


def written(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def by_pillow(form, image=None, **options):
    Image.init()
    if form not in Image.SAVE:
        return None
    return written(lambda stream: (image or Image.fromarray(PIXELS)).save(stream, format=form, **options))


def deep_png(samples):
    with tempfile.TemporaryDirectory() as folder:
        return png_of_16_bits(Path(folder) / "x.png", BANDS[..., :samples]).read_bytes()


def by_tifffile(pixels, **options):
    return written(lambda stream: tifffile.imwrite(stream, pixels, photometric="minisblack", **options))


PICTURES = {
    **{
        f"x.{form.lower()}": by_pillow(form)
        for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
    },
    **{f"x.{form.lower()}": by_pillow(form) for form in ("PCX", "SGI", "QOI", "TGA")},
    "progressive.jpg": by_pillow("JPEG", progressive=True),
    "palette.png": by_pillow("PNG", Image.fromarray(PIXELS).quantize(16), transparency=0),
    "deep.png": by_pillow("PNG", Image.fromarray(BANDS[..., 0] * np.uint16(16))),
    "deep_colour.png": deep_png(3),
    "deep_opacity.png": deep_png(4),
    "float.tif": by_pillow("TIFF", Image.fromarray(BANDS[..., 0].astype(np.float32))),
    "contiguous.tif": by_tifffile(BANDS, planarconfig="contig", compression="zlib"),
    "tiles.tif": by_tifffile(BANDS, planarconfig="contig", tile=(16, 16), compression="lzma"),
    "big.tif": by_tifffile(BANDS, planarconfig="contig", bigtiff=True),
    "planes.tif": by_tifffile(BANDS.transpose(2, 0, 1), planarconfig="separate"),
    "pages.tif": by_tifffile(BANDS.transpose(2, 0, 1)),
    "x.npy": written(lambda stream: np.save(stream, BANDS)),
    "x.npz": written(lambda stream: np.savez_compressed(stream, image=BANDS, other=BANDS)),
}


def damaged(content, rng):
    """Cut off, bits turned over, a number written into the header, a piece taken out, doubled, or put in."""
    data = bytearray(content)
    first, last = sorted(rng.integers(0, len(data), 2).tolist())
    match rng.integers(7):
        case 0:
            return bytes(data[:last])
        case 1:
            for place in rng.integers(0, len(data), rng.choice([1, 3, 30])):
                data[place] ^= 1 << rng.integers(8)
        case 2:
            place = int(rng.integers(0, min(len(data), 400)))
            data[place : place + 4] = int(rng.choice(SIZES)).to_bytes(4, str(rng.choice(["little", "big"])))
        case 3:
            del data[first:last]
        case 4:
            data[first:first] = data[first:last]
        case 5:
            data[first:first] = rng.bytes(int(rng.choice([1, 4, 64])))
        case 6:
            for _ in range(4):
                data[-int(rng.integers(1, min(len(data), 300)))] = int(rng.choice([0, 1, 127, 255]))
    return bytes(data)


def tried(path, content, seed, read):
    """Only errors of ours; whatever else is raised, or warned of, fails the test. How often it was read, and how often not."""
    outcomes = [0, 0]
    for number in range(EACH):
        path.write_bytes(damaged(content, np.random.default_rng([seed, number])))
        try:
            read(path)
            outcomes[0] += 1
        except MvnpError:
            outcomes[1] += 1
    return outcomes


@pytest.mark.filterwarnings("ignore::mvnp.errors.DataWarning")
@pytest.mark.parametrize("name", PICTURES)
def test_damaged_pictures(tmp_path, name):
    if PICTURES[name] is None:
        pytest.skip("this Pillow writes none")
    many = name in ("contiguous.tif", "tiles.tif", "big.tif", "planes.tif", "pages.tif", "x.npy", "x.npz")
    channels = 13 if many else 3

    def read(path):
        bands_of(path)
        for value_range in (None, "auto"):
            read_picture(path, None, value_range)
            transform = ImageTransform(
                16, mean=(0,) * channels, std=(1,) * channels, channels=channels, value_range=value_range
            )
            assert np.isfinite(transform.read(path)).all()
        assert read_image(path, 16, channels).shape == (16, 16, channels)

    assert tried(tmp_path / name, PICTURES[name], 1, read)[1]


def test_damaged_sets(tmp_path):
    images, labels = RNG.integers(0, 256, (9, 6, 6), dtype=np.uint8), np.arange(9) % 3
    stored = written(lambda stream: np.savez_compressed(stream, train_images=images, train_labels=labels))
    assert tried(tmp_path / "x.npz", stored, 2, read_npz_set)[1]
    for name in ("x.idx", "x.idx.gz"):
        write_idx(tmp_path / name, images)
        assert tried(tmp_path / name, (tmp_path / name).read_bytes(), 3, read_idx)[1]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_damaged_cifar(tmp_path, protocol):
    data = {"data": RNG.integers(0, 256, (2, 3072), dtype=np.uint8), "labels": [0, 1]}
    content = pickle.dumps(data, protocol)
    for name in [f"data_batch_{n}" for n in range(1, 6)]:
        (tmp_path / name).write_bytes(pickle.dumps(data, 2))
    (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b"]}, 2))
    assert tried(tmp_path / "test_batch", content, 4, lambda path: read_cifar(path.parent))[1]


def test_damaged_tables(tmp_path):
    for number in range(4):
        Image.fromarray(PIXELS).save(tmp_path / f"{number}.png")
    labels = b"image,label,split\n" + b"".join(b"%d.png,%s,train\n" % (n, (b"cat", b"dog")[n % 2]) for n in range(4))
    assert tried(tmp_path / "labels.csv", labels, 5, lambda path: read_labels(path, tmp_path))[1]
    assert tried(tmp_path / "weights.csv", b"cat,1\ndog,2.5\n", 6, read_weights)[1]
