"""The MambaVision mixer: mvnp/models/mixer.py."""

import contextlib
import math

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.layers.selective_scan import ScanCache
from mvnp.models.mixer import MIXERS, MambaVisionMixer
from mvnp.models.quirks import Quirks
from support.checks import assert_oracle, normal, relative
from support.kernel_checks import by_the_book
from support.randomise import randomised
from support.tiny import WithMask
from support.tolerance import assert_close, chance, rounding

REAL = np.array([[True, True, False, True, False], [True] * 5])


OTHERS = [name for name in MIXERS if name != "concat"]


def mixer_of(channels=8, quirks=None, seed=3, **options):
    return randomised(MambaVisionMixer(channels, quirks=quirks, **options), seed)


def test_by_hand():
    # C = 2, so one channel in each branch; N = R = 1, a convolution of one tap, one token. All weights 1 but in_proj = id.
    # x = (a, c): u = silu(a), z = silu(c). dt = B = C = u. A = −1, one token from h = 0: s = Δ u³ + D u,
    # Δ = softplus(u + b + b). y = (s, z) through out_proj = id.
    mixer = MambaVisionMixer(2, d_state=1, d_conv=1).astype("float64")
    a, c, b, D = 0.5, -1.5, 0.25, 3.0
    mixer.load_state_dict(
        {
            "A_log": [[0.0]],
            "D": [D],
            "in_proj.weight": np.eye(2),
            "x_proj.weight": np.ones((3, 1)),
            "dt_proj.weight": [[1.0]],
            "dt_proj.bias": [b],
            "out_proj.weight": np.eye(2),
            "conv1d_x.weight": np.ones((1, 1, 1)),
            "conv1d_z.weight": np.ones((1, 1, 1)),
        }
    )
    u, z = a / (1 + math.exp(-a)), c / (1 + math.exp(-c))
    delta = math.log(1 + math.exp(u + 2 * b))
    assert_close(mixer(np.array([[[a, c]]])), [[[delta * u**3 + D * u, z]]])


@pytest.mark.parametrize("dt_bias", ["twice", "once"])
@pytest.mark.parametrize(
    ("B", "L", "C", "d_state", "d_conv"), [(1, 1, 2, 1, 1), (2, 4, 4, 2, 3), (1, 5, 6, 3, 4), (3, 2, 18, 1, 2)]
)
def test_gradients(B, L, C, d_state, d_conv, dt_bias):
    mixer = mixer_of(C, Quirks(dt_bias=dt_bias), d_state=d_state, d_conv=d_conv)
    gradcheck_layer(mixer, normal((B, L, C), seed=1), directions=3).raise_for_error()


@pytest.mark.parametrize("dt_bias", ["twice", "once"])
def test_gradients_with_masked_tokens(dt_bias):
    mixer = mixer_of(6, Quirks(dt_bias=dt_bias), d_state=2)
    gradcheck_layer(WithMask(mixer, REAL), normal((2, 5, 6), seed=1), directions=3).raise_for_error()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("d_conv", [1, 3])
