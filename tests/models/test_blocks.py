"""The two blocks: mvnp/models/blocks.py."""

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.errors import InputError
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.blocks import Block, ConvBlock
from mvnp.models.mixer import MambaVisionMixer
from mvnp.models.mlp import Mlp
from support.checks import normal, relative
from support.randomise import randomised
from support.tiny import WithMask
from support.tolerance import assert_close


def conv_block(channels=3, **options):
    return randomised(ConvBlock(channels, **options), seed=3)


def block(mixer="attention", channels=4, drop_path=0.0, layer_scale=None):
    mixing = MultiHeadAttention(channels, 2) if mixer == "attention" else MambaVisionMixer(channels, d_state=2)
    return randomised(Block(channels, mixing, Mlp(channels, 2 * channels), drop_path, layer_scale), seed=3)


def silence(*params):
    for param in params:
        param.data = np.zeros_like(param.data)


# ConvBlock


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"layer_scale": 0.1}, {"drop_path": 0.5, "layer_scale": 0.1}])
@pytest.mark.parametrize("shape", [(1, 2, 2, 3), (4, 3, 2, 3)])
def test_conv_block_gradients(shape, options, training):
    # Tape seed 1 drops some of the samples and keeps others.
    report = gradcheck_layer(conv_block(**options), normal(shape, seed=1), training=training, tape_seed=1, directions=3)
    report.raise_for_error()


@pytest.mark.parametrize("training", [True, False])
def test_conv_block_as_in_torch(training):
    torch = pytest.importorskip("torch")
    ours = conv_block(layer_scale=0.1).astype("float64")
    x, dy, tape = normal((2, 3, 4, 3), seed=1), normal((2, 3, 4, 3), seed=2), Tape(training=training)
    state = {key: torch.tensor(value) for key, value in ours.state_dict().items()}
    branch = torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 3, padding=1),
        torch.nn.BatchNorm2d(3, eps=1e-5),
        torch.nn.GELU("tanh"),
        torch.nn.Conv2d(3, 3, 3, padding=1),
        torch.nn.BatchNorm2d(3, eps=1e-5),
    ).double()
    names = {"conv1": 0, "norm1": 1, "conv2": 3, "norm2": 4}
    for name, index in names.items():
        part = {key.removeprefix(name + "."): value for key, value in state.items() if key.startswith(name)}
        branch[index].load_state_dict(part)
    branch.train(training)
    gamma = state["gamma"].requires_grad_()
    theirs = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    expected = theirs + gamma[:, None, None] * branch(theirs)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))

    assert_close(ours(x, tape), expected.detach().permute(0, 2, 3, 1))
    assert_close(ours.backward(dy, tape), theirs.grad.permute(0, 2, 3, 1))
    gradients = ours.gradients(tape)
    steepest = max(np.abs(gradient).max() for gradient in gradients.values())  # in training, those of the two biases are noise
    assert_close(gradients["gamma"], gamma.grad)
    for name, index in names.items():
        for key, param in branch[index].named_parameters():
            assert_close(gradients[f"{name}.{key}"], param.grad, scale=steepest)


def test_conv_block_from_its_parts():
    """The branch layer by layer, with the tanh GELU written out: the exact one is up to 5e-4 away."""
    ours, x = conv_block(layer_scale=0.1).astype("float64"), normal((2, 3, 4, 3), seed=1)
    y = ours.norm1(ours.conv1(x))
    y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    y = ours.norm2(ours.conv2(y))
    assert_close(ours(x), x + ours.gamma.gamma.data * y, terms=16)


def test_conv_block_is_a_residual():
    """With the last norm silenced the branch gives nothing, and the input passes: y = x and dx = dy, exactly."""
    ours, x, tape = conv_block(), normal((2, 3, 3, 3), seed=1).astype(np.float32), Tape()
    silence(ours.norm2.weight, ours.norm2.bias)
    np.testing.assert_array_equal(ours(x, tape), x)
    np.testing.assert_array_equal(ours.backward(x, tape), x)


def test_conv_block_drop_path():
    """Each sample is either left as it is or gets its branch times 1/(1 − p) = 2."""
    ours, kept = conv_block(drop_path=0.5), conv_block()
    x = normal((8, 2, 2, 3), seed=1).astype(np.float32)
    branch = kept(x, Tape()) - x
    moved = ours(x, Tape(seed=1)) - x
    dropped = np.array([not sample.any() for sample in moved])
    assert 0 < dropped.sum() < 8
    assert_close(moved[~dropped], 2 * branch[~dropped])


def test_conv_block_keys():
    """gamma has no `.weight` behind it, and exists only with layer scale."""
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    keys = [
        f"{layer}.{key}"
        for layer in ("conv1", "norm1", "conv2", "norm2")
        for key in (["weight", "bias"] if "conv" in layer else norm)
    ]
    assert [key for key, _ in ConvBlock(3).named_state()] == keys
    with_scale = ConvBlock(3, layer_scale=1e-5)
    assert [key for key, _ in with_scale.named_state()] == ["gamma", *keys]
    assert_close(with_scale.gamma.gamma.data, np.full(3, 1e-5, np.float32))


