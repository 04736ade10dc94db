"""The cases that `mvnp check` runs: every layer of mvnp/layers, and the parts of a model that are made of them.

A case is the stem of a layer, what is special about the case, and a gradient check of inputs drawn from a seed. A new layer
gets its lines in `LAYER_CASES`; a test asks for them. Whole parts of a model are in mvnp/check/model_checks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..backend import Array, from_numpy
from ..errors import check_choice
from ..layers.attention import attention_backward, attention_forward
from ..layers.batchnorm import batchnorm_backward, batchnorm_eval_backward, batchnorm_eval_forward, batchnorm_forward
from ..layers.binary_cross_entropy import binary_cross_entropy_backward, binary_cross_entropy_forward
from ..layers.checkpointed_scan import checkpointed_scan_backward, checkpointed_scan_forward
from ..layers.conv1d import conv1d_backward, conv1d_forward
from ..layers.conv2d import conv2d_backward, conv2d_forward
from ..layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from ..layers.cross_scan import cross_merge, cross_scan
from ..layers.depthwise_conv2d import depthwise_conv2d_backward, depthwise_conv2d_forward
from ..layers.drop_path import drop_path_backward, drop_path_forward
from ..layers.dropout import draw_mask, dropout_backward, dropout_forward
from ..layers.gate import gate_backward, gate_forward
from ..layers.gelu import gelu_backward, gelu_forward, gelu_tanh_backward, gelu_tanh_forward
from ..layers.layer_scale import layer_scale_backward, layer_scale_forward
from ..layers.layernorm import layernorm_backward, layernorm_forward
from ..layers.linear import linear_backward, linear_forward
from ..layers.linear_recurrence import METHODS, linear_recurrence_backward, linear_recurrence_forward
from ..layers.mesa import mesa_backward, mesa_forward
from ..layers.pool import pool_backward, pool_forward
from ..layers.relu import relu_backward, relu_forward
from ..layers.rmsnorm import rmsnorm_backward, rmsnorm_forward
from ..layers.selective_scan import selective_scan_backward, selective_scan_forward
from ..layers.silu import silu_backward, silu_forward
from ..layers.softmax import softmax_backward, softmax_forward
from ..layers.softplus import softplus_backward, softplus_forward
from ..layers.window import window_partition, window_reverse
from ..layers.winograd import winograd_backward, winograd_forward
from .gradcheck import Comparison, GradientError, Report, gradcheck

TOLERANCE = 1e-7


@dataclass(frozen=True)
class Case:
    """One check: `layer` is a stem of mvnp/layers or a part of a model, `what` tells the cases of one layer apart."""

    layer: str
    what: str
    check: Callable[..., Report]

    @property
    def name(self) -> str:
        """Both together, as the report is called."""
        return f"{self.layer}, {self.what}" if self.what else self.layer

    def run(self, tolerance: float = TOLERANCE) -> Report:
        """The report. A gradient that cannot even be compared (its shape, its number) makes one with an infinite error."""
        try:
            return self.check(tolerance=tolerance, name=self.name)
        except GradientError as error:
            return Report(self.name, tolerance, [Comparison("(all)", str(error), np.nan, np.nan, np.inf)])


def run_checks(names: Iterable[str] | None = None, tolerance: float = TOLERANCE) -> list[Report]:
    """Run the cases of the named layers, or of all. Raises InputError for an unknown name, with the nearest one."""
    return [case.run(tolerance) for case in select_cases(names)]


def select_cases(names: Iterable[str] | None = None) -> list[Case]:
    """The cases of the named layers, or of all, in the order of the table."""
    from .model_checks import MODEL_CASES  # here, since a check of layers needs no model

    cases = LAYER_CASES + [Case(*row) for row in MODEL_CASES]
    layers = list(dict.fromkeys(case.layer for case in cases))
    wanted = list(names or layers)
    for name in wanted:
        check_choice("layer", name, layers)
    return sorted((case for case in cases if case.layer in wanted), key=lambda case: layers.index(case.layer))


def _draw(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A standard normal array for each name, from one seed."""
    generator = np.random.default_rng(17)
    return {name: generator.standard_normal(shape) for name, shape in shapes.items()}


