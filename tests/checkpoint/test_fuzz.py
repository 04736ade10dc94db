"""Damaged files of every kind: a CheckpointError, or what was written. Never another error, never something else.

The damage is drawn from a seed, so a failure can be repeated.
"""

import os
import pickletools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mvnp.checkpoint import load_arrays, load_checkpoint, load_pretrained, save_arrays
from mvnp.errors import CheckpointError
from support import attack_weights
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


@pytest.mark.parametrize("ending", ["pth", "npz", "safetensors", "ckpt", "safetensors.index.json"])
@pytest.mark.parametrize(
    "begin", [b"", b"PK\3\4", b"\x80\2", b"\x80\4\x95", b"\x80\2\x8a\x0a", b"(\0\0\0\0\0\0\0{", b"{", b"<"]
)
@given(st.binary(max_size=400))
def test_whatever_bytes(ending, begin, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / f"a.{ending}"
    path.write_bytes(begin + data)
    for load in (load_checkpoint, load_pretrained):
        loaded = survives(path, lambda load=load: load(path))
        assert loaded is None or (load is load_checkpoint and all(isinstance(array, np.ndarray) for array in loaded.values()))


# As pickletools lists them: what is between them is drawn.
CODES = sorted(code.code.encode("latin-1") for code in pickletools.opcodes)


@given(st.lists(st.sampled_from(CODES) | st.binary(min_size=1, max_size=9), max_size=60))
def test_whatever_instructions(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("any") / "a.pth"
    write_torch(path, None, pickled=b"\x80\2" + b"".join(pieces) + b".")
    survives(path, lambda: load_checkpoint(path))


@pytest.fixture(scope="module")
def watch():
    return attack_weights.Watch()


def test_an_attack(tmp_path, watch):
    """A few hundred of the files of support/attack_weights.py; the slow test has more of them."""
    drawn = attack_weights.Attack(7, tmp_path)
    outcome = attack_weights.attack((drawn.file() for _ in range(150)), tmp_path / "good", watch, measure=False)
    assert (outcome.wrong, outcome.seen) == ([], [])
    assert outcome.refused["CheckpointError"] > 150  # of 300 readings
    assert sum(outcome.read.values()) > 20


@pytest.mark.parametrize("digits", [2, 900])
def test_products_of_thousands_of_digits(digits, tmp_path):
    """Not multiplied, and not shown."""
    shape = ",".join(["9" * 4299] * digits)
    header = f'{{"x":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,8]}}}}'.encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(CheckpointError, match="'x' has a shape or an offset that is no count"):
        load_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.slow(reason="reads thirty files of some megabytes, each made to take long")
def test_extremes(tmp_path, watch):
    (tmp_path / "good").mkdir()
    for name, data in attack_weights.extreme_files(tmp_path):
        path = tmp_path / name
        path.write_bytes(data)
        loaded = survives(path, lambda path=path: load_checkpoint(path))
        assert loaded is None or name in ("19000-blocks.safetensors", "19990-keys.safetensors", "dots.safetensors")
        assert survives(path, lambda path=path: load_pretrained(path)) is None
        path.unlink()


@pytest.mark.slow(reason="reads two thousand hostile files")
def test_a_longer_attack(tmp_path, watch, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = attack_weights.Attack(int(os.environ.get("MVNP_FUZZ_SEED", "1")), tmp_path)
    outcome = attack_weights.attack((drawn.file() for _ in range(2000)), tmp_path / "good", watch, measure=False)
    assert (outcome.wrong, outcome.seen) == ([], [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "scratch.pth"]  # and no CANARY
