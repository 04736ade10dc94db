"""The mixer of Vim: mvnp/models/vim_mixer.py. In whole networks, and with official numbers, it is in test_vim*.py."""

import math

import numpy as np
import pytest

from mvnp.check.gradcheck import gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.models.vim_mixer import VimMixer
from support.checks import normal
from support.randomise import randomised
from support.tolerance import DEEP, assert_close

OPTIONS = [{}, {"halve": False}, {"directions": "one"}, {"directions": "shared"}, {"layer_scale": 0.5}]


def ids(options):
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "as released"


def mixer_of(**options):
    return randomised(VimMixer(**{"channels": 2, "d_state": 2, **options}).astype("float64"))


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
def test_gradients(options):
    gradcheck_layer(mixer_of(**options), normal((2, 3, 2), seed=1)).raise_for_error()


def independent(mixer, x):
    """y (L, C) of tokens x (L, C): (1) to (5), token by token and channel by channel."""
    p = {name: param.data for name, param in mixer.named_parameters()}
    (L, C), N, R = x.shape, mixer.d_state, mixer.rank
    E = 2 * C

    def silu(v):
        return v / (1 + np.exp(-v))

    def of_scan(v, end):
        """u, Δ, B, C of each token, in the order of v."""
        u = np.zeros((L, E))
        for t in range(L):
            for e in range(E):
                taps = p[f"conv1d{end}.weight"][e, 0]
                past = sum(taps[k] * v[t - 3 + k, e] for k in range(4) if t - 3 + k >= 0)
                u[t, e] = silu(past + p[f"conv1d{end}.bias"][e])
        q = u @ p[f"x_proj{end}.weight"].T
        step = np.log1p(np.exp(q[:, :R] @ p[f"dt_proj{end}.weight"].T + p[f"dt_proj{end}.bias"]))
        return u, step, q[:, R : R + N], q[:, R + N :]

    def scan(u, step, B, C_, A_log, D):
        s, h = np.zeros((L, E)), np.zeros((E, N))
        for t in range(L):
            for e in range(E):
                h[e] = np.exp(-step[t, e] * np.exp(A_log[e])) * h[e] + step[t, e] * B[t] * u[t, e]
                s[t, e] = h[e] @ C_[t] + D[e] * u[t, e]
        return s

    vz = x @ p["in_proj.weight"].T
    v, z = vz[:, :E], vz[:, E:]
    there = of_scan(v, "")
    s = scan(*there, p["A_log"], p["D"])
    if mixer.directions == "both":
        s = s + scan(*of_scan(v[::-1], "_b"), p["A_b_log"], p["D_b"])[::-1]
        s = s / 2 if mixer.halve else s
    if mixer.directions == "shared":
        s = s + scan(*(value[::-1] for value in there), p["A_b_log"], p["D"])[::-1]
    y = (s * silu(z)) @ p["out_proj.weight"].T
    return p["gamma"] * y if "gamma" in p else y


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
def test_oracle(options):
    """L is longer than the convolution, and there are two ranks of dt."""
    mixer = mixer_of(channels=18, **options)
    x = normal((2, 6, 18), seed=2)
    assert_close(mixer(x), np.stack([independent(mixer, one) for one in x]), terms=DEEP)


def test_what_an_official_mixer_has():
    mixer = VimMixer(4)
    assert (mixer.d_state, mixer.rank, mixer.directions, mixer.halve, mixer.gamma) == (16, 1, "both", True, None)
    assert mixer.A_log.shape == mixer.A_b_log.shape == (8, 16)
    assert VimMixer(17).rank == 2


@pytest.mark.parametrize(("directions", "scans"), [("both", 2), ("one", 1), ("shared", 2)])
def test_scans(directions, scans):
    mixer = VimMixer(4, directions=directions)
    assert mixer.scans == scans
    assert mixer.halve == (directions == "both")
    assert not VimMixer(4, directions=directions, halve=False).halve
    assert ("A_b_log" in dict(mixer.named_parameters())) == (directions != "one")
    assert ("D_b" in dict(mixer.named_parameters())) == (directions == "both")


def test_initial_values():
    """softplus(bias) is log-uniform in 0.001–0.1 on the way there; W_out is uniform in ±1/√(E·depth)."""
    mixer = VimMixer(256, init=Initializer(seed=1))
    step = np.log1p(np.exp(mixer.dt_proj.bias.data.astype(float)))
    assert 0.001 * 0.9999 < step.min() < 0.00103
    assert 0.098 < step.max() < 0.1 * 1.0001
    assert np.log(step).mean() == pytest.approx(math.log(0.01), rel=0.02)
    assert not mixer.dt_proj_b.bias.data.any()
    for D in (mixer.D, mixer.D_b):
        np.testing.assert_array_equal(D.data, 1.0)
    for options, depth in (({}, 1), ({"depth": 4}, 4)):
        bound = (512 * depth) ** -0.5
        largest = np.abs(VimMixer(256, **options).out_proj.weight.data).max()
        assert 0.999 * bound < largest <= bound * 1.000001
    other = VimMixer(256, init=Initializer(seed=2))
    assert not np.array_equal(other.in_proj.weight.data, mixer.in_proj.weight.data)
    np.testing.assert_array_equal(VimMixer(4, layer_scale=0.25).gamma.gamma.data, np.float32(0.25))


def test_wrong_inputs():
    with pytest.raises(InputError, match=r"unknown directions 'three'.*choose one of both, one, shared"):
        VimMixer(4, directions="three")
    for name, sizes in (("channels", {"channels": 0}), ("d_state", {"channels": 4, "d_state": 0})):
        with pytest.raises(InputError, match=f"VimMixer: {name} is 0, expected a number above 0"):
            VimMixer(**sizes)
    with pytest.raises(InputError, match=r"VimMixer: x .*\(B, L, 4\)"):
        VimMixer(4)(np.zeros((2, 3, 5), "float32"))
