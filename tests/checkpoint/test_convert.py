"""Weights from one kind of file to another: mvnp/checkpoint/convert.py, torch/write.py, bfloat16.py, and `mvnp convert`."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import mvnp
from mvnp.checkpoint import convert_checkpoint, load_checkpoint, load_pretrained, read_pretrained, save_arrays, save_pretrained
from mvnp.checkpoint.bfloat16 import from_bfloat16, to_bfloat16
from mvnp.checkpoint.torch import write_torch
from mvnp.cli import main
from mvnp.errors import CheckpointError, InputError
from support.checks import relative
from support.torch_files import Tensor
from support.torch_files import write_torch as write_foreign

REFERENCE = Path(__file__).parents[1] / "reference"
TINY = json.loads((REFERENCE / "tiny_even.json").read_text(encoding="utf-8"))
CUT = {"num_heads": TINY["num_heads"], "window_size": TINY["window_size"]}

# Half a unit in the last place, of weights and so of logits, with room for what a few layers make of it.
TOLERANCE = {None: 3e-5, "float32": 3e-5, "float64": 3e-5, "float16": 3e-3, "bfloat16": 3e-2}
WRITTEN = [
    (ending, dtype)
    for ending in (".safetensors", ".npz", ".pth", ".pth.tar", ".pt")
    for dtype in TOLERANCE
    if (ending, dtype) != (".npz", "bfloat16")
]


@pytest.mark.parametrize(("ending", "dtype"), WRITTEN)
@pytest.mark.parametrize("source", ["tiny.pth.tar", "tiny.safetensors"])
def test_every_container_and_precision_gives_the_logits(source, ending, dtype, tmp_path):
    target = tmp_path / f"tiny{ending}"
    done = convert_checkpoint(REFERENCE / source, target, dtype=dtype)
    assert (done.arrays, done.size) == (125, target.stat().st_size)
    stored = load_checkpoint(target)["head.weight"].dtype
    assert stored == {None: "float32", "bfloat16": "float32"}.get(dtype, dtype)
    expected = np.load(REFERENCE / "tiny_even.npz")
    model = load_pretrained(target, **CUT)
    assert model.config["dtype"] == "float32"
    error = relative(model(expected["x"].astype("float32")), expected["eval.logits"])
    assert error <= TOLERANCE[dtype]
    if dtype in ("float16", "bfloat16"):
        assert error > 3e-5  # it really was rounded


def test_the_older_format_gives_the_logits(tmp_path):
    torch = pytest.importorskip("torch", reason="torch writes the older format")
    weights = {key: torch.from_numpy(array) for key, array in load_checkpoint(REFERENCE / "tiny.pth.tar").items()}
    torch.save({"state_dict": weights}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    expected = np.load(REFERENCE / "tiny_even.npz")
    assert relative(load_pretrained(tmp_path / "old.pth", **CUT)(expected["x"]), expected["eval.logits"]) <= 3e-5


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("source", ["tiny.pth.tar", "tiny.safetensors"])
def test_torch_reads_what_we_write(source, dtype, tmp_path):
    torch = pytest.importorskip("torch", reason="torch is to read the file")
    convert_checkpoint(REFERENCE / source, tmp_path / "a.pth", dtype=dtype)
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert list(content) == ["state_dict"]
    before = load_checkpoint(REFERENCE / source)
    assert list(content["state_dict"]) == list(before)
    for key, tensor in content["state_dict"].items():
        expected = torch.from_numpy(before[key])
        if expected.is_floating_point() and dtype:
            expected = expected.to(getattr(torch, dtype))  # torch's own rounding
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor, expected)
    # As it is given to a model: memory-mapped too, which asks that storages be aligned.
    mapped = torch.load(tmp_path / "a.pth", weights_only=True, mmap=True)["state_dict"]
    assert all(torch.equal(mapped[key], tensor) for key, tensor in content["state_dict"].items())


def test_torch_reads_our_bfloat16_safetensors(tmp_path):
    pytest.importorskip("torch", reason="torch is to read the file")
    from safetensors.torch import load_file as load_for_torch

    convert_checkpoint(REFERENCE / "tiny.safetensors", tmp_path / "a.safetensors", dtype="bfloat16", prefix="model.")
    before = load_checkpoint(REFERENCE / "tiny.safetensors")
    got = load_for_torch(tmp_path / "a.safetensors")
    assert set(got) == {f"model.{key}" for key in before}
    assert str(got["model.head.weight"].dtype) == "torch.bfloat16"
    np.testing.assert_array_equal(
        got["model.head.weight"].float().numpy(), load_checkpoint(tmp_path / "a.safetensors")["head.weight"]
    )


def test_others_read_our_safetensors_and_npz(tmp_path):
    before = load_checkpoint(REFERENCE / "tiny.pth.tar")
    for ending, read in ((".safetensors", load_file), (".npz", lambda path: dict(np.load(path)))):
        convert_checkpoint(REFERENCE / "tiny.pth.tar", tmp_path / f"a{ending}")
        got = read(tmp_path / f"a{ending}")
        assert set(got) == set(before)
        assert all(got[key].dtype == array.dtype and np.array_equal(got[key], array) for key, array in before.items())


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pth"])
def test_any_arrays_in_any_layout(ending, tmp_path):
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "transposed": grid.T,
        "strided": grid[::2, 1::2],
        "scalar": np.array(3.5),
        "count": np.array(7),
        "empty": np.zeros((0, 3), np.float32),
        "long": np.arange(3, dtype=np.int32),
        "file": np.ones(2, np.float16),
        "one": np.ones((1, 1, 1)),
    }
    save_arrays(tmp_path / "in.safetensors", arrays)
    convert_checkpoint(tmp_path / "in.safetensors", tmp_path / f"out{ending}")
    got = load_checkpoint(tmp_path / f"out{ending}")
    assert set(got) == set(arrays)
    for key, array in arrays.items():
        assert (got[key].dtype, got[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(got[key], array)


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pth"])
def test_same_weights_same_bytes(ending, tmp_path):
    for name in ("a", "b"):
        convert_checkpoint(REFERENCE / "tiny.pth.tar", tmp_path / f"{name}{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_what_torch_has_no_storage_for(tmp_path):
    with open(tmp_path / "a.pth", "wb") as file, pytest.raises(InputError, match="no storage for uint16"):
        write_torch(file, {"x": np.zeros(2, np.uint16)})


def test_moving_average(tmp_path):
    content = {"state_dict": {"w": Tensor("0", (2,), (1,))}, "state_dict_ema": {"w": Tensor("0", (2,), (1,), offset=3)}}
    write_foreign(tmp_path / "a.pth", content)
    convert_checkpoint(tmp_path / "a.pth", tmp_path / "b.npz", ema=True)
    np.testing.assert_array_equal(load_checkpoint(tmp_path / "b.npz")["w"], [3, 4])
    with pytest.raises(CheckpointError, match=r"b\.npz has one set of weights and no moving average"):
        convert_checkpoint(tmp_path / "b.npz", tmp_path / "c.npz", ema=True)


def test_what_is_known_of_the_model_goes_along(tmp_path):
    model = mvnp.MambaVision(4, 2, (1, 1, 1, 1), (1, 1, 1, 1), (2, 2, 2, 2), num_classes=2)
    images = {"size": 8, "mean": (0.5, 0.5, 0.5)}
    save_pretrained(tmp_path / "a.safetensors", model, classes=("x", "y"), images=images)
    convert_checkpoint(tmp_path / "a.safetensors", tmp_path / "b.safetensors", dtype="float16", prefix="model.")
    got = read_pretrained(tmp_path / "b.safetensors")
    assert (got.classes, got.images, got.model.config) == (("x", "y"), images, model.config)
    # A training run's optimiser stays behind, and a run cannot be resumed from what was converted.
    arrays = {f"model.{key}": array for key, array in model.state_dict().items()} | {"optimizer.step": np.array(1)}
    save_arrays(
        tmp_path / "run.safetensors", arrays, {"kind": "training", "about": {"model": model.config, "classes": ["x", "y"]}}
    )
    convert_checkpoint(tmp_path / "run.safetensors", tmp_path / "c.safetensors")
    assert set(load_file(tmp_path / "c.safetensors")) == set(model.state_dict())
    assert read_pretrained(tmp_path / "c.safetensors").classes == ("x", "y")


def test_not_in_place(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": np.arange(3.0)}, path)
    before = path.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(path)
    os.link(path, tmp_path / "other.safetensors")
    for target in (
        path,
        tmp_path / "link.safetensors",
        tmp_path / "other.safetensors",
        tmp_path / ".." / tmp_path.name / path.name,
    ):
        with pytest.raises(InputError, match="is the file to read: what is converted would take its place"):
            convert_checkpoint(path, target, dtype="float16")
    assert path.read_bytes() == before


def test_not_in_place_of_one_of_several_files(tmp_path):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for key, name in zip("xy", names, strict=True):
        save_file({key: np.arange(3.0)}, tmp_path / name)
    places = dict(zip("xy", names, strict=True))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    for name in names:
        with pytest.raises(InputError, match="is the file to read: what is converted would take its place"):
            convert_checkpoint(tmp_path, tmp_path / name)
    assert convert_checkpoint(tmp_path, tmp_path / "whole.safetensors").arrays == 2


# bfloat16


@pytest.mark.parametrize(
    ("bits", "rounded"),
    [
        (0x3F800000, 0x3F80),  # 1
        (0x3F807FFF, 0x3F80),  # just below the middle of two
        (0x3F808000, 0x3F80),  # the middle: to the even one, below
        (0x3F818000, 0x3F82),  # the middle: to the even one, above
        (0x3F808001, 0x3F81),  # just above the middle
        (0x3FFFFFFF, 0x4000),  # a carry into the exponent
        (0x7F7FFFFF, 0x7F80),  # the largest float32: beyond the largest bfloat16, infinity
        (0x00000001, 0x0000),  # the smallest
        (0x00018000, 0x0002),  # a middle among the subnormal ones
        (0x80000000, 0x8000),  # −0
        (0xFF800000, 0xFF80),  # −∞
    ],
)
def test_rounding_by_hand(bits, rounded):
    value = np.array(bits, np.uint32).view(np.float32)
    assert to_bfloat16(value) == rounded
    assert to_bfloat16(-value) == rounded ^ 0x8000


@given(st.integers(0, 2**32 - 1))
def test_rounding_is_to_the_nearest(bits):
    value = np.array([bits], np.uint32).view(np.float32)
    got = from_bfloat16(to_bfloat16(value))
    if np.isnan(value):
        assert np.isnan(got)
    elif np.isfinite(got):
        below = from_bfloat16((value.view(np.uint32) >> 16).astype(np.uint16)).astype(np.float64)
        above = from_bfloat16(((value.view(np.uint32) >> 16) + 1).astype(np.uint16)).astype(np.float64)
        distances = [abs(float(candidate[0]) - float(value[0])) for candidate in (below, above)]
        assert abs(float(got[0]) - float(value[0])) == min(distances)


def test_every_bfloat16_survives():
    bits = np.arange(2**16, dtype=np.uint16)
    values = from_bfloat16(bits)
    back = to_bfloat16(values)
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(back[numbers], bits[numbers])
    assert np.isnan(from_bfloat16(back[~numbers])).all()
    assert to_bfloat16(values.reshape(256, 256)[:, ::2]).shape == (256, 128)
    assert to_bfloat16(np.array(1e300)) == 0x7F80


# The command


def test_command(tmp_path, capsys):
    target = tmp_path / "tiny.safetensors"
    assert main(["convert", str(REFERENCE / "tiny.pth.tar"), str(target), "--dtype", "bfloat16"]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(rf"{re.escape(str(target))}: 125 arrays, 159,261 numbers, 0\.3 MB \(from 0\.7\)\n", out), out
    assert (
        json.loads(target.read_bytes()[8 : 8 + int.from_bytes(target.read_bytes()[:8], "little")])["head.weight"]["dtype"]
        == "BF16"
    )


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        ("a.safetensors", "out.h5", [], r"out\.h5: unknown kind of file to write, expected a name that ends in one of"),
        ("a.h5", "out.npz", [], r"a\.h5: unknown kind of file; it is no safetensors, no npz, and nothing that torch"),
        ("none.pth", "out.npz", [], r"none\.pth: No such file"),
        ("a.safetensors", "out.npz", ["--dtype", "bfloat16"], "NumPy's files have no bfloat16; choose float16"),
        ("a.safetensors", "out.npz", ["--dtype", "int8"], "invalid choice: 'int8'"),
        ("a.safetensors", "out.npz", ["--ema"], "no moving average of them; leave out ema"),
        ("a.safetensors", "out.npz", ["--dtype", "float16"], r"x has a 1e\+05, and float16 ends at 65504; bfloat16 holds it"),
        ("a.safetensors", "nowhere/out.npz", [], r"out\.npz: No such file or directory; nothing was written"),
        ("a.safetensors", "out.npz", ["--ena"], r"unexpected argument '--ena' \(did you mean '--ema'\?\)"),
    ],
)
def test_command_refuses(source, target, options, message, tmp_path, capsys):
    save_file({"x": np.array([1e5, 1.0])}, tmp_path / "a.safetensors")
    (tmp_path / "a.h5").write_bytes(b"HDF")
    before = set(tmp_path.rglob("*"))
    assert main(["convert", str(tmp_path / source), str(tmp_path / target), *options]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert re.search(message, written.err), written.err
    assert set(tmp_path.rglob("*")) == before
