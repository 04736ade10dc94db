"""mvnp's side of the layers: as a model runs them, in threads that have a piece of the batch each."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from layers import BATCH, BY_NAME, repetitions

from mvnp.core import Layer, Tape
from mvnp.execution.parallel import run
from mvnp.execution.scratch import keep_freed_memory
from mvnp.layers.attention import attention_backward, attention_forward
from mvnp.layers.batchnorm import (
    batchnorm_backward,
    batchnorm_eval_backward,
    batchnorm_eval_forward,
    batchnorm_forward,
)
from mvnp.layers.binary_cross_entropy import binary_cross_entropy_backward, binary_cross_entropy_forward
from mvnp.layers.checkpointed_scan import checkpointed_scan_backward, checkpointed_scan_forward
from mvnp.layers.conv1d import conv1d_backward, conv1d_forward
from mvnp.layers.conv2d import Conv2d, conv2d_backward, conv2d_forward
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from mvnp.layers.cross_scan import cross_merge, cross_scan
from mvnp.layers.depthwise_conv2d import depthwise_conv2d_backward, depthwise_conv2d_forward
from mvnp.layers.dropout import dropout_backward, dropout_forward
from mvnp.layers.gate import gate_backward, gate_forward
from mvnp.layers.gelu import gelu_backward, gelu_forward, gelu_tanh_backward, gelu_tanh_forward
from mvnp.layers.layer_scale import layer_scale_backward, layer_scale_forward
from mvnp.layers.layernorm import layernorm_backward, layernorm_forward
from mvnp.layers.linear import linear_backward, linear_forward
from mvnp.layers.linear_recurrence import linear_recurrence_backward, linear_recurrence_forward
from mvnp.layers.mesa import mesa_backward, mesa_forward
from mvnp.layers.pool import pool_backward, pool_forward
from mvnp.layers.relu import relu_backward, relu_forward
from mvnp.layers.rmsnorm import rmsnorm_backward, rmsnorm_forward
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward
from mvnp.layers.silu import silu_backward, silu_forward
from mvnp.layers.softmax import softmax_backward, softmax_forward
from mvnp.layers.softplus import softplus_backward, softplus_forward
from mvnp.layers.window import window_partition, window_reverse
from mvnp.layers.winograd import winograd_backward, winograd_forward
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.mixer import MambaVisionMixer
from mvnp.models.mlp import Mlp

Pair = tuple[Callable[[], tuple[Any, Any]], Callable[[Any, Any], Any]]  # forward() gives y and cache; backward(dy, cache)

WHOLE = {"cross_entropy", "binary_cross_entropy", "mesa"}  # kinds that a training step calls with the whole batch

ONE_INPUT = {
    "relu": (relu_forward, relu_backward),
    "gelu": (gelu_forward, gelu_backward),
    "gelu_tanh": (gelu_tanh_forward, gelu_tanh_backward),
    "silu": (silu_forward, silu_backward),
    "softplus": (softplus_forward, softplus_backward),
    "softmax": (softmax_forward, softmax_backward),
    "pool": (pool_forward, pool_backward),
}

SCANS = {
    "scan": (selective_scan_forward, selective_scan_backward),
    "checkpointed_scan": (checkpointed_scan_forward, checkpointed_scan_backward),
}


def build(kind: str, batch: int, arguments: tuple[Any, ...], wrap: Callable = np.asarray) -> Pair:
    """The forward and the backward of a row, on `batch` images. What is drawn goes through `wrap`."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return wrap(rng.standard_normal(shape, dtype=np.float32))

    if kind in ONE_INPUT:
        forward, backward = ONE_INPUT[kind]
        x = random(batch, *arguments)
        return lambda: forward(x), backward
    match kind, arguments:
        case "conv2d", (inputs, outputs, size, stride, dx):
            layer, x = Conv2d(inputs, outputs, 3, stride, 1, bias=stride == 1), random(batch, size, size, inputs)
            weight, bias = wrap(layer.weight.data), None if layer.bias is None else wrap(layer.bias.data)
            return (
                lambda: conv2d_forward(x, weight, bias, layer.stride, layer.padding),
                lambda dy, cache: conv2d_backward(dy, cache, dx),
            )
        case "winograd", (inputs, outputs, size, _, _):
            x, weight, bias = random(batch, size, size, inputs), random(outputs, inputs, 3, 3), random(outputs)
            return lambda: winograd_forward(x, weight, bias), winograd_backward
        case "batchnorm", (*shape, C):
            x, weight, bias = random(batch, *shape, C), random(C), random(C)
            return lambda: batchnorm_forward(x, weight, bias), batchnorm_backward
        case "batchnorm_eval", (*shape, C):
            x, weight, bias, mean, variance = random(batch, *shape, C), random(C), random(C), random(C), random(C) ** 2 + 1
            return lambda: batchnorm_eval_forward(x, weight, bias, mean, variance), batchnorm_eval_backward
        case "layernorm", (L, C):
            x, weight, bias = random(batch, L, C), random(C), random(C)
            return lambda: layernorm_forward(x, weight, bias), layernorm_backward
        case "rmsnorm", (L, C):
            x, weight = random(batch, L, C), random(C)
            return lambda: rmsnorm_forward(x, weight), rmsnorm_backward
        case "gate", (L, C):
            x, z = random(batch, L, C), random(batch, L, C)
            return lambda: gate_forward(x, z), gate_backward
        case "linear", (L, inputs, outputs):
            x, weight, bias = random(batch, L, inputs), random(outputs, inputs), random(outputs)
            return lambda: linear_forward(x, weight, bias), linear_backward
        case "conv1d", (L, C):
            x, weight = random(batch, L, C), random(C, 1, 3)
            return lambda: conv1d_forward(x, weight), conv1d_backward
        case "attention", (heads, L, d):
            q, k, v = random(batch, L, 3, heads, d).transpose(2, 0, 3, 1, 4)
            return lambda: attention_forward(q, k, v), attention_backward
        case "layer_scale", (L, C):
            x, gamma = random(batch, L, C), random(C)
            return lambda: layer_scale_forward(x, gamma), layer_scale_backward
        case "drop_path", (L, C):
            x, mask = random(batch, L, C), np.full((batch, 1, 1), 1.25, np.float32)
            return lambda: dropout_forward(x, mask), dropout_backward
        case "dropout", (L, C):
            x, mask = random(batch, L, C), np.where(rng.random((batch, L, C)) < 0.8, np.float32(1.25), np.float32(0.0))
            return lambda: dropout_forward(x, mask), dropout_backward
        case "depthwise_conv2d", (side, D):
            x, weight = random(batch, side, side, D), random(D, 1, 3, 3)
            return lambda: depthwise_conv2d_forward(x, weight), depthwise_conv2d_backward
        case "cross_scan", (side, C):
            x = random(batch, side, side, C)
            return lambda: (cross_scan(x), None), lambda ds, _: cross_merge(ds, side, side)
        case "cross_merge", (side, C):
            y = random(4, batch, side * side, C)
            return lambda: (cross_merge(y, side, side), None), lambda dx, _: cross_scan(dx)
        case "window_partition", (side, P, C):
            x = random(batch, side, side, C)
            return lambda: (window_partition(x, P), None), lambda dy, _: window_reverse(dy, P, side, side)
        case "window_reverse", (side, P, C):
            x = random(batch * math.ceil(side / P) ** 2, P * P, C)
            return lambda: (window_reverse(x, P, side, side), None), lambda dy, _: window_partition(dy, P)
        case "cross_entropy", (classes,):
            x, labels = random(batch, classes), np.arange(batch)
            return lambda: cross_entropy_forward(x, labels), cross_entropy_backward
        case "binary_cross_entropy", (classes,):
            x, shares = random(batch, classes), np.eye(batch, classes, dtype=np.float32)
            return lambda: binary_cross_entropy_forward(x, shares), binary_cross_entropy_backward
        case "mesa", (classes,):
            x, teacher = random(batch, classes), random(batch, classes)
            return lambda: mesa_forward(x, teacher), mesa_backward
        case (("scan" | "checkpointed_scan"), (L, D, N, *_)):
            x, dt, B, C = random(batch, L, D), random(batch, L, D), random(batch, L, N), random(batch, L, N)
            A, skip, bias = -np.arange(1, N + 1, dtype=np.float32) * np.ones((D, 1), np.float32), random(D), random(D)
            forward, backward = SCANS[kind]
            return lambda: forward(x, dt, A, B, C, skip, bias), backward
        case "linear_recurrence", (method, L, count):
            decay, inputs = wrap(rng.random((L, batch, count), np.float32)), random(L, batch, count)
            return lambda: linear_recurrence_forward(decay, inputs, method=method), linear_recurrence_backward
        case (("mixer" | "attention_layer" | "mlp"), (L, C)):
            return whole(PARTS[kind](C), random(batch, L, C))
    raise ValueError(f"no layer is called {kind!r}")


