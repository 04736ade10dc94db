"""Stem, levels and downsampling: mvnp/models/stages.py."""

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.window import window_partition
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.blocks import Block, ConvBlock
from mvnp.models.mixer import MambaVisionMixer
from mvnp.models.mlp import Mlp
from mvnp.models.stages import ConvLevel, Downsample, HybridLevel, PatchEmbed
from support.checks import normal, relative
from support.randomise import randomised
from support.tolerance import assert_close


def hybrid_level(window=2, mask_padding=False, channels=4):
    mixers = [MambaVisionMixer(channels, d_state=2), MultiHeadAttention(channels, 2)]
    blocks = [Block(channels, mixer, Mlp(channels, 2 * channels)) for mixer in mixers]
    return randomised(HybridLevel(blocks, window, mask_padding, None), seed=3)


def stem(**options):
    return randomised(PatchEmbed(2, 3, 4, **options), seed=3)


# PatchEmbed and Downsample


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2, 1, 1, 2), (1, 5, 7, 2), (2, 8, 4, 2)])
def test_stem_gradients(shape, training):
    # A step so small that no ReLU changes its side on the way.
    report = gradcheck_layer(stem(), normal(shape, seed=1), training=training, step=1e-5, directions=3)
    report.raise_for_error()


@pytest.mark.parametrize("training", [True, False])
def test_stem_as_in_torch(training):
    torch = pytest.importorskip("torch")
    ours, x, dy = stem().astype("float64"), normal((2, 7, 8, 2), seed=1), normal((2, 2, 2, 4), seed=2)
    other = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False),
        torch.nn.BatchNorm2d(3, eps=1e-4),
        torch.nn.ReLU(),
        torch.nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        torch.nn.BatchNorm2d(4, eps=1e-4),
        torch.nn.ReLU(),
    ).double()
    # The official keys are those of such a sequence.
    other.load_state_dict({key.removeprefix("conv_down."): torch.tensor(v) for key, v in ours.state_dict().items()})
    other.train(training)
    theirs, tape = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True), Tape(training=training)
    expected = other(theirs)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    assert_close(ours(x, tape), expected.detach().permute(0, 2, 3, 1))
    assert_close(ours.backward(dy, tape), theirs.grad.permute(0, 2, 3, 1))
    for key, param in other.named_parameters():
        assert_close(ours.gradients(tape)[f"conv_down.{key}"], param.grad)


def test_stem_from_its_parts():
    """Evaluation, with each norm written out: its ε is 1e-4, ten times that of all others."""
    ours, x = stem().astype("float64"), normal((2, 7, 8, 2), seed=1)
    y = x
    for conv, norm in (ours.conv_down[0:2], ours.conv_down[3:5]):
        y = (conv(y) - norm.running_mean.data) / np.sqrt(norm.running_var.data + 1e-4)
        y = np.maximum(y * norm.weight.data + norm.bias.data, 0)
    assert_close(ours(x), y, terms=16)


@pytest.mark.parametrize(("size", "quarter"), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (7, 2), (8, 2), (9, 3), (224, 56)])
def test_sizes_are_rounded_up(size, quarter):
    """A quarter of the size, rounded up: each stride of 2 gives ⌈size/2⌉."""
    ours = PatchEmbed(1, 1, 1)
    assert ours(np.zeros((1, size, 2, 1), np.float32)).shape == (1, quarter, 1, 1)
    half = Downsample(1)(np.zeros((1, size, 2, 1), np.float32))
    assert half.shape == (1, -(-size // 2), 1, 2)


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 5, 4, 2)])
def test_downsample_gradients(shape):
    ours = randomised(Downsample(2))
    gradcheck_layer(ours, normal(shape, seed=1)).raise_for_error()
    assert {key: param.shape for key, param in ours.named_state()} == {"reduction.0.weight": (4, 2, 3, 3)}


def test_stem_wrong_input():
    with pytest.raises(InputError, match=r"Conv2d: x has shape \(2, 4, 4, 3\), expected \(B, H, W, 2\)"):
        stem()(np.zeros((2, 4, 4, 3), np.float32))
    with pytest.raises(InputError, match="Conv2d: x has dtype uint8"):
        stem()(np.zeros((2, 4, 4, 2), np.uint8))


