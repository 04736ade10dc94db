"""The layers that are timed alone: their shapes in T at 224x224, batch 8, and which file of mvnp/layers each row stands for.

A row's two sides are built by its name, in `layers_mvnp.py` and `layers_torch.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

BATCH = 8
LEAST_SECONDS = 0.05  # that the timed repetitions of one layer take


@dataclass(frozen=True)
class Row:
    """One layer at one shape.

    kind     the builder's name; arguments: what it is called with, for one image
    stems    the files of mvnp/layers that do the work
    macs     multiply-accumulates of one image's forward in matrix products; 0 where there are none
    whole    how much of twice the forward the backward multiplies: 0.5 without the gradient of the input
    """

    name: str
    kind: str
    arguments: tuple[Any, ...]
    stems: tuple[str, ...]
    macs: int = 0
    whole: float = 1.0

    def operations(self, backward: bool) -> float:
        """FLOPs of one call on the whole batch, matrix products only."""
        return 2 * self.macs * BATCH * (2 * self.whole if backward else 1)


def _conv(name: str, inputs: int, outputs: int, size: int, stride: int = 1, image: bool = False) -> Row:
    stems = ("conv2d", "winograd") if stride == 1 else ("conv2d",)
    macs = (size // stride) ** 2 * outputs * inputs * 9
    text = f"{name}, {inputs} to {outputs}, stride {stride}, {size}x{size}"
    return Row(text, "conv2d", (inputs, outputs, size, stride, not image), stems, macs, 0.5 if image else 1.0)


def _linear(tokens: int, inputs: int, outputs: int) -> Row:
    name = f"Linear, {inputs} to {outputs}, {tokens} tokens"
    return Row(name, "linear", (tokens, inputs, outputs), ("linear",), tokens * inputs * outputs)


def _scan(L: int, D: int, loop: str) -> Row:
    """Beside one of PyTorch's two loops."""
    return Row(f"Selective scan, 8 states, {L}x{D}, {loop} loop", "scan", (L, D, 8, loop), ("selective_scan",))


def _whole(name: str, kind: str, L: int, C: int, stems: tuple[str, ...], macs: int) -> Row:
    """Several layers in one: a part of the model, with its parameters. macs: those of one token."""
    return Row(name, kind, (L, C), stems, L * macs)


def _mixer_macs(C: int) -> int:
    inner, rank = C // 2, math.ceil(C / 16)
    return 2 * C**2 + inner * (rank + 16) + rank * inner


ROWS = [
    _conv("Conv2d of the image", 3, 32, 224, 2, image=True),
    _conv("Conv2d of the stem", 32, 80, 112, 2),
    _conv("Conv2d", 80, 80, 56),
    _conv("Conv2d", 160, 160, 28),
    _conv("Downsample", 80, 160, 56, 2),
    _conv("Downsample", 160, 320, 28, 2),
    _conv("Downsample", 320, 640, 14, 2),
    Row("BatchNorm, training, 56x56x80", "batchnorm", (56, 56, 80), ("batchnorm",)),
    Row("BatchNorm, evaluation, 56x56x80", "batchnorm_eval", (56, 56, 80), ("batchnorm",)),
    Row("ReLU, 112x112x32", "relu", (112, 112, 32), ("relu",)),
    Row("GELU by tanh, 28x28x160", "gelu_tanh", (28, 28, 160), ("gelu",)),
    Row("GELU, 196x1280", "gelu", (196, 1280), ("gelu",)),
    Row("LayerNorm, 196x320", "layernorm", (196, 320), ("layernorm",)),
    Row("LayerNorm, 49x640", "layernorm", (49, 640), ("layernorm",)),
    Row("RMSNorm, 197x192", "rmsnorm", (197, 192), ("rmsnorm",)),
    _linear(196, 320, 960),
    _linear(196, 320, 1280),
    _linear(49, 640, 2560),
    Row("Conv1d, kernel 3, 196x160", "conv1d", (196, 160), ("conv1d",)),
    Row("SiLU, 196x160", "silu", (196, 160), ("silu",)),
    Row("Gate, 197x384", "gate", (197, 384), ("gate",)),
    Row("Softplus, 196x160", "softplus", (196, 160), ("softplus",)),
    Row("Softmax, 8x196x196", "softmax", (8, 196, 196), ("softmax",)),
    Row("Attention, 8 heads, 196x40", "attention", (8, 196, 40), ("attention",), 2 * 196**2 * 320),
    Row("LayerScale, 196x320", "layer_scale", (196, 320), ("layer_scale",)),
    Row("DropPath, 196x320", "drop_path", (196, 320), ("drop_path",)),
    Row("Dropout, 196x320", "dropout", (196, 320), ("dropout",)),
    Row("Windows of 14 from 32x32x320", "window_partition", (32, 14, 320), ("window",)),
    Row("Windows of 14 to 32x32x320", "window_reverse", (32, 14, 320), ("window",)),
    Row("Depthwise conv2d, kernel 3x3, 56x56x96", "depthwise_conv2d", (56, 96), ("depthwise_conv2d",)),
    Row("Cross-scan of 56x56x96", "cross_scan", (56, 96), ("cross_scan",)),
    Row("Cross-merge to 56x56x96", "cross_merge", (56, 96), ("cross_scan",)),
    Row("AveragePool, 7x7x640", "pool", (7, 7, 640), ("pool",)),
    Row("CrossEntropy, 1000 classes", "cross_entropy", (1000,), ("cross_entropy",)),
    Row("Binary cross-entropy, 1000 classes", "binary_cross_entropy", (1000,), ("binary_cross_entropy",)),
    Row("MESA, 1000 classes", "mesa", (1000,), ("mesa",)),
    _scan(196, 160, "reference"),
    _scan(196, 160, "lean"),
    Row("Checkpointed scan, 8 states, 196x160", "checkpointed_scan", (196, 160, 8), ("checkpointed_scan", "linear_recurrence")),
    _scan(49, 320, "reference"),
    _whole("Mixer, 196x320", "mixer", 196, 320, ("linear", "conv1d", "selective_scan"), _mixer_macs(320)),
    _whole("Mixer, 49x640", "mixer", 49, 640, ("linear", "conv1d", "selective_scan"), _mixer_macs(640)),
    _whole("Attention with its projections, 196x320", "attention_layer", 196, 320, ("attention",), 4 * 320**2 + 2 * 196 * 320),
    _whole("MLP, 196x320", "mlp", 196, 320, ("linear", "gelu"), 8 * 320**2),
]
BY_NAME = {row.name: row for row in ROWS}

QUICK = {"conv2d", "linear", "layernorm", "gelu", "scan"}  # kinds; one row of each is timed by --quick

# Files of mvnp/layers that no row stands for, each with the reason.
WITHOUT_ROW = {
    "__init__": "empty",
}


def chosen(quick: bool) -> list[Row]:
    """The rows to time."""
    return list({row.kind: row for row in reversed(ROWS) if row.kind in QUICK}.values()) if quick else ROWS


def repetitions(seconds: float) -> int:
    """How often to call what takes `seconds`."""
    return max(1, math.ceil(LEAST_SECONDS / max(seconds, 1e-7)))
