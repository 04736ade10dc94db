"""PyTorch's side of the layers: the whole batch in one call, on all its threads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from layers import BATCH, BY_NAME, repetitions
from torch import Tensor
from torch_twin import SCANS, Attention, Mixer, Mlp

Built = tuple[Callable[[], Tensor], list[Tensor]]  # the forward, and what its backward gives the gradients of

ONE_INPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "softmax": lambda x: F.softmax(x, dim=-1),
}


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, requires_grad=True)


def _cross_scan(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) to (B, 4, C, L)."""
    rows, columns = x.flatten(2), x.transpose(2, 3).flatten(2)
    return torch.stack([rows, columns, rows.flip(-1), columns.flip(-1)], dim=1)


def _cross_merge(y: torch.Tensor, side: int) -> torch.Tensor:
    """(B, 4, C, side²) to (B, C, side, side)."""
    rows, columns = (y[:, k] + y[:, k + 2].flip(-1) for k in (0, 1))
    return rows.unflatten(2, (side, side)) + columns.unflatten(2, (side, side)).transpose(2, 3)


def build(kind: str, arguments: tuple[Any, ...], batch: int = BATCH) -> Built:
    """A row's forward and leaves, in PyTorch's own order of memory: maps are (B, C, H, W)."""
    if kind in ONE_INPUT:
        x = leaf(batch, *arguments)
        return lambda: ONE_INPUT[kind](x), [x]
    match kind, arguments:
        case "conv2d", (inputs, outputs, size, stride, dx):
            x, weight = leaf(batch, inputs, size, size), leaf(outputs, inputs, 3, 3)
            bias = leaf(outputs) if stride == 1 else None
            leaves = [x.requires_grad_(dx), weight, bias]
            return lambda: F.conv2d(x, weight, bias, stride, 1), [t for t in leaves if t is not None and t.requires_grad]
        case (("batchnorm" | "batchnorm_eval"), (*shape, C)):
            x, weight, bias, mean, variance = leaf(batch, C, *shape), leaf(C), leaf(C), torch.zeros(C), torch.ones(C)
            training = kind == "batchnorm"
            return lambda: F.batch_norm(x, mean, variance, weight, bias, training), [x, weight, bias]
        case "layernorm", (L, C):
            x, weight, bias = leaf(batch, L, C), leaf(C), leaf(C)
            return lambda: F.layer_norm(x, (C,), weight, bias), [x, weight, bias]
        case "rmsnorm", (L, C):
            x, weight = leaf(batch, L, C), leaf(C)
            return lambda: F.rms_norm(x, (C,), weight, 1e-5), [x, weight]
        case "gate", (L, C):
            x, z = leaf(batch, L, C), leaf(batch, L, C)
            return lambda: x * F.silu(z), [x, z]
        case "linear", (L, inputs, outputs):
            x, weight, bias = leaf(batch, L, inputs), leaf(outputs, inputs), leaf(outputs)
            return lambda: F.linear(x, weight, bias), [x, weight, bias]
        case "conv1d", (L, C):
            x, weight = leaf(batch, C, L), leaf(C, 1, 3)
            return lambda: F.conv1d(x, weight, padding=1, groups=C), [x, weight]
        case "attention", (heads, L, d):
            parts = torch.randn(batch, L, 3, heads, d).permute(2, 0, 3, 1, 4)
            q, k, v = (part.detach().requires_grad_() for part in parts)
            return lambda: F.scaled_dot_product_attention(q, k, v), [q, k, v]
        case "layer_scale", (L, C):
            x, gamma = leaf(batch, L, C), leaf(C)
            return lambda: x * gamma, [x, gamma]
        case "drop_path", (L, C):
            x, mask = leaf(batch, L, C), torch.full((batch, 1, 1), 1.25)
            return lambda: x * mask, [x]
        case "dropout", (L, C):
            x, mask = leaf(batch, L, C), 1.25 * (torch.rand(batch, L, C) < 0.8)
            return lambda: x * mask, [x]
        case "depthwise_conv2d", (side, D):
            x, weight = leaf(batch, D, side, side), leaf(D, 1, 3, 3)
            return lambda: F.conv2d(x, weight, padding=1, groups=D), [x, weight]
        case "cross_scan", (side, C):
            x = leaf(batch, C, side, side)
            return lambda: _cross_scan(x), [x]
        case "cross_merge", (side, C):
            y = leaf(batch, 4, C, side * side)
            return lambda: _cross_merge(y, side), [y]
        case "window_partition", (side, P, C):
            x = leaf(batch, C, side, side)
            return lambda: partition(x, P), [x]
        case "window_reverse", (side, P, C):
            x = leaf(batch * math.ceil(side / P) ** 2, P * P, C)
            return lambda: reverse(x, P, side, batch), [x]
        case "pool", (H, W, C):
            x = leaf(batch, C, H, W)
            return lambda: x.mean(dim=(2, 3)), [x]
        case "cross_entropy", (classes,):
            x, labels = leaf(batch, classes), torch.arange(batch)
            return lambda: F.cross_entropy(x, labels), [x]
        case "binary_cross_entropy", (classes,):
            x, shares = leaf(batch, classes), torch.eye(batch, classes)
            return lambda: F.binary_cross_entropy_with_logits(x, shares), [x]
        case "mesa", (classes,):
            x, teacher = leaf(batch, classes), torch.randn(batch, classes)
            q, p = (lambda: F.log_softmax(x / 3, dim=1)), F.softmax(teacher / 3, dim=1)
            return lambda: 50 * F.kl_div(q(), p, reduction="batchmean"), [x]
        case (("scan" | "checkpointed_scan"), (L, D, N, *which)):
            x, dt, B, C = leaf(batch, L, D), leaf(batch, L, D), leaf(batch, L, N), leaf(batch, L, N)
            A = (-torch.arange(1.0, N + 1).repeat(D, 1)).requires_grad_()
            skip, bias = leaf(D), leaf(D)
            return lambda: SCANS[which[0] if which else "reference"](x, dt, A, B, C, skip, bias), [x, dt, A, B, C, skip, bias]
        case (("mixer" | "attention_layer" | "mlp"), (L, C)):
            x, layer = leaf(batch, L, C), PARTS[kind](C)
            return lambda: layer(x), [x, *layer.parameters()]
    raise ValueError(f"no layer is called {kind!r}")


