"""The twins of parts of a model: mvnp/kernels/cuda/mlp.py and blocks.py, in gelu.cu and layernorm.cu. What they leave on the
tape is what the book's backward takes."""

import numpy as np
import pytest

from mvnp.backend import from_numpy, to_numpy
from mvnp.core import Initializer, Tape
from mvnp.layers.layernorm import LayerNorm
from mvnp.layers.relu import ReLU
from mvnp.models.blocks import add_norm
from mvnp.models.mlp import Mlp
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, assert_close, device

SHAPES = [((3, 5, 8), 12), ((2, 7), 5), ((33, 4), 136), ((1, 3), 1)]


def mlp(shape, hidden, dtype, act=None):
    """y, dx and all gradients of a forward with a tape, and y of one without."""
    layer = Mlp(shape[-1], hidden, drop=0.3, init=Initializer(3, dtype), act=act)
    for seed, (_, param) in enumerate(layer.named_parameters()):
        param.data = from_numpy(normal(param.shape, seed).astype(dtype))
    x, dy, tape = (from_numpy(normal(shape, seed).astype(dtype)) for seed in (1, 2, 1))
    tape = Tape(training=True, seed=4)
    plain, y = layer(x), layer(x, tape)
    dx = layer.backward(dy, tape)
    return {"plain": plain, "y": y, "dx": dx, **layer.gradients(tape)}


def residual(shape, hidden, dtype):
    """The same of a residual and its norm. `hidden` counts nothing here."""
    norm = LayerNorm(shape[-1], init=Initializer(0, dtype))
    norm.weight.data, norm.bias.data = (from_numpy(normal((shape[-1],), seed).astype(dtype)) for seed in (5, 6))
    x, branch, dy = (from_numpy(normal(shape, seed).astype(dtype)) for seed in (1, 2, 3))
    tape = Tape()
    total, y = add_norm(x, branch, norm, tape)
    return {
        "total": total,
        "y": y,
        "dx": norm.backward(dy, tape),
        **norm.gradients(tape),
        "plain": add_norm(x, branch, norm, None)[1],
    }


def compare(make, case, dtype, way, **options):
    want = make(*case, dtype, **options)
    with device(way):
        got = {name: to_numpy(array) for name, array in make(*case, dtype, **options).items()}
    assert got.keys() == want.keys()
    for name, array in want.items():
        assert got[name].dtype == array.dtype, name
        assert_close(got[name], array, 8 * DTYPES[dtype], name)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", SHAPES, ids=str)
@pytest.mark.parametrize("make", [mlp, residual])
def test_numbers(make, case, dtype, way):
    compare(make, case, dtype, way)


def test_another_activation_is_the_books():
    compare(mlp, SHAPES[0], "float64", "in order", act=ReLU())


def test_a_residual_of_another_shape_is_the_books():
    """The array code broadcasts."""
    norm = LayerNorm(4)
    x, branch = normal((3, 4), 1).astype("float32"), normal((1, 4), 2).astype("float32")
    want = add_norm(x, branch, norm, None)
    with device("in order"):
        norm = LayerNorm(4)
        got = add_norm(from_numpy(x), from_numpy(branch), norm, None)
        for here, there in zip(got, want, strict=True):
            np.testing.assert_allclose(to_numpy(here), there, rtol=1e-5, atol=1e-6)


FAULTS = {
    "gelu": {
        "no bias": ("A v = A(in.value[j]) + offset[j];", "A v = A(in.value[j]);"),
        "the sum not kept": ("in.value[j] = T(v);", ""),
        "a row left out": (
            "row < rows; row += gridDim.y * blockDim.y) {\n        size_t at",
            "row < rows - 1; row += gridDim.y * blockDim.y) {\n        size_t at",
        ),
        "a bias of another column": ("A(b[c + j])", "A(b[c])"),
    },
    "layernorm": {
        "the branch left out": ("A(x[at + c]) + A(branch[at + c])", "A(x[at + c])"),
        "the sum not kept": ("total[at + c] = both;", ""),
        "another row": ("size_t at = (size_t)row * C;", "size_t at = 0;"),
    },
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize(("stem", "fault"), [(stem, fault) for stem in FAULTS for fault in FAULTS[stem]])
def test_fault_is_caught(stem, fault):
    make = mlp if stem == "gelu" else residual

    def checks(way):
        for case in SHAPES[:2]:
            compare(make, case, "float64", way)

    assert_caught(stem, *FAULTS[stem][fault], checks)