def test_gradients_of_gated_mixers(name, d_conv):
    mixer = mixer_of(6, d_state=2, d_conv=d_conv, mixer=name)
    gradcheck_layer(mixer, normal((2, 5, 6), seed=1), directions=3).raise_for_error()
    gradcheck_layer(WithMask(mixer, REAL), normal((2, 5, 6), seed=1), directions=3).raise_for_error()


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("dt_bias", ["twice", "once"])
@pytest.mark.parametrize("d_conv", [2, 3])
def test_oracle(d_conv, dt_bias, name):
    """The whole mixer from its equations, token by token, by autograd."""
    import autograd.numpy as anp

    B, L, C, N = 2, 4, 34, 2
    D, R = C if name.endswith("_wide") else C // 2, 3  # ⌈34/16⌉
    mixer = mixer_of(C, Quirks(dt_bias=dt_bias), d_state=N, d_conv=d_conv, mixer=name).astype("float64")
    params = dict(mixer.named_parameters())

    def silu(u):
        return u / (1.0 + anp.exp(-u))

    def smoothed(u, weight, causal=False):
        left = d_conv - 1 if causal else (d_conv - 1) // 2
        tokens = []
        for t in range(L):
            taps = [k for k in range(d_conv) if 0 <= t + k - left < L]
            tokens.append(sum(u[:, t + k - left] * weight[:, 0, k] for k in taps))
        return anp.stack(tokens, axis=1)

    def independent(x, *values):
        p = dict(zip(params, values, strict=True))
        xz = anp.dot(x, p["in_proj.weight"].T)
        u, z = silu(smoothed(xz[..., :D], p["conv1d_x.weight"], name.startswith("mamba"))), xz[..., D:]
        if name in ("concat", "gated", "gated_wide"):
            z = smoothed(z, p["conv1d_z.weight"])
        parts = anp.dot(u, p["x_proj.weight"].T)
        times = 2 if dt_bias == "twice" else 1
        raw = anp.dot(parts[..., :R], p["dt_proj.weight"].T) + times * p["dt_proj.bias"]
        delta, A = anp.log(1.0 + anp.exp(raw)), -anp.exp(p["A_log"])
        h, scanned = np.zeros((B, D, N)), []
        for t in range(L):
            step = delta[:, t, :, None]
            h = anp.exp(step * A) * h + step * parts[:, t, None, R : R + N] * u[:, t, :, None]
            scanned.append(anp.sum(parts[:, t, None, R + N :] * h, axis=2) + p["D"] * u[:, t])
        s = anp.stack(scanned, axis=1)
        joined = anp.concatenate([s, silu(z)], axis=2) if name == "concat" else s * silu(z)
        return anp.dot(joined, p["out_proj.weight"].T)

    def forward(x, *values):
        for param, value in zip(params.values(), values, strict=True):
            param.data = value
        tape = Tape()
        return mixer(x, tape), tape

    def backward(dy, tape):
        return mixer.backward(dy, tape), *(mixer.gradients(tape)[key] for key in params)

    inputs = {"x": normal((B, L, C), seed=1), **{key: param.data for key, param in params.items()}}
    assert_oracle(forward, backward, independent, inputs)


@pytest.mark.parametrize("name", MIXERS)
def test_float32(name):
    mixer, x, dy = mixer_of(16, mixer=name), normal((2, 9, 16), seed=1), normal((2, 9, 16), seed=2)
    twin, tapes = mixer.astype("float64"), (Tape(), Tape())
    y, y64 = mixer(x.astype(np.float32), tapes[0]), twin(x, tapes[1])
    dx, dx64 = mixer.backward(dy.astype(np.float32), tapes[0]), twin.backward(dy, tapes[1])
    pairs = [(y, y64), (dx, dx64)]
    pairs += [(mixer.gradients(tapes[0])[key], gradient) for key, gradient in twin.gradients(tapes[1]).items()]
    assert len(pairs) == (11 if MIXERS[name].conv_z else 10)
    for got, want in pairs:
        assert got.dtype == np.float32
        assert_close(got, want)


@pytest.mark.parametrize("name", MIXERS)
def test_kernels_and_array_code_agree(name):
    mixer, x, dy = mixer_of(16, mixer=name).astype("float64"), normal((2, 9, 16), seed=1), normal((2, 9, 16), seed=2)
    found = []
    for way in (contextlib.nullcontext, by_the_book):
        tape = Tape()
        with way():
            y = mixer.forward(x, tape, np.arange(18).reshape(2, 9) % 7 > 0)
            found.append({"y": y, "dx": mixer.backward(dy, tape), **mixer.gradients(tape)})
    for key, value in found[1].items():
        assert_close(found[0][key], value, message=key)


@pytest.mark.parametrize(("channels", "rank"), [(16, 1), (18, 2), (32, 2), (40, 3), (320, 20), (640, 40)])
def test_parameters(channels, rank):
    """dt's rank is ⌈C/16⌉, and only dt_proj has a bias."""
    D = channels // 2
    assert {key: param.shape for key, param in MambaVisionMixer(channels).named_parameters()} == {
        "A_log": (D, 8),
        "D": (D,),
        "in_proj.weight": (channels, channels),
        "x_proj.weight": (rank + 16, D),
        "dt_proj.weight": (D, rank),
        "dt_proj.bias": (D,),
        "out_proj.weight": (channels, channels),
        "conv1d_x.weight": (D, 1, 3),
        "conv1d_z.weight": (D, 1, 3),
    }


