"""Each kind of layer as ONNX nodes beside the layer itself: mvnp/export/layers.py."""

import numpy as np
import pytest

from mvnp.core import Layer, Param
from mvnp.layers.attention import MultiHeadAttention
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.conv1d import Conv1d
from mvnp.layers.conv2d import Conv2d
from mvnp.layers.gelu import GELU
from mvnp.layers.layer_scale import LayerScale
from mvnp.layers.layernorm import LayerNorm
from mvnp.layers.linear import Linear
from mvnp.layers.relu import ReLU
from mvnp.layers.selective_scan import selective_scan_forward
from mvnp.layers.silu import SiLU
from support.onnx_files import assert_close, run, skip_unless_reference_scans  # skips without onnx
from support.randomise import randomised

from mvnp.export import layers as nodes  # isort: skip


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def maps(array):
    """Channel-last, as the layers have it, to channel-first, as ONNX has it."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("by", ["runtime", "reference"])
@pytest.mark.parametrize(("stride", "padding", "bias"), [(1, 1, True), (2, 1, False), ((2, 1), (0, 2), True)])
def test_conv2d(stride, padding, bias, by):
    layer, x = randomised(Conv2d(3, 5, (3, 2), stride, padding, bias)), normal(2, 7, 6, 3)
    assert_close(run(layer, lambda graph, x: nodes.conv2d(graph, layer, x), maps(x), by=by), maps(layer(x)))


def test_batch_norm():
    layer, x = randomised(BatchNorm(3, eps=0.3)), normal(2, 4, 5, 3)
    assert_close(run(layer, lambda graph, x: nodes.batch_norm(graph, layer, x), maps(x)), maps(layer(x)))


def test_layer_norm():
    layer, x = randomised(LayerNorm(6, eps=0.3)), normal(4, 5, 6)
    assert_close(run(layer, lambda graph, x: nodes.layer_norm(graph, layer, x), x), layer(x))


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    layer, x = randomised(Linear(4, 3, bias)), normal(5, 4)
    assert_close(run(layer, lambda graph, x: nodes.linear(graph, layer, x), x), layer(x))


@pytest.mark.parametrize("by", ["runtime", "reference"])
@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu_in_the_form_of_the_layer(form, by):
    layer, other, x = GELU(form), GELU("tanh" if form == "none" else "none"), np.linspace(-6, 6, 200, dtype=np.float32)
    given = run(layer, lambda graph, x: nodes.gelu(graph, layer, x), x, by=by)
    assert_close(given, layer(x))
    assert np.abs(given - other(x)).max() > 1e-4  # the two forms can be told apart


def test_relu_and_silu():
    x = np.linspace(-20, 20, 99, dtype=np.float32)
    for build, layer in ((nodes.relu, ReLU()), (nodes.silu, SiLU())):
        assert_close(run(layer, lambda graph, x, build=build: build(graph, "at", x), x), layer(x))


class Gain(Layer):
    """A layer scale has its key from the block that it is in."""

    def __init__(self):
        self.gamma = randomised(LayerScale(3, 0.5))


def test_layer_scale():
    block, x = Gain(), normal(2, 4, 5, 3)
    layer, rows = block.gamma, x.reshape(-1, 3)
    assert_close(run(block, lambda graph, x: nodes.layer_scale(graph, layer, x), rows), layer(rows))
    assert_close(run(block, lambda graph, x: nodes.layer_scale(graph, layer, x, rows=False), maps(x)), maps(layer(x)))
    assert_close(run(block, lambda graph, x: nodes.layer_scale(graph, None, x), rows), rows)


@pytest.mark.parametrize(("kernel", "bias", "silu"), [(1, False, False), (2, True, False), (3, False, True), (4, False, False)])
def test_conv1d(kernel, bias, silu):
    layer, x = randomised(Conv1d(3, kernel, bias, silu)), normal(2, 5, 3)
    assert_close(run(layer, lambda graph, x: nodes.conv1d(graph, layer, x), x), layer(x))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "qkv_bias": False}])
def test_attention(options, masked):
    M, L, C = 3, 5, 8
    layer, x = randomised(MultiHeadAttention(C, 2, **options)), normal(M, L, C)
    mask = np.random.default_rng(1).random((M, L)) < 0.6
    mask[:, 0] = True
    expected = layer.forward(x, mask=mask if masked else None)
    given = run(
        layer,
        lambda graph, x, mask: nodes.attention(graph, layer, x, L, mask if masked else None),
        x.reshape(-1, C),
        mask.reshape(-1, 1).astype(np.float32),
    )
    assert_close(given.reshape(M, L, C), expected)


class Scan(Layer):
    def __init__(self, d, n):
        self.A_log, self.D = Param(0.5 * normal(d, n, seed=7)), Param(normal(d, seed=8))


@pytest.mark.parametrize("by", ["runtime", "reference"])
@pytest.mark.parametrize(("M", "L", "d", "n"), [(2, 7, 3, 2), (1, 1, 1, 1), (3, 2, 4, 5)])
def test_selective_scan(M, L, d, n, by):
    if by == "reference":
        skip_unless_reference_scans()
    layer, x, B, C = Scan(d, n), normal(M, L, d), normal(M, L, n, seed=1), normal(M, L, n, seed=2)
    delta = np.abs(normal(M, L, d, seed=3))
    A = -np.exp(layer.A_log.data)
    expected, _ = selective_scan_forward(x, delta, A, B, C, layer.D.data, softplus=False)
    given = run(
        layer,
        lambda graph, x, delta, B, C: nodes.selective_scan(graph, "scan", x, delta, layer.A_log, B, C, layer.D, L),
        *(rows.reshape(M * L, -1) for rows in (x, delta, B, C)),
        by=by,
    )
    assert_close(given.reshape(M, L, d), expected)
