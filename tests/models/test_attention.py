"""Multi-head self-attention with its projections: mvnp/models/attention.py."""

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.models.attention import MultiHeadAttention
from support.checks import assert_oracle, normal, relative
from support.randomise import randomised
from support.tolerance import assert_close


def mask_of(B, L):
    """A mask with at least one key that may be seen in each row, and different rows."""
    mask = np.random.default_rng(5).random((B, L)) < 0.5
    mask[np.arange(B), np.arange(B) % L] = True
    return mask


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
    assert_close(layer(x, Tape(training=False)), y)  # inference has a kernel of its own
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


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"MultiHeadAttention: x has dtype {dtype}"):
        MultiHeadAttention(6, 2)(np.zeros((2, 4, 6), dtype))


def test_weights_are_drawn_one_after_the_other():
    """By one initializer, its own or that of the model."""
    for options in ({}, {"init": Initializer(dtype="float64")}):
        layer, init = MultiHeadAttention(4, 2, qk_norm=True, **options), Initializer(dtype="float64")
        for weight in (layer.qkv.weight, layer.proj.weight):
            np.testing.assert_array_equal(weight.data, init.truncated_normal(weight.shape).astype(weight.dtype))
            assert weight.dtype == layer.k_norm.weight.dtype == ("float64" if options else "float32")