@pytest.mark.parametrize(
    ("name", "inner", "joined"),
    [
        ("concat", 10, 20),
        ("gated", 10, 10),
        ("gated_wide", 20, 20),
        ("gated_one_conv", 10, 10),
        ("gated_one_conv_wide", 20, 20),
        ("mamba", 10, 10),
        ("mamba_wide", 20, 20),
    ],
)
def test_parameters_of_each(name, inner, joined):
    """Narrow: two branches of C/2, of which the gate leaves one. Wide: of C, and the rank of dt stays ⌈C/16⌉."""
    shapes = {key: param.shape for key, param in MambaVisionMixer(20, mixer=name).named_parameters()}
    conv_z = {"conv1d_z.weight": (inner, 1, 3)} if name in ("concat", "gated", "gated_wide") else {}
    assert shapes == {
        "A_log": (inner, 8),
        "D": (inner,),
        "in_proj.weight": (2 * inner, 20),
        "x_proj.weight": (18, inner),
        "dt_proj.weight": (inner, 2),
        "dt_proj.bias": (inner,),
        "out_proj.weight": (20, joined),
        "conv1d_x.weight": (inner, 1, 3),
        **conv_z,
    }


@pytest.mark.parametrize("name", ["mamba", "mamba_wide"])
def test_mamba_sees_nothing_ahead(name):
    mixer, x = mixer_of(d_state=2, mixer=name).astype("float64"), normal((1, 7, 8), seed=1)
    changed = x.copy()
    changed[0, 3] += 1
    moved = np.abs(mixer(changed) - mixer(x)).max(axis=2)[0]
    assert (moved > 1e-9).tolist() == [False] * 3 + [True] * 4


