"""Keys that cannot be names in every format: one clear error in each, and nothing written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mvnp.checkpoint import convert_checkpoint, load_checkpoint, save_arrays
from mvnp.checkpoint.write import WRITABLE, write_weights
from mvnp.errors import CheckpointError, InputError

ODD = {
    "a\0b": "has a character that cannot be printed",
    "a\x1b[31mb": "has a character that cannot be printed",
    "a\nb": "has a character that cannot be printed",
    "a\ud800": "has half of a surrogate pair, which is no character",
    "a" * 70_000: "has 70000 characters",
    "": "is empty",
    "../x": "is a path that leads out of the file",
    "/x": "is a path that leads out of the file",
    "c:x": "is a path that leads out of the file",
    "a\\b": "has a backslash, which some systems take for a part of a path",
    "__metadata__": "is one that the formats keep for themselves",
    7: "is a int",
}


@pytest.mark.parametrize("ending", WRITABLE)
@pytest.mark.parametrize("key", ODD, ids=range(len(ODD)))
def test_refused_in_every_format(key, ending, tmp_path):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"before")
    with pytest.raises(InputError) as refused:
        write_weights(path, {"w": np.ones(2), key: np.ones(2)}, {})
    message = str(refused.value)
    assert ODD[key] in message
    assert "rename it. In every format keys are text of 1 to 1000 printable characters that is no path" in message
    assert message.isprintable()
    assert len(message) < 400
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"before"


def test_convert_says_so_too(tmp_path):
    save_file({"a\0b": np.ones(2)}, tmp_path / "a.safetensors")
    for ending in WRITABLE:
        with pytest.raises(InputError, match=r"the key 'a\\x00b' has a character that cannot be printed"):
            convert_checkpoint(tmp_path / "a.safetensors", tmp_path / f"b{ending}")
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_arrays_too(tmp_path):
    with pytest.raises(InputError, match=r"save_arrays: the key '\.\./x' is a path"):
        save_arrays(tmp_path / "a.safetensors", {"../x": np.ones(2)})


@given(st.text(max_size=30))
def test_what_we_write_we_read(tmp_path_factory, key):
    folder = tmp_path_factory.mktemp("keys")
    outcomes = set()
    for ending in WRITABLE:
        path = folder / f"a{ending}"
        try:
            write_weights(path, {key: np.arange(3.0), "other": np.ones(1)}, {"kind": "x"})
        except InputError:
            outcomes.add("refused")
            assert not path.exists()
            continue
        outcomes.add("written")
        try:
            got = load_checkpoint(path)
        except CheckpointError as error:
            raise AssertionError(f"{key!r} in {ending}: {error}") from error
        stripped = {name: array.tolist() for name, array in got.items()}
        assert stripped == {key: [0, 1, 2], "other": [1]} or key == "other"
    assert len(outcomes) == 1
