"""Multi-head attention: mvnp/layers/attention.py."""

import math

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.attention import MultiHeadAttention, attention_backward, attention_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal, relative
from support.randomise import randomised
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


# The layer


def layer_of(**options):
    return randomised(MultiHeadAttention(6, 2, **options), seed=3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"qkv_bias": False},
        {"qk_norm": True},
        {"attn_drop": 0.3, "proj_drop": 0.3},
        {"qk_norm": True, "attn_drop": 0.5, "qkv_bias": False},
    ],
)
def test_layer_has_the_gradients_of_the_functions(options, training):
    gradcheck_layer(layer_of(**options), normal((2, 4, 6), seed=1), training=training, tape_seed=11).raise_for_error()


@pytest.mark.parametrize(("B", "L", "C", "heads"), [(1, 1, 1, 1), (1, 5, 4, 4), (3, 2, 6, 1)])
def test_layer_gradients_of_sizes(B, L, C, heads):
    layer = randomised(MultiHeadAttention(C, heads), seed=4)
    gradcheck_layer(layer, normal((B, L, C), seed=1)).raise_for_error()


@pytest.mark.parametrize("qk_norm", [False, True])
def test_layer_oracle(qk_norm):
    """The whole layer from its definition, one head after the other, by autograd."""
    import autograd.numpy as anp

    layer, x = layer_of(qk_norm=qk_norm).astype("float64"), normal((2, 4, 6), seed=1)
    params = dict(layer.named_parameters())
    # A bias on every k adds the same to all scores of a query, which softmax does not see: its gradient is 0, as a test of
    # its own says, and no relative error can be asked of it.
    k_bias = params.pop("k_norm.bias").data if qk_norm else None

    def standardised(t):
        centred = t - anp.mean(t, axis=-1, keepdims=True)
        return centred / anp.sqrt(anp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)

    def independent(x, *values):
        p = dict(zip(params, values, strict=True))
        outputs = []
        for head in range(2):
            q, k, v = (
                anp.dot(x, p["qkv.weight"][start : start + 3].T) + p["qkv.bias"][start : start + 3]
                for start in (3 * head, 6 + 3 * head, 12 + 3 * head)
            )
            if qk_norm:
                q = standardised(q) * p["q_norm.weight"] + p["q_norm.bias"]
                k = standardised(k) * p["k_norm.weight"] + k_bias
            e = anp.exp(anp.einsum("bid,bjd->bij", q, k) / 3**0.5)
            outputs.append(anp.einsum("bij,bjd->bid", e / anp.sum(e, axis=-1, keepdims=True), v))
        return anp.dot(anp.concatenate(outputs, axis=-1), p["proj.weight"].T) + p["proj.bias"]

    def forward(x, *values):
        for param, value in zip(params.values(), values, strict=True):
            param.data = value
        tape = Tape()
        return layer(x, tape), tape

    def backward(dy, tape):
        return layer.backward(dy, tape), *(layer.gradients(tape)[key] for key in params)

    assert_oracle(forward, backward, independent, {"x": x, **{key: param.data for key, param in params.items()}})


def test_a_bias_on_the_keys_changes_nothing():
    layer, x, tape = layer_of(qk_norm=True).astype("float64"), normal((2, 4, 6), seed=1), Tape()
    y = layer(x, tape)
    layer.backward(normal((2, 4, 6), seed=2), tape)
    gradients = layer.gradients(tape)
    assert_close(gradients["k_norm.bias"], 0.0, scale=1.0)
    assert np.abs(gradients["q_norm.bias"]).min() > 1e-3
    layer.k_norm.bias.data = layer.k_norm.bias.data + 5
    assert_close(layer(x), y)


