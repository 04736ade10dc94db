"""The CPU twin of attention."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp import Tape
from mvnp.kernels import use_kernels
from mvnp.layers.attention import attention_backward, attention_forward
from mvnp.models.attention import MultiHeadAttention
from support.checks import normal
from support.randomise import randomised
from support.tolerance import assert_close
from support.twins import assert_near, check_twins, computed, needs_numba, twin_function

pytestmark = needs_numba


def heads_of(B, h, L, d, seed=0, views=True):
    """q, k, v: views of what one projection gives, as the layer has them, or arrays of their own."""
    q, k, v = normal((B, L, 3, h, d), seed).transpose(2, 0, 3, 1, 4)
    return [q, k, v] if views else [np.ascontiguousarray(x) for x in (q, k, v)]


def mask_of(B, L, seed):
    mask = np.random.default_rng(seed).random((B, L)) < 0.5
    mask[np.arange(B), np.arange(B) % L] = True
    return mask


def dropout_of(B, h, L, seed):
    return (np.random.default_rng(seed).random((B, h, L, L)) < 0.7) / 0.7


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 20)),
    views=st.booleans(),
    masked=st.booleans(),
    dropped=st.booleans(),
    seed=st.integers(0, 99),
)
def test_numbers(shape, views, masked, dropped, seed):
    B, h, L, _ = shape
    mask = mask_of(B, L, seed) if masked else None
    dropout = dropout_of(B, h, L, seed) if dropped else None
    check_twins(attention_forward, attention_backward, [*heads_of(*shape, seed, views), mask, dropout])


@pytest.mark.parametrize("shape", [(2, 8, 196, 40), (3, 16, 49, 40)], ids=str)
def test_shapes_of_the_model(shape):
    check_twins(attention_forward, attention_backward, heads_of(*shape))


@pytest.mark.parametrize("scores", [1, 2 * 36, 3 * 36, 5 * 36, 11 * 36])
def test_however_many_heads_at_a_time(scores, monkeypatch):
    """One head of a sample, some, all of a sample, of two, and of all three."""
    from mvnp.kernels.cpu import attention

    monkeypatch.setattr(attention, "SCORES", scores)
    check_twins(attention_forward, attention_backward, [*heads_of(3, 5, 6, 4), mask_of(3, 6, 1), dropout_of(3, 5, 6, 2)])
    for mask in (None, mask_of(3, 6, 1)):
        inputs = [*heads_of(3, 5, 6, 4), mask, dropout_of(3, 5, 6, 2)]
        o, cache = computed(twin_function(attention_forward)(*inputs, keep=False), attention_forward)
        assert cache is None
        assert_near(o, attention_forward.book(*inputs)[0], "float64", "o")


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 17, 5), (1, 8, 196, 40), (3, 16, 49, 40), (1, 2, 33, 70)], ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_in_inference(shape, masked):
    """Without weights to keep, all is one kernel; heads that lie in a projection, or with every second number."""
    mask = mask_of(shape[0], shape[2], 1) if masked and shape[2] > 1 else None
    heads = heads_of(*shape)
    want = attention_forward.book(*heads, mask)[0]
    for dtype in ("float64", "float32"):
        separate = [x.astype(dtype) for x in heads]
        projected = np.stack([x.transpose(0, 2, 1, 3) for x in separate], axis=2).transpose(2, 0, 3, 1, 4)
        strided = [np.repeat(x, 2, axis=3)[..., ::2] for x in separate]
        for inputs in (separate, projected, strided):
            o, cache = computed(twin_function(attention_forward)(*inputs, mask, keep=False), attention_forward)
            assert cache is None
            assert_near(o, want, dtype, f"o in {dtype}")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_numbers_at_the_edges_in_inference(value, which):
    inputs = heads_of(2, 2, 18, 5)
    inputs[which][1, 0, 3, 2] = value
    with np.errstate(invalid="ignore"):
        want = attention_forward.book(*inputs)[0]
    o, _ = computed(twin_function(attention_forward)(*inputs, keep=False), attention_forward)
    assert_near(o, want, "float64", "o")


@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_large_scores(scale):
    """One key takes all: the others' weights underflow. What is rounded of a score its weight is off by."""
    q, k, v = heads_of(1, 2, 19, 4)
    scores = np.abs(scale * q @ k.swapaxes(-1, -2)).max() / 2
    check_twins(attention_forward, attention_backward, [scale * q, k, v], scale=scores)


