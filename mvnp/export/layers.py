"""Each kind of layer as ONNX nodes, in evaluation: one function for one file of mvnp/layers.

Maps are (B, C, H, W) here, as ONNX has its convolutions; tokens are rows (B·nW·L, C), so that a linear layer is one Gemm with
the matrix in its official shape. What needs to see a window as a whole takes (B·nW, L, C) or makes it.
"""

from __future__ import annotations

import math

from onnx import GraphProto, TensorProto, helper

from ..core import Param
from ..layers.batchnorm import BatchNorm
from ..layers.conv1d import Conv1d
from ..layers.conv2d import Conv2d
from ..layers.gelu import GELU
from ..layers.layer_scale import LayerScale
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear
from ..layers.rmsnorm import RMSNorm
from ..models.attention import MultiHeadAttention
from .graph import Graph, tensor


def conv2d(graph: Graph, layer: Conv2d, x: str) -> str:
    """(B, I, H, W) to (B, O, H', W')."""
    pads = [*layer.padding, *layer.padding]
    return graph.node(layer.path, "Conv", x, *_affine(graph, layer), strides=list(layer.stride), pads=pads)


def batch_norm(graph: Graph, layer: BatchNorm, x: str) -> str:
    """A map, with the running statistics. ONNX Runtime folds it into the convolution before it when it loads the file."""
    statistics = (graph.weight(param) for param in (layer.weight, layer.bias, layer.running_mean, layer.running_var))
    return graph.node(layer.path, "BatchNormalization", x, *statistics, epsilon=layer.eps)


def layer_norm(graph: Graph, layer: LayerNorm, x: str) -> str:
    """(..., C)."""
    return graph.node(layer.path, "LayerNormalization", x, *_affine(graph, layer), axis=-1, epsilon=layer.eps)


def rms_norm(graph: Graph, layer: RMSNorm, x: str) -> str:
    """(..., C). (An operator of its own, RMSNormalization, came with opset 23.)"""
    at = layer.path
    squares = graph.node(at, "ReduceMean", graph.node(at, "Mul", x, x), graph.integers(-1), keepdims=1)
    rms = graph.node(at, "Sqrt", graph.node(at, "Add", squares, graph.number(layer.eps)))
    return graph.node(at, "Mul", graph.node(at, "Div", x, rms), graph.weight(layer.weight))


def linear(graph: Graph, layer: Linear, x: str) -> str:
    """Rows (n, I) to (n, O)."""
    return graph.node(layer.path, "Gemm", x, *_affine(graph, layer), transB=1)


def gelu(graph: Graph, layer: GELU, x: str) -> str:
    """Any shape; exact or tanh, as the layer says."""
    return graph.node(layer.path, "Gelu", x, approximate=layer.approximate)


def relu(graph: Graph, at: str, x: str) -> str:
    """Any shape."""
    return graph.node(at, "Relu", x)


def silu(graph: Graph, at: str, x: str) -> str:
    """Any shape. (An operator of its own, Swish, came with opset 24.)"""
    return graph.node(at, "Mul", x, graph.node(at, "Sigmoid", x))


def gate(graph: Graph, at: str, x: str, z: str) -> str:
    """x and z of any shape."""
    return graph.node(at, "Mul", x, silu(graph, at, z))


def layer_scale(graph: Graph, layer: LayerScale | None, x: str, rows: bool = True) -> str:
    """Rows (n, C), or a map; None is no gain."""
    if layer is None:
        return x
    gamma = graph.weight(layer.gamma)
    return graph.node(layer.path, "Mul", x, gamma if rows else _over_map(graph, layer.path, gamma))


def conv1d(graph: Graph, layer: Conv1d, x: str) -> str:
    """(M, L, D) to the same: a convolution with a group for each channel, and the SiLU where there is one. The extra zero of an
    even kernel is on the right; a causal one has all of them on the left."""
    D, _, K = layer.weight.shape
    p = K - 1 if layer.causal else (K - 1) // 2
    pads = [p, K - 1 - p]
    channel_first = graph.node(layer.path, "Transpose", x, perm=[0, 2, 1])
    y = graph.node(layer.path, "Conv", channel_first, *_affine(graph, layer), group=D, pads=pads)
    y = graph.node(layer.path, "Transpose", y, perm=[0, 2, 1])
    return silu(graph, layer.path, y) if layer.silu else y


