"""The twin of the selective scan: mvnp/kernels/cuda/selective_scan.py and selective_scan.cu."""

import functools

import numpy as np
import pytest

from mvnp.backend import array_module
from mvnp.errors import InputError
from mvnp.kernels.cuda import selective_scan as twins
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward, selective_scan_states
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, ON_THIS_MACHINE, assert_caught, check_pair, run_on_device
from support.tolerance import assert_close, rounding

WAYS_OVER_TIME = {"one pass": False, "in parallel": True}

# b, l, d, n: those of the model (stages 3 and 4 of T, and of the demo's model), then what fills no warp, tile or chunk.
MODEL = [(1, 196, 160, 8), (2, 49, 320, 8), (2, 16, 32, 8), (3, 4, 64, 8)]
AWKWARD = [(4, 1, 1, 1), (2, 1, 33, 8), (1, 2, 31, 16), (3, 17, 5, 1), (2, 31, 33, 16), (1, 37, 65, 3), (1, 130, 7, 5),
           (2, 9, 3, 17)]  # fmt: skip

# A long sum rounds more: dA adds up b·l products, dB d of them.
LIMITS = {"float64": 1e-13, "float32": 2e-5, "float16": 4e-3}


def inputs(b, l, d, n):
    x, dt, B, C = (normal(shape, seed) for seed, shape in enumerate([(b, l, d), (b, l, d), (b, l, n), (b, l, n)], 1))
    return [x, dt, -np.exp(0.5 * normal((d, n), 5)), B, C, normal((d,), 6), normal((d,), 7)]


@pytest.fixture(params=WAYS_OVER_TIME)
def over_time(request, monkeypatch):
    """Both ways that the tokens can be taken, whatever the twin would choose."""
    monkeypatch.setattr(twins, "_in_parallel", lambda warps, tokens: WAYS_OVER_TIME[request.param])
    return request.param


