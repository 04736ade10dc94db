"""Attention: mvnp/layers/attention.py."""

import math

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import BackendError, InputError
from mvnp.layers.attention import attention_backward, attention_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

SHAPES = [(1, 1, 1, 1), (2, 1, 3, 4), (1, 3, 4, 2), (2, 2, 5, 1), (3, 2, 1, 2)]  # B, h, L, d


def inputs_of(shape):
    return {name: normal(shape, seed=seed) for seed, name in enumerate("qkv")}


def mask_of(B, L):
    """A mask with at least one key that may be seen in each row, and different rows."""
    mask = np.random.default_rng(5).random((B, L)) < 0.5
    mask[np.arange(B), np.arange(B) % L] = True
    return mask


def dropout_of(B, h, L):
    return (np.random.default_rng(6).random((B, h, L, L)) < 0.7) / 0.7


def test_by_hand():
    # d = 4, so √d = 2. q_0 = 2 ln 3 e₀, k_0 = e₀, the rest 0: s_0 = (ln 3, 0), a_0 = (3/4, 1/4); s_1 = 0, a_1 = (1/2, 1/2).
    # v = (4, 8) in e₀: o = (3/4·4 + 1/4·8, 6) = (5, 6).
    q, k, v = (np.zeros((1, 1, 2, 4)) for _ in range(3))
    q[0, 0, 0, 0], k[0, 0, 0, 0], v[0, 0, :, 0] = 2 * math.log(3), 1.0, (4.0, 8.0)
    output, cache = attention_forward(q, k, v)
    assert_close(cache.weights[0, 0], [[0.75, 0.25], [0.5, 0.5]])
    assert_close(output[0, 0, :, 0], [5.0, 6.0])
    # do = (1, 0): dv = a_0 = (3/4, 1/4). da_0 = (4, 8), Σ da a = 5, ds_0 = (3/4·(4 − 5), 1/4·(8 − 5)) = (−3/4, 3/4).
    # dq_0 = (−3/4 k_0 + 3/4 k_1)/2 = −3/8, dk = ds_0 q_0/2 = ∓3/4 ln 3.
    doutput = np.zeros_like(q)
    doutput[0, 0, 0, 0] = 1.0
    dq, dk, dv = attention_backward(doutput, cache)
    assert_close(dv[0, 0, :, 0], [0.75, 0.25])
    assert_close(dq[0, 0, :, 0], [-0.375, 0.0])
    assert_close(dk[0, 0, :, 0], [-0.75 * math.log(3), 0.75 * math.log(3)])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape, masked, dropped):
    B, h, L, _ = shape
    mask, dropout = mask_of(B, L) if masked else None, dropout_of(B, h, L) if dropped else None
    assert_gradients(lambda q, k, v: attention_forward(q, k, v, mask, dropout), attention_backward, inputs_of(shape))


@pytest.mark.parametrize("masked", [False, True])
def test_oracle(masked):
    import autograd.numpy as anp

    B, h, L, d = 2, 3, 5, 4
    mask, dropout = mask_of(B, L) if masked else None, dropout_of(B, h, L)

    def independent(q, k, v):
        # Without a softmax: e^s over its sum, where a masked key is left out of both.
        seen = np.ones((B, L)) if mask is None else mask.astype(float)
        e = anp.exp(anp.einsum("bhid,bhjd->bhij", q, k) / d**0.5) * seen[:, None, None, :]
        a = e / anp.sum(e, axis=3, keepdims=True)
        return anp.einsum("bhij,bhjd->bhid", a * dropout, v)

    assert_oracle(
        lambda q, k, v: attention_forward(q, k, v, mask, dropout), attention_backward, independent, inputs_of((B, h, L, d))
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_as_in_torch(shape, masked):
    torch = pytest.importorskip("torch")
    mask = mask_of(shape[0], shape[2]) if masked else None
    inputs, doutput = inputs_of(shape), normal(shape, seed=9)
    theirs = [torch.tensor(value, requires_grad=True) for value in inputs.values()]
    theirs_mask = None if mask is None else torch.tensor(mask)[:, None, None, :]
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs, attn_mask=theirs_mask)
    expected.backward(torch.tensor(doutput))
    output, cache = attention_forward(*inputs.values(), mask)
    assert_close(output, expected.detach())
    for got, want in zip(attention_backward(doutput, cache), theirs, strict=True):
        assert_close(got, want.grad)


