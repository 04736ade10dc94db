"""What the tests of mvnp/export share: a few nodes as a model of their own, run by ONNX Runtime and by ONNX's reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mvnp.core import Layer
from support import tolerance

onnx = pytest.importorskip("onnx", reason="needs the package onnx: pip install -e '.[test]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime: pip install -e '.[test]'")

reference = pytest.importorskip("onnx.reference").ReferenceEvaluator

from mvnp.export.graph import IR_VERSION, OPSET, Graph, tensor  # noqa: E402


def assert_close(theirs: np.ndarray, ours: np.ndarray) -> None:
    """Equal shapes, and differences by rounding alone."""
    assert theirs.shape == ours.shape
    tolerance.assert_close(theirs, ours, terms=16, dtype="float32")


def skip_unless_reference_scans() -> None:
    """Skip where the reference implementation gets Scan wrong: before 1.22 it took the number of inputs for that of states."""
    if tuple(int(part) for part in onnx.__version__.split(".")[:2]) < (1, 22):
        pytest.skip(f"the Scan of onnx.reference is wrong in onnx {onnx.__version__}, right from 1.22 on")


def run(layer: Layer, build: Callable[..., str], *inputs: np.ndarray, by: str = "runtime") -> np.ndarray:
    """What the nodes of `build(graph, *values)` give for these inputs; the weights are those of `layer`."""
    graph = Graph(layer)
    names = [f"given_{index}" for index in range(len(inputs))]
    graph.output("result", build(graph, *names))
    rank_only: Any = [
        tensor(name, tuple(f"{name}_{axis}" for axis in range(x.ndim))) for name, x in zip(names, inputs, strict=True)
    ]
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in graph.weights.items()]
    result = onnx.helper.make_tensor_value_info("result", onnx.TensorProto.FLOAT, None)
    made = onnx.helper.make_graph(graph.nodes, "nodes", rank_only, [result], [*weights, *graph.constants.values()])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    given = dict(zip(names, inputs, strict=True))
    if by == "reference":
        return reference(model).run(None, given)[0]
    return session(model.SerializeToString()).run(None, given)[0]


def session(model: bytes | str) -> Any:
    """ONNX Runtime's, of a file or its bytes, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
