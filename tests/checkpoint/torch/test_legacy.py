"""Files of torch.save before version 1.6, read without torch: mvnp/checkpoint/torch/legacy.py."""

import argparse

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint
from mvnp.checkpoint.torch.legacy import is_legacy
from mvnp.errors import CheckpointError
from support.torch_files import Tensor, dumps, legacy_parts, write_legacy

WEIGHTS = {"a": Tensor("0", (2, 3), (3, 1), legacy=True), "b": Tensor("1", (2,), (1,), offset=4, legacy=True)}


def test_weights(tmp_path):
    path = write_legacy(tmp_path / "a.pth", {"state_dict": WEIGHTS, "args": argparse.Namespace(lr=0.1)})
    got = load_checkpoint(path)
    np.testing.assert_array_equal(got["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(got["b"], [4, 5])
    assert all(array.flags.writeable and array.dtype == np.float32 for array in got.values())


def test_as_torch_writes_it(tmp_path):
    """Byte for byte, but for the names that torch gives to storages and the sizes of its C types."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pth"
    torch.save({"w": torch.arange(6.0).reshape(2, 3)}, path, _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(load_checkpoint(path)["w"], [[0, 1, 2], [3, 4, 5]])
    ours = write_legacy(tmp_path / "b.pth", {"w": Tensor("0", (2, 3), (3, 1), legacy=True)})
    theirs = torch.load(ours, weights_only=True)  # what our tests are made with is what torch reads
    np.testing.assert_array_equal(theirs["w"].numpy(), [[0, 1, 2], [3, 4, 5]])
    assert path.read_bytes()[:20] == ours.read_bytes()[:20]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": dumps(1002)}, "version 1002 of torch's older format, expected 1001"),
        ({"machine": dumps([1])}, "does not say what machine wrote it"),
        ({"keys": dumps(["0"])}, "its list of storages is not that of its tensors"),
        ({"keys": dumps(["0", "0"])}, "its list of storages is not that of its tensors"),
        ({"keys": dumps("01")}, "its list of storages is not that of its tensors"),
        ({"storages": [(7, 6), (6, 6)]}, "storage '0' has 7 numbers, and its tensors say 6"),
        ({"storages": [(2**62, 6), (6, 6)]}, "storage '0' has 4611686018427387904 numbers"),
        ({"storages": [(6, 6), (6, 5)]}, "its storages end at byte"),
        ({"storages": [(6, 6), (6, 7)]}, "its storages end at byte"),
        ({"machine": b"\x80\x02cposix\nsystem\n."}, r"asks for 'posix\.system'.*nothing was run"),
        ({"version": b"\x80\x02K\x01Q."}, "a reference to a storage where none can be"),
    ],
)
def test_damage(tmp_path, changes, message):
    path = write_legacy(tmp_path / "a.pth", WEIGHTS, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_one_storage_of_two_kinds(tmp_path):
    weights = {"a": Tensor("0", (6,), (1,), legacy=True), "b": Tensor("0", (2,), (1,), count=7, legacy=True)}
    with pytest.raises(CheckpointError, match="storage '0' is there in two kinds or lengths"):
        load_checkpoint(write_legacy(tmp_path / "a.pth", weights))


def test_views_of_the_first_versions(tmp_path):
    weights = {"a": Tensor("0", (6,), (1,), legacy=("0", 0, 6))}
    with pytest.raises(CheckpointError, match=r"before 0\.4; open it with torch and save it again"):
        load_checkpoint(write_legacy(tmp_path / "a.pth", weights))


def test_first_bytes():
    begin = b"".join(legacy_parts({}))[:32]
    assert is_legacy(begin)
    assert not is_legacy(b"")
    assert not is_legacy(begin[:14])
    assert not is_legacy(b"PK\x03\x04" + begin[4:])
