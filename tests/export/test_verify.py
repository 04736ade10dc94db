"""The comparison with ONNX Runtime: mvnp/export/verify.py. It notices a file that is wrong."""

import sys

import numpy as np
import pytest

from mvnp.errors import ExportError, InputError, MissingPackageError
from support.onnx_files import onnx  # skips without it
from support.tiny import tiny

from mvnp.export import Agreement, export_onnx, verify_onnx  # isort: skip
from support.tolerance import near, rounding


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def test_every_output_and_batch_is_compared(path):
    model = tiny()
    export_onnx(model, path, (32, 27), features=True)
    found = verify_onnx(path, model, batches=(1, 4))
    names = ["stage_0", "stage_1", "stage_2", "stage_3", "pooled"]
    assert [(each.output, each.batch) for each in found] == [(name, batch) for batch in (1, 4) for name in names]
    assert {(each.height, each.width) for each in found} == {(32, 27)}
    assert all(0 <= each.error <= rounding("float32", 16) for each in found)


def test_error_is_relative_to_the_largest_value(path):
    model = tiny()
    export_onnx(model, path, 32)
    model.head.bias.data = model.head.bias.data + np.array([0.02, 0, 0], np.float32)
    (found,) = verify_onnx(path, model, batches=[2], tolerance=1)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    assert isinstance(found, Agreement)
    assert found.error == near(0.02 / np.abs(model(images)).max(), terms=16, scale=1.0, dtype="float32")


@pytest.mark.parametrize("key", ["levels.0.blocks.0.conv1.weight", "levels.2.blocks.0.mixer.D", "head.bias"])
def test_another_weight_is_noticed(key, path):
    model = tiny()
    export_onnx(model, path, 32)
    param = dict(model.named_state())[key]
    param.data = param.data + np.float32(0.05)
    with pytest.raises(ExportError, match=r"model\.onnx: output logits in ONNX Runtime .* differs .*; do not use this file"):
        verify_onnx(path, model)


def test_not_a_number_is_noticed(path):
    model = tiny()
    good = model.head.bias.data
    model.head.bias.data = np.array([0, np.nan, 0], np.float32)
    export_onnx(model, path, 32)
    model.head.bias.data = good
    with pytest.raises(ExportError, match="by inf of its largest value"):
        verify_onnx(path, model)


def test_any_size_is_tried_where_one_asks(path):
    model = tiny()
    export_onnx(model, path, None)
    with pytest.raises(InputError, match="takes images of any size; say with sizes="):
        verify_onnx(path, model)
    found = verify_onnx(path, model, sizes=[(32, 32), (17, 40)], batches=[1])
    assert [(each.height, each.width) for each in found] == [(32, 32), (17, 40)]


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"\xff" * 99]
)
def test_damaged_file(damage, path):
    model = tiny()
    export_onnx(model, path, 32)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ExportError, match=r"model\.onnx: .* does not take this file"):
        verify_onnx(path, model)


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        verify_onnx(path, tiny())


def test_runtime_that_is_not_installed(path, monkeypatch):
    export_onnx(tiny(), path, 32)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"running an ONNX file needs onnxruntime, .*; pip install onnxruntime"):
        verify_onnx(path, tiny())


def test_a_node_that_is_wrong_is_noticed(path):
    # The file itself is changed: the two forms of GELU, which differ by 5e-4 at most.
    model = tiny()
    export_onnx(model, path, 32)
    file = onnx.load(path)
    for node in file.graph.node:
        if node.op_type == "Gelu":
            node.attribute[0].s = {b"tanh": b"none", b"none": b"tanh"}[node.attribute[0].s]
    onnx.save(file, path)
    with pytest.raises(ExportError, match="differs"):
        verify_onnx(path, model, tolerance=1e-5)
