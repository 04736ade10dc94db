"""SS2D, the mixer of VMamba: mvnp/models/ss2d.py. The official one is met in test_vmamba_reference.py."""

import math

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.layers.gelu import GELU
from mvnp.layers.relu import ReLU
from mvnp.layers.silu import SiLU
from mvnp.models.ss2d import SS2D, Cascade
from support.checks import assert_oracle, normal
from support.randomise import randomised
from support.tolerance import assert_close

OPTIONS = {
    "released": {},
    "three states, wide, rank 2": {"d_state": 3, "ratio": 2.0, "rank": 2},
    "gate, conv bias": {"gate": "activated", "conv_bias": True, "d_state": 2},
    "plain gate": {"gate": "plain"},
    "one direction": {"routes": (0, 0, 0, 0)},
    "two directions": {"routes": (0, 0, 2, 2)},
    "no convolution": {"conv": 0},
    "larger convolution": {"conv": 5},
    "no norm": {"out_norm": "none"},
    "convolution for a norm": {"out_norm": "dwconv3"},
    "gelu": {"activation": "gelu"},
}


def mixer_of(kind=SS2D, channels=6, seed=3, **options):
    return randomised(kind(channels, **options), seed)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("shape", [(2, 2, 3), (1, 3, 1), (1, 1, 1)])
def test_gradients(shape, options):
    gradcheck_layer(mixer_of(**options), normal((*shape, 6), seed=1), directions=3).raise_for_error()


@pytest.mark.parametrize("shape", [(2, 2, 3), (1, 3, 2)])
def test_gradients_of_the_cascade(shape):
    gradcheck_layer(mixer_of(Cascade, d_state=2), normal((*shape, 6), seed=1), directions=3).raise_for_error()


def test_by_hand():
    # C = E = N = R = 1 and a map of one pixel, which all four routes read alike. All weights 1, no convolution and no norm:
    # u = silu(a); dt = B = C = u; A = −1; from h = 0 each route gives Δ_k u³ + D_k u, Δ_k = softplus(u + b_k).
    mixer = SS2D(1, conv=0, out_norm="none").astype("float64")
    a, b, D = 0.5, np.array([0.25, -1.0, 0.5, 2.0]), np.array([3.0, 1.0, -2.0, 0.5])
    mixer.load_state_dict(
        {
            "x_proj_weight": np.ones((4, 3, 1)),
            "A_logs": np.zeros((4, 1)),
            "Ds": D,
            "dt_projs_weight": np.ones((4, 1, 1)),
            "dt_projs_bias": b[:, None],
            "in_proj.weight": np.ones((1, 1)),
            "out_proj.weight": np.ones((1, 1)),
        }
    )
    u = a / (1 + math.exp(-a))
    delta = np.log(1 + np.exp(u + b))
    assert_close(mixer(np.full((1, 1, 1, 1), a)), [[[[(delta * u**3 + D * u).sum()]]]])


