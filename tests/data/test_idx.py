"""IDX files: mvnp/data/idx.py."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mvnp.data import read_idx, write_idx
from mvnp.errors import DataError, InputError

LABELS = np.arange(100, dtype=np.uint8)
BY_HAND = bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 3]) + bytes([0, 1, 1, 0, 0xFF, 0xFE])  # int16 [[1, 256, −2]]


def header(code, *sizes):
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


def refused(path, content, **options):
    """The message with which a file of this content is refused. It must begin with the file's name."""
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["x-idx2", "x-idx2.gz"])
def test_by_hand(tmp_path, zipped, name):
    # Whether a file is gzipped is told by its content: a browser may have unpacked it and left the name.
    (tmp_path / name).write_bytes(gzip.compress(BY_HAND, mtime=0) if zipped else BY_HAND)
    array = read_idx(tmp_path / name)
    assert array.dtype == np.dtype("int16")
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, [[1, 256, -2]])


def test_written_by_hand(tmp_path):
    write_idx(tmp_path / "x", np.array([[1, 256, -2]], np.int16))
    assert (tmp_path / "x").read_bytes() == BY_HAND


@given(
    array=st.sampled_from(["uint8", "int8", "int16", "int32", "float32", "float64", ">i4", ">f8"]).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    ),
    zipped=st.booleans(),
)
@settings(max_examples=60)
def test_round_trip(tmp_path, array, zipped):
    path = tmp_path / ("x.gz" if zipped else "x")
    write_idx(path, array)
    again = read_idx(path)
    assert again.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(again, array)


def test_same_array_same_bytes(tmp_path):
    write_idx(tmp_path / "a.gz", LABELS)
    write_idx(tmp_path / "another-name.gz", LABELS)
    content = (tmp_path / "a.gz").read_bytes()
    assert content == (tmp_path / "another-name.gz").read_bytes()
    assert content[4:8] == bytes(4)  # the time in the gzip header


def test_who_reads_the_old_file_goes_on_reading_it(tmp_path):
    write_idx(tmp_path / "x", LABELS)
    with open(tmp_path / "x", "rb") as reader:
        write_idx(tmp_path / "x", LABELS[::-1])
        assert reader.read()[8:] == LABELS.tobytes()
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), LABELS[::-1])


def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.gz"
    write_idx(path, LABELS)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_idx(path, LABELS[::-1])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.gz"]


@pytest.mark.parametrize("array", [np.zeros(3, complex), np.zeros(3, bool), np.zeros(3, np.int64), np.zeros((), np.uint8)])
def test_what_the_format_cannot_hold(tmp_path, array):
    with pytest.raises(InputError, match="write_idx"):
        write_idx(tmp_path / "x", array)
    assert not list(tmp_path.iterdir())


def test_missing(tmp_path):
    with pytest.raises(DataError, match="no-such: no such file; expected an IDX file"):
        read_idx(tmp_path / "no-such")


def test_folder(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)


def test_not_idx(tmp_path):
    message = refused(tmp_path / "x", b"<html>404</html>")
    assert message.startswith("not an IDX file: begins with 3c 68 74 6d, expected 00 00")
    assert "not an IDX file" in refused(tmp_path / "x", header(0x0A, 3) + bytes(3))  # no such type
    assert "not an IDX file" in refused(tmp_path / "x", bytes([0, 0, 8, 0, 7]))  # no dimensions
    assert "not an IDX file" in refused(tmp_path / "x", header(0x08, *[1] * 200) + bytes(1))
    assert "not an IDX file" in refused(tmp_path / "x", gzip.compress(b"hello"))


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", gzip.compress(b"\0\0", mtime=0)])
def test_shorter_than_a_magic_number(tmp_path, content):
    assert "expected an IDX file, which begins with four" in refused(tmp_path / "x", content)


def test_ends_in_the_header(tmp_path):
    assert "before the sizes of its 3 dimensions" in refused(tmp_path / "x", header(0x08, 1, 2, 3)[:-1])


