"""The parts of VMamba: mvnp/models/vss_stages.py."""

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.layers.relu import ReLU
from mvnp.layers.silu import SiLU
from mvnp.models.mlp import Mlp
from mvnp.models.ss2d import SS2D
from mvnp.models.vss_stages import (
    GatedMlp,
    PatchMerging,
    PositionalEmbedding,
    VSSBlock,
    VSSStage,
    downsample,
    merge,
    patch_embed,
    unmerge,
)
from support.checks import normal
from support.randomise import randomised
from support.tolerance import assert_close

PARTS = {
    "stem": (lambda: patch_embed("v2", 2, 6, 4, True, Initializer()), (2, 7, 9, 2)),
    "stem of one convolution": (lambda: patch_embed("v1", 2, 6, 4, True, Initializer()), (2, 9, 5, 2)),
    "stem without norms": (lambda: patch_embed("v2", 2, 6, 4, False, Initializer()), (2, 5, 6, 2)),
    "downsampling": (lambda: downsample("v3", 4, 6, Initializer()), (2, 5, 3, 4)),
    "downsampling, 2x2": (lambda: downsample("v2", 4, 6, Initializer()), (2, 5, 4, 4)),
    "patch merging": (lambda: downsample("v1", 3, 5, Initializer()), (2, 3, 5, 3)),
    "patch merging, even": (lambda: PatchMerging(3, 5), (1, 2, 4, 3)),
    "gated MLP": (lambda: GatedMlp(4, 5), (2, 2, 3, 4)),
    "gated MLP, SiLU": (lambda: GatedMlp(4, 5, act=SiLU()), (2, 2, 3, 4)),
    "block": (lambda: VSSBlock(6, SS2D(6), Mlp(6, 8), 0.3), (4, 2, 3, 6)),
    "block without MLP": (lambda: VSSBlock(6, SS2D(6), None, 0.3), (4, 2, 3, 6)),
    "stage": (lambda: VSSStage([VSSBlock(6, SS2D(6), Mlp(6, 8)) for _ in range(2)], None), (2, 2, 3, 6)),
    "positions": (lambda: PositionalEmbedding(4, 2, 3, Initializer()), (2, 2, 3, 4)),
}


@pytest.mark.parametrize(("make", "shape"), PARTS.values(), ids=PARTS)
def test_gradients(make, shape):
    layer = randomised(make(), seed=3)
    gradcheck_layer(layer, normal(shape, seed=1), directions=3, tape_seed=5).raise_for_error()


def test_merge_by_hand():
    #    1 2 3      the four pixels of a square, row first; zeros at the bottom and on the right
    #    4 5 6
    #    7 8 9
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    np.testing.assert_array_equal(merge(x)[0], [[[1, 4, 2, 5], [3, 6, 0, 0]], [[7, 0, 8, 0], [9, 0, 0, 0]]])