def test_conv_block_wrong_input():
    with pytest.raises(InputError, match=r"Conv2d: x has shape \(2, 4, 4, 5\), expected \(B, H, W, 3\)"):
        conv_block()(np.zeros((2, 4, 4, 5), np.float32))
    with pytest.raises(InputError, match="Conv2d: x has dtype int64"):
        conv_block()(np.zeros((2, 4, 4, 3), np.int64))


# Block


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"layer_scale": 0.1}, {"drop_path": 0.5, "layer_scale": 0.1}])
@pytest.mark.parametrize("mixer", ["attention", "scan"])
def test_block_gradients(mixer, options, training):
    report = gradcheck_layer(block(mixer, **options), normal((3, 4, 4), seed=1), training=training, tape_seed=1, directions=2)
    report.raise_for_error()


@pytest.mark.parametrize("mixer", ["attention", "scan"])
def test_block_gradients_with_masked_tokens(mixer):
    mask = np.array([[True, True, False], [True, False, False]])
    gradcheck_layer(WithMask(block(mixer), mask), normal((2, 3, 4), seed=1), directions=2).raise_for_error()


@pytest.mark.parametrize("mixer", ["attention", "scan"])
def test_block_hands_the_mask_to_its_mixer(mixer):
    """What stands at a masked token changes no real one; without the mask it does."""
    ours, x = block(mixer), normal((2, 3, 4), seed=1).astype(np.float32)
    mask = np.array([[True, True, False], [True, False, False]])
    changed = np.where(mask[..., None], x, x * [3, -2, 1, 5]).astype(np.float32)
    np.testing.assert_array_equal(ours.forward(changed, None, mask)[mask], ours.forward(x, None, mask)[mask])
    assert relative(ours(changed)[mask], ours(x)[mask]) > 1e-3


def test_block_as_in_torch():
    """An attention block without layer scale is torch's pre-norm encoder layer."""
    torch = pytest.importorskip("torch")
    ours = block().astype("float64")
    x, dy, tape = normal((3, 5, 4), seed=1), normal((3, 5, 4), seed=2), Tape()
    other = torch.nn.TransformerEncoderLayer(
        4, 2, dim_feedforward=8, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    renamed = {
        "self_attn.in_proj_": "mixer.qkv.",
        "self_attn.out_proj.": "mixer.proj.",
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    names = {a + w: b + w for a, b in renamed.items() for w in ("weight", "bias")}
    state = ours.state_dict()
    other.load_state_dict({theirs: torch.tensor(state[name]) for theirs, name in names.items()})
    theirs = torch.tensor(x, requires_grad=True)
    expected = other(theirs)
    expected.backward(torch.tensor(dy))
    assert_close(ours(x, tape), expected.detach())
    assert_close(ours.backward(dy, tape), theirs.grad)
    for key, name in names.items():
        assert_close(ours.gradients(tape)[name], other.get_parameter(key).grad)


@pytest.mark.parametrize("mixer", ["attention", "scan"])
def test_block_is_a_residual_twice(mixer):
    ours, x, tape = block(mixer), normal((2, 3, 4), seed=1).astype(np.float32), Tape()
    last = ours.mixer.proj if mixer == "attention" else ours.mixer.out_proj
    silence(*(param for layer in (last, ours.mlp.fc2) for param in (layer.weight, layer.bias) if param is not None))
    np.testing.assert_array_equal(ours(x, tape), x)
    np.testing.assert_array_equal(ours.backward(x, tape), x)


def test_block_layer_scale_by_branch():
    """γ₁ scales the mixer's branch, γ₂ the MLP's."""
    plain, scaled = block(), block(layer_scale=1.0)
    x = normal((2, 3, 4), seed=1).astype(np.float32)
    scaled.load_state_dict({**plain.state_dict(), "gamma_1": np.full(4, 2.0), "gamma_2": np.full(4, 3.0)})
    middle = x + 2 * plain.mixer(plain.norm1(x))
    assert_close(scaled(x), middle + 3 * plain.mlp(plain.norm2(middle)))


def test_block_drop_path_draws_for_each_branch_and_window():
    ours, tape = block(drop_path=0.5), Tape(seed=1)
    ours(normal((16, 3, 4), seed=1).astype(np.float32), tape)
    masks = [cache for owner, cache in tape.entries if owner in (ours.drop_path1, ours.drop_path2)]
    assert [mask.shape for mask in masks] == [(16, 1, 1)] * 2
    assert all(set(np.unique(mask)) == {0.0, 2.0} for mask in masks)
    assert (masks[0] != masks[1]).any()


def test_block_keys():
    keys = [key for key, _ in block(layer_scale=1e-5).named_parameters()]
    assert keys[:2] == ["gamma_1", "gamma_2"]
    assert "gamma_1" not in dict(block().named_parameters())
    assert len(keys) == 2 + 4 + 4 + 4


def test_block_wrong_input():
    for mixer in ("attention", "scan"):
        with pytest.raises(InputError, match=r"LayerNorm: x has shape \(2, 3, 5\), expected \(\.\.\., 4\)"):
            block(mixer)(np.zeros((2, 3, 5), np.float32))
        with pytest.raises(InputError, match="LayerNorm: x has dtype int64"):
            block(mixer)(np.zeros((2, 3, 4), np.int64))
