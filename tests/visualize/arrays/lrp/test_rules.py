"""Each rule of MambaLRP on its own: mvnp/visualize/arrays/lrp/rules.py."""

import numpy as np
import pytest

from mvnp import Tape
from mvnp.layers.attention import attention_forward
from mvnp.layers.conv1d import Conv1d
from mvnp.layers.gate import gate_forward
from mvnp.layers.gelu import GELU
from mvnp.layers.layernorm import LayerNorm, layernorm_forward
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward
from mvnp.layers.silu import sigmoid, silu_forward
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.mixer import MIXERS, MambaVisionMixer
from mvnp.models.quirks import Quirks
from mvnp.visualize.arrays.lrp.rules import (
    RULES,
    FixedScaleLayerNorm,
    attention_relevance,
    gate_relevance,
    gelu_gate,
    layernorm_relevance,
)
from mvnp.visualize.arrays.replace_layers import replace_layers
from support.checks import normal, relative
from support.randomise import randomised
from support.tolerance import assert_close

TIGHT = 1e-12


def through(layer, x, *extra, seed=9):
    """Forward and the rule's backward with a random cotangent: y, dy, dx, and the gradients of the parameters."""
    other = replace_layers(layer.astype("float64"), RULES)
    tape = Tape(training=False)
    y = other.forward(x, tape, *extra)
    dy = normal(y.shape, seed)
    dx = other.backward(dy, tape)
    assert tape.entries == []  # all records were taken off
    return y, dy, dx, other.gradients(tape)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gates_times_x_are_the_activations(approximate):
    x = normal((40,), 1) * 3
    assert_close(x * sigmoid(x), silu_forward(x)[0])
    assert_close(x * gelu_gate(x, approximate), GELU(approximate)(x))


@pytest.mark.parametrize("silu", [True, False])
def test_a_depthwise_convolution_with_its_silu_conserves(silu):
    x = normal((2, 7, 5), 2)
    layer = randomised(Conv1d(5, 3, bias=True, silu=silu))
    y, dy, dx, gradients = through(layer, x)
    shift = (layer.astype("float64").bias.data * gradients["bias"]).sum()
    assert abs((x * dx).sum() + shift - (y * dy).sum()) < TIGHT


@pytest.mark.parametrize("layer", [GELU(), GELU("tanh")], ids=["gelu", "gelu-tanh"])
def test_activations_conserve_entry_by_entry(layer):
    x = normal((3, 7), 2)
    y, dy, dx, _ = through(layer, x)
    assert_close(x * dx, y * dy)


def test_layernorm_is_linear_at_fixed_scale():
    x, weight, bias, dy = normal((4, 5, 6), 1), normal((6,), 2), normal((6,), 3), normal((4, 5, 6), 4)
    _, cache = layernorm_forward(x, weight, bias)
    dx, dbias = layernorm_relevance(dy, cache)
    rstd = 1.0 / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    # The map x ↦ γ (x − ⟨x⟩) r + β with r held: its transpose, written as a matrix.
    centre = np.eye(6) - 1 / 6
    assert_close(dx, (dy * weight * rstd) @ centre)
    assert_close(dbias, dy.sum(axis=(0, 1)))


def test_layernorm_conserves():
    x = normal((4, 5, 6), 1)
    layer = randomised(LayerNorm(6))
    y, dy, dx, gradients = through(layer, x)
    shift = (layer.astype("float64").bias.data * gradients["bias"]).sum()
    assert abs((x * dx).sum() + shift - (y * dy).sum()) < TIGHT
    assert list(gradients) == ["bias"]
    assert RULES[LayerNorm] is FixedScaleLayerNorm


def test_attention_conserves_for_each_query_token():
    """At fixed weights each output token is a mean of values: asked for one alone, its values' relevance is it."""
    q, k, v = (normal((2, 3, 5, 4), seed) for seed in (1, 2, 3))
    y, cache = attention_forward(q, k, v)
    for token in range(5):
        do = np.zeros_like(y)
        do[:, :, token] = normal((2, 3, 4), 4)
        dv = attention_relevance(do, cache)
        assert_close((v * dv).sum(axis=(2, 3)), (y * do).sum(axis=(2, 3)))
        assert_close(dv, cache.weights[:, :, token, :, None] * do[:, :, [token]])


@pytest.mark.parametrize("qk_norm", [False, True])
def test_the_attention_layer_conserves(qk_norm):
    x = normal((2, 5, 8), 1)
    real = np.array([[True] * 5, [True, True, True, False, False]])
    layer = randomised(MultiHeadAttention(8, 2, qk_norm=qk_norm))
    y, dy, dx, gradients = through(layer, x, real)
    double = layer.astype("float64")
    biases = (double.qkv.bias.data * gradients["qkv.bias"]).sum() + (double.proj.bias.data * gradients["proj.bias"]).sum()
    assert abs((x * dx).sum() + biases - (y * dy).sum()) < TIGHT
    # Query and key, and so their biases, get nothing.
    assert not gradients["qkv.bias"][:16].any()
    assert gradients["qkv.bias"][16:].any()


def test_a_scan_with_fixed_steps_is_linear_in_x():
    """(5): Σ x dx = Σ y dy, and dx is what a second scan that reads other x through the same Δ, B, C gives."""
    b, l, d, n = 2, 6, 3, 4
    x, dt, B, C, D = normal((b, l, d), 1), normal((b, l, d), 2), normal((b, l, n), 3), normal((b, l, n), 4), normal((d,), 5)
    A = -np.exp(normal((d, n), 6))
    y, cache = selective_scan_forward(x, dt, A, B, C, D)
    dy = normal(y.shape, 7)
    dx, *_ = selective_scan_backward(dy, cache)
    assert abs((x * dx).sum() - (y * dy).sum()) < TIGHT
    direction = normal(x.shape, 8)
    other, _ = selective_scan_forward(direction, dt, A, B, C, D)
    assert abs((direction * dx).sum() - (other * dy).sum()) < TIGHT


def test_the_plain_gradient_of_a_mixer_does_not_conserve():
    """Why there is a rule at all."""
    layer, x = randomised(MambaVisionMixer(8, d_state=3)).astype("float64"), normal((2, 6, 8), 1)
    tape = Tape(training=False)
    y = layer.forward(x, tape)
    dy = normal(y.shape, 9)
    assert relative(np.array((x * layer.backward(dy, tape)).sum()), np.array((y * dy).sum())) > 0.01


def test_a_gate_gives_half_to_each_branch():
    """(6)"""
    x, z, dy = normal((2, 3), 1), normal((2, 3), 2), normal((2, 3), 3)
    y, cache = gate_forward(x, z)
    dx, dz = gate_relevance(dy, cache)
    assert_close(x * dx, y * dy / 2)
    assert_close(z * dz, y * dy / 2)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dt_bias", "mixer"), [("twice", "concat"), *(("once", mixer) for mixer in MIXERS)])
def test_the_mixer_conserves_and_asks_nothing_of_its_steps(masked, dt_bias, mixer):
    x = normal((2, 6, 8), 1)
    real = np.array([[True] * 6, [True] * 4 + [False] * 2]) if masked else None
    layer = randomised(MambaVisionMixer(8, d_state=3, quirks=Quirks(dt_bias=dt_bias), mixer=mixer))
    y, dy, dx, gradients = through(layer, x, real)
    assert abs((x * dx).sum() - (y * dy).sum()) < TIGHT
    assert not {"A_log", "x_proj.weight", "dt_proj.weight", "dt_proj.bias"} & gradients.keys()