@pytest.mark.parametrize(("H", "W"), [(1, 1), (2, 4), (3, 2), (5, 3)])
def test_unmerge_is_the_adjoint_of_merge(H, W):
    x = normal((2, H, W, 3), seed=1)
    merged = merge(x)
    other = normal(merged.shape, seed=2)
    assert merged.shape == (2, -(-H // 2), -(-W // 2), 12)
    assert_close(np.sum(merged * other), np.sum(x * unmerge(other, H, W)), scale=np.linalg.norm(x) * np.linalg.norm(other))
    np.testing.assert_array_equal(unmerge(merged, H, W), x)


def test_a_block_in_words():
    block, x = randomised(VSSBlock(6, SS2D(6), Mlp(6, 8)), seed=3), normal((2, 2, 3, 6), seed=1).astype(np.float32)
    after = x + block.op(block.norm(x))
    assert_close(block(x), after + block.mlp(block.norm2(after)))
    block.mlp = None
    assert_close(block(x), after)


def test_both_branches_of_a_block_draw_for_themselves():
    """Of many samples some lose the one branch, some the other."""
    block, tape = randomised(VSSBlock(2, SS2D(2), Mlp(2, 4), 0.5), seed=3), Tape(seed=1)
    x = np.repeat(normal((1, 1, 1, 2), seed=1), 64, axis=0).astype(np.float32)
    assert len(np.unique(block(x, tape).round(5), axis=0)) == 4


def test_activations():
    assert isinstance(Mlp(4, 8, act=ReLU()).act, ReLU)
    mlp = GatedMlp(3, 4, act=ReLU())
    x = normal((2, 3), seed=1).astype(np.float32)
    a, b = np.split(x @ mlp.fc1.weight.data.T + mlp.fc1.bias.data, 2, axis=-1)
    assert_close(mlp(x), (a * np.maximum(b, 0)) @ mlp.fc2.weight.data.T + mlp.fc2.bias.data)


def test_stem_keys():
    assert list(patch_embed("v2", 3, 8, 4, True, Initializer()).state_dict()) == [
        f"{step}.{name}" for step in (0, 2, 5, 7) for name in ("weight", "bias")
    ]
    assert list(patch_embed("v2", 3, 8, 4, False, Initializer()).state_dict()) == [
        f"{step}.{name}" for step in (0, 5) for name in ("weight", "bias")
    ]
    assert list(patch_embed("v1", 3, 8, 4, True, Initializer()).state_dict()) == [
        f"{step}.{name}" for step in (0, 2) for name in ("weight", "bias")
    ]


@pytest.mark.parametrize(
    ("version", "patch", "size", "kernels"),
    [
        ("v2", 4, (3, 2), {"0.weight": (4, 3, 3, 3), "5.weight": (8, 4, 3, 3)}),
        ("v1", 4, (2, 1), {"0.weight": (8, 3, 4, 4)}),
        ("v1", 3, (3, 2), {"0.weight": (8, 3, 3, 3)}),
    ],
)
def test_the_stems_convolutions(version, patch, size, kernels):
    """9x7 becomes 3x2 by two of stride 2, rounded up each time; one of a patch's size drops what is left over."""
    stem = patch_embed(version, 3, 8, patch, True, Initializer())
    assert {key: param.shape for key, param in stem.named_parameters() if param.data.ndim == 4} == kernels
    assert stem(np.zeros((1, 9, 7, 3), np.float32)).shape == (1, *size, 8)


@pytest.mark.parametrize(("version", "patch"), [("v2", 4), ("v1", 4), ("v1", 3)])
def test_stem_makes_a_map_of_patches(version, patch):
    stem = patch_embed(version, 3, 8, patch, True, Initializer())
    assert stem(np.zeros((1, 5 * patch, 3 * patch, 3), np.float32)).shape == (1, 5, 3, 8)


@pytest.mark.parametrize(
    ("version", "size", "shapes"),
    [
        ("v3", (4, 3), {"1.weight": (6, 4, 3, 3), "1.bias": (6,), "3.weight": (6,), "3.bias": (6,)}),
        ("v2", (3, 2), {"1.weight": (6, 4, 2, 2), "1.bias": (6,), "3.weight": (6,), "3.bias": (6,)}),
        ("v1", (4, 3), {"reduction.weight": (6, 16), "norm.weight": (16,), "norm.bias": (16,)}),
    ],
)
def test_what_halves_a_map(version, size, shapes):
    """7x5 becomes 4x3, but by the 2x2 convolution, which drops what is left over."""
    layer = downsample(version, 4, 6, Initializer())
    assert {key: param.shape for key, param in layer.named_parameters()} == shapes
    assert layer(normal((2, 7, 5, 4), 1).astype(np.float32)).shape == (2, *size, 6)


def test_the_image_has_a_gradient_only_where_it_is_wanted():
    stem = patch_embed("v2", 3, 8, 4, True, Initializer())
    for inputs in (True, False):
        tape = Tape(inputs=inputs)
        y = stem(normal((1, 8, 8, 3), seed=1).astype(np.float32), tape)
        dx = stem.backward(np.ones_like(y), tape)
        assert (dx is not None) == inputs
        assert len(stem.gradients(tape)) == 8


def test_positions_of_another_size():
    positions = PositionalEmbedding(4, 5, 5, Initializer())
    with pytest.raises(InputError, match=r"the stem makes a map of 4x6, and pos_embed is for 5x5"):
        positions(np.zeros((1, 4, 6, 4), np.float32))
