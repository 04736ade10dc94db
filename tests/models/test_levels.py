"""Stem and four levels of mvnp/models/mambavision.py, and the face that mvnp/models/classifier.py gives them."""

import numpy as np
import pytest

from mvnp import Tape
from mvnp.errors import InputError
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.blocks import ConvBlock
from mvnp.models.classifier import channel_first, channel_last
from mvnp.models.mixer import MambaVisionMixer
from support.checks import normal
from support.tiny import image_off_kinks, tiny
from support.tolerance import assert_close

STEP = 1e-6


@pytest.fixture(scope="module")
def model():
    return tiny().astype("float64")


@pytest.fixture(scope="module")
def x(model):
    return image_off_kinks(model, (2, 3, 32, 32), training=False)


def test_axes():
    x = normal((2, 3, 4, 5), 1)
    assert channel_last(x)[1, 3, 4, 2] == x[1, 2, 3, 4]
    assert channel_last(x).flags.c_contiguous
    np.testing.assert_array_equal(channel_first(channel_last(x)), x)


@pytest.mark.parametrize("read", ["0123", "0", "3", "13", "02"])
def test_a_stage_is_read_by_the_next_level_and_by_others(model, x, read):
    """The slope of Σ dstage · stage over the stages that somebody reads, along a direction of x, by central differences."""
    tape, direction = Tape(training=False), normal(x.shape, 7)
    dstages = [normal(stage.shape, seed) if str(seed) in read else None for seed, stage in enumerate(model.stages(x, tape))]
    if read[-1] != "3":  # what no level has used has a gradient all the same
        dstages[-1] = np.zeros_like(model.stages(x)[-1])

    def total(x):
        return sum((d * stage).sum() for d, stage in zip(dstages, model.stages(x), strict=True) if d is not None)

    slope = (total(x + STEP * direction) - total(x - STEP * direction)) / (2 * STEP)
    dx = model.stages_backward(dstages, tape)
    assert abs((dx * direction).sum() - slope) <= 1e-6 * max(abs(slope), 1.0)


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


def test_another_precision_is_said():
    built = tiny()
    assert built.config["dtype"] == "float32"
    assert built.astype("float64").config["dtype"] == "float64"
    assert built.config["dtype"] == "float32"
    x = normal((1, 3, 32, 32), 1)
    assert built.images(x).dtype == "float32"
    with pytest.raises(InputError, match=r"MambaVision: x has shape \(3, 32, 32\), expected \(B, 3, H, W\)"):
        built.images(x[0])


@pytest.mark.parametrize(("padding", "masked"), [("visible", False), ("masked", True)])
def test_padding_of_windows(padding, masked):
    assert [level.mask_padding for level in tiny(padding=padding).levels[2:]] == [masked] * 2


def test_the_last_level_is_not_downsampled(model):
    assert [level.downsample is None for level in model.levels] == [False, False, False, True]