def test_a_closed_gate_lets_nothing_pass():
    """With z at 0 the gate is σ(0)·0 = 0, whatever has been scanned; a concatenation lets the scan through."""
    x = normal((1, 5, 8), seed=1)
    for name in MIXERS:
        mixer = mixer_of(mixer=name).astype("float64")
        weight = mixer.in_proj.weight.data.copy()
        weight[len(weight) // 2 :] = 0
        mixer.in_proj.weight.data = weight
        assert mixer(x).any() == (name == "concat")


def test_windows_do_not_meet():
    """Each index of the leading axis is mixed on its own: alone it gives the same."""
    mixer, x = mixer_of(), normal((3, 4, 8), seed=1).astype(np.float32)
    y = mixer(x)
    for index in range(3):
        assert_close(mixer(x[index : index + 1])[0], y[index])


def test_what_a_token_sees():
    """Both branches see one token ahead, by the convolution; the scan carries everything behind along."""
    mixer, x = mixer_of(d_state=2).astype("float64"), normal((1, 7, 8), seed=1)
    changed = x.copy()
    changed[0, 3] += 1
    moved = np.abs(mixer(changed) - mixer(x)).max(axis=2)[0]
    assert (moved[:2] == 0).all()
    assert (moved[2:] > 1e-9).all()


def test_the_second_branch_is_concatenated():
    """z reaches the output without the scan: with the scan's half of out_proj at zero, only z is left, and it is local."""
    mixer, x = mixer_of().astype("float64"), normal((1, 7, 8), seed=1)
    weight = mixer.out_proj.weight.data.copy()
    weight[:, :4] = 0
    mixer.out_proj.weight.data = weight
    changed = x.copy()
    changed[0, 3] += 1
    moved = np.abs(mixer(changed) - mixer(x)).max(axis=2)[0]
    assert (moved > 0).tolist() == [False, False, True, True, True, False, False]


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("dt_bias", ["twice", "once"])
def test_masked_tokens_are_passed_over(dt_bias, name):
    """Real tokens give what they give when padding is not there at all, up to the convolution's zeros."""
    mixer = mixer_of(d_conv=1, quirks=Quirks(dt_bias=dt_bias), mixer=name).astype("float64")
    x = normal((2, 5, 8), seed=1)
    y = mixer.forward(x, None, REAL)
    assert_close(y[0][REAL[0]], mixer(x[:1, REAL[0]])[0])
    assert_close(y[1], mixer(x[1:])[0])

    wide = mixer_of(quirks=Quirks(dt_bias=dt_bias), mixer=name).astype("float64")
    changed = np.where(REAL[..., None], x, 1e3)
    np.testing.assert_array_equal(wide.forward(changed, None, REAL)[REAL], wide.forward(x, None, REAL)[REAL])
    assert relative(wide(changed)[0][REAL[0]], wide(x)[0][REAL[0]]) > 0.1


def test_nothing_flows_back_into_masked_tokens():
    mixer, tape = mixer_of().astype("float64"), Tape()
    y = mixer.forward(normal((2, 5, 8), seed=1), tape, REAL)
    dx = mixer.backward(np.where(REAL[..., None], normal(y.shape, seed=2), 0), tape)
    assert not dx[~REAL].any()
    assert dx[REAL].all()


def test_initial_values():
    mixer = MambaVisionMixer(320)
    A_log = np.asarray(mixer.A_log)
    assert_close(-np.exp(A_log), np.broadcast_to(-np.arange(1.0, 9.0), (160, 8)))
    assert (np.asarray(mixer.D) == 1).all()
    assert not np.asarray(mixer.dt_proj.bias).any(), "so that Δ starts near softplus(0) = 0.69"
    for linear in (mixer.in_proj, mixer.x_proj, mixer.out_proj, mixer.dt_proj):
        assert relative(np.asarray(linear.weight).std(), 0.02) < chance(1, 2 * np.asarray(linear.weight).size)
    for conv in (mixer.conv1d_x, mixer.conv1d_z):
        assert np.abs(np.asarray(conv.weight)).max() <= 1 / math.sqrt(3)
        assert relative(np.asarray(conv.weight).std(), 1 / 3) < chance(1, 2 * np.asarray(conv.weight).size)


def test_values_are_drawn_from_the_initializer_that_is_given():
    one, same, other = (MambaVisionMixer(8, init=Initializer(seed, "float64")) for seed in (1, 1, 2))
    for key, value in one.state_dict().items():
        assert value.dtype == np.float64
        np.testing.assert_array_equal(value, same.state_dict()[key])
    assert (one.in_proj.weight.data != other.in_proj.weight.data).any()


def test_published_initial_values():
    mixer = MambaVisionMixer(320, quirks=Quirks(dt_init="published"))
    step = np.log1p(np.exp(np.asarray(mixer.dt_proj.bias, np.float64)))
    assert step.min() >= 0.001 * (1 - rounding("float32", 16))
    assert step.max() <= 0.1 * (1 + rounding("float32", 16))
    # Log-uniform: as much below the geometric mean as above it, and near both ends.
    assert abs(np.mean(step < 0.01) - 0.5) < chance(0.5, step.size)
    assert step.min() < 0.0013
    assert step.max() > 0.095
    weight = np.asarray(mixer.dt_proj.weight)
    assert np.abs(weight).max() <= 1 / math.sqrt(20)
    assert relative(weight.std(), 1 / math.sqrt(60)) < chance(1, 2 * weight.size)


def test_what_is_on_the_tape():
    """A ScanCache, and above it the record of `mask`: others read these."""
    mixer, tape = mixer_of(), Tape(training=False)
    mixer.forward(np.zeros((2, 5, 8), np.float32), tape, REAL)
    scan, mask = (cache for owner, cache in tape.entries if owner is mixer)
    assert isinstance(scan, ScanCache)
    assert scan.delta.shape == (2, 5, 4)
    assert not scan.delta[~REAL].any()
    assert scan.delta[REAL].all()
    assert mask is REAL


def test_an_unknown_mixer():
    with pytest.raises(InputError, match=r"unknown mixer 'gate' \(did you mean 'gated'\?\); choose one of concat, gated, "):
        MambaVisionMixer(8, mixer="gate")


@pytest.mark.parametrize("name", ["d_state", "d_conv"])
def test_sizes_above_zero(name):
    with pytest.raises(InputError, match=f"MambaVisionMixer: {name} is 0, expected a number above 0"):
        MambaVisionMixer(8, **{name: 0})


@pytest.mark.parametrize("channels", [-2, 0, 1, 7])
def test_a_width_that_cannot_be_shared(channels):
    expected = f"MambaVisionMixer: channels is {channels}, expected an even number: two branches share them"
    with pytest.raises(InputError, match=expected):
        MambaVisionMixer(channels)


def test_wrong_shape_and_dtype():
    with pytest.raises(InputError, match=r"MambaVisionMixer: x has shape \(2, 5, 6\), expected \(B, L, 8\)"):
        mixer_of()(np.zeros((2, 5, 6), np.float32))
    with pytest.raises(InputError, match=r"MambaVisionMixer: x has shape \(5, 8\), expected \(B, L, 8\)"):
        mixer_of()(np.zeros((5, 8), np.float32))
    for dtype in ("int64", "complex64"):
        with pytest.raises(InputError, match=f"MambaVisionMixer: x has dtype {dtype}"):
            mixer_of()(np.zeros((2, 5, 8), dtype))
