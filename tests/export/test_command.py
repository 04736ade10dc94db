"""`mvnp export`: mvnp/cli/export.py."""

import json
import sys

import numpy as np
import pytest

from mvnp.checkpoint import save_pretrained
from mvnp.cli import main
from support.onnx_files import assert_close, session  # skips without onnx
from support.tiny import tiny

IMAGES = {"size": 32, "crop_pct": 1.0, "crop_mode": "squash", "mean": [0.5] * 3, "std": [0.2] * 3, "channels": 3}


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file of weights in the working directory, w.safetensors, and the model that it is of."""
    monkeypatch.chdir(tmp_path)
    model = tiny()
    save_pretrained("w.safetensors", model, classes=["cat", "dog", "hen"], images=IMAGES)
    return model


@pytest.fixture
def call(capsys):
    def run(line):
        status = main(line.split())
        written = capsys.readouterr()
        return status, written.out, written.err

    return run


def given(model, height=32, width=32):
    return np.random.default_rng(0).standard_normal((2, 3, height, width)).astype(np.float32)


def test_export_and_check(weights, call, tmp_path):
    status, out, err = call("export --weights w.safetensors --check")
    assert (status, err) == (0, "")
    for part in ("wrote model.onnx", "images (batch, 3, 32, 32)", "logits (batch, 3)", "ONNX Runtime agrees", "below 0.0001"):
        assert part in out
    runtime, x = session("model.onnx"), given(weights)
    assert_close(runtime.run(None, {"images": x})[0], weights(x))
    kept = runtime.get_modelmeta().custom_metadata_map
    assert json.loads(kept["classes"]) == ["cat", "dog", "hen"]
    assert json.loads(kept["images"]) == IMAGES


@pytest.mark.parametrize(
    ("option", "size"),
    [("--size 24x41", (24, 41)), ("--size 24 41", (24, 41)), ("--size 24", (24, 24)), ("--any-size", (9, 50))],
)
def test_sizes(option, size, weights, call):
    assert call(f"export --weights w.safetensors --out a.onnx {option} --check")[0] == 0
    x = given(weights, *size)
    assert_close(session("a.onnx").run(None, {"images": x})[0], weights(x))


def test_features_and_half_precision(weights, call):
    status, out, _ = call("export --weights w.safetensors --features --dtype float16 --check")
    assert status == 0
    assert "stage0 to stage3, pooled (batch, 32)" in out
    assert "below 0.01" in out


def test_quirks_and_heads_may_be_given(weights, call):
    assert call("export --weights w.safetensors --quirks corrected --windows 8 8 3 3 --heads 1 1 4 4 --check")[0] == 0
    config = json.loads(session("model.onnx").get_modelmeta().custom_metadata_map["config"])
    assert (config["quirks"], config["window_size"], config["num_heads"]) == ("corrected", [8, 8, 3, 3], [1, 1, 4, 4])


@pytest.mark.parametrize(("package", "option"), [("onnx", ""), ("onnxruntime", "--check")])
def test_missing_package_is_told_before_weights_are_read(package, option, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    status, out, err = call(f"export --weights none.pth {option}")
    assert (status, out) == (2, "")
    assert f"needs {package}, which is not there" in err
    assert err.endswith(f"pip install {package}\n")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", ["arguments are required: --weights", "See mvnp export --help."]),
        ("--weights none.pth", ["none.pth"]),
        ("--weights none.pth --out model.pb", ["'model.pb', expected a name"]),  # told before weights are read
        ("--weights w.safetensors --size 1 2 3", ["--size takes a side, HxW, or a height and a width, not 1 2 3"]),
        ("--weights w.safetensors --size 8x8 8", ["not 8x8 8"]),
        ("--weights w.safetensors --size 0", ["'0' is no size"]),
        ("--weights w.safetensors --size 9 --any-size", ["not allowed with argument --size"]),
        ("--weights w.safetensors --out model.pb", ["'model.pb', expected a name that ends in .onnx"]),
        ("--weights w.safetensors --out no/model.onnx", ["no/model.onnx", "nothing was written"]),
        ("--weights w.safetensors --dtype float8", ["'float8'", "'float16'"]),
        ("--weights w.safetensors --quirks papper", ["did you mean 'paper'?"]),
        ("--weights w.safetensors --heads 1 1 3 1", ["num_heads[2] = 3 does not divide"]),
        ("--weights unsized.safetensors", ["unsized.safetensors does not say for which image size", "--size HxW"]),
    ],
)
def test_refused(line, parts, weights, call, tmp_path):
    save_pretrained("unsized.safetensors", weights)
    before = sorted(tmp_path.iterdir())
    status, out, err = call(f"export {line}")
    assert (status, out) == (2, "")
    assert err.startswith("mvnp: error: ")
    assert err.count("\n") <= 2
    for part in parts:
        assert part in err
    assert sorted(tmp_path.iterdir()) == before
