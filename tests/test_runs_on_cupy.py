"""The array code of mvnp under CuPy's rules: each name it uses exists there, and no layer waits for the device.

The whole model has its own test, tests/models/test_strict_cupy_model.py.
"""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import mvnp
import mvnp.layers
from mvnp import from_numpy, to_numpy
from mvnp.core import Initializer, Layer
from mvnp.kernels import dispatch
from mvnp.layers.cross_scan import cross_merge, cross_scan
from mvnp.layers.dropout import Dropout, draw_mask
from mvnp.layers.linear import Linear
from mvnp.layers.linear_recurrence import METHODS
from mvnp.layers.selective_scan import selective_scan_forward, selective_scan_states
from mvnp.layers.window import window_mask, window_partition, window_reverse
from mvnp.training.adamw import AdamW
from mvnp.training.step import train_step
from support.checks import normal
from support.cupy_names import exists
from support.host_events import Recorder
from support.strict_cupy import installed
from support.tolerance import DEEP, assert_close, near

PACKAGE = Path(mvnp.__file__).parent


@pytest.fixture(autouse=True)
def array_code(monkeypatch):
    """On the host, too, what CuPy runs: the same roundings."""
    monkeypatch.setattr(dispatch, "_chosen", "off")


GIVE_A_MODULE = ("array_module", "current_module")  # the functions of backend.py that return NumPy or CuPy


# ------------------------------------------------------------------------------------------------ names, without running