def test_other_content_than_expected(tmp_path):
    labels = header(0x08, 100) + LABELS.tobytes()
    message = refused(tmp_path / "x", labels, dtype="uint8", ndim=3)
    assert message == "holds uint8 of shape (100,), expected uint8 of 3 dimensions; were two files swapped?"
    assert "expected float32;" in refused(tmp_path / "x", labels, dtype="float32")
    np.testing.assert_array_equal(read_idx(tmp_path / "x", dtype="uint8", ndim=1), LABELS)


def test_truncated(tmp_path):
    content = header(0x08, 100) + LABELS.tobytes()
    message = refused(tmp_path / "x", content[:-1])
    assert message.startswith(
        "its header declares uint8 of shape (100,), 100 bytes, but 99 follow the header: the file is trunc"
    )
    # Sound gzip of too few bytes:
    assert refused(tmp_path / "x", gzip.compress(content[:-1])).startswith("truncated: 99 of the 100 bytes")


@pytest.mark.parametrize("length", [3, 12, 30, -9, -1])
def test_truncated_gzip(tmp_path, length):
    content = gzip.compress(header(0x08, 10_000) + np.random.default_rng(0).bytes(10_000))
    assert refused(tmp_path / "x.gz", content[:length]).startswith("the gzip data is damaged or cut off")


def test_every_flipped_byte_of_gzip_is_noticed(tmp_path):
    content = gzip.compress(header(0x08, 300) + np.random.default_rng(0).integers(0, 9, 300, np.uint8).tobytes(), mtime=0)
    sound = gzip.decompress(content)
    for place in range(len(content)):
        damaged = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        try:
            harmless = gzip.decompress(damaged) == sound  # the time and the system in gzip's header
        except Exception:
            harmless = False
        if not harmless:
            refused(tmp_path / "x", damaged)


def test_trailing_bytes(tmp_path):
    content = header(0x08, 100) + LABELS.tobytes()
    assert "101 follow the header: the file has trailing bytes" in refused(tmp_path / "x", content + b"!")
    assert refused(tmp_path / "x", gzip.compress(content + b"!")).startswith("has trailing bytes after the 100")
    assert refused(tmp_path / "x", gzip.compress(content) + gzip.compress(b"!")).startswith("has trailing bytes")
    assert "damaged or cut off" in refused(tmp_path / "x", gzip.compress(content) + b"!")


@pytest.fixture
def no_allocation(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("memory was taken for a size that only the header claims")

    monkeypatch.setattr("mvnp.data.idx.np.empty", refuse)


@pytest.mark.usefixtures("no_allocation")
def test_declared_size_too_large(tmp_path):
    claim = header(0x0E, *[2**32 - 1] * 8)  # overflows any machine integer
    assert "expected at most 2,147,483,648" in refused(tmp_path / "x", claim)
    assert "expected at most 2,147,483,648" in refused(tmp_path / "x", gzip.compress(claim))
    claim = header(0x08, 60_000, 28, 28)
    assert "47,040,000 bytes, but 0 follow the header: the file is truncated" in refused(tmp_path / "x", claim)
    zipped = gzip.compress(claim)
    assert f"47,040,000 bytes, more than {len(zipped)} bytes of gzip can hold" in refused(tmp_path / "x", zipped)
    assert "expected at most 50;" in refused(tmp_path / "x", header(0x08, 100) + LABELS.tobytes(), max_bytes=50)


def test_unfolds_no_more_than_declared(tmp_path):
    """A bomb: 100 kB that unfold to 100 MB, behind a header that declares 100 bytes."""
    import tracemalloc

    bomb = gzip.compress(header(0x08, 100) + bytes(100_000_000), compresslevel=1)
    tracemalloc.start()
    try:
        assert refused(tmp_path / "x", bomb).startswith("has trailing bytes")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_most_compressible_file_is_let_in(tmp_path):
    """Zeros compress almost as far as deflate can; the bound on what gzip can hold must not refuse them."""
    zeros = np.zeros((3000, 1000), np.uint8)
    write_idx(tmp_path / "x.gz", zeros)
    assert zeros.nbytes / (tmp_path / "x.gz").stat().st_size > 900
    assert not read_idx(tmp_path / "x.gz").any()