def kept_every(K, monkeypatch):
    """States are kept before each block of K tokens, or as many as there is room for."""
    monkeypatch.setattr(twins, "_distance", lambda tokens, n, real: min(K, tokens, twins._room(n, real)))


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", AWKWARD, ids=str)
def test_numbers(shape, over_time, dtype, way):
    check_pair(selective_scan_forward, selective_scan_backward, inputs(*shape), dtype, way, LIMITS[dtype])


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", MODEL, ids=str)
def test_shapes_of_the_model(shape, over_time, dtype, way):
    check_pair(selective_scan_forward, selective_scan_backward, inputs(*shape), dtype, way, LIMITS[dtype])


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("distance", [1, 2, 16, 17, 40])
def test_any_kept_distance(distance, over_time, way, monkeypatch):
    kept_every(distance, monkeypatch)
    check_pair(selective_scan_forward, selective_scan_backward, inputs(2, 40, 3, 8), "float64", way, rounding("float64"))


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_options(bias, softplus, over_time):
    arrays = inputs(2, 19, 3, 4)[: 7 if bias else 6]
    forward = functools.partial(selective_scan_forward, softplus=softplus)
    check_pair(forward, selective_scan_backward, arrays, "float64", "sanitized", rounding("float64"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [-1e4, -12.0, 300.0])
def test_tokens_passed_over_and_steps_far_out(dt, over_time, dtype):
    """−10⁴ stands at padded tokens (NO_STEP of mvnp/models/mixer.py)."""
    arrays = inputs(2, 19, 3, 4)
    arrays[1][0, 5:14] = dt
    arrays[1][1, -3:] = dt
    check_pair(selective_scan_forward, selective_scan_backward, arrays, dtype, "in order", LIMITS[dtype])


@pytest.mark.parametrize("distance", [5, 37])
def test_nothing_kept(distance, over_time, monkeypatch):
    arrays = inputs(2, 37, 5, 8)
    want, _ = selective_scan_forward.book(*arrays)
    kept_every(distance, monkeypatch)

    def forward(*on_device):
        y, cache = selective_scan_forward(*on_device, keep=False)
        assert cache is None
        return [y]

    for way in ON_THIS_MACHINE:
        assert_close(run_on_device(forward, arrays, way)[0], want)


def test_states_from_what_the_twin_leaves(over_time):
    arrays = inputs(2, 37, 5, 8)
    want = selective_scan_states(selective_scan_forward.book(*arrays)[1])
    got = run_on_device(lambda *a: [selective_scan_states(selective_scan_forward(*a)[1])], arrays, "in order")
    assert_close(got[0], want)


def test_views(over_time):
    """As the mixer has them: B and C are columns of one array, dy of another."""

    def forward(x, dt, A, gates, D):
        return selective_scan_forward(x, dt, A, gates[..., 3:7], gates[..., 7:], D)

    def backward(dy, cache):
        return selective_scan_backward(array_module(dy).concatenate([dy, dy], axis=-1)[..., 3:], cache)

    x, dt, A, _, _, D, _ = inputs(2, 19, 3, 4)
    check_pair(forward, backward, [x, dt, A, normal((2, 19, 11), 8), D], "float64", "sanitized", rounding("float64"))


def test_which_is_taken():
    """Parallel over time for few warps and many tokens."""
    assert all(twins._in_parallel(*case) for case in [(5, 196), (256, 128), (1, 4096)])
    assert not any(twins._in_parallel(*case) for case in [(257, 128), (10, 49), (640, 4096)])


def test_what_is_kept():
    """A state for every ⌈√l⌉ tokens, but for no more than the backward has room for."""

    def kept(*shape, dtype="float32"):
        arrays, caches = [array.astype(dtype) for array in inputs(*shape)], []
        run_on_device(lambda *a: caches.append(selective_scan_forward(*a)[1]) or [], arrays, "in order")
        return caches[0].kept.shape

    assert kept(1, 120, 3, 8) == (11, 1, 8, 3)  # one pass, K = 11
    assert kept(1, 130, 3, 8) == (11, 1, 8, 3)  # in parallel, K = 12
    assert kept(1, 1200, 1, 8) == (37, 1, 8, 1)  # K = 33, not 35
    assert twins._room(8, np.dtype(np.float64)) == 16
    assert kept(1, 1200, 1, 8, dtype="float64") == (75, 1, 8, 1)  # K = 16


def test_too_many_states():
    with pytest.raises(InputError, match=r"selective_scan: 65 states for each channel, .* at most 64; MVNP_KERNELS=off"):
        run_on_device(lambda *a: [selective_scan_forward(*a)[0]], inputs(1, 4, 2, 65), "in order")


@pytest.mark.parametrize("states", [32, 64])
def test_many_states(states, over_time):
    check_pair(
        selective_scan_forward, selective_scan_backward, inputs(1, 9, 3, states), "float64", "in order", rounding("float64")
    )


FAULTS = {
    "e_t A missing in dΔ": ("LN_2 * of_decay + value * into_state", "value * into_state"),
    "x Σ g B missing in dΔ": ("LN_2 * of_decay + value * into_state", "LN_2 * of_decay"),
    "a factor": ("LN_2 * of_decay", "of_decay"),
    "the skip missing": ("step * into_state + skip * d_y", "step * into_state"),
    "the decay missing in e": ("A e = carry[n] * before; ", "A e = g * before; "),
    "the state after in e": ("            dA[n] += e * step;  ", "            e = carry[n] * h[n]; dA[n] += e * step;  "),
    "the decay missing in the carry": ("carry[n] = exp2(step * rate[n]) * g;", "carry[n] = g;"),
    "the state before in dC": ("gates[STATES + n] = d_y * h[n];", "gates[STATES + n] = d_y * before;"),
    "the slope of softplus": ("softplus_on ? dstep * -expm1(-step) : dstep", "dstep"),
    "no bias": ("step = dt_tile[k][lane] + offset;\n            if (softplus_on) step = softplus(step);  // (1)",
                "step = dt_tile[k][lane];\n            if (softplus_on) step = softplus(step);  // (1)"),
    "a state kept late": ("if (first + k == next_kept) {", "if (first + k == next_kept + 1) {"),
    "a chunk left out": ("chunk * every >= begin; chunk--", "chunk * every > begin; chunk--"),
    "a part too early": ("int part = back ? parts - 1 - j : j;", "int part = back ? (j ? parts - j : 0) : j;"),
    "what a part met forgotten": ("* met + own;", "* own;"),
    "the sum of the steps": ("            sum += step;\n        }\n        __syncwarp();\n    }\n    if (!mine) return;",
                             "            sum = step;\n        }\n        __syncwarp();\n    }\n    if (!mine) return;"),
    "a sum over half of the channels": ("DISTANCE = WARP / 2>", "DISTANCE = WARP / 4>"),
    "halves mixed up": ("(upper ? upper_half : lower_half) + given", "(upper ? lower_half : upper_half) + given"),
    "a channel too many": ("CHANNEL < d ? A(from[(size_t)k * pitch + CHANNEL]) : A(0)", "A(from[(size_t)k * pitch + CHANNEL])"),
    "no barrier before B and C are read": ("tokens, C_tile);\n        __syncwarp();\n\n        for (int k = 0;",
                                           "tokens, C_tile);\n\n        for (int k = 0;"),
    "no barrier before the next tile": ("        __syncwarp();  // before the next tile takes the place of this one\n", ""),
    "no barrier in the backward": ("+ (size_t)n * d] : 0;\n        __syncwarp();\n", "+ (size_t)n * d] : 0;\n"),
    "a write behind the end": ("if (mine) y[at] = T(sum);", "y[at] = T(sum);"),
    "a write behind the kept states": ("next_kept / every) * batch", "next_kept / every + 1) * batch"),
    "a write behind the gates": ("&& number < 2 * STATES) row", ") row"),
    "a write behind shared memory": ("states[k][n][lane] = h[n];", "states[k + 4 * every][n][lane] = h[n];"),
}  # fmt: skip


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault, monkeypatch):
    def checks(way):
        for parallel, shape in ((False, (1, 21, 33, 3)), (True, (2, 21, 3, 3))):
            monkeypatch.setattr(twins, "_in_parallel", lambda warps, tokens, parallel=parallel: parallel)
            check_pair(selective_scan_forward, selective_scan_backward, inputs(*shape), "float64", way, rounding("float64"))

    said = assert_caught("selective_scan", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