def names_used(source: str) -> dict[str, int]:
    """{dotted name: line} of all that a piece of code takes from an array module, called `xp` or got in place."""
    tree = ast.parse(source)
    modules = {"xp"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            modules |= set(_bound_to_a_module(node.targets[0], node.value))
    return {
        name: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and (name := _dotted(node, modules)) and name != "__name__"
    }


def _gives_a_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GIVE_A_MODULE


def _bound_to_a_module(target: ast.expr, value: ast.expr) -> list[str]:
    """Names in `xp = array_module(x)` and in `m, xp = 0.1, array_module(x)`."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=True)
        return [name for pair in pairs for name in _bound_to_a_module(*pair)]
    return [target.id] if isinstance(target, ast.Name) and _gives_a_module(value) else []


def _dotted(node: ast.Attribute, modules: set[str]) -> str:
    """`lib.stride_tricks` for `xp.lib.stride_tricks`, nothing for an attribute of something else."""
    inner = node.value
    if _gives_a_module(inner) or (isinstance(inner, ast.Name) and inner.id in modules):
        return node.attr
    before = _dotted(inner, modules) if isinstance(inner, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before else ""


def test_finds_the_names():
    source = "a, xp = 1, array_module(x)\nxp.exp(x)\narray_module(x).lib.f\ny = current_module()\ny.eye(x.real)\nz.sin(xp)"
    assert names_used(source) == {"exp": 2, "lib": 3, "lib.f": 3, "eye": 5}


def test_every_name_exists_in_cupy():
    found = {
        path: names_used(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "backend.py"
    }
    missing = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: xp.{name}"
        for path, names in found.items()
        for name, line in names.items()
        if not (exists(name) and _in_numpy(name))
    ]
    assert not missing, "not in both NumPy and CuPy:\n  " + "\n  ".join(missing)
    everywhere = {name for names in found.values() for name in names}
    assert {"exp", "sqrt", "where", "concatenate", "pad"} <= everywhere


def _in_numpy(name: str) -> bool:
    """Whether NumPy has it too. What asks for the GPU itself runs on CuPy alone."""
    if name.startswith("cuda") or name == "RawModule":
        return True
    thing = np
    for part in name.split("."):
        thing = getattr(thing, part, None)
    return thing is not None


# ------------------------------------------------------------------------------------------------- every pair of functions


def _pairs() -> dict[str, tuple]:
    """{stem: (forward, backward)} of every pair that a module of mvnp.layers defines."""
    found = {}
    for info in pkgutil.iter_modules(mvnp.layers.__path__, "mvnp.layers."):
        module = importlib.import_module(info.name)
        for name, forward in inspect.getmembers(module, inspect.isfunction):
            if name.endswith("_forward") and forward.__module__ == info.name:
                stem = name.removesuffix("_forward")
                found[stem] = (forward, getattr(module, f"{stem}_backward"))
    return found


PAIRS = _pairs()

TOKENS, MAP = (2, 6, 4), (2, 7, 6, 4)
SCAN = [
    normal(TOKENS, 1),
    normal(TOKENS, 2),
    -np.exp(normal((4, 3), 3)),
    normal((2, 6, 3), 4),
    normal((2, 6, 3), 5),
    normal((4,), 6),
]
HEADS = [normal((2, 3, 6, 4), seed) for seed in (1, 2, 3)]
REAL = np.arange(6) < np.array([[4], [6]])
CONV = [normal(MAP, 1), normal((5, 4, 3, 3), 2), normal((5,), 3)]
VECTORS = [normal((4,), seed) for seed in (2, 3)]
DISTRIBUTIONS = np.abs(normal((3, 5), 2)) / np.abs(normal((3, 5), 2)).sum(axis=1, keepdims=True)

# Arguments of each forward: arrays are moved, the rest is passed as it is. A new pair of functions needs an entry.
CASES = {
    "attention": [HEADS, [*HEADS, REAL], [*HEADS, None, 1.25 * (normal((2, 3, 6, 6), 4) > 0)]],
    "binary_cross_entropy": [[normal((3, 5), 1), DISTRIBUTIONS], [normal((3, 5), 1), DISTRIBUTIONS, 0.1, 0.2, True]],
    "batchnorm": [[normal(MAP, 1), *VECTORS], [normal(TOKENS, 1), *VECTORS, 1e-4]],
    "batchnorm_eval": [[normal(MAP, 1), *VECTORS, normal((4,), 4), 1 + normal((4,), 5) ** 2]],
    "conv1d": [
        [normal(TOKENS, 1), normal((4, 1, K), 2), bias, silu, causal]
        for causal in (False, True)
        for K in (3, 4)
        for bias in (None, normal((4,), 3))
        for silu in (False, True)
    ],
    "conv2d": [CONV, [*CONV[:2], None, (2, 2), (1, 1)], [*CONV, (2, 1), (0, 1)]],
    "cross_entropy": [[normal((3, 5), 1), np.array([4, 0, 2]), 0.1], [normal((3, 5), 1), DISTRIBUTIONS]],
    "depthwise_conv2d": [
        [normal(MAP, 1), normal((4, 1, *kernel), 2), bias] for kernel in ((3, 3), (2, 4)) for bias in (None, normal((4,), 3))
    ],
    "dropout": [[normal(TOKENS, 1), 2.0 * (normal((2, 1, 1), 2) > 0)]],
    "gate": [[normal(TOKENS, 1), normal(TOKENS, 2)]],
    "gelu": [[normal(MAP, 1)]],
    "gelu_tanh": [[normal(MAP, 1)]],
    "layer_scale": [[normal(TOKENS, 1), VECTORS[0]]],
    "layernorm": [[normal(TOKENS, 1), *VECTORS]],
    "linear_recurrence": [
        [np.exp(-np.abs(normal((7, 2, 3), 1))), normal((7, 2, 3), 2), start, method]
        for start in (None, normal((2, 3), 3))
        for method in METHODS
    ],
    "linear": [[normal(TOKENS, 1), normal((3, 4), 2), bias] for bias in (None, normal((3,), 3))],
    "mesa": [[normal((3, 5), 1), normal((3, 5), 2)], [normal((3, 5), 1), normal((3, 5), 2), 2.0, 4.0]],
    "pool": [[normal(MAP, 1)]],
    "relu": [[normal(MAP, 1)]],
    "rmsnorm": [[normal(TOKENS, 1), VECTORS[0]]],
    "checkpointed_scan": [SCAN, [*SCAN, normal((4,), 7)]],
    "selective_scan": [SCAN, [*SCAN, normal((4,), 7)]],
    "silu": [[normal(MAP, 1)]],
    "softmax": [[normal(TOKENS, 1)]],
    "softplus": [[normal(TOKENS, 1)]],
    "winograd": [CONV, [*CONV[:2], None, (0, 2)]],
}


def test_every_pair_has_a_case():
    assert CASES.keys() == PAIRS.keys()
    assert len(PAIRS) >= 18


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("stem", "index"), [(stem, index) for stem in PAIRS for index in range(len(CASES.get(stem, "")))])
def test_pair(stem, index, dtype):
    arguments = [_cast(argument, dtype) for argument in CASES[stem][index]]
    want = _forward_and_backward(stem, arguments)
    with installed() as recorder:
        got = _forward_and_backward(stem, arguments, recorder)
    for number, (device, host) in enumerate(zip(got, want, strict=True)):
        what = "y" if number == 0 else f"gradient {number}"
        if stem == "gelu" and dtype == "float32":  # NumPy has an erf of ours there, CuPy its own
            assert_close(device, host, terms=1, message=f"{stem}: {what}")
        else:
            np.testing.assert_array_equal(device, host, strict=True, err_msg=f"{stem}: {what}")


def _cast(argument, dtype: str):
    floating = isinstance(argument, np.ndarray) and argument.dtype.kind == "f"
    return argument.astype(dtype) if floating else argument


def _forward_and_backward(stem: str, arguments: list, recorder: Recorder | None = None) -> list:
    """y and the gradients, on the host; with a recorder, nothing may wait between the first array and the last."""
    forward, backward = PAIRS[stem]
    device = [from_numpy(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
    if recorder is not None:
        recorder.clear()
    y, cache = forward(*device)
    # As the training step does: what a host array becomes on the device has the output's dtype.
    dy = from_numpy(np.random.default_rng(9).standard_normal(y.shape).astype(y.dtype))
    gradients = backward(dy, cache)
    if recorder is not None:
        recorder.assert_no_syncs(stem)
        # Winograd's matrices are sent once, and kept.
        sent = {event.what for event in recorder.uploads if " _transforms" not in event.where}
        assert sent == {f"asarray of a numpy.ndarray of shape {y.shape}"}
    results = [y, *(gradients if isinstance(gradients, tuple) else (gradients,))]
    return [None if result is None else to_numpy(result) for result in results]


def test_labels_may_stay_on_the_host(strict_cupy):
    forward, _ = PAIRS["cross_entropy"]
    logits, labels = normal((3, 5), 1), np.array([4, 0, 2])
    loss, _ = forward(from_numpy(logits), labels)
    strict_cupy.assert_no_syncs("cross_entropy_forward")
    assert len(strict_cupy.uploads) == 2  # the logits and the one-hot labels
    assert to_numpy(loss) == forward(logits, labels)[0]


# --------------------------------------------------------------------------------------------- functions that are no pair


def test_windows(strict_cupy):
    host = normal((2, 5, 6, 3), 1)
    x = from_numpy(host)
    tokens = window_partition(x, 4)
    again, real = window_reverse(tokens, 4, 5, 6), window_mask(x, 2, 5, 6, 4)
    strict_cupy.assert_no_syncs("windows")
    np.testing.assert_array_equal(to_numpy(again), host)
    np.testing.assert_array_equal(to_numpy(tokens), window_partition(host, 4))
    assert to_numpy(real).sum() == 2 * 5 * 6


def test_routes(strict_cupy):
    host = normal((2, 5, 6, 3), 1)
    s = cross_scan(from_numpy(host))
    merged = cross_merge(s, 5, 6)
    strict_cupy.assert_no_syncs("routes")
    np.testing.assert_array_equal(to_numpy(s), cross_scan(host))
    np.testing.assert_array_equal(to_numpy(merged), cross_merge(cross_scan(host), 5, 6))


def test_states_of_the_scan(strict_cupy):
    _, cache = selective_scan_forward(*(from_numpy(array) for array in SCAN))
    states = selective_scan_states(cache)
    strict_cupy.assert_no_syncs("the states")
    np.testing.assert_array_equal(to_numpy(states), selective_scan_states(selective_scan_forward(*SCAN)[1]))


def test_dropout_masks_are_those_of_the_host(strict_cupy):
    like = np.zeros((), np.float32)
    mask = draw_mask(np.random.default_rng(3), (4, 5), 0.4, from_numpy(like))
    strict_cupy.assert_no_syncs("the mask")
    np.testing.assert_array_equal(to_numpy(mask), draw_mask(np.random.default_rng(3), (4, 5), 0.4, like), strict=True)


# --------------------------------------------------------------------------------------------------------------- training


def _train(recorder: Recorder | None = None) -> tuple[list, dict]:
    """Three clipped steps on a small stack of layers: (loss, norm) of each, and the weights after them."""
    layers = Sequence(Linear(4, 8, init=Initializer(1, "float64")), Dropout(0.2), Linear(8, 3, init=Initializer(2, "float64")))
    optimizer, results = AdamW(layers.named_parameters()), []
    for seed in range(3):
        images, labels = normal((5, 4), seed), np.array([0, 2, 1, 0, 2])
        if recorder is not None:
            recorder.clear()
        results.append(train_step(layers, optimizer, images, labels, lr=0.1, seed=seed, clip_norm=0.1, label_smoothing=0.1))
        if recorder is not None:
            # The loss and the norm come to the host together: one wait a step.
            assert [event.what for event in recorder.syncs] == ["get"]
            assert "mvnp/training/updates.py" in recorder.syncs[0].where
    return results, {name: to_numpy(array) for name, array in layers.state_dict().items()}


class Sequence(Layer):
    """Layers one after another."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def forward(self, x, tape=None):
        for layer in self.layers:
            x = layer(x, tape)
        return x

    def backward(self, dy, tape):
        for layer in reversed(self.layers):
            dy = layer.backward(dy, tape)
        return dy


def test_a_training_step_waits_once(strict_cupy):
    results, weights = _train(strict_cupy)
    mvnp.use_backend("numpy")
    want_results, want_weights = _train()
    for got, want in zip(results, want_results, strict=True):
        assert got.loss == want.loss
        assert got.grad_norm == near(want.grad_norm, terms=DEEP)
    for name, want in want_weights.items():
        assert_close(weights[name], want, message=name)
