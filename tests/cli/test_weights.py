"""Options of all commands that load weights: --entry, --channels, --no-strict; and Backbones."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mvnp
from mvnp.checkpoint import read_pretrained, save_pretrained
from support.command_line import IMAGES, NAMES, SMALL, assert_refused, runner, save_picture, save_small
from support.torch_files import Tensor, write_torch

CUT = ("--heads", 1, 1, 2, 2, "--windows", 8, 8, 2, 2)


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "a.png", 1)
    return runner(capsys)


def strides(shape):
    return tuple(int(np.prod(shape[axis + 1 :], dtype=int)) for axis in range(len(shape)))


def write_two(path):
    """Two state dicts in a file of torch.save."""
    storages, content = {}, {"epoch": 3}
    for number, name in enumerate(("student", "teacher")):
        state = save_small(path.with_suffix(".safetensors"), seed=number + 1).state_dict()
        refs = {}
        for key, array in state.items():
            place = str(len(storages))
            storages[place] = array.astype("<f4").tobytes()
            refs[key] = Tensor(place, array.shape, strides(array.shape), count=array.size)
        content[name] = refs
    write_torch(path, content, storages)


def test_entry(call, tmp_path):
    write_two(tmp_path / "two.pth")
    assert_refused(
        call("classify", "a.png", "--weights", "two.pth", *CUT), "several state dicts, 'student' (", "'teacher' (", "--entry"
    )
    status, out, err = call("classify", "a.png", "--weights", "two.pth", "--entry", "teacher", "--json", *CUT)
    assert status == 0, err
    _, other, _ = call("classify", "a.png", "--weights", "two.pth", "--entry", "student", "--json", *CUT)
    assert json.loads(out) != json.loads(other)
    status, out, err = call("convert", "two.pth", "one.safetensors", "--entry", "teacher")
    assert (status, err) == (0, "")
    assert set(load_file("one.safetensors")) == set(read_pretrained("two.safetensors").model.state_dict())
    assert_refused(call("convert", "two.pth", "x.npz"), "several state dicts", "--entry")


def test_channels(call, tmp_path):
    save_small(tmp_path / "w.safetensors")
    status, out, err = call("classify", "a.png", "--weights", "w.safetensors", "--channels", 1, "--top", 1)
    assert status == 0, err
    assert err.splitlines()[0] == (
        "mvnp: the weights are of images with 3 channels: the first convolution was summed over them, for one"
    )
    assert any(name in out for name in NAMES)
    assert_refused(call("classify", "a.png", "--weights", "w.safetensors", "--channels", 0), "'0' is not a whole number")
    status, out, _ = call("summary", "--weights", "w.safetensors", "--channels", 6, "--json")
    assert json.loads(out)["input"] == [6, 32, 32]


def test_no_strict(call, tmp_path):
    state = save_small(tmp_path / "w.safetensors").state_dict()
    del state["levels.2.blocks.1.mixer.proj.bias"]
    save_file({**state, "extra": np.ones(2, np.float32)}, "w.safetensors")
    status, out, err = call("classify", "a.png", "--weights", "w.safetensors", *CUT)
    assert (status, out) == (2, "")
    assert "2 entries differ" in err
    assert err.endswith("On the command line: --no-strict\n")
    status, _, err = call("classify", "a.png", "--weights", "w.safetensors", "--no-strict", *CUT)
    assert status == 0
    assert f"mvnp: drew 1 of {len(state) + 1} arrays anew, which the weights lack: levels.2.blocks.1.mixer.proj.bias\n" in err
    assert "mvnp: passed over 1 arrays that the model has no place for: extra\n" in err


def test_backbone(call, tmp_path):
    backbone = mvnp.Backbone(**SMALL, out_indices=(1, 3))
    save_pretrained("b.pth", backbone, images=IMAGES)
    status, _, err = call("features", "a.png", "--weights", "b.pth", "--out", "f.npz", "--quiet")
    assert status == 0, err
    with np.load("f.npz") as features:
        assert sorted(features) == ["files", "stage1", "stage3"]
        assert features["stage1"].shape == (1, 8, 4, 4)
    assert_refused(
        call("features", "a.png", "--weights", "b.pth", "--out", "g.npz", "--only", "pooled"),
        "the weights are of a Backbone that gives stage1, stage3, and no pooled",
    )
    for command in (("classify", "a.png"), ("validate", ".")):
        assert_refused(call(*command, "--weights", "b.pth"), "b.pth is of a Backbone, which gives maps and no classes")


def test_export_of_a_backbone(call):
    pytest.importorskip("onnx", reason="writes ONNX files")
    save_pretrained("b.safetensors", mvnp.Backbone(**SMALL, out_indices=(1, 3)), images=IMAGES)
    status, out, err = call("export", "--weights", "b.safetensors", "--out", "b.onnx")
    assert status == 0, err
    assert "a Backbone of no released variant" in out
    assert "stage1 (batch, 8, …), stage3 (batch, 32, …)" in out


def test_convert_does_not_overwrite_what_it_reads(call, tmp_path):
    save_small(tmp_path / "w.safetensors")
    before = (tmp_path / "w.safetensors").read_bytes()
    assert_refused(call("convert", "w.safetensors", "w.safetensors", "--dtype", "float16"), "w.safetensors is the file to read")
    assert (tmp_path / "w.safetensors").read_bytes() == before


def test_convert_keeps_an_npz_that_holds_no_weights(call, tmp_path):
    save_small(tmp_path / "w.safetensors")
    np.savez(tmp_path / "data.npz", train_images=np.zeros((2, 4, 4)), train_labels=np.zeros(2))
    before = (tmp_path / "data.npz").read_bytes()
    assert_refused(call("convert", "w.safetensors", "data.npz"), "data.npz is there already, and is not a file of weights")
    assert (tmp_path / "data.npz").read_bytes() == before
    for _ in range(2):  # what it has written itself it may replace
        assert call("convert", "w.safetensors", "w.npz")[0] == 0


def test_convert_names_what_it_passed_over(call):
    save_file({"a.weight": np.ones(2), "a.total_ops": np.ones(1)}, "w.safetensors")
    status, _, err = call("convert", "w.safetensors", "w.npz")
    assert (status, err) == (0, "mvnp: passed over a counter that another tool left beside the weights (total_ops)\n")
