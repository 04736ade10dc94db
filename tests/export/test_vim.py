"""Vim as ONNX: mvnp/export/vim.py. What ONNX Runtime gives is what the model gives."""

import numpy as np
import pytest

from mvnp import Backbone
from mvnp.errors import InputError
from support.onnx_files import onnx  # skips without it
from support.tiny_vim import tiny_vim

from mvnp.export import export_onnx, verify_onnx  # isort: skip

OPTIONS = [
    {},
    {"class_token": "head", "norm": "layer"},
    {"class_token": "double", "halve": False},
    {"class_token": None},
    {"class_token": None, "pool": "last", "layer_scale": 0.5},
    {"class_token": None, "pool": "max"},
    {"directions": "one"},
    {"directions": "shared"},
    {"directions": "paired", "depth": 4},
    {"num_classes": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("img_size", [(12, 10), 17])
def test_logits(tmp_path, options, img_size):
    model = tiny_vim(img_size=img_size, **options)
    (path,) = export_onnx(model, tmp_path / "vim.onnx", model.image_size)
    agreements = verify_onnx(path, model)
    assert {(each.output, each.batch) for each in agreements} == {
        ("logits" if model.head else "pooled", batch) for batch in (1, 3)
    }
    assert max(each.error for each in agreements) < 1e-5


@pytest.mark.parametrize("options", [{"depth": 5}, {"class_token": "double"}, {"class_token": None, "pool": "max"}], ids=str)
def test_features(tmp_path, options):
    model = tiny_vim(**options)
    (path,) = export_onnx(model, tmp_path / "vim.onnx", model.image_size, features=True)
    names = [f"stage{index}" for index in range(len(model.channels))]
    assert list(dict.fromkeys(each.output for each in verify_onnx(path, model))) == [*names, "pooled"]


def test_backbone(tmp_path):
    backbone = Backbone.of(tiny_vim(depth=4), out_indices=(1, 3))
    (path,) = export_onnx(backbone, tmp_path / "vim.onnx", backbone.image_size)
    assert list(dict.fromkeys(each.output for each in verify_onnx(path, backbone))) == ["stage1", "stage3"]


def test_another_size_is_refused(tmp_path):
    model = tiny_vim()
    for size, asked in ((None, "any size"), ((10, 12), "10x12"), (224, "224x224")):
        with pytest.raises(
            InputError, match=rf"images of {asked}, and the model takes 12x10 alone; give image_size=\(12, 10\)"
        ):
            export_onnx(model, tmp_path / "vim.onnx", size)
    assert not list(tmp_path.iterdir())


def test_half_precision_keeps_the_rates(tmp_path):
    model = tiny_vim()
    (path,) = export_onnx(model, tmp_path / "vim.onnx", model.image_size, dtype="float16")
    verify_onnx(path, model, tolerance=1e-2)
    kinds = {each.name: onnx.TensorProto.DataType.Name(each.data_type) for each in onnx.load(path).graph.initializer}
    assert kinds["layers.0.mixer.A_b_log"] == kinds["layers.0.mixer.A_log"] == "FLOAT"
    assert kinds["layers.0.mixer.in_proj.weight"] == "FLOAT16"


def test_weights_have_the_official_keys_and_values(tmp_path):
    model = tiny_vim()
    (path,) = export_onnx(model, tmp_path / "vim.onnx", model.image_size)
    graph = onnx.load(path).graph
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    assert graph.name == "Vim"
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(arrays[key], value)