def test_a_masked_key_has_no_weight():
    inputs, mask = [x.astype(np.float32) for x in heads_of(2, 2, 18, 4)], mask_of(2, 18, 3)
    inputs[1][:, :, :, 0] += np.where(mask, 0, 1e3)[:, None, :].astype(np.float32)  # the likeliest, were it seen
    _, cache = twin_function(attention_forward)(*inputs, mask)
    hidden = np.broadcast_to(~mask[:, None, None, :], cache.weights.shape)
    np.testing.assert_array_equal(cache.weights[hidden], 0)
    assert_close(cache.weights.sum(-1), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("number", range(3))
def test_a_number_that_is_none(number, value):
    """What stands at one token of one head goes where the book lets it go. With −∞ scores that is all of a row, or none."""
    inputs = heads_of(2, 2, 18, 3)
    inputs[number][1, 1, 5, 2] = value
    with np.errstate(invalid="ignore"):
        check_twins(attention_forward, attention_backward, inputs)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_the_layer_with_and_without(qk_norm):
    layer = randomised(MultiHeadAttention(12, 3, qk_norm=qk_norm, attn_drop=0.2)).astype("float64")
    x, dy, results = normal((2, 7, 12), 1), normal((2, 7, 12), 2), []
    for choice in ("on", "off"):
        use_kernels(choice)
        try:
            tape = Tape(seed=3)
            y = layer(x, tape)
            results.append([y, layer.backward(dy, tape), *layer.gradients(tape).values()])
        finally:
            use_kernels("on")
    for got, want in zip(*results, strict=True):
        assert_close(got, want, scale=max(1.0, np.abs(want).max()))


def test_what_it_does_not_take():
    q, k, v = heads_of(1, 2, 4, 3)
    assert twin_function(attention_forward)(*(x.astype(np.float16) for x in (q, k, v))) is NotImplemented
    o, cache = twin_function(attention_forward)(q, k, v)
    for wrong in (o[:, :, :3], o.astype(np.float32)):
        assert twin_function(attention_backward)(wrong, cache) is NotImplemented


@pytest.mark.parametrize(
    ("B", "h", "L", "cores", "cut"),
    [
        (1, 8, 16, 1, [(1, 8)]),
        (1, 8, 100, 2, [(1, 4)] * 2),
        (1, 6, 100, 4, [(1, 2)] * 3),
        (1, 8, 192, 2, [(1, 2)] * 4),  # three at a time would fit, and leave one core with two
        (1, 8, 256, 2, [(1, 2)] * 4),
        (1, 3, 400, 2, [(1, 1)] * 3),
        (1, 5, 100, 2, [(1, 3), (1, 2)]),  # just worth it
        (2, 8, 100, 2, [(1, 8)] * 2),
        (4, 8, 100, 2, [(1, 8)] * 4),
        (4, 2, 100, 2, [(2, 2)] * 2),
        (5, 2, 100, 2, [(3, 2), (2, 2)]),
        (6, 1, 100, 1, [(6, 1)]),
    ],
)
def test_how_heads_are_shared(B, h, L, cores, cut, monkeypatch):
    """Samples and heads of each task: every head once, as many as stay in a core's cache, and as much for each core."""
    from mvnp.kernels.cpu import attention

    monkeypatch.setattr(attention, "threads", lambda: cores)
    monkeypatch.setattr(attention, "run", lambda tasks: [task() for task in tasks])
    done, sizes = np.zeros((B, h), int), []

    def work(heads):
        done[heads] += 1
        sizes.append(done[heads].shape)

    attention._over_heads(work, np.empty((B, h, L, 4)))
    assert sizes == cut
    assert (done == 1).all()
