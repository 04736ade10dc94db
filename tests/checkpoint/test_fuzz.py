"""Damaged files of every kind: a CheckpointError, or what was written. Never another error, never something else.

The damage is drawn from a seed, so a failure can be repeated.
"""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from mvnp.checkpoint import load_arrays, load_checkpoint, save_arrays
from mvnp.errors import CheckpointError
from support.torch_files import Tensor, write_legacy, write_torch

WEIGHTS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4, 6, dtype=np.float32)}

ROUNDS = int(os.environ.get("MVNP_FUZZ_ROUNDS", "300"))

WRITERS = {
    "ours.safetensors": lambda path: save_arrays(path, WEIGHTS, {"kind": "weights", "config": {"lr": 0.1, "depths": [1, 2]}}),
    "foreign.safetensors": lambda path: save_file(WEIGHTS, path),
    "stored.npz": lambda path: np.savez(path, **WEIGHTS),
    "deflated.npz": lambda path: np.savez_compressed(path, **WEIGHTS),
    "torch.pth": lambda path: write_torch(
        path, {"epoch": 3, "state_dict": {"a.weight": Tensor("0", (2, 3), (3, 1)), "b": Tensor("0", (2,), (1,), offset=4)}}
    ),
    "legacy.pth": lambda path: write_legacy(
        path,
        {
            "epoch": 3,
            "model": {"a.weight": Tensor("0", (2, 3), (3, 1), legacy=True), "b": Tensor("0", (2,), (1,), 4, legacy=True)},
        },
    ),
}


def is_intact(loaded):
    return set(loaded) == set(WEIGHTS) and all(np.array_equal(loaded[key], array) for key, array in WEIGHTS.items())


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """A file of each kind, and its bytes."""
    path = tmp_path / request.param
    WRITERS[request.param](path)
    assert is_intact(load_checkpoint(path))
    return path, path.read_bytes()


def test_truncated_anywhere(written):
    path, good = written
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError, match=path.name):
            load_checkpoint(path)


def test_something_after_the_end(written):
    path, good = written
    path.write_bytes(good + b"more")
    if path.suffix == ".safetensors" or path.name == "legacy.pth":
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
    else:  # a zip is found from its end, and may stand in a longer file; what is read must be right
        survives(path, lambda: load_checkpoint(path))


def survives(path, load):
    """The result, or None where the file was refused as it should be."""
    refusal = None
    try:
        return load()
    except CheckpointError as error:
        refusal = str(error)
    assert path.name in refusal
    assert len(refusal) < 1000
    return None


def damaged(rng, good):
    """Bytes flipped, overwritten with extremes, cut out, doubled: one to three such damages."""
    data = bytearray(good)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data)))
        match rng.integers(5):
            case 0:
                data[at] ^= 1 << rng.integers(8)
            case 1:
                data[at] = rng.integers(256)
            case 2:
                data[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f\0\0\0\0", b"99999999"])
            case 3:
                del data[at : at + int(rng.integers(1, 9))]
            case _:
                data[at:at] = data[at : at + int(rng.integers(1, 30))]
    return bytes(data)


def test_random_damage(written):
    path, good = written
    rng = np.random.default_rng(2024)
    refused = 0
    for _ in range(ROUNDS):
        path.write_bytes(damaged(rng, good))
        loaded = survives(path, lambda: load_checkpoint(path))
        refused += loaded is None
        if loaded is not None and path.name == "ours.safetensors":
            assert is_intact(loaded) or "mvnp" not in path.read_bytes().decode("latin-1")
    assert refused > ROUNDS / 3


def test_ours_is_read_as_written_or_not_at_all(tmp_path):
    path = tmp_path / "ours.safetensors"
    WRITERS[path.name](path)
    good = path.read_bytes()
    for at, bit in enumerate(np.random.default_rng(7).integers(8, size=len(good)).tolist()):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
        loaded = survives(path, lambda: load_arrays(path))
        assert loaded is None or (is_intact(loaded[0]) and loaded[1]["kind"] == "weights"), f"byte {at}, bit {bit}"
