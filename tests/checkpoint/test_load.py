"""Weights from any file: mvnp/checkpoint/load.py and npz.py."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mvnp.checkpoint import load_checkpoint, npz, save_arrays, strip_wrappers
from mvnp.errors import CheckpointError, InputError

REFERENCE = Path(__file__).parents[1] / "reference"


def test_one_model_in_three_formats(tmp_path):
    plain = load_checkpoint(REFERENCE / "tiny.safetensors")
    assert "patch_embed.conv_down.0.weight" in plain  # the file's keys carry "model."
    np.savez(tmp_path / "tiny.npz", **plain)
    for other in (load_checkpoint(REFERENCE / "tiny.pth.tar"), load_checkpoint(tmp_path / "tiny.npz")):
        assert set(other) == set(plain)
        for key, array in plain.items():
            assert other[key].dtype == array.dtype
            assert other[key].shape == array.shape
            np.testing.assert_array_equal(other[key], array)


@pytest.mark.parametrize(
    ("keys", "stripped"),
    [
        (["module.a", "module.b"], ["a", "b"]),
        (["model.a", "model.b.c"], ["a", "b.c"]),
        (["module.model.a", "module.model.b"], ["a", "b"]),
        (["model.module.a"], ["a"]),
        (["model.a", "b"], ["model.a", "b"]),  # not all carry it
        (["models.a", "models.b"], ["models.a", "models.b"]),
        ([], []),
    ],
)
def test_prefixes(keys, stripped):
    assert list(strip_wrappers({key: np.zeros(1) for key in keys})) == stripped


def test_training_checkpoint_gives_the_model_alone(tmp_path):
    arrays = {"model.a": np.ones(2), "model.model.b": np.ones(3), "optimizer.m.a": np.zeros(2)}
    save_arrays(tmp_path / "checkpoint.safetensors", arrays, {"kind": "training"})
    assert set(load_checkpoint(tmp_path / "checkpoint.safetensors")) == {"a", "model.b"}


def test_ending_in_capitals(tmp_path):
    save_file({"a": np.ones(2)}, tmp_path / "A.SafeTensors")
    assert list(load_checkpoint(tmp_path / "A.SafeTensors")) == ["a"]


def test_unknown_ending(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"hello")
    with pytest.raises(
        CheckpointError, match=r"weights.h5: unknown kind of file; it is no safetensors, no npz, and nothing that"
    ):
        load_checkpoint(tmp_path / "weights.h5")


@pytest.mark.parametrize("name", ["a.safetensors", "a.npz", "a.pth", "a.pth.tar"])
def test_missing_empty_and_not_a_checkpoint(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(FileNotFoundError):
        load_checkpoint(path)
    path.mkdir()
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(path)
    path.rmdir()
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"{name} is empty; copy or download the file again"):
        load_checkpoint(path)
    for content in (b"P", b"hello, this is a text and not a checkpoint\n" * 9):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{name}"):
            load_checkpoint(path)


def test_no_arrays(tmp_path):
    save_file({}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="holds no arrays"):
        load_checkpoint(tmp_path / "a.safetensors")


def write_npz(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def npy(shape, dtype="<f4", data=b"", order=False):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": order, "shape": shape})
    return stream.getvalue() + data


def test_npz_orders_and_dtypes(tmp_path):
    arrays = {"c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "s": np.array(3)}
    arrays["big"] = np.arange(3, dtype=">f4")
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    for key, array in npz.read_npz(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(array, arrays[key])
        assert array.dtype.isnative
        assert array.flags.c_contiguous


def test_npz_runs_no_pickle(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CheckpointError, match="dtype object, expected real numbers; objects are never read"):
        load_checkpoint(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", [(10**15,), (4,), (2,), (-1, -3), (2**40, 2**40)])
def test_npz_declares_what_it_does_not_hold(tmp_path, shape):
    write_npz(tmp_path / "a.npz", {"x.npy": npy(shape, data=b"\0" * 12)})
    with pytest.raises(CheckpointError, match=r"declares shape .* but holds 12 bytes"):
        load_checkpoint(tmp_path / "a.npz")


def test_npz_with_a_header_that_is_too_long(tmp_path):
    write_npz(tmp_path / "a.npz", {"x.npy": b"\x93NUMPY\2\0" + (2**20).to_bytes(4, "little") + b" " * 2**20})
    with pytest.raises(CheckpointError, match=r"'x\.npy' has a header of 1048576 bytes, expected at most 10000"):
        load_checkpoint(tmp_path / "a.npz")


def test_dtype_by_choice(tmp_path):
    save_file({"half": np.ones(2, np.float16), "count": np.array(3)}, tmp_path / "a.safetensors")
    assert load_checkpoint(tmp_path / "a.safetensors")["half"].dtype == np.float16
    got = load_checkpoint(tmp_path / "a.safetensors", dtype="float64")
    assert (got["half"].dtype, got["count"].dtype) == (np.float64, np.int64)
    with pytest.raises(InputError, match="dtype is 'int8'"):
        load_checkpoint(tmp_path / "a.safetensors", dtype="int8")


def test_no_average_where_there_is_none(tmp_path):
    save_file({"a": np.ones(2)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors has one set of weights and no moving average"):
        load_checkpoint(tmp_path / "a.safetensors", ema=True)


def test_npz_with_something_else_inside(tmp_path):
    write_npz(tmp_path / "a.npz", {"readme.txt": b"hello"})
    with pytest.raises(CheckpointError, match=r"entry 'readme\.txt' is not an array"):
        load_checkpoint(tmp_path / "a.npz")


def test_zip_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "ALWAYS_ALLOWED", 2**16)
    path = write_npz(tmp_path / "a.npz", {"x.npy": npy((2**20,), data=b"\0" * 2**22)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**13
    with pytest.raises(CheckpointError, match="would unpack to 4194432 bytes, expected at most 4"):
        load_checkpoint(path)