# ConvLevel


def test_conv_level():
    """One block after the other, and back in reverse; the downsampling stays the caller's business."""
    blocks = [randomised(ConvBlock(2), seed) for seed in (1, 2, 3)]
    level, x = ConvLevel(blocks, Downsample(2)), normal((2, 3, 3, 2), seed=1).astype(np.float32)
    np.testing.assert_array_equal(level(x), blocks[2](blocks[1](blocks[0](x))))
    without = ConvLevel(blocks, None)
    gradcheck_layer(without, x, directions=2).raise_for_error()


# HybridLevel


@pytest.mark.parametrize("mask_padding", [False, True])
@pytest.mark.parametrize(
    ("shape", "window"), [((1, 1, 1, 4), 1), ((1, 4, 2, 4), 2), ((2, 3, 3, 4), 2), ((1, 2, 5, 4), 3), ((1, 2, 1, 4), 4)]
)
def test_hybrid_level_gradients(shape, window, mask_padding):
    level = hybrid_level(window, mask_padding)
    gradcheck_layer(level, normal(shape, seed=1), directions=2).raise_for_error()


def test_windows_do_not_meet():
    """A change in one window stays there: no shift, no overlap."""
    level, x = hybrid_level(), normal((2, 4, 6, 4), seed=1).astype(np.float32)
    changed = x.copy()
    changed[1, 3, 2, 0] += 1  # image 1, rows 2–3, columns 2–3; all channels alike, and LayerNorm would not see it
    moved = np.abs(level(changed) - level(x)).max(axis=3) > 0
    expected = np.zeros((2, 4, 6), bool)
    expected[1, 2:4, 2:4] = True
    np.testing.assert_array_equal(moved, expected)


def test_where_nothing_is_padded_masking_changes_nothing():
    x = normal((2, 4, 6, 4), seed=1).astype(np.float32)
    np.testing.assert_array_equal(hybrid_level(mask_padding=True)(x), hybrid_level()(x))


def test_a_padded_map_is_the_map_on_a_black_ground():
    """Visible padding: the same as if the zeros had been part of the map. Masked padding: not so."""
    x = normal((2, 3, 5, 4), seed=1).astype(np.float32)
    ground = np.zeros((2, 4, 6, 4), np.float32)
    ground[:, :3, :5] = x
    np.testing.assert_array_equal(hybrid_level()(x), hybrid_level()(ground)[:, :3, :5])
    assert relative(hybrid_level(mask_padding=True)(x), hybrid_level()(x)) > 0.01


def test_masked_padding_cannot_be_seen(monkeypatch):
    """Whatever the padding holds, the real tokens give the same, and without the mask they do not."""
    x = normal((2, 3, 5, 4), seed=1).astype(np.float32)
    before = {mask: hybrid_level(mask_padding=mask)(x) for mask in (True, False)}

    def with_rubbish(x, P):
        B, H, W, C = x.shape
        ground = np.full((B, -(-H // P) * P, -(-W // P) * P, C), 50.0, x.dtype)
        ground[..., 0] = -20  # LayerNorm would make one constant look like another
        ground[:, :H, :W] = x
        return window_partition(ground, P)

    monkeypatch.setattr("mvnp.models.stages.window_partition", with_rubbish)
    np.testing.assert_array_equal(hybrid_level(mask_padding=True)(x), before[True])
    assert relative(hybrid_level(mask_padding=False)(x), before[False]) > 0.01


def test_hybrid_level_records_its_size():
    level, tape = hybrid_level(), Tape()
    level(np.ones((1, 3, 5, 4), np.float32), tape)
    assert tape.entries[-1] == (level, (3, 5))


def test_hybrid_level_wrong_input():
    with pytest.raises(InputError, match=r"LayerNorm: x has shape \(4, 4, 5\), expected \(\.\.\., 4\)"):
        hybrid_level()(np.zeros((1, 4, 4, 5), np.float32))
    with pytest.raises(InputError, match="window_partition: x has dtype int64"):
        hybrid_level()(np.zeros((1, 4, 4, 4), np.int64))
