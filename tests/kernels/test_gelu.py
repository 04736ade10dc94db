"""The twins of GELU, exact and by tanh: mvnp/kernels/cuda/gelu.py and gelu.cu."""

import numpy as np
import pytest

from mvnp.layers.gelu import gelu_backward, gelu_forward, gelu_tanh_backward, gelu_tanh_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check, check_pair

PAIRS = {"exact": (gelu_forward, gelu_backward), "tanh": (gelu_tanh_forward, gelu_tanh_backward)}
SHAPES = [(1,), (31,), (33,), (257,), (2, 3, 5, 7), (1, 4, 4, 80), (3, 1280)]
# Where erf and tanh have long been 1, and where terms cancel or vanish.
FAR = np.array([-1e4, -40.0, -12.0, -6.0, -3.0, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 3.0, 6.0, 12.0, 40.0, 1e4])


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", PAIRS)
def test_numbers(kind, shape, dtype, way):
    check_pair(*PAIRS[kind], [2 * normal(shape, 1)], dtype, way)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", PAIRS)
def test_far_out(kind, dtype):
    forward, backward = PAIRS[kind]
    check(forward, [FAR], dtype, "sanitized")
    check(backward, [np.ones_like(FAR), FAR], dtype, "sanitized")


@pytest.mark.parametrize("way", EVERY_WAY)
def test_more_numbers_than_threads(way, monkeypatch):
    monkeypatch.setattr("mvnp.kernels.cuda.launch.MOST_BLOCKS", 2)
    for pair in PAIRS.values():
        check_pair(*pair, [normal((1237,), 1)], "float64", way)


def test_a_view_is_read_as_what_it_shows():
    wide = normal((4, 6, 10), 1)
    for forward, _ in PAIRS.values():
        for view in (wide[:, :, ::2], wide.swapaxes(0, 2), wide[:, 1:3, 5:]):
            check(forward, [view], "float64", "in order")


FAULTS = {
    "exact": {
        "a missing term": ("+ v * density", ""),
        "a factor": ("A(0.5) * v * (1 + erf(v * SQRT_HALF)); }", "v * (1 + erf(v * SQRT_HALF)); }"),
        "a constant": ("0.39894228040143267794", "0.39894"),
        "another constant": ("0.70710678118654752440", "0.7071"),
    },
    "tanh": {
        "a missing term": ("(1 + t + v * (1 - t * t) * slope)", "(1 + t)"),
        "a constant": ("0.044715", "0.0447"),
        "another constant": ("0.79788456080286535588", "0.79788"),
        "a power": ("CUBIC * v * v * v", "CUBIC * v * v"),
    },
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind in FAULTS for fault in FAULTS[kind]])
def test_fault_is_caught(kind, fault):
    assert_caught("gelu", *FAULTS[kind][fault], lambda way: check_pair(*PAIRS[kind], [normal((33,), 1)], "float64", way))