def test_masked_keys_are_not_seen():
    inputs, mask = inputs_of((2, 2, 4, 3)), mask_of(2, 4)
    output, cache = attention_forward(*inputs.values(), mask)
    hidden = ~mask[:, None, None, :] & np.ones((2, 2, 4, 1), bool)
    assert (cache.weights[hidden] == 0).all()
    assert_close(cache.weights.sum(-1), 1.0)
    for name in ("k", "v"):
        changed = {**inputs, name: np.where(mask[:, None, :, None], inputs[name], 1e6)}
        np.testing.assert_array_equal(attention_forward(*changed.values(), mask)[0], output)


def test_float32():
    assert_float32_follows(attention_forward, attention_backward, inputs_of((2, 2, 9, 8)))


def test_wrong_shape():
    q = np.zeros((2, 1, 3, 4))
    with pytest.raises(InputError, match=r"attention: k has shape \(2, 1, 2, 4\), expected \(2, 1, 3, 4\)"):
        attention_forward(q, q[:, :, :2], q)
    with pytest.raises(InputError, match=r"attention: v has shape \(2, 1, 3, 2\), expected \(2, 1, 3, 4\)"):
        attention_forward(q, q, q[..., :2])


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(dtype):
    q = np.zeros((2, 1, 3, 4))
    with pytest.raises(InputError, match=rf"attention: k has dtype {dtype}"):
        attention_forward(q, q.astype(dtype), q)


def test_mixed_dtypes():
    q, k, v = inputs_of((2, 1, 3, 4)).values()
    with pytest.raises(InputError, match="attention: dtypes are mixed, q and v of float64, k of float32; convert them to one"):
        attention_forward(q, k.astype(np.float32), v)


@pytest.mark.parametrize("mask", [np.ones((3, 2), bool), np.ones((2, 3)), np.ones(3, bool)])
def test_wrong_mask(mask):
    q = np.zeros((2, 1, 3, 4))
    with pytest.raises(InputError, match=rf"attention: mask is {mask.dtype} of shape .*, expected bool of \(2, 3\)"):
        attention_forward(q, q, q, mask)


def test_wrong_dropout():
    q = np.zeros((2, 1, 3, 4))
    with pytest.raises(InputError, match=r"attention: dropout has shape \(2, 1, 3, 4\), expected \(2, 1, 3, 3\)"):
        attention_forward(q, q, q, None, q)


@pytest.mark.parametrize(
    "do", [np.zeros((2, 1, 3, 3)), np.zeros((2, 1, 2, 4)), np.zeros((1, 3, 4)), np.zeros((2, 1, 3, 4), int)]
)
def test_wrong_do(do):
    q = np.zeros((2, 1, 3, 4))
    with pytest.raises(InputError, match=r"attention: do has (shape .*, expected \(2, 1, 3, 4\)|dtype int64)"):
        attention_backward(do, attention_forward(q, q, q)[1])


@pytest.mark.parametrize("extras", [False, True])
def test_inference_leaves_no_cache(extras):
    inputs = list(inputs_of((2, 5, 6, 3)).values())
    if extras:
        inputs += [mask_of(2, 6), dropout_of(2, 5, 6)]
    o, cache = attention_forward(*inputs, keep=False)
    assert_close(o, attention_forward(*inputs)[0])  # it has a kernel of its own
    assert cache is None


def test_host_and_device_do_not_mix(strict_cupy):
    q = np.ones((1, 1, 2, 2))
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        attention_forward(*map(from_numpy, (q, q, q)), np.ones((1, 2), bool))