PARTS: dict[str, Callable[[int], Layer]] = {
    "mixer": MambaVisionMixer,
    "attention_layer": lambda C: MultiHeadAttention(C, 8, qkv_bias=True),
    "mlp": lambda C: Mlp(C, 4 * C),
}


def whole(layer: Any, x: np.ndarray) -> Pair:
    """Of a part of the model, which keeps its caches on a tape; that, as the forward has left it, is the cache here."""

    def forward() -> tuple[Any, Tape]:
        tape = Tape()
        return layer(x, tape), tape

    return forward, lambda dy, tape: layer.backward(dy, unwound(tape))


def unwound(tape: Tape) -> Tape:
    """A tape with the same records, that a backward may take off."""
    again = copy.copy(tape)
    for name, value in vars(tape).items():
        if isinstance(value, list | dict):
            setattr(again, name, value.copy())
    return again


def time_layers(names: list[str], threads: int) -> dict[str, dict[str, float]]:
    """Seconds of the forward and of the backward of each row, and how many numbers the forward gives."""
    keep_freed_memory()  # as mvnp's commands do
    most = max(n for n in range(1, min(threads, BATCH) + 1) if BATCH % n == 0)
    found: dict[str, dict[str, float]] = {}
    for name in names:
        row = BY_NAME[name]
        pieces = 1 if row.kind in WHOLE else most
        pairs = [build(row.kind, BATCH // pieces, row.arguments) for _ in range(pieces)]
        results = [forward() for forward, _ in pairs]
        rng = np.random.default_rng(1)
        gradients = [rng.standard_normal(np.shape(y)).astype(np.float32) for y, _ in results]
        backwards = [
            lambda pair=pair, result=result, dy=dy: pair[1](dy, result[1])
            for pair, result, dy in zip(pairs, results, gradients, strict=True)
        ]
        y = np.asarray(results[0][0])
        size = y.size * (pieces if y.ndim else 1)  # a loss is one number
        found[name] = {"forward": side_by_side([pair[0] for pair in pairs]), "backward": side_by_side(backwards), "size": size}
    return found


def side_by_side(calls: list[Callable[[], Any]]) -> float:
    """Seconds of one call in each thread, all threads at the same time."""
    run([lambda call=call: repeat(call, 1) for call in calls])
    number = repetitions(max(run([lambda call=call: repeat(call, 1) for call in calls])))
    return max(run([lambda call=call: repeat(call, number) for call in calls])) / number


def repeat(call: Callable[[], Any], number: int) -> float:
    """Seconds of `number` calls."""
    start = time.perf_counter()
    for _ in range(number):
        call()
    return time.perf_counter() - start
