"""Names and numbers of the graph: mvnp/export/graph.py."""

import numpy as np
import pytest

from mvnp.errors import ExportError
from mvnp.layers.linear import Linear
from support.onnx_files import onnx  # skips without it
from support.tiny import tiny

from mvnp.export import export_onnx  # isort: skip
from mvnp.export.graph import Graph  # isort: skip


def exported(tmp_path, model, image_size=(52, 44), **options):
    export_onnx(model, tmp_path / "model.onnx", image_size, **options)
    return onnx.load(tmp_path / "model.onnx")


def arrays(file):
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in file.graph.initializer}


def test_parameters_have_their_official_keys_shapes_and_values(tmp_path):
    model = tiny(layer_scale=0.5, layer_scale_conv=0.5, qk_scale=True)
    found = arrays(exported(tmp_path, model))
    state = {key: array for key, array in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    for key, array in state.items():
        np.testing.assert_array_equal(found.pop(key), array)
    assert all(name.startswith(("integers_", "number_")) for name in found)  # what is left are constants


def test_nodes_are_named_after_the_layers(tmp_path):
    model = tiny()
    nodes = exported(tmp_path, model).graph.node
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names)
    paths = {path for path, _ in model.named_layers()} | {f"levels.{i}.blocks.0.mixer.scan" for i in (2, 3)}
    paths |= {key for key, _ in model.named_state()} | {"logits"}  # the nodes that widen a weight, and the output
    assert {name.rpartition("/")[0] for name in names} <= paths
    of_fc1 = [node for node in nodes if node.name == "levels.2.blocks.1.mlp.fc1/Gemm"]
    assert [list(node.input)[1:] for node in of_fc1] == [["levels.2.blocks.1.mlp.fc1.weight", "levels.2.blocks.1.mlp.fc1.bias"]]


@pytest.mark.parametrize("window", [2, 7])
def test_the_scan_takes_a_few_nodes_whatever_the_window(window, tmp_path):
    nodes = exported(tmp_path, tiny(window_size=(8, 8, window, window))).graph.node
    scans = [node for node in nodes if node.op_type == "Scan"]
    assert len(scans) == 2
    assert all(len(node.attribute[0].g.node) == 3 for node in scans)
    assert len(nodes) < 220


def test_only_what_the_opset_has(tmp_path):
    file = exported(tmp_path, tiny(padding="masked", head_norm="layer", qk_scale=True), None, features=True)
    assert [(entry.domain, entry.version) for entry in file.opset_import] == [("", 20)]
    assert file.ir_version == 9
    schemas = [onnx.defs.get_schema(node.op_type, 20) for node in file.graph.node]
    assert not any(schema.deprecated for schema in schemas)


def test_half_precision_is_for_matrices_and_kernels(tmp_path):
    model = tiny(layer_scale=0.5)
    found, state = arrays(exported(tmp_path, model, dtype="float16")), model.state_dict()
    for key, array in found.items():
        if key in state:
            wide = state[key].ndim < 2 or key.endswith("A_log")
            assert array.dtype == (np.float32 if wide else np.float16)
            np.testing.assert_allclose(array, state[key], rtol=0 if wide else 2**-11, atol=0 if wide else 2**-25)
    assert sum(array.dtype == np.float16 for array in found.values()) > 20


@pytest.mark.parametrize("value", [7e4, -7e4])
def test_what_half_precision_cannot_hold_is_refused(value, tmp_path):
    model = tiny()
    model.head.weight.data[1, 2] = value
    with pytest.raises(ExportError, match=r"head\.weight has values up to 7e\+04, and float16 ends at 65504"):
        export_onnx(model, tmp_path / "model.onnx", 32, dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_constants_and_weights_are_stored_once():
    layer = Linear(3, 3)
    graph = Graph(layer, half=True)
    assert graph.integers(1, -2) == graph.integers(1, -2) != graph.integers(1, 2)
    assert graph.number(0.5) == graph.number(0.5) != graph.number(-0.5)
    assert graph.weight(layer.weight) == graph.weight(layer.weight) == "weight/Cast"
    assert len(graph.constants) == 4
    assert [node.op_type for node in graph.nodes] == ["Cast"]
    assert graph.node("a", "Relu", "x") != graph.node("a", "Relu", "x")