def test_layer_as_in_torch():
    """torch.nn.MultiheadAttention with the same weights, and its key_padding_mask."""
    torch = pytest.importorskip("torch")
    layer = layer_of().astype("float64")
    other = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    renamed = {"in_proj_weight": "qkv.weight", "in_proj_bias": "qkv.bias", "out_proj.weight": "proj.weight"}
    renamed["out_proj.bias"] = "proj.bias"
    other.load_state_dict({theirs: torch.tensor(layer.state_dict()[ours]) for theirs, ours in renamed.items()})
    x, dy, mask, tape = normal((3, 4, 6), seed=1), normal((3, 4, 6), seed=2), mask_of(3, 4), Tape()
    theirs = torch.tensor(x, requires_grad=True)
    expected, _ = other(theirs, theirs, theirs, key_padding_mask=torch.tensor(~mask), need_weights=False)
    expected.backward(torch.tensor(dy))
    assert_close(layer.forward(x, tape, mask), expected.detach())
    assert_close(layer.backward(dy, tape), theirs.grad)
    for key, name in renamed.items():
        assert_close(layer.gradients(tape)[name], other.get_parameter(key).grad)


def test_heads_are_split():
    """Another number of heads is another function of the same weights, and each head has weights of its own."""
    two, x, tape = layer_of(), normal((1, 4, 6), seed=1).astype(np.float32), Tape(training=False)
    three = MultiHeadAttention(6, 3)
    three.load_state_dict(two.state_dict())
    assert relative(two(x, tape), three(x)) > 0.01
    weights = next(cache.weights for owner, cache in tape.entries if owner is two)
    assert weights.shape == (1, 2, 4, 4)
    assert relative(weights[:, 0], weights[:, 1]) > 0.01


def test_dropout_is_for_training():
    layer, x = layer_of(attn_drop=0.5, proj_drop=0.5), normal((2, 4, 6), seed=1).astype(np.float32)
    y = layer(x)
    np.testing.assert_array_equal(layer(x, Tape(training=False)), y)
    first, same, another = (layer(x, Tape(training=True, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert relative(first, y) > 0.1
    assert relative(first, another) > 0.1


def test_attention_dropout_keeps_the_mean():
    """Over many draws the weights that reach v average to those of evaluation."""
    layer, x = layer_of(attn_drop=0.25), normal((1, 4, 6), seed=1).astype(np.float32)
    mean = np.mean([layer(x, Tape(training=True, seed=seed)) for seed in range(1000)], axis=0)
    assert relative(mean, layer(x)) < 0.05


def test_layer_mask():
    """What stands at a masked token changes no other token."""
    layer, x, mask = layer_of(), normal((2, 4, 6), seed=1).astype(np.float32), mask_of(2, 4)
    y = layer.forward(x, None, mask)
    changed = np.where(mask[..., None], x, x + 7).astype(np.float32)
    np.testing.assert_array_equal(layer.forward(changed, None, mask)[mask], y[mask])
    assert relative(layer(changed)[mask], layer(x)[mask]) > 0.01


def test_heads_that_do_not_divide():
    with pytest.raises(InputError, match="MultiHeadAttention: 4 heads do not divide a width of 6 channels"):
        MultiHeadAttention(6, 4)
    with pytest.raises(InputError, match="MultiHeadAttention: 0 heads do not divide"):
        MultiHeadAttention(6, 0)


def test_wrong_rate():
    with pytest.raises(InputError, match=r"rate is 1\.0, expected a probability in \[0, 1\)"):
        MultiHeadAttention(6, 2, attn_drop=1.0)


def test_wrong_shape():
    with pytest.raises(InputError, match=r"MultiHeadAttention: x has shape \(2, 4, 5\), expected \(B, L, 6\)"):
        MultiHeadAttention(6, 2)(np.zeros((2, 4, 5), np.float32))
    with pytest.raises(InputError, match=r"MultiHeadAttention: x has shape \(4, 6\), expected \(B, L, 6\)"):
        MultiHeadAttention(6, 2)(np.zeros((4, 6), np.float32))
    q = np.zeros((2, 1, 3, 4))
    with pytest.raises(InputError, match=r"attention: k has shape \(2, 1, 2, 4\), expected \(2, 1, 3, 4\)"):
        attention_forward(q, q[:, :, :2], q)
    with pytest.raises(InputError, match=r"attention: v has shape \(2, 1, 3, 2\), expected \(2, 1, 3, 4\)"):
        attention_forward(q, q, q[..., :2])


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"MultiHeadAttention: x has dtype {dtype}"):
        MultiHeadAttention(6, 2)(np.zeros((2, 4, 6), dtype))
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
    np.testing.assert_array_equal(o, attention_forward(*inputs)[0])
    assert cache is None
