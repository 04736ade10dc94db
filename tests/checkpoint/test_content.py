"""What kind of file it is, by its content, and what is said of those that are no weights: mvnp/checkpoint/content.py."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from mvnp.checkpoint import load_checkpoint, load_pretrained
from mvnp.errors import CheckpointError
from support.torch_files import Tensor, write_legacy, write_torch

WEIGHTS = {"w": np.arange(6, dtype=np.float32)}


def kinds(folder):
    npz = io.BytesIO()
    np.savez(npz, **WEIGHTS)
    return {
        "safetensors": save(WEIGHTS),
        "npz": npz.getvalue(),
        "zip": write_torch(folder / "z", {"state_dict": {"w": Tensor("0", (6,), (1,))}}).read_bytes(),
        "legacy": write_legacy(folder / "l", {"w": Tensor("0", (6,), (1,), legacy=True)}).read_bytes(),
    }


@pytest.mark.parametrize(
    "name", ["weights", "w.ckpt", "w.pkl", "w.pth.tar", "w.bin", "w.npz", "w.safetensors", "w.tar", "w.x.y"]
)
def test_the_name_may_be_anything(name, tmp_path):
    for kind, data in kinds(tmp_path).items():
        (tmp_path / name).write_bytes(data)
        np.testing.assert_array_equal(load_checkpoint(tmp_path / name)["w"], np.arange(6), err_msg=kind)


def in_tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("w.pth"))
    return stream.getvalue()


def in_zip(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (POINTER, "is a pointer of git LFS, and not the file itself: git lfs pull fetches it"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", r"is a web page, and no weights.*/resolve/, not /blob/"),
        (b"<HTML><body>404</body></HTML>", "is a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "is a web page"),
        (gzip.compress(b"x"), r"is compressed with gzip: unpack it, and give the file inside \(gunzip\)"),
        (bz2.compress(b"x"), "is compressed with bzip2"),
        (lzma.compress(b"x"), "is compressed with xz"),
        (in_tar(), r"is a tar archive: unpack it, and give the file inside \(tar xf w\.pth\)"),
        (in_zip("a/b.pth", "c.txt"), r"is a zip archive with 'b\.pth' in it: unpack it"),
        (in_zip("m/constants.pkl", "m/data.pkl", "m/code/x.py"), "is a TorchScript archive"),
        (in_zip("m/archive_format", "m/models/model.json"), "is an archive of torch.export"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (in_zip("config.json", "model.weights.h5"), "is an archive of Keras, whose weights are HDF5"),
        (b"\x08\x07\x12\x07pytorch", "is an ONNX file, .*: give the weights that it was exported from"),
        (b"GGUF\3\0\0\0", "is a GGUF file"),
        (b"\x93NUMPY\1\0", "is a single array of NumPy"),
        (bytes(100), "begins with nothing but zeros: the download was broken off"),
        (b"{}", "is JSON without a weight_map, so no index of weights"),
        (b"{", "is no file of weights, and no index of them either"),
    ],
)
def test_what_is_no_weights_is_named(data, message, tmp_path):
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"w\.pth {message}"):
        load_checkpoint(tmp_path / "w.pth")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth is a pipe or a device, expected a file of weights"):
        load_checkpoint(tmp_path / "w.pth")
    (tmp_path / "w.pth").unlink()
    os.mkfifo(tmp_path / "config.json")
    (tmp_path / "w.pth").write_bytes(kinds(tmp_path)["npz"])
    with pytest.raises(CheckpointError, match="is no state dict of a MambaVision"):
        load_pretrained(tmp_path / "w.pth")


# Arrays in pickles


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        np.array([True, False]),
        np.array(3.5),
        np.zeros((0, 3), np.float16),
        np.arange(70_000, dtype=np.uint16),
    ],
    ids=["big-endian", "column-major", "truth values", "scalar", "empty", "long"],
)
def test_arrays_in_a_pickle(array, protocol, tmp_path):
    (tmp_path / "a").write_bytes(pickle.dumps({"w": array, "lr": 0.1}, protocol))
    got = load_checkpoint(tmp_path / "a")
    assert list(got) == ["w"]
    np.testing.assert_array_equal(got["w"], array)
    assert (got["w"].dtype, got["w"].shape) == (array.dtype.newbyteorder("="), array.shape)
    assert got["w"].flags.writeable


@pytest.mark.parametrize(
    "array",
    [np.array(["a"]), np.array([1 + 2j]), np.array([{}], object), np.zeros(2, [("a", "f4")]), np.array(["2020"], "M8[D]")],
)
def test_arrays_of_other_things(array, tmp_path):
    (tmp_path / "a").write_bytes(pickle.dumps({"w": array, "v": np.ones(2)}))
    with pytest.raises(CheckpointError, match="a: w is a NumPy array of other things than real numbers"):
        load_checkpoint(tmp_path / "a")


# Zips


def npz(method=zipfile.ZIP_STORED, count=3):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for index in range(count):
            array = io.BytesIO()
            np.save(array, np.arange(4.0) + index)
            archive.writestr(f"{index}.npy", array.getvalue())
    return stream.getvalue()


@pytest.mark.parametrize(("method", "number"), [(zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)])
def test_other_compression(method, number, tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(method))
    with pytest.raises(CheckpointError, match=f"'0.npy', compressed by means {number}, expected it stored or deflated"):
        load_checkpoint(tmp_path / "a.npz")


@pytest.mark.parametrize("at", [30, 32], ids=["extra field", "comment"])
def test_nothing_is_swallowed(at, tmp_path):
    """A field of the first entry in the directory is made as long as the whole second entry: it would be gone."""
    data = bytearray(npz())
    first = data.find(b"PK\1\2")
    second = data.find(b"PK\1\2", first + 1)
    length = data.find(b"PK\1\2", second + 1) - second
    data[first + at : first + at + 2] = struct.pack("<H", length)
    (tmp_path / "a.npz").write_bytes(data)
    if at == 32:
        with zipfile.ZipFile(tmp_path / "a.npz") as archive:
            assert len(archive.namelist()) == 2  # Python's own reader does not mind
    with pytest.raises(CheckpointError, match="its directory says 3 entries, and 2 are in it" if at == 32 else "is damaged"):
        load_checkpoint(tmp_path / "a.npz")


def test_many_entries_are_counted_where_the_number_is_wide(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        array = io.BytesIO()
        np.save(array, np.uint8(1))
        for index in range(65_540):
            archive.writestr(zipfile.ZipInfo(f"{index}.npy"), array.getvalue() if index < 2 else b"")
    with pytest.raises(CheckpointError, match=r"entry '2\.npy' is not an array"):  # and not that entries are missing
        load_checkpoint(tmp_path / "a.npz")


# Several files


def sharded(folder, **changes):
    arrays = {f"levels.{index}.weight": np.full((2, 2), index, np.float32) for index in range(4)}
    names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    for part, name in enumerate(names):
        (folder / name).write_bytes(save({key: arrays[key] for key in list(arrays)[part::2]}))
    places = {key: names[index % 2] for index, key in enumerate(arrays)}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 64}, "weight_map": {**places, **changes}}), encoding="utf-8")
    return index, arrays


def test_index(tmp_path):
    index, arrays = sharded(tmp_path)
    got = load_checkpoint(index)
    assert set(got) == set(arrays)
    assert all(np.array_equal(got[key], array) for key, array in arrays.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": "model-00003-of-00003.safetensors"}, r"names 3 files, and 1 of them are not beside it: model-00003-of-00003"),
        ({"x": "../w.safetensors"}, r"names '\.\./w\.safetensors' as a file, expected a name in the same folder"),
        ({"x": "/etc/passwd"}, r"names '/etc/passwd' as a file"),
        ({"x": 3}, "names '3' as a file"),
        ({"x": "model-00001-of-00002.safetensors"}, r"lacks 'x', which model\.safetensors\.index\.json says is in it"),
    ],
)
def test_index_that_is_wrong(changes, message, tmp_path):
    index, _ = sharded(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(index)