PARTS: dict[str, Callable[[int], torch.nn.Module]] = {
    "mixer": lambda C: Mixer(C, "reference"),
    "attention_layer": lambda C: Attention(C, 8),
    "mlp": lambda C: Mlp(C, 4 * C),
}


def partition(x: Tensor, P: int) -> Tensor:
    """As the twin's Level does it."""
    B, C, H, W = x.shape
    x = F.pad(x, (0, -W % P, 0, -H % P))
    Hp, Wp = x.shape[2:]
    return x.reshape(B, C, Hp // P, P, Wp // P, P).permute(0, 2, 4, 3, 5, 1).reshape(-1, P * P, C)


def reverse(tokens: Tensor, P: int, side: int, batch: int) -> Tensor:
    """As the twin's Level does it."""
    n = math.ceil(side / P)
    x = tokens.reshape(batch, n, n, P, P, -1).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(batch, -1, n * P, n * P)[:, :, :side, :side]


def time_layers(names: list[str], threads: int) -> dict[str, dict[str, float]]:
    """Seconds of the forward and of the backward of each row, and how many numbers the forward gives."""
    torch.set_num_threads(threads)
    found: dict[str, dict[str, float]] = {}
    for name in names:
        row = BY_NAME[name]
        forward, leaves = build(row.kind, row.arguments)
        y = forward()
        dy = torch.randn_like(y)

        def backward(y: Tensor = y, leaves: list[Tensor] = leaves, dy: Tensor = dy) -> Any:
            return torch.autograd.grad(y, leaves, dy, retain_graph=True)

        size = y.numel()
        found[name] = {"forward": seconds_of(forward), "backward": seconds_of(backward), "size": size}
    return found


def seconds_of(call: Callable[[], Any]) -> float:
    """Seconds of one call, after a warm-up."""
    repeat(call, 1)
    number = repetitions(repeat(call, 1))
    return repeat(call, number) / number


def repeat(call: Callable[[], Any], number: int) -> float:
    """Seconds of `number` calls."""
    start = time.perf_counter()
    for _ in range(number):
        call()
    return time.perf_counter() - start
