"""Files of torch.save, read without torch: mvnp/checkpoint/torch/archive.py and inert_pickle.py."""

import argparse
import collections
import copy
import itertools
import os
import pathlib
import pickle
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint
from mvnp.checkpoint.torch.inert_pickle import Inert, read_pickle
from mvnp.errors import CheckpointError
from support.torch_files import Tensor, dumps, write_torch

REFERENCE = Path(__file__).parents[2] / "reference"


def test_reference_file():
    weights = load_checkpoint(REFERENCE / "tiny.pth.tar")
    assert len(weights) == 125
    assert weights["levels.0.blocks.0.norm1.num_batches_tracked"].shape == ()


@pytest.mark.parametrize("place", [None, "state_dict", "model"])
def test_where_the_weights_are(tmp_path, place):
    weights = collections.OrderedDict({"module.w": Tensor("0", (2, 3), (3, 1)), "module.t": Tensor("0", (3, 2), (1, 3))})
    content = weights if place is None else {"epoch": 3, "args": argparse.Namespace(lr=0.1, tags=["a"]), place: weights}
    got = load_checkpoint(write_torch(tmp_path / "a.pth", content))
    np.testing.assert_array_equal(got["w"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(got["t"], [[0, 3], [1, 4], [2, 5]])
    assert got["t"].flags.c_contiguous


def test_moving_average_by_choice(tmp_path):
    content = {
        name: {"module.w": Tensor("0", (2,), (1,), offset=offset)}
        for offset, name in enumerate(("state_dict", "state_dict_ema", "model", "model_ema"))
    }
    path = write_torch(tmp_path / "a.pth", content)
    np.testing.assert_array_equal(load_checkpoint(path)["w"], [0, 1])
    np.testing.assert_array_equal(load_checkpoint(path, ema=True)["w"], [1, 2])
    del content["state_dict"], content["state_dict_ema"]
    write_torch(path, content)
    np.testing.assert_array_equal(load_checkpoint(path)["w"], [2, 3])
    np.testing.assert_array_equal(load_checkpoint(path, ema=True)["w"], [3, 4])
    del content["model_ema"]
    with pytest.raises(CheckpointError, match="no moving average of the weights by its name; it has 'model' \\(1 tensors\\)"):
        load_checkpoint(write_torch(path, content), ema=True)


def test_only_what_is_chosen_is_read(tmp_path):
    """The state of an optimiser, thrice as long as the weights, costs neither time nor memory: here it is not even there."""
    content = {"state_dict": {"w": Tensor("0", (6,), (1,))}, "optimizer": {"state": {0: {"m": Tensor("absent", (6,), (1,))}}}}
    assert list(load_checkpoint(write_torch(tmp_path / "a.pth", content))) == ["w"]


def test_what_rides_along(tmp_path):
    """As training scripts leave it: a NumPy number, a path, a schedule's counter. None of it becomes what it says it is."""
    content = {
        "state_dict": {"w": Tensor("0", (6,), (1,))},
        "metric": np.float64(82.3),
        "args": argparse.Namespace(out=pathlib.PurePosixPath("/tmp/x"), milestones=collections.Counter({30: 1})),
        "space": types.SimpleNamespace(a=1),
    }
    np.testing.assert_array_equal(load_checkpoint(write_torch(tmp_path / "a.pth", content))["w"], np.arange(6))
    assert list(load_checkpoint(write_torch(tmp_path / "a.pth", {"w": Tensor("0", (6,), (1,)), "m": np.float64(1.0)}))) == ["w"]


def test_views_of_one_storage(tmp_path):
    tensors = {
        "tail": Tensor("0", (2,), (1,), offset=4),
        "every other": Tensor("0", (3,), (2,)),
        "spread": Tensor("0", (2, 2), (0, 1)),
        "empty": Tensor("0", (0, 5), (5, 1)),
        "scalar": Tensor("0", (), (), offset=3),
    }
    got = load_checkpoint(write_torch(tmp_path / "a.pth", tensors))
    np.testing.assert_array_equal(got["tail"], [4, 5])
    np.testing.assert_array_equal(got["every other"], [0, 2, 4])
    np.testing.assert_array_equal(got["spread"], [[0, 1], [0, 1]])
    assert got["empty"].shape == (0, 5)
    np.testing.assert_array_equal(got["scalar"], 3)
    got["tail"][:] = 9  # each has memory of its own
    np.testing.assert_array_equal(got["every other"], [0, 2, 4])


def test_a_whole_storage_is_not_copied(tmp_path):
    tensors = {"whole": Tensor("0", (2, 3), (3, 1)), "twice": Tensor("1", (6,), (1,)), "again": Tensor("1", (6,), (1,))}
    storages = {key: np.arange(6, dtype="<f4").tobytes() for key in "01"}
    got = load_checkpoint(write_torch(tmp_path / "a.pth", tensors, storages))
    assert got["whole"].base is not None  # the row of numbers that was read
    assert got["whole"].flags.writeable
    assert not np.shares_memory(got["twice"], got["again"])


def test_big_endian(tmp_path):
    storages = {"0": np.arange(6, dtype=">f4").tobytes()}
    got = load_checkpoint(write_torch(tmp_path / "a.pth", {"w": Tensor("0", (6,), (1,))}, storages, byteorder="big"))
    np.testing.assert_array_equal(got["w"], np.arange(6))
    with pytest.raises(CheckpointError, match="byte order 'middle', expected little or big"):
        load_checkpoint(write_torch(tmp_path / "a.pth", {"w": Tensor("0", (6,), (1,))}, storages, byteorder="middle"))


def test_against_torch(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    weights = {
        "f4": base,
        "f8": base.double(),
        "f2": base.half(),
        "bf16": base.bfloat16(),
        "i8": (base * 100).long(),
        "i4": (base * 100).int(),
        "i2": (base * 100).short(),
        "i1": (base * 10).to(torch.int8),
        "u1": (base.abs() * 10).to(torch.uint8),
        "bool": base > 0,
        "transposed": base.T,
        "slice": base[1:3, ::2],
        "expanded": base[:1].expand(3, 6),
        "parameter": torch.nn.Parameter(base[0]),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
    }
    for protocol, as_zip in itertools.product((2, 3, 4, 5), (True, False)):
        content = {"state_dict": weights, "size": base.size()}
        torch.save(content, tmp_path / "a.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=as_zip)
        got = load_checkpoint(tmp_path / "a.pth")
        for key, tensor in weights.items():
            want = tensor.detach().float().numpy() if key == "bf16" else tensor.detach().numpy()
            assert got[key].dtype == want.dtype
            assert got[key].shape == want.shape
            np.testing.assert_array_equal(got[key], want)


def test_state_dict_of_a_module(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save(module.state_dict(), tmp_path / "a.pth")  # carries a `_metadata`
    assert list(load_checkpoint(tmp_path / "a.pth")) == list(module.state_dict())
    torch.save(module, tmp_path / "b.pth")  # whole: its class is not made, its parameters are read
    got = load_checkpoint(tmp_path / "b.pth")
    assert list(got) == list(module.state_dict())
    for key, tensor in module.state_dict().items():
        np.testing.assert_array_equal(got[key], tensor.numpy())


class Runs:
    """Runs a command when it is unpickled, by a function of the reader's choice."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("echo run > {}",), "posix.system"),
        (eval, ("open('{}', 'w')",), "builtins.eval"),
        (subprocess.Popen, (["touch", "{}"],), "subprocess.Popen"),
        (pickle.loads, (b"",), "_pickle.loads"),
    ],
)
def test_nothing_is_run(tmp_path, function, arguments, named):
    marker = tmp_path / "marker"
    arguments = tuple(a.format(marker) if isinstance(a, str) else a for a in arguments)
    path = write_torch(tmp_path / "a.pth", {"state_dict": {"w": Tensor("0", (6,), (1,))}, "args": Runs(function, *arguments)})
    with pytest.raises(CheckpointError, match=f"asks for '{named}', which no honest file of weights does.*nothing was run"):
        load_checkpoint(path)
    assert not marker.exists()


def test_nothing_is_imported(tmp_path):
    """Not even modules that exist: importing runs code too."""
    (tmp_path / "trap.py").write_text("open('sprung', 'w').close()", encoding="utf-8")
    write_torch(tmp_path / "a.pth", None, pickled=b"\x80\x02ctrap\nanything\n.")
    code = "import mvnp.checkpoint as c\ntry: c.load_checkpoint('a.pth')\nexcept Exception as e: print(e)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    child = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert "holds no state dict" in child.stdout
    assert not (tmp_path / "sprung").exists()


def test_namespace_is_inert():
    got = read_pickle(dumps({"args": argparse.Namespace(lr=0.1)}), {}, lambda reference: None)["args"]
    assert isinstance(got, Inert)
    assert (got.name, got.arguments, got.state) == ("argparse Namespace", (), {"lr": 0.1})
    # As data it takes any arguments; whoever calls it gets no Namespace either.
    got = read_pickle(b"\x80\x02cargparse\nNamespace\n(K\x01tR.", {}, lambda reference: None)
    assert (got.name, got.arguments) == ("argparse Namespace", (1,))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor("0", (7,), (1,)), "reaches to element 6 of a storage of 6"),
        (Tensor("0", (2,), (1,), offset=5), "reaches to element 6 of a storage of 6"),
        (Tensor("0", (2, 2), (5, 1)), "reaches to element 6 of a storage of 6"),
        (Tensor("0", (2,), (1,), offset=-1), "impossible shape"),
        (Tensor("0", (2,), (-1,), offset=3), "impossible shape"),
        (Tensor("0", (2,), (1, 1)), "impossible shape"),
        (Tensor("0", (2**70,), (0,)), "impossible shape"),
        (Tensor("0", (1,) * 33, (1,) * 33), "impossible shape"),
        (Tensor("0", (True,), (1,)), "impossible shape"),
        (Tensor("0", (10**6,), (0,)), "w is a tensor of 1000000 numbers, many times larger than its storage, which has 6"),
        (Tensor("0", (10**12, 10**12), (0, 0)), "many times larger than its storage, which has 6"),
        (Tensor("0", (6,), (1,), count=7), "not the length that it declares"),
        (Tensor("0", (6,), (1,), count=10**15), "not the length that it declares"),
        (Tensor("9", (6,), (1,)), "has no entry data/9"),
        (Tensor("../data.pkl", (6,), (1,)), "has no entry data/../data.pkl"),
    ],
)
def test_impossible_tensors(tmp_path, tensor, message):
    path = write_torch(tmp_path / "a.pth", {"w": tensor})
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no state dict: nothing in it is a tensor with a name. It is a list"),
        ({"state_dict": {"w": argparse.Namespace()}}, "holds no state dict.* It is a dict with state_dict"),
        ({3: Tensor("0", (6,), (1,))}, "holds no state dict.* It is a dict with no names in it"),
        ({"state_dict": {}}, "holds no state dict.* It is a dict with state_dict"),
        (argparse.Namespace(), "holds no state dict.* It is an object, argparse.Namespace"),
    ],
)
def test_no_state_dict(tmp_path, content, message):
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(write_torch(tmp_path / "a.pth", content))


def test_compressed_entries(tmp_path):
    path = write_torch(tmp_path / "a.pth", {"w": Tensor("0", (6,), (1,))}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="has compressed entries"):
        load_checkpoint(path)


def test_entries_that_overlap(tmp_path):
    """A hundred entries in the directory, and the bytes of one in the file."""
    path = write_torch(tmp_path / "a.pth", {"w": Tensor("0", (6,), (1,))})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x/data/1", bytes(4000))
        for key in range(2, 100):
            twin = copy.copy(archive.filelist[-1])
            twin.filename = f"x/data/{key}"
            archive.filelist.append(twin)
    with pytest.raises(CheckpointError, match="declares entries that are larger than the file"):
        load_checkpoint(path)


def test_no_or_two_pickles(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("x/other", b"")
    with pytest.raises(CheckpointError, match=r"has 0 entries data\.pkl, expected one"):
        load_checkpoint(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("x/data.pkl", b"")
        archive.writestr("y/data.pkl", b"")
    with pytest.raises(CheckpointError, match=r"has 2 entries data\.pkl"):
        load_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02}",  # no STOP
        b"\x80\x02}}.",  # two results
        b"\x80\x02u.",  # a mark that is not there
        b"\x80\x02}K\x01s.",  # a stack too short
        b"\x80\x02(}0.",  # an instruction that is not needed
        b"\x80\x02h\x05.",  # a memo that is not there
        b"\x80\x02}(X\xff\xff\xff\x7fabc",  # a string of 2 GB
        b"\x80\x02K\x01r\xff\xff\xff\xff.",  # a memo of 4 billion entries
        b"\x80\x02\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a bytearray of 8 EB
        b"\x80\x02}(}K\x01u.",  # a dict as a key
        b"\x80\x02})K\x01s.",  # a tuple as a key
        b"\x80\x02K\x01K\x01Q.",  # a reference that is no tuple
        b"\x80\x02K\x01)R.",  # a call of a number
        b"\x80\x02K\x01}b.",  # a state for a number
        b"\x80\x02]\x94(K\x01K\x02u.",  # entries for a list
        b"\x80\x02ctorch\nFloatStorage\n)R.",  # a storage that is called
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",  # a tensor from nothing
        b"\xff\xfe\xfd",
    ],
)
def test_damaged_pickles(tmp_path, pickled):
    with pytest.raises(CheckpointError):
        load_checkpoint(write_torch(tmp_path / "a.pth", None, pickled=pickled))


def test_a_stack_that_is_too_short():
    for short in (
        b"\x80\x02K\x01\x87.",
        b"\x80\x02K\x01K\x02(K\x03\x87.",
    ):  # three things wanted; the second has a mark among them
        with pytest.raises(CheckpointError, match="damaged pickle"):
            read_pickle(short, {}, lambda reference: None)


def test_nested_tuples_cost_nothing(tmp_path):
    # 2^60 numbers, if anyone went through them: as a key it would be hashed for ever.
    nested = b"K\x01" + b"q\x00h\x00\x86" * 60
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_checkpoint(write_torch(tmp_path / "a.pth", None, pickled=b"\x80\x02}" + nested + b"K\x01s."))
    with pytest.raises(CheckpointError, match="It is a tuple"):
        load_checkpoint(write_torch(tmp_path / "a.pth", None, pickled=b"\x80\x02" + nested + b"."))


def test_a_pickle_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr("mvnp.checkpoint.torch.inert_pickle.MAX_BYTES", 100)
    monkeypatch.setattr("mvnp.checkpoint.torch.archive.MAX_BYTES", 100)
    with pytest.raises(CheckpointError, match=r"has an entry data\.pkl of .* bytes, expected at most 100"):
        load_checkpoint(write_torch(tmp_path / "a.pth", {"w": Tensor("0", (6,), (1,))}))
    with pytest.raises(CheckpointError, match=r"a pickle of 101 bytes, expected at most 100"):
        read_pickle(bytes(101), {}, lambda reference: None)


def test_a_pickle_with_too_many_instructions(tmp_path, monkeypatch):
    monkeypatch.setattr("mvnp.checkpoint.torch.inert_pickle.MAX_INSTRUCTIONS", 100)
    with pytest.raises(CheckpointError, match=r"a pickle of more than 100 instructions"):
        load_checkpoint(write_torch(tmp_path / "a.pth", None, pickled=b"\x80\x02" + b"]" * 100 + b"."))


def test_torch_is_not_imported():
    code = "import sys, mvnp.checkpoint as c; c.load_checkpoint(sys.argv[1]); print('torch' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code, str(REFERENCE / "tiny.pth.tar")], capture_output=True, encoding="utf-8")
    assert child.stdout == "False\n"


def test_keys_that_are_no_text_are_passed_over():
    """Whole numbers can be chosen so that a dict of them takes for ever: each of these has the hash 0."""
    keys = b"".join(b"\x8a\x0b" + (index * (2**61 - 1)).to_bytes(11, "little") + b"N" for index in range(5000))
    pickled = b"\x80\x02}(" + keys + b"X\x01\0\0\0aK\x07u."
    assert read_pickle(pickled, {}, lambda reference: None) == {"a": 7}
