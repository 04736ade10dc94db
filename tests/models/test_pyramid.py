"""What is made of levels: mvnp/models/pyramid.py, and the face that mvnp/models/classifier.py gives them."""

import numpy as np
import pytest

from mvnp import Tape, VMamba
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.blocks import ConvBlock
from mvnp.models.classifier import channel_first
from mvnp.models.mixer import MambaVisionMixer
from support.checks import normal
from support.randomise import randomised
from support.tiny import image_off_kinks, tiny
from support.tolerance import assert_close

STEP = 1e-6


def vmamba():
    """Of three levels, with a positional embedding in its stem."""
    options = {"dims": (4, 6, 8), "depths": (1, 2, 1), "mlp_ratio": 2.0, "num_classes": 3, "posembed": True, "img": 32}
    return randomised(VMamba(**options), seed=1)


@pytest.fixture(scope="module", params=[tiny, vmamba], ids=["MambaVision", "VMamba"])
def model(request):
    return request.param().astype("float64")


@pytest.fixture(scope="module")
def x(model):
    return image_off_kinks(model, (2, 3, 32, 32), training=False)


@pytest.mark.parametrize("read", ["0123", "0", "3", "12", "13", "02"])
def test_a_stage_is_read_by_the_next_level_and_by_others(model, x, read):
    """The slope of Σ dstage · stage over the stages that somebody reads, along a direction of x, by central differences."""
    tape, direction = Tape(training=False), normal(x.shape, 7)
    dstages = [normal(stage.shape, seed) if str(seed) in read else None for seed, stage in enumerate(model.stages(x, tape))]
    if dstages[-1] is None:  # what no level has used has a gradient all the same
        dstages[-1] = np.zeros_like(model.stages(x)[-1])

    def total(x):
        return sum((d * stage).sum() for d, stage in zip(dstages, model.stages(x), strict=True) if d is not None)

    slope = (total(x + STEP * direction) - total(x - STEP * direction)) / (2 * STEP)
    dx = model.stages_backward(dstages, tape)
    assert abs((dx * direction).sum() - slope) <= 1e-6 * max(abs(slope), 1.0)


def test_features_and_vectors_from_one_forward(model, x):
    """What is pooled is the last stage behind its norm; both are what each gives by itself."""
    features, pooled = model.features_and_pooled(x)
    for one, other in zip(features, model.features(x), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(pooled, model.pooled(x))
    assert pooled.shape == (2, model.width) == (2, model.channels[-1])
    assert_close(pooled, model.norm(model.stages(x)[-1]).mean(axis=(1, 2)))


def test_the_slope_of_the_vectors(model, x):
    tape, direction = Tape(training=False), normal(x.shape, 7)
    dpooled = normal(model.pooled(x, tape).shape, 8)
    pooled = [(dpooled * model.pooled(x + sign * STEP * direction)).sum() for sign in (1, -1)]
    slope = (pooled[0] - pooled[1]) / (2 * STEP)
    assert abs((model.pooled_backward(dpooled, tape) * direction).sum() - slope) <= 1e-6 * max(abs(slope), 1.0)


@pytest.mark.parametrize("stage", [0, 1])
def test_cut_behind_a_stage(stage):
    for built in (tiny(), vmamba()):
        kept = [key for key, _ in built.named_parameters()]
        whole = built.features(normal((1, 3, 32, 32), 1).astype(np.float32))
        built.cut_after(stage)
        assert built.head is None
        left = [key for key, _ in built.named_parameters()]
        behind = ("norm", "head", "classifier", *(f"{name}.{i}." for name in ("levels", "layers") for i in range(stage + 1, 4)))
        last = (f"levels.{stage}.downsample", f"layers.{stage}.downsample")
        assert left == [key for key in kept if not key.startswith((*behind, *last))]
        stages = built.stages(normal((1, 3, 32, 32), 1).astype(np.float32))
        assert len(stages) == stage + 1
        for one, other in zip(stages, whole, strict=False):
            np.testing.assert_array_equal(channel_first(one), other)


def test_how_deep_each_parameter_lies():
    """0 in the stem, then the block's number; a downsampling belongs to the block behind it, the head to none."""
    M, V = tiny(depths=(1, 2, 3, 1)), vmamba()
    depths = {
        "patch_embed.conv_down.0.weight": 0,
        "levels.0.blocks.0.conv1.weight": 1,
        "levels.0.downsample.reduction.0.weight": 2,
        "levels.1.blocks.0.conv1.bias": 2,
        "levels.1.blocks.1.conv1.bias": 3,
        "levels.1.downsample.reduction.0.weight": 4,
        "levels.2.blocks.2.norm1.weight": 6,
        "levels.2.downsample.reduction.0.weight": 7,
        "levels.3.blocks.0.mlp.fc1.weight": 7,
        "norm.weight": 8,
        "head.bias": 8,
    }
    assert {key: M.depth_of(key) for key in depths} == depths
    depths = {
        "patch_embed.0.weight": 0,
        "pos_embed": 0,
        "layers.0.blocks.0.norm.weight": 1,
        "layers.0.downsample.1.weight": 2,
        "layers.1.blocks.1.op.Ds": 3,
        "layers.1.downsample.3.bias": 4,
        "layers.2.blocks.0.norm.weight": 4,
        "classifier.norm.weight": 5,
        "classifier.head.weight": 5,
    }
    assert {key: V.depth_of(key) for key in depths} == depths
    assert depths.keys() < {key for key, _ in V.named_parameters()}


def test_without_the_gradient_of_the_images(model, x):
    tape = Tape(training=False, inputs=False)
    dstages = [np.ones_like(stage) for stage in model.stages(x, tape)]
    assert model.stages_backward(dstages, tape) is None


def test_the_first_half_of_a_level_scans_and_the_second_attends():
    """Of an odd number, the scan has the one more."""
    built = tiny(depths=(1, 2, 3, 4))
    kinds = [[type(block.mixer if hasattr(block, "mixer") else block) for block in level.blocks] for level in built.levels]
    M, S = MambaVisionMixer, MultiHeadAttention
    assert kinds == [[ConvBlock], [ConvBlock] * 2, [M, M, S], [M, M, S, S]]


def test_drop_path_rises_over_all_blocks():
    built = tiny(depths=(2, 1, 2, 1), drop_path_rate=0.5)
    blocks = [block for level in built.levels for block in level.blocks]
    rates = [block.drop_path.rate if isinstance(block, ConvBlock) else block.drop_path1.rate for block in blocks]
    assert_close(rates, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_an_mlp_is_wider_by_its_ratio():
    built = tiny(dim=6, mlp_ratio=1.5)
    hidden = [block.mlp.fc1.weight.shape for level in built.levels[2:] for block in level.blocks[:1]]
    assert hidden == [(36, 24), (72, 48)]


@pytest.mark.parametrize(("padding", "masked"), [("visible", False), ("masked", True)])
def test_padding_of_windows(padding, masked):
    assert [level.mask_padding for level in tiny(padding=padding).levels[2:]] == [masked] * 2


def test_the_last_level_is_not_downsampled(model):
    assert [level.downsample is None for level in model.levels] == [*[False] * (len(model.levels) - 1), True]
