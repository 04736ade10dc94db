"""The count of parameters and arithmetic: mvnp/costs/cost.py."""

import math
import tracemalloc

import numpy as np
import pytest

import mvnp
from mvnp.costs.cost import model_cost
from mvnp.costs.walk import LayerCost, Walk
from mvnp.errors import InputError
from mvnp.kernels import dispatch
from mvnp.layers.attention import AttentionCache
from mvnp.layers.conv2d import Conv2d, conv2d_forward
from mvnp.layers.dropout import Dropout
from mvnp.layers.linear import Linear
from mvnp.layers.selective_scan import ScanCache
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.variants import VARIANTS

TINY = {"dim": 4, "in_dim": 3, "depths": (1, 2, 3, 1), "num_heads": (1, 1, 2, 4), "window_size": (8, 8, 3, 2), "num_classes": 5}
OPTIONS = [
    {},
    {"layer_scale": 0.1, "layer_scale_conv": 0.1, "qk_scale": True, "head_norm": "layer"},
    {"num_classes": 0, "qkv_bias": False, "in_chans": 1, "d_state": 3, "d_conv": 4, "mlp_ratio": 1.5, "drop_rate": 0.1},
    {"mixer": "gated", "pattern": "first_half"},
    {"mixer": "mamba_wide", "pattern": "none"},
]
SIZES = [(64, 64), (33, 50), (7, 96)]  # the levels' maps are cut into windows without and with padding

# arXiv:2407.08083, table 1
PAPER = {"T": 4.4, "T2": 5.1, "S": 7.5, "B": 15.0, "L": 34.9, "L2": 37.5}


class Counting(np.ndarray):
    """An array that adds up the multiply-accumulates of every matrix product that it takes part in."""

    macs = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [x.view(np.ndarray) if isinstance(x, Counting) else x for x in inputs]
        for name in ("out", "where"):
            if name in kwargs:
                given = kwargs[name] if isinstance(kwargs[name], tuple) else (kwargs[name],)
                given = tuple(x.view(np.ndarray) if isinstance(x, Counting) else x for x in given)
                kwargs[name] = given if name == "out" else given[0]
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.matmul:
            Counting.macs += result.size * plain[0].shape[-1]
        return result.view(Counting) if isinstance(result, np.ndarray) else result


def images(model, size):
    return np.random.default_rng(0).standard_normal((1, model.in_chans, *size)).astype(np.float32)


def operations(cost, kind):
    return [row for row in cost.rows if row.kind == kind]


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_of_the_variants(name):
    variant = VARIANTS[name]
    cost = model_cost(mvnp.create_model(name, allocate=False), variant.input_size)
    assert cost.parameters == variant.parameters
    assert cost.flops == 2 * cost.macs + cost.scan_flops


@pytest.mark.parametrize("name", PAPER)
def test_beside_the_papers_figures(name):
    cost = model_cost(mvnp.create_model(f"mamba_vision_{name}", allocate=False), 224)
    attention = sum(row.macs for row in operations(cost, "attention"))
    assert cost.macs / 1e9 == pytest.approx(PAPER[name], rel=0.04)
    assert (cost.macs - attention) / 1e9 == pytest.approx(PAPER[name], rel=0.015)  # see the module's docstring


def test_the_stated_figures():
    cost = model_cost(mvnp.create_model("mamba_vision_T", allocate=False), 224)
    assert (cost.macs, cost.scan_flops) == (4_564_510_976, 11_289_600)


def test_scan_by_hand():
    # T at 224: level 2 has 4 mixers on 14x14 tokens in one window, level 3 has 2 on 7x7; D = 160 and 320, N = 8.
    cost = model_cost(mvnp.create_model("mamba_vision_T", allocate=False), 224)
    assert [row.scan_flops for row in operations(cost, "scan")] == [9 * 196 * 160 * 8] * 4 + [9 * 49 * 320 * 8] * 2
    # A_log (D, 8) and D (D,) belong to the scan.
    assert [row.parameters for row in operations(cost, "scan")] == [160 * 9] * 4 + [320 * 9] * 2