@pytest.mark.parametrize("gate", ["none", "activated", "plain"])
def test_oracle(gate):
    """The whole mixer from its equations, pixel by pixel, by autograd."""
    import autograd.numpy as anp

    H, W, C, E, N, R = 2, 3, 18, 18, 2, 2  # ⌈18/16⌉
    mixer = mixer_of(channels=C, gate=gate, d_state=N).astype("float64")
    params = dict(mixer.named_parameters())
    orders = [[(t // W, t % W) for t in range(H * W)], [(t % H, t // H) for t in range(H * W)]]
    orders += [order[::-1] for order in orders]

    def silu(v):
        return v / (1 + anp.exp(-v))

    def independent(x, *values):
        p = dict(zip(params, values, strict=True))
        vz = anp.dot(x, p["in_proj.weight"].T)
        v, z = vz[..., :E], vz[..., E:]
        u = {
            (h, w): silu(
                sum(
                    v[:, r, s] * p["conv2d.weight"][:, 0, r - h + 1, s - w + 1]
                    for r in range(max(0, h - 1), min(H, h + 2))
                    for s in range(max(0, w - 1), min(W, w + 2))
                )
            )
            for h in range(H)
            for w in range(W)
        }
        m = dict.fromkeys(u, 0.0)
        for k, order in enumerate(orders):
            A = -anp.exp(p["A_logs"][k * E : (k + 1) * E])
            state = 0.0
            for pixel in order:
                q = anp.dot(u[pixel], p["x_proj_weight"][k].T)
                dt = anp.dot(q[:, :R], p["dt_projs_weight"][k].T) + p["dt_projs_bias"][k]
                delta, B, C_ = anp.log(1 + anp.exp(dt)), q[:, None, R : R + N], q[:, None, R + N :]
                state = anp.exp(delta[..., None] * A) * state + (delta * u[pixel])[..., None] * B
                m[pixel] = m[pixel] + anp.sum(state * C_, axis=2) + p["Ds"][k * E : (k + 1) * E] * u[pixel]
        m = anp.stack([anp.stack([m[h, w] for w in range(W)], axis=1) for h in range(H)], axis=1)
        centred = m - anp.mean(m, axis=-1, keepdims=True)
        m = centred / anp.sqrt(anp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
        m = m * p["out_norm.weight"] + p["out_norm.bias"]
        m = {"none": m, "activated": m * silu(z), "plain": m * z}[gate] if gate != "none" else m
        return anp.dot(m, p["out_proj.weight"].T)

    def forward(x, *values):
        for param, value in zip(params.values(), values, strict=True):
            param.data = value
        tape = Tape()
        return mixer(x, tape), tape

    def backward(dy, tape):
        dx = mixer.backward(dy, tape)
        gradients = mixer.gradients(tape)
        return (dx, *(gradients[key] for key in params))

    inputs = {"x": normal((2, H, W, C), seed=1), **{key: np.array(param.data) for key, param in params.items()}}
    assert_oracle(forward, backward, independent, inputs)


def test_cascade_by_its_words():
    """Rows by themselves and then columns; the second of two directions is added as it comes, not turned back."""
    mixer = mixer_of(Cascade, d_state=2).astype("float64")
    u = normal((2, 3, 4, 6), seed=1)

    def plain(u):
        return (u - u.mean(-1, keepdims=True)) / np.sqrt(u.var(-1, keepdims=True) + 1e-5)

    rows = plain(u)
    after_rows = np.stack(
        [mixer.scan(0, rows[:, h]) + mixer.scan(1, np.ascontiguousarray(rows[:, h, ::-1])) for h in range(3)], axis=1
    )
    columns = plain(after_rows)
    want = np.stack(
        [mixer.scan(2, columns[:, :, w]) + mixer.scan(3, np.ascontiguousarray(columns[:, ::-1, w])) for w in range(4)], axis=2
    )
    assert_close(mixer.mix(u), want)


def test_parameters_and_their_order():
    """As in the official state dict."""
    mixer = SS2D(32, d_state=2, ratio=2.0)
    assert {key: param.shape for key, param in mixer.named_parameters()} == {
        "x_proj_weight": (4, 6, 64),
        "A_logs": (256, 2),
        "Ds": (256,),
        "dt_projs_weight": (4, 64, 2),
        "dt_projs_bias": (4, 64),
        "out_norm.weight": (64,),
        "out_norm.bias": (64,),
        "in_proj.weight": (64, 32),
        "conv2d.weight": (64, 1, 3, 3),
        "out_proj.weight": (32, 64),
    }
    assert SS2D(17).rank == 2, "a sixteenth of the width, rounded up"
    assert dict(SS2D(8, out_norm="dwconv3").named_parameters())["out_norm.1.weight"].shape == (8, 1, 3, 3)
    assert dict(SS2D(8, gate="plain").named_parameters())["in_proj.weight"].shape == (16, 8)
    assert {type(SS2D(2, activation=name).act) for name in ("silu", "relu", "gelu")} == {SiLU, ReLU, GELU}


def test_what_an_official_mixer_has():
    mixer = SS2D(32)
    assert {key: param.shape for key, param in mixer.named_parameters()} == {
        "x_proj_weight": (4, 4, 32),
        "A_logs": (128, 1),
        "Ds": (128,),
        "dt_projs_weight": (4, 32, 2),
        "dt_projs_bias": (4, 32),
        "out_norm.weight": (32,),
        "out_norm.bias": (32,),
        "in_proj.weight": (32, 32),
        "conv2d.weight": (32, 1, 3, 3),
        "out_proj.weight": (32, 32),
    }
    assert (mixer.gate, mixer.gate_act, mixer.routes) == ("none", None, (0, 1, 2, 3))
    assert type(mixer.act) is SiLU
    np.testing.assert_array_equal(mixer.A_logs.data, 0.0)  # log 1: the start of Mamba
    assert np.log1p(np.exp(mixer.dt_projs_bias.data)).max() <= 0.1001
    other = SS2D(32, init=Initializer(seed=1))
    assert not np.array_equal(other.x_proj_weight.data, mixer.x_proj_weight.data)


def test_initial_values():
    mixer = SS2D(256, d_state=3, rank=4, init=Initializer(seed=5, dtype="float64"))
    np.testing.assert_array_equal(mixer.A_logs.data, np.broadcast_to(np.log([1.0, 2.0, 3.0]), (1024, 3)))
    np.testing.assert_array_equal(mixer.Ds.data, 1.0)
    delta = np.log1p(np.exp(mixer.dt_projs_bias.data))
    assert 0.001 * (1 - 1e-9) <= delta.min() < 0.00105
    assert 0.095 < delta.max() <= 0.1
    assert abs(np.log(delta).mean() - np.log(0.01)) < 0.15, "log-uniform"
    for param, bound in ((mixer.x_proj_weight, 1 / 16), (mixer.dt_projs_weight, 1 / 2), (mixer.conv2d.weight, 1 / 3)):
        values = np.asarray(param)
        assert np.abs(values).max() <= bound
        assert abs(values.std() / (bound / np.sqrt(3)) - 1) < 0.05


def test_other_starts():
    """The paper's "rand" and "zero"."""
    rand, zero = (SS2D(64, d_state=4, rank=3, start=start, init=Initializer(dtype="float64")) for start in ("v1", "v2"))
    for param, mean, spread in (
        (rand.A_logs, 0.0, 1.0),
        (rand.dt_projs_weight, 0.0, 0.1),
        (rand.dt_projs_bias, 0.0, 0.1),
        (zero.dt_projs_weight, 0.05, 0.1 / np.sqrt(12)),
        (zero.dt_projs_bias, 0.05, 0.1 / np.sqrt(12)),
    ):
        values = np.asarray(param)
        assert abs(values.mean() - mean) < 0.2 * spread
        assert abs(values.std() / spread - 1) < 0.15
    assert rand.A_logs.shape == zero.A_logs.shape == (256, 4)
    np.testing.assert_array_equal(zero.A_logs.data, 0.0)
    for mixer in (rand, zero):
        np.testing.assert_array_equal(mixer.Ds.data, 1.0)


def test_wrong_shape():
    with pytest.raises(InputError, match=r"unknown activation of an SS2D 'tanh'.*; choose one of silu, relu, gelu"):
        SS2D(8, activation="tanh")
    with pytest.raises(InputError, match=r"SS2D: x has shape \(2, 5, 8\), expected \(B, H, W, 8\)"):
        SS2D(8)(np.zeros((2, 5, 8), np.float32))
    with pytest.raises(InputError, match=r"SS2D: x has shape \(2, 5, 5, 9\), expected \(B, H, W, 8\)"):
        SS2D(8)(np.zeros((2, 5, 5, 9), np.float32))
