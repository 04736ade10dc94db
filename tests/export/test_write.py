"""One file or two, whole or not at all: mvnp/export/write.py."""

import shutil

import numpy as np
import pytest

from mvnp import atomic
from support.onnx_files import assert_close, onnx, session  # skips without onnx
from support.tiny import tiny

from mvnp.export import export_onnx, verify_onnx, write  # isort: skip
from support.tolerance import rounding


def export(folder, model=None, **options):
    return export_onnx(model or tiny(), folder / "model.onnx", 32, **options)


def logits(path):
    return session(str(path)).run(None, {"images": np.ones((1, 3, 32, 32), np.float32)})[0]


def test_small_weights_are_inside(tmp_path):
    assert export(tmp_path) == [tmp_path / "model.onnx"]
    assert list(tmp_path.iterdir()) == [tmp_path / "model.onnx"]


def test_weights_in_a_second_file(tmp_path):
    model = tiny()
    files = export(tmp_path, model, external_data=True)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    graph_file, weights_file = files
    assert graph_file == tmp_path / "model.onnx"
    onnx.checker.check_model(graph_file, full_check=True)
    assert max(each.error for each in verify_onnx(graph_file, model)) <= rounding("float32", 16)
    for tensor in onnx.load(graph_file, load_external_data=False).graph.initializer:
        if tensor.external_data:
            place = {entry.key: entry.value for entry in tensor.external_data}
            assert place["location"] == weights_file.name
            assert int(place["offset"]) % 4096 == 0
    # The two are found wherever they lie together.
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in files:
        shutil.move(file, moved)
    assert_close(logits(moved / "model.onnx"), model(np.ones((1, 3, 32, 32), np.float32)))


def test_beyond_the_limit_of_one_file_there_are_two(tmp_path, monkeypatch):
    size = sum(array.nbytes for key, array in tiny().state_dict().items() if not key.endswith("tracked"))
    monkeypatch.setattr(write, "INSIDE_UP_TO", size)
    assert len(export(tmp_path)) == 1
    monkeypatch.setattr(write, "INSIDE_UP_TO", size - 1)
    assert len(export(tmp_path)) == 2
    assert len(export(tmp_path, external_data=False)) == 1
    # The limit is below what protobuf can hold, and leaves room for the graph.
    monkeypatch.undo()
    assert 2**31 - 2**25 < write.INSIDE_UP_TO < 2**31 - 2**22


def test_the_weights_file_is_named_after_its_content(tmp_path):
    model = tiny()
    first = export(tmp_path, model, external_data=True)[1]
    assert export(tmp_path, model, external_data=True)[1] == first
    model.head.bias.data = model.head.bias.data + 1
    second = export(tmp_path, model, external_data=True)[1]
    assert second != first
    assert sorted(tmp_path.iterdir()) == [tmp_path / "model.onnx", second]  # the old weights are gone with the old graph
    assert export(tmp_path, model) == [tmp_path / "model.onnx"]
    assert list(tmp_path.iterdir()) == [tmp_path / "model.onnx"]


def test_files_of_others_are_left_alone(tmp_path):
    others = ["model.onnx.data", "other.onnx.0123456789abcdef.data", "model.onnx.0123456789abcdeg.data"]
    for name in others:
        (tmp_path / name).write_text("kept", encoding="utf-8")
    export(tmp_path, external_data=True)
    assert all((tmp_path / name).read_text(encoding="utf-8") == "kept" for name in others)


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("call", [1, 2])
def test_a_write_that_fails_leaves_a_whole_model(external, call, tmp_path, monkeypatch):
    old, new = tiny(), tiny()
    new.head.bias.data = new.head.bias.data + 1
    export(tmp_path, old, external_data=external)
    real, calls = atomic.os.replace, []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise OSError(28, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(atomic.os, "replace", fail)
    if call == 2 and not external:
        export(tmp_path, new)  # one file takes one step
        expected = new
    else:
        with pytest.raises(OSError, match=r"model\.onnx.*|No space left on device"):
            export(tmp_path, new, external_data=external)
        expected = old
    assert_close(logits(tmp_path / "model.onnx"), expected(np.ones((1, 3, 32, 32), np.float32)))
    assert not list(tmp_path.glob(".*"))


def test_the_same_model_gives_the_same_bytes(tmp_path):
    export_onnx(tiny(), tmp_path / "a.onnx", 32)
    export_onnx(tiny(), tmp_path / "b.onnx", 32)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
