"""The twin of the selective scan: mvnp/kernels/selective_scan.py and selective_scan.cu."""

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.kernels import launch
from mvnp.kernels import selective_scan as twins
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward, selective_scan_states
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, ON_GPU, assert_caught, check_pair, needs_compiler, run_on_device

METHODS = ["sequential", "chunked"]

# b, l, d, n: those of the model (stages 3 and 4 of T, and of the demo's model), then what fills no warp, tile or chunk.
MODEL = [(1, 196, 160, 8), (2, 49, 320, 8), (2, 16, 32, 8), (3, 4, 64, 8)]
AWKWARD = [(4, 1, 1, 1), (2, 1, 33, 8), (1, 2, 31, 16), (3, 17, 5, 1), (2, 31, 33, 16), (1, 37, 65, 3), (1, 130, 7, 5), (2, 9, 3, 17)]

# A long sum rounds more: dA adds up b·l products, dB d of them.
LIMITS = {"float64": 1e-13, "float32": 2e-5, "float16": 4e-3}


def inputs(b, l, d, n):
    x, dt, B, C = (normal(shape, seed) for seed, shape in enumerate([(b, l, d), (b, l, d), (b, l, n), (b, l, n)], 1))
    return [x, dt, -np.exp(0.5 * normal((d, n), 5)), B, C, normal((d,), 6), normal((d,), 7)]


def scan(**options):
    return lambda *arrays: selective_scan_forward(*arrays, **options)


@needs_compiler
@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", AWKWARD, ids=str)
def test_numbers(shape, method, dtype, way):
    check_pair(scan(method=method), selective_scan_backward, inputs(*shape), dtype, way, LIMITS[dtype])


@needs_compiler
@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", MODEL, ids=str)
def test_shapes_of_the_model(shape, method, dtype, way):
    check_pair(scan(method=method), selective_scan_backward, inputs(*shape), dtype, way, LIMITS[dtype])