def test_stem_by_hand():
    cost = model_cost(mvnp.MambaVision(**TINY), 10, 7)
    # 10x7 to 5x4 with 3 x 3 x 3 numbers a patch, then to 3x2.
    expected = LayerCost("patch_embed.conv_down.0", "Conv2d", (5, 4, 3), 81, 5 * 4 * 3 * 27)
    assert cost.rows[0] == expected
    assert cost.rows[1] == LayerCost("patch_embed.conv_down.1", "BatchNorm", (5, 4, 3), 6)
    assert cost.rows[3] == LayerCost("patch_embed.conv_down.3", "Conv2d", (3, 2, 4), 108, 3 * 2 * 4 * 27)
    assert cost.rows[-1] == LayerCost("head", "Linear", (5,), 32 * 5 + 5, 32 * 5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", OPTIONS)
def test_shapes_are_those_of_a_forward(options, size, monkeypatch):
    model = mvnp.MambaVision(**{**TINY, **options})
    seen = []
    for _, layer in model.named_layers():
        if not any(layer.children()) and not isinstance(layer, Dropout):

            def forward(x, tape=None, layer=layer, plain=layer.forward):
                y = plain(x, tape)
                seen.append((layer.path, type(layer).__name__, y.shape))
                return y

            monkeypatch.setattr(layer, "forward", forward)
    model(images(model, size), mvnp.Tape(training=False))  # with a tape no layer is folded into another
    rows = [row for row in model_cost(model, *size).rows if row.kind not in ("windows", "scan", "attention")]
    # Within windows the leading axis counts windows, elsewhere the images, of which there is one.
    assert [(row.path, row.kind, math.prod(row.shape), row.shape[-1]) for row in rows] == [
        (path, kind, math.prod(shape), shape[-1]) for path, kind, shape in seen
    ]
    assert all(row.shape == (shape if ".blocks." in row.path and row.path[7] in "23" else shape[1:])
               for row, (_, _, shape) in zip(rows, seen, strict=True))  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", OPTIONS)
def test_scan_and_attention_are_those_of_a_forward(options, size):
    model = mvnp.MambaVision(**{**TINY, **options})
    tape = mvnp.Tape(training=False)
    model(images(model, size), tape)
    cost = model_cost(model, *size)
    scans = [cache for _, cache in tape.entries if isinstance(cache, ScanCache)]
    assert [row.scan_flops for row in operations(cost, "scan")] == [9 * c.x.size * c.A.shape[1] for c in scans]
    attentions = [cache for _, cache in tape.entries if isinstance(cache, AttentionCache)]
    assert [row.macs for row in operations(cost, "attention")] == [2 * c.weights.size * c.q.shape[-1] for c in attentions]
    stages = model.features(images(model, size))
    assert [row.shape for row in operations(cost, "windows")][1::2] == [s.shape[2:] + s.shape[1:2] for s in stages[2:]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", OPTIONS)
def test_macs_are_those_of_the_matrix_products(options, size, monkeypatch):
    # For linear layers and attention. A convolution has faster ways than the sum that is counted.
    model = mvnp.MambaVision(**{**TINY, **options})
    for _, layer in model.named_layers():
        if isinstance(layer, Linear | MultiHeadAttention):

            def forward(x, *rest, plain=layer.forward):
                y = plain(x.view(Counting), *rest)
                return y if isinstance(x, Counting) else y.view(np.ndarray)

            monkeypatch.setattr(layer, "forward", forward)
    monkeypatch.setattr(dispatch, "_chosen", "off")  # array code, which knows what its arrays count
    Counting.macs = 0
    model(images(model, size))
    cost = model_cost(model, *size)
    assert Counting.macs == sum(row.macs for row in operations(cost, "Linear") + operations(cost, "attention")) > 0


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), ((1, 2), (0, 1))])
def test_convolution_by_counting(kernel, stride, padding):
    # With inputs and weights of 1 every output is the number of its products, those with padding (also 1 here) included.
    layer = Conv2d(2, 3, kernel, stride, padding, bias=False)
    H, W = 5, 6
    ph, pw = layer.padding
    padded = np.ones((1, H + 2 * ph, W + 2 * pw, 2))
    products = conv2d_forward(padded, np.ones(layer.weight.shape), stride=layer.stride)[0]
    walk = Walk()
    assert walk.through(layer, (H, W, 2)) == products.shape[1:]
    assert walk.rows[0].macs == products.sum()


def test_takes_no_memory():
    model = mvnp.create_model("mamba_vision_L3_512_21k", allocate=False)
    tracemalloc.start()
    model_cost(model, 512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("size", [(0,), (-1, 4), (224.0,), ("224",), (224, 0)])
def test_wrong_size(size):
    with pytest.raises(InputError, match="expected two integers of at least 1"):
        model_cost(mvnp.MambaVision(**TINY), *size)
