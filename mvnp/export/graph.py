"""An ONNX graph in the making: nodes, initialisers, and names that lead back to the model.

A value of the graph is known by its name, a string. A node is named after the layer that it belongs to and its operator,
`levels.2.blocks.0.mlp.fc1/Gemm`, and its output has the same name. A parameter is an initialiser under its official key,
`levels.2.blocks.0.mlp.fc1.weight`, with the shape and, unless it is stored in half precision, the values that it has in a
state dict.

ONNX: the operators are those of https://onnx.ai/onnx/operators, in the versions of opset OPSET.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ..backend import to_numpy
from ..core import Layer, Param
from ..errors import ExportError

# The first opset with Gelu, in both forms (LayerNormalization came with 17, Split by number with 18). ONNX Runtime has it
# since 1.17.
OPSET = 20
IR_VERSION = 9  # of the file format, that of the same release

Size = int | str  # a height or width: a number, or the name of a value [1] of int64 that holds it when the graph runs

STEPS = ("_log", "_logs", "dt_projs_bias")  # matrices that say how far a scan steps

LARGEST_HALF = float(np.finfo(np.float16).max)


class Graph:
    """Nodes and initialisers, in the order in which they were added.

    model    whose parameters `weight` will be asked for
    half     True: matrices and kernels are stored in float16, and widened before use
    """

    def __init__(self, model: Layer, half: bool = False) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.constants: dict[str, TensorProto] = {}
        self._keys = {id(param): key for key, param in model.named_state()}
        self._half = half
        self._used: Counter[str] = Counter()

    def node(self, at: str, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output to the layer whose path is `at`; the name of that output."""
        name = self._unused(f"{at}/{operator}")
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def parts(self, at: str, operator: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with `count` outputs; their names."""
        name = self._unused(f"{at}/{operator}")
        names = [f"{name}.{index}" for index in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name, **attributes))
        return names

    def output(self, name: str, value: str) -> None:
        """Give a value the name of an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name], f"{name}/Identity"))

    def weight(self, param: Param) -> str:
        """The value of a parameter or buffer, float32. Raises ExportError for one that float16 is asked for and cannot hold."""
        key = self._keys[id(param)]
        narrow = self._half and param.ndim >= 2 and not key.endswith(STEPS)  # whose error each token would add to
        if key not in self.weights:
            self.weights[key] = _narrowed(key, to_numpy(param.data), narrow)
            if narrow:
                self.nodes.append(helper.make_node("Cast", [key], [f"{key}/Cast"], f"{key}/Cast", to=TensorProto.FLOAT))
        return f"{key}/Cast" if narrow else key

    def integers(self, *values: int) -> str:
        """A constant [n] of int64."""
        return self._constant("integers_" + "_".join(map(str, values)).replace("-", "m"), np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A constant () of float32."""
        return self._constant(f"number_{value:.9g}", np.array(value, np.float32))

    def numbers(self, name: str, values: list[float]) -> str:
        """A constant [n] of float32."""
        return self._constant(name, np.array(values, np.float32))

    def sizes(self, at: str, *sizes: Size) -> str:
        """A value [n] of int64 made of sizes, some of which may be known only when the graph runs."""
        if all(isinstance(size, int) for size in sizes):
            return self.integers(*sizes)  # type: ignore[arg-type]
        parts = [self.integers(size) if isinstance(size, int) else size for size in sizes]
        return self.node(at, "Concat", *parts, axis=0)

    def _constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def _unused(self, name: str) -> str:
        self._used[name] += 1
        return name if self._used[name] == 1 else f"{name}_{self._used[name]}"


def tensor(name: str, shape: tuple[Size, ...] | None) -> ValueInfoProto:
    """The description of a float32 value: sizes that are strings are free, and equal where the strings are; None: any shape."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _narrowed(key: str, value: np.ndarray, narrow: bool) -> np.ndarray:
    if narrow and np.abs(value).max() > LARGEST_HALF:
        raise ExportError(
            f"{key} has values up to {np.abs(value).max():.3g}, and float16 ends at {LARGEST_HALF:.0f}; use dtype='float32'"
        )
    return np.ascontiguousarray(value, np.float16 if narrow else np.float32)