def _off_zero(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The same, at least 0.1 from a kink at zero."""
    return {name: x + 0.1 * np.sign(x) for name, x in _draw(**shapes).items()}


def _scan_inputs(bias: bool, steps: bool = False) -> dict[str, np.ndarray]:
    """b = 2, l = 5, d = 3, n = 4: A negative, and with a block of kept states that l does not fill. `steps`: dt is Δ itself,
    and positive, or the states would grow without bound."""
    inputs = _draw(x=(2, 5, 3), dt=(2, 5, 3), A=(3, 4), B=(2, 5, 4), C=(2, 5, 4), D=(3,), dt_bias=(3,))
    inputs["A"] = -np.exp(inputs["A"])
    if steps:
        inputs["dt"], inputs["dt_bias"] = np.exp(inputs["dt"]), np.exp(inputs["dt_bias"])
    return inputs if bias else {name: x for name, x in inputs.items() if name != "dt_bias"}


def _recurrence_inputs() -> dict[str, np.ndarray]:
    """k = 7, which no way divides evenly: decays between 0 and 1."""
    inputs = _draw(decay=(7, 2), inputs=(7, 2), start=(2,))
    return {**inputs, "decay": np.exp(-np.abs(inputs["decay"]))}


def _without_bias(backward: Callable) -> Callable:
    """Of a backward whose last gradient, that of the bias, is None where there is none."""
    return lambda dy, cache: backward(dy, cache)[:-1]


def _masked(x: Array, rate: float, shape: tuple[int, ...]) -> Array:
    return draw_mask(np.random.default_rng(5), shape, rate, x)


def _attention_masked(q: Array, k: Array, v: Array) -> tuple[Array, Any]:
    return attention_forward(q, k, v, mask=from_numpy(np.array([[True, True, True, False], [True, False, True, True]])))


def _attention_dropout(q: Array, k: Array, v: Array) -> tuple[Array, Any]:
    return attention_forward(q, k, v, dropout=_masked(q, 0.3, (2, 2, 4, 4)))


def _batchnorm_eval(x: Array, weight: Array, bias: Array) -> tuple[Array, tuple]:
    mean, variance = from_numpy(np.array([0.5, -1.0, 2.0])), from_numpy(np.array([0.3, 1.0, 4.0]))
    return batchnorm_eval_forward(x, weight, bias, mean, variance)


def _conv2d(what: str, kernel: tuple[int, int], stride: int, padding: int, bias: bool = True) -> Case:
    inputs = _draw(x=(2, 5, 4, 2), weight=(3, 2, *kernel), bias=(3,))
    backward: Callable = conv2d_backward
    if not bias:
        inputs.pop("bias")
        backward = _without_bias(backward)

    def forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
        return conv2d_forward(x, weight, bias, (stride, stride), (padding, padding))

    return _pair("conv2d", what, forward, backward, inputs)


def _cross_entropy(what: str, target: np.ndarray, smoothing: float = 0.0) -> Case:
    def forward(logits: Array) -> tuple[Array, tuple]:
        return cross_entropy_forward(logits, from_numpy(target), smoothing)

    return _pair("cross_entropy", what, forward, cross_entropy_backward, _draw(logits=(3, 4)))


def _binary_cross_entropy(what: str, target: np.ndarray, **options: Any) -> Case:
    def forward(logits: Array) -> tuple[Array, tuple]:
        return binary_cross_entropy_forward(logits, from_numpy(target), **options)

    return _pair("binary_cross_entropy", what, forward, binary_cross_entropy_backward, _draw(logits=(3, 4)))


def _mesa(what: str, **options: float) -> Case:
    def forward(logits: Array) -> tuple[Array, tuple]:
        return mesa_forward(logits, from_numpy(_TEACHER), **options)

    return _pair("mesa", what, forward, mesa_backward, _draw(logits=(3, 4)))


def _pair(layer: str, what: str, forward: Callable, backward: Callable, inputs: dict[str, np.ndarray]) -> Case:
    return Case(layer, what, partial(gradcheck, forward, backward, inputs))


_LABELS, _SOFT = np.array([2, 0, 3]), np.array([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]])
_TEACHER = np.array([[2.0, -1.0, 0.5, 0.0], [0.0, 0.0, 3.0, -2.0], [-0.5, 1.0, -1.5, 0.5]])
_QKV = _draw(q=(2, 2, 4, 3), k=(2, 2, 4, 3), v=(2, 2, 4, 3))
_NORM, _MAP = _draw(x=(4, 2, 3), weight=(3,), bias=(3,)), _draw(x=(2, 5, 3, 2))

# fmt: off
LAYER_CASES = [
    _conv2d("3x3, padding 1", (3, 3), stride=1, padding=1),
    _conv2d("3x3, stride 2, padding 1, no bias", (3, 3), stride=2, padding=1, bias=False),
    _conv2d("3x3, stride 2, no padding", (3, 3), stride=2, padding=0),
    _conv2d("2x1, stride 3", (2, 1), stride=3, padding=0),
    _pair("conv1d", "kernel 3", conv1d_forward, conv1d_backward, _draw(x=(2, 5, 3), weight=(3, 1, 3), bias=(3,))),
    _pair(
        "conv1d",
        "with SiLU",
        partial(conv1d_forward, silu=True),
        conv1d_backward,
        _draw(x=(2, 5, 3), weight=(3, 1, 3), bias=(3,)),
    ),
    _pair("conv1d", "causal", partial(conv1d_forward, silu=True, causal=True), conv1d_backward,
          _draw(x=(2, 5, 3), weight=(3, 1, 4), bias=(3,))),
    _pair("conv1d", "kernel 4, no bias", conv1d_forward, _without_bias(conv1d_backward), _draw(x=(2, 5, 3), weight=(3, 1, 4))),
    _pair("depthwise_conv2d", "3x3", depthwise_conv2d_forward, depthwise_conv2d_backward,
          _draw(x=(2, 4, 3, 2), weight=(2, 1, 3, 3), bias=(2,))),
    _pair("depthwise_conv2d", "2x3, no bias", depthwise_conv2d_forward, _without_bias(depthwise_conv2d_backward),
          _draw(x=(2, 3, 4, 2), weight=(2, 1, 2, 3))),
    _pair("winograd", "", winograd_forward, winograd_backward, _draw(x=(2, 5, 6, 2), weight=(3, 2, 3, 3), bias=(3,))),
    _pair("winograd", "no padding, no bias", partial(winograd_forward, padding=(0, 0)), _without_bias(winograd_backward),
          _draw(x=(1, 7, 3, 2), weight=(2, 2, 3, 3))),
    _pair("linear", "", linear_forward, linear_backward, _draw(x=(2, 3, 4), weight=(5, 4), bias=(5,))),
    _pair("linear", "no bias", linear_forward, _without_bias(linear_backward), _draw(x=(2, 3, 4), weight=(5, 4))),
    _pair("batchnorm", "training", batchnorm_forward, batchnorm_backward, _NORM),
    _pair("batchnorm", "evaluation", _batchnorm_eval, batchnorm_eval_backward, _NORM),
    _pair("layernorm", "", layernorm_forward, layernorm_backward, _NORM),
    _pair("rmsnorm", "", rmsnorm_forward, rmsnorm_backward, _draw(x=(2, 3, 4), weight=(4,))),
    _pair("relu", "", relu_forward, relu_backward, _off_zero(x=(4, 5))),
    _pair("gelu", "exact", gelu_forward, gelu_backward, _draw(x=(4, 5))),
    _pair("gelu", "tanh", gelu_tanh_forward, gelu_tanh_backward, _draw(x=(4, 5))),
    _pair("silu", "", silu_forward, silu_backward, _draw(x=(4, 5))),
    _pair("gate", "", gate_forward, gate_backward, _draw(x=(2, 3, 4), z=(2, 3, 4))),
    # Softplus has |x| in its formula, but no kink: both sides of 0 are checked.
    _pair("softplus", "", softplus_forward, softplus_backward, _draw(x=(4, 5))),
    _pair("softmax", "", softmax_forward, softmax_backward, _draw(x=(2, 3, 4))),
    _pair("attention", "", attention_forward, attention_backward, _QKV),
    _pair("attention", "masked keys", _attention_masked, attention_backward, _QKV),
    _pair("attention", "dropout", _attention_dropout, attention_backward, _QKV),
    _pair("window", "partition", lambda x: (window_partition(x, 2), None), lambda dy, _: window_reverse(dy, 2, 5, 3), _MAP),
    _pair("window", "reverse", lambda x: (window_reverse(x, 2, 5, 3), None), lambda dy, _: window_partition(dy, 2),
          _draw(tokens=(2 * 6, 4, 2))),
    _pair("cross_scan", "scan", lambda x: (cross_scan(x), None), lambda ds, _: cross_merge(ds, 5, 3), _MAP),
    _pair("cross_scan", "merge", lambda y: (cross_merge(y, 3, 2), None), lambda dx, _: cross_scan(dx), _draw(y=(4, 2, 6, 2))),
    *(_pair("linear_recurrence", method, partial(linear_recurrence_forward, method=method), linear_recurrence_backward,
            _recurrence_inputs()) for method in METHODS),
    _pair("selective_scan", "", selective_scan_forward, selective_scan_backward, _scan_inputs(bias=True)),
    _pair("selective_scan", "no bias", selective_scan_forward, _without_bias(selective_scan_backward),
          _scan_inputs(bias=False)),
    _pair("selective_scan", "no softplus", partial(selective_scan_forward, softplus=False), selective_scan_backward,
          _scan_inputs(bias=True, steps=True)),
    _pair("checkpointed_scan", "", checkpointed_scan_forward, checkpointed_scan_backward, _scan_inputs(bias=True)),
    _pair("checkpointed_scan", "no bias", checkpointed_scan_forward, _without_bias(checkpointed_scan_backward),
          _scan_inputs(bias=False)),
    _pair("checkpointed_scan", "no softplus", partial(checkpointed_scan_forward, softplus=False), checkpointed_scan_backward,
          _scan_inputs(bias=True, steps=True)),
    _pair("checkpointed_scan", "one block", partial(checkpointed_scan_forward, keep_every=8), checkpointed_scan_backward,
          _scan_inputs(bias=True)),
    _pair("checkpointed_scan", "associative", partial(checkpointed_scan_forward, method="associative"),
          checkpointed_scan_backward, _scan_inputs(bias=True)),
    _pair("dropout", "", lambda x: dropout_forward(x, _masked(x, 0.4, (4, 5))), dropout_backward, _draw(x=(4, 5))),
    _pair("drop_path", "", lambda x: drop_path_forward(x, _masked(x, 0.4, (4, 1))), drop_path_backward, _draw(x=(4, 5))),
    _pair("layer_scale", "", layer_scale_forward, layer_scale_backward, _draw(x=(2, 3, 4), gamma=(4,))),
    _pair("pool", "", pool_forward, pool_backward, _draw(x=(2, 3, 2, 4))),
    _cross_entropy("labels", _LABELS),
    _cross_entropy("soft targets", _SOFT),
    _cross_entropy("labels, smoothed", _LABELS, smoothing=0.1),
    _binary_cross_entropy("labels, smoothed", _LABELS, smoothing=0.1),
    _binary_cross_entropy("shares, summed", _SOFT, summed=True),
    _binary_cross_entropy("threshold", _SOFT, threshold=0.25),
    _mesa(""),
    _mesa("distillation", temperature=2.0, factor=4.0),
]
# fmt: on