def attention(graph: Graph, layer: MultiHeadAttention, x: str, L: int, mask: str | None) -> str:
    """Rows (M·L, C) to the same, M windows of L tokens; `mask` (M·L, 1) is 1, and 0 at keys that nobody may see."""
    at, C, h = layer.path, layer.proj.weight.shape[0], layer.heads

    def heads(rows: str, norm: LayerNorm | None) -> str:
        split = graph.node(at, "Reshape", rows, graph.integers(-1, L, h, C // h))
        of_heads = graph.node(at, "Transpose", split, perm=[0, 2, 1, 3])  # (M, h, L, d)
        return of_heads if norm is None else layer_norm(graph, norm, of_heads)

    q, k, v = graph.parts(at, "Split", 3, linear(graph, layer.qkv, x), num_outputs=3, axis=1)
    q, k, v = heads(q, layer.q_norm), heads(k, layer.k_norm), heads(v, None)
    q = graph.node(at, "Mul", q, graph.number(1.0 / math.sqrt(C // h)))
    scores = graph.node(at, "MatMul", q, graph.node(at, "Transpose", k, perm=[0, 1, 3, 2]))
    if mask is not None:
        keys = graph.node(at, "Reshape", is_true(graph, at, mask), graph.integers(-1, 1, 1, L))
        scores = graph.node(at, "Where", keys, scores, graph.number(-math.inf))
    output = graph.node(at, "MatMul", graph.node(at, "Softmax", scores, axis=-1), v)
    merged = graph.node(at, "Transpose", output, perm=[0, 2, 1, 3])
    return linear(graph, layer.proj, graph.node(at, "Reshape", merged, graph.integers(-1, C)))


def selective_scan(graph: Graph, at: str, x: str, delta: str, A_log: Param, B: str, C: str, D: Param, L: int) -> str:
    """x, delta (M·L, d), B, C (M·L, n) to rows (M·L, d): equations 2 and 3 of mvnp/layers/selective_scan.py.

    A is −exp(A_log). Here, too, time comes first and d last: the states of a token are (M, n, d), contiguous.
    """
    d, n = A_log.shape
    of_n, of_d = graph.integers(2), graph.integers(3)  # axes

    def by_token(rows: str, width: int) -> str:
        windows = graph.node(at, "Reshape", rows, graph.integers(-1, L, width))
        return graph.node(at, "Transpose", windows, perm=[1, 0, 2])  # (L, M, width)

    minus_A = graph.node(at, "Exp", graph.weight(A_log))  # of a constant: worked out when the file is loaded
    A = graph.node(at, "Transpose", graph.node(at, "Neg", minus_A), perm=[1, 0])
    steps = graph.node(at, "Unsqueeze", by_token(delta, d), of_n)
    decays = graph.node(at, "Exp", graph.node(at, "Mul", steps, A))  # (L, M, n, d)
    driven = graph.node(at, "Unsqueeze", by_token(graph.node(at, "Mul", delta, x), d), of_n)
    inputs = graph.node(at, "Mul", driven, graph.node(at, "Unsqueeze", by_token(B, n), of_d))
    states = recurrence(graph, at, decays, inputs, (L, n, d))

    gates = graph.node(at, "Unsqueeze", by_token(C, n), of_n)
    sums = graph.node(at, "Squeeze", graph.node(at, "MatMul", gates, states), of_n)  # Σ_n C h: (L, M, 1, n) @ (L, M, n, d)
    y = graph.node(at, "Reshape", graph.node(at, "Transpose", sums, perm=[1, 0, 2]), graph.integers(-1, d))
    return graph.node(at, "Add", y, graph.node(at, "Mul", x, graph.weight(D)))


def recurrence(graph: Graph, at: str, decays: str, inputs: str, sizes: tuple[int, int, int]) -> str:
    """h_t = decay_t h_(t−1) + input_t from h = 0, all (L, M, n, d); `sizes` are L, n, d.

    The operator Scan runs the small graph of `_step` once for each token. So the file has the same few nodes for any window,
    and ONNX Runtime is as fast with it as with any other way: see docs/export.md, and benchmarks/onnx_export.py for the others.
    """
    _, n, d = sizes
    windows = graph.node(at, "Shape", inputs, start=1, end=2)
    start = graph.node(at, "Expand", graph.number(0.0), graph.sizes(at, windows, n, d))
    _, states = graph.parts(at, "Scan", 2, start, decays, inputs, body=_step(f"{at}/step"), num_scan_inputs=2)
    return states


def is_true(graph: Graph, at: str, value: str) -> str:
    """The numbers of a mask as booleans."""
    return graph.node(at, "Cast", value, to=TensorProto.BOOL)


def _step(at: str) -> GraphProto:
    """The graph that Scan runs for each token: h, decay, input to h and, to be kept, h again."""
    h, decay, given, faded, after, kept = (f"{at}/{name}" for name in ("h", "decay", "input", "faded", "after", "kept"))
    nodes = [
        helper.make_node("Mul", [h, decay], [faded], f"{at}/Mul"),
        helper.make_node("Add", [faded, given], [after], f"{at}/Add"),
        helper.make_node("Identity", [after], [kept], f"{at}/Identity"),
    ]
    return helper.make_graph(nodes, at, [tensor(v, None) for v in (h, decay, given)], [tensor(v, None) for v in (after, kept)])


def _affine(graph: Graph, layer: Conv2d | Conv1d | Linear | LayerNorm) -> list[str]:
    """The weight and, where the layer has one, the bias."""
    return [graph.weight(param) for param in (layer.weight, layer.bias) if param is not None]


def _over_map(graph: Graph, at: str, channels: str) -> str:
    """(C,) as (C, 1, 1), to be multiplied with a map."""
    return graph.node(at, "Unsqueeze", channels, graph.integers(1, 2))
