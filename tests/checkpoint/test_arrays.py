"""Named arrays in a file: mvnp/checkpoint/arrays.py."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save, save_file

from mvnp.checkpoint import keys, load_arrays, load_checkpoint, save_arrays
from mvnp.checkpoint.arrays import read_safetensors
from mvnp.checkpoint.safetensors import file_bytes, layout
from mvnp.errors import CheckpointError, InputError

ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "count": np.array(7, np.int64),
    "half": np.array([1.5, -2.0], np.float16),
    "double": np.array([[np.pi]]),
    "none": np.zeros((0, 4), np.float32),
    "flag": np.array([True, False]),
}
METADATA = {"step": 3, "nested": {"lr": 0.1, "names": ["a", "ü"]}, "nothing": None}


def assert_same(got, want):
    assert set(got) == set(want)
    for name, array in want.items():
        assert got[name].dtype == array.dtype.newbyteorder("=")
        assert got[name].shape == array.shape
        np.testing.assert_array_equal(got[name], array)


def test_round_trip(tmp_path):
    save_arrays(tmp_path / "a.safetensors", ARRAYS, METADATA)
    arrays, metadata = load_arrays(tmp_path / "a.safetensors")
    assert_same(arrays, ARRAYS)
    assert metadata == METADATA


def test_without_metadata(tmp_path):
    save_arrays(tmp_path / "a.safetensors", ARRAYS)
    assert load_arrays(tmp_path / "a.safetensors")[1] == {}


def test_others_can_read_it(tmp_path):
    save_arrays(tmp_path / "a.safetensors", ARRAYS, METADATA)
    assert_same(load_file(tmp_path / "a.safetensors"), ARRAYS)


def test_same_content_same_bytes(tmp_path):
    save_arrays(tmp_path / "a.safetensors", ARRAYS, METADATA)
    save_arrays(tmp_path / "b.safetensors", dict(reversed(ARRAYS.items())), dict(reversed(METADATA.items())))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_arrays_in_any_memory_layout(tmp_path):
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {"column": grid.T, "strided": grid[::2, 1::2], "reversed": grid[::-1], "big": grid.astype(">f4"), "b": grid[:1] + 0}
    views["broadcast"] = np.broadcast_to(np.float32(2), (3, 2))
    save_arrays(tmp_path / "a.safetensors", views)
    assert_same(load_arrays(tmp_path / "a.safetensors")[0], views)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: keys._problem(name) is None),
        hnp.arrays(st.sampled_from(["f4", "f8", "i8"]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)),
        max_size=4,
    )
)
def test_any_arrays(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    save_arrays(path, arrays)
    got, _ = load_arrays(path)
    assert set(got) == set(arrays)
    assert all(got[name].tobytes() == arrays[name].tobytes() for name in arrays)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    # 1, −2, 3.140625 and the smallest normal number, by hand: sign, 8 bits of exponent, 7 of mantissa.
    bits = np.array([[0x3F80, 0xC000], [0x4049, 0x0080]], "<u2")
    header = json.dumps(
        {
            "first": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "x": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [4, 12]},
        }
    ).encode()
    data = np.array([5.0], "<f4").tobytes() + bits.tobytes()
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    arrays, metadata, unreadable = read_safetensors(tmp_path / "b.safetensors")
    assert (metadata, unreadable) == (None, {})
    assert arrays["x"].dtype == np.float32
    np.testing.assert_array_equal(arrays["x"], np.array([[1.0, -2.0], [3.140625, 2.0**-126]], np.float32))
    np.testing.assert_array_equal(arrays["first"], [5.0])


def test_other_small_floats_are_refused_where_they_are_needed(tmp_path):
    lines = {
        "x": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]},
        "y": {"dtype": "U8", "shape": [1], "data_offsets": [2, 3]},
    }
    header = json.dumps(lines).encode()
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\7")
    arrays, _, unreadable = read_safetensors(tmp_path / "b.safetensors")
    assert arrays == {"y": np.array([7], np.uint8)}
    assert unreadable["x"].startswith("has dtype 'F8_E4M3', expected one of F64, F32")
    with pytest.raises(CheckpointError, match="x has dtype 'F8_E4M3', expected one of F64, F32"):
        load_checkpoint(tmp_path / "b.safetensors")


def test_files_of_others_are_no_files_of_ours(tmp_path):
    save_file({"x": np.zeros(2)}, tmp_path / "a.safetensors", metadata={"format": "np"})
    with pytest.raises(CheckpointError, match=r"was not written by mvnp.*load_checkpoint"):
        load_arrays(tmp_path / "a.safetensors")


def test_every_flipped_bit_of_the_data_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays(path, {"x": np.arange(4, dtype=np.float32)})
    good = path.read_bytes()
    for position in range(len(good) - 16, len(good)):
        for bit in range(8):
            path.write_bytes(good[:position] + bytes([good[position] ^ 1 << bit]) + good[position + 1 :])
            with pytest.raises(CheckpointError, match="the digest differs"):
                load_arrays(path)


def test_format_1_is_still_read(tmp_path):
    """As mvnp wrote it before: a digest of names, dtypes, shapes and all bytes, put together here by hand."""
    x, text = np.arange(3, dtype="<f4"), '{"step": 3}'
    digest = hashlib.blake2b(text.encode() + b'["x", "<f4", [3]]' + x.tobytes(), digest_size=16).hexdigest()
    path = tmp_path / "a.safetensors"
    for array in (x, x + 1):
        save_file({"x": array}, path, metadata={"mvnp": json.dumps({"format": 1, "digest": digest, "metadata": text})})
        if array is x:
            arrays, metadata = load_arrays(path)
            assert_same(arrays, {"x": x})
            assert metadata == {"step": 3}
        else:
            with pytest.raises(CheckpointError, match="the digest differs"):
                load_arrays(path)


def test_as_the_format_s_own_library_writes_it(tmp_path):
    """But for the metadata, byte for byte: order, alignment, header."""
    notes = {"format": "pt", "a": "ü"}
    entries, _ = layout(ARRAYS)
    ours = b"".join(bytes(piece) for piece in file_bytes(ARRAYS, entries, notes))
    (tmp_path / "ours.safetensors").write_bytes(ours)
    assert_same(load_file(tmp_path / "ours.safetensors"), ARRAYS)
    theirs = save(ARRAYS)
    begin, length = int.from_bytes(ours[:8], "little"), int.from_bytes(theirs[:8], "little")
    assert ours[8 + begin :] == theirs[8 + length :]
    described = json.loads(ours[8 : 8 + begin])
    assert described.pop("__metadata__") == notes
    assert described == json.loads(theirs[8 : 8 + length])


def test_bfloat16_is_written(tmp_path):
    save_arrays(tmp_path / "a.safetensors", ARRAYS, METADATA, bfloat16=True)
    arrays, metadata = load_arrays(tmp_path / "a.safetensors")  # and the digest holds
    assert metadata == METADATA
    assert arrays["double"].dtype == arrays["half"].dtype == np.float32
    assert arrays["double"] == 3.140625
    assert arrays["count"] == 7
    assert arrays["none"].shape == (0, 4)


def test_newer_format(tmp_path):
    note = json.dumps({"format": 3, "digest": "", "metadata": "{}"})
    save_file({"x": np.zeros(2)}, tmp_path / "a.safetensors", metadata={"mvnp": note})
    with pytest.raises(CheckpointError, match="format 3 of mvnp's files, expected 2"):
        load_arrays(tmp_path / "a.safetensors")


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match="c has dtype complex128"):
        save_arrays(path, {"c": np.zeros(2, complex)})
    with pytest.raises(InputError, match="o has dtype object"):
        save_arrays(path, {"o": np.array([None])})
    with pytest.raises(InputError, match="the key '__metadata__' is one that the formats keep for themselves"):
        save_arrays(path, {"__metadata__": np.zeros(2)})
    for metadata in ({"x": {1, 2}}, {"x": float("nan")}):
        with pytest.raises(InputError, match="the metadata is not JSON"):
            save_arrays(path, {}, metadata)
    assert not path.exists()


def test_missing_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_arrays(tmp_path)
