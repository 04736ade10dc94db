"""The arguments of export_onnx and what the file says of itself: mvnp/export/export.py."""

import json
import subprocess
import sys

import numpy as np
import pytest

import mvnp
from mvnp.errors import InputError, MissingPackageError
from support.onnx_files import onnx, session  # skips without onnx
from support.patience import HANGS
from support.tiny import tiny


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [(32, [32, 32]), ((32, 41), [32, 41]), ([7, 5], [7, 5]), (np.int64(32), [32, 32]), (None, ["height", "width"])],
)
def test_image_sizes(image_size, expected, tmp_path):
    mvnp.export_onnx(tiny(), tmp_path / "model.onnx", image_size)
    (images,) = session(str(tmp_path / "model.onnx")).get_inputs()
    assert (images.name, images.shape, images.type) == ("images", ["batch", 3, *expected], "tensor(float)")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["logits"]),
        ({"features": True}, ["stage0", "stage1", "stage2", "stage3", "pooled"]),
    ],
)
def test_outputs(options, names, tmp_path):
    mvnp.export_onnx(tiny(), tmp_path / "model.onnx", 32, **options)
    assert [output.name for output in session(str(tmp_path / "model.onnx")).get_outputs()] == names


def test_without_a_head_the_output_is_pooled(tmp_path):
    mvnp.export_onnx(tiny(num_classes=0), tmp_path / "model.onnx", 32)
    assert [(output.name, output.shape) for output in session(str(tmp_path / "model.onnx")).get_outputs()] == [
        ("pooled", ["batch", 32])
    ]


def test_the_file_says_what_it_is(tmp_path):
    model = tiny()
    mvnp.export_onnx(model, tmp_path / "model.onnx", 32, metadata={"classes": '["a", "b", "c"]'})
    about = session(str(tmp_path / "model.onnx")).get_modelmeta()
    assert about.producer_name == "mvnp"
    assert about.custom_metadata_map["classes"] == '["a", "b", "c"]'
    assert json.loads(about.custom_metadata_map["config"]) == model.config
    assert onnx.load(tmp_path / "model.onnx").producer_version == mvnp.__version__


def test_the_model_is_as_it_was(tmp_path):
    model = tiny(dtype="float64")
    before = model.state_dict()
    mvnp.export_onnx(model, tmp_path / "model.onnx", 32, dtype="float16")
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key], strict=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "mamba_vision_T"}, "the model is a str, expected a MambaVision, a Vim.* or a Backbone"),
        ({"model": mvnp.Backbone.of(tiny()), "features": True}, "features=True is for a classifier"),
        ({"image_size": 0}, "a side of image_size is 0, expected an integer of at least 1"),
        ({"image_size": (32, 3.5)}, "a side of image_size is 3.5"),
        ({"image_size": "32"}, "a side of image_size is '32'"),
        ({"image_size": (1, 2, 3)}, r"image_size is \(1, 2, 3\), expected one number, \(height, width\), or None"),
        ({"dtype": "float61"}, r"unknown dtype of export_onnx 'float61' \(did you mean 'float16'\?\); choose one of float32"),
        ({"path": "model.pt"}, "the file is 'model.pt', expected a name that ends in .onnx"),
        ({"path": ".onnx"}, "expected a name that ends in .onnx"),
    ],
)
def test_refused(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = {"model": tiny(), "path": "model.onnx", "image_size": 32, **change}
    with pytest.raises(InputError, match=message):
        mvnp.export_onnx(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_onnx_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"writing an ONNX file needs onnx, which is not there .*; pip install onnx"):
        mvnp.export_onnx(tiny(), tmp_path / "model.onnx", 32)


def test_import_of_mvnp_needs_no_onnx():
    code = "import sys, mvnp, mvnp.export; sys.exit(bool({'onnx', 'onnxruntime'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=HANGS).returncode == 0
