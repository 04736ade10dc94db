"""Effective and theoretical receptive fields: mvnp/visualize/arrays/receptive_field.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.core import Layer
from mvnp.errors import InputError
from mvnp.layers.conv2d import Conv2d
from mvnp.visualize.arrays.cut import BelowStage
from mvnp.visualize.arrays.families import family_of
from mvnp.visualize.arrays.receptive_field import (
    Windows,
    box_through,
    effective_field,
    pixels_for_share,
    spread_channels,
)
from support.checks import normal
from support.figures import image
from support.randomise import randomised
from support.tiny import tiny
from support.tolerance import DEEP, assert_close


class Stack(Layer):
    """Convolutions one after the other, and nothing between them; channel-first outside."""

    def __init__(self, *convolutions):
        self.convolutions = list(convolutions)

    def forward(self, x, tape=None):
        x = x.transpose(0, 2, 3, 1)
        for conv in self.convolutions:
            x = conv(x, tape)
        return x.transpose(0, 3, 1, 2)

    def backward(self, dy, tape):
        dy = dy.transpose(0, 2, 3, 1)
        for conv in reversed(self.convolutions):
            dy = conv.backward(dy, tape)
        return dy.transpose(0, 3, 1, 2)


STACKS = {
    "3x3": [(3, 1, 1)],
    "twice 3x3": [(3, 1, 1), (3, 1, 1)],
    "the stem": [(3, 2, 1), (3, 2, 1)],
    "stem, block, downsampling, block": [(3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1)],
    "oblong kernel": [((3, 5), (2, 1), (1, 2)), (3, 2, 1)],
    "no padding": [(5, 2, 0), (3, 1, 0)],
}


def make(name):
    channels = [3, *[4] * len(STACKS[name])]
    layers = [Conv2d(channels[i], channels[i + 1], *step) for i, step in enumerate(STACKS[name])]
    return randomised(Stack(*layers)).astype("float64")


@pytest.mark.parametrize("place", [(0.5, 0.5), (0.0, 0.0), (0.99, 0.3)])
@pytest.mark.parametrize("name", STACKS)
def test_a_stack_of_convolutions_sees_exactly_what_it_can(name, place):
    """Every pixel of the box has influence, and none outside: the non-zero set is the box."""
    stack, x = make(name), normal((1, 3, 41, 36), 1)
    height, width = stack.forward(x).shape[2:]
    row, column = int(place[0] * height), int(place[1] * width)
    field = effective_field(stack, x, row, column)
    top, bottom, left, right = box_through(stack.convolutions, (41, 36), row, column)
    expected = np.zeros((41, 36), bool)
    expected[top : bottom + 1, left : right + 1] = True
    np.testing.assert_array_equal(field > 0, expected)


def test_boxes_by_hand():
    stem = make("the stem").convolutions
    assert box_through(stem, (64, 64), 5, 8) == (20 - 3, 20 + 3, 32 - 3, 32 + 3)  # 7 pixels around 4·token
    assert box_through(stem, (64, 64), 0, 15) == (0, 3, 57, 63)
    assert box_through([*stem, Windows(3)], (64, 64), 4, 0) == (12 - 3, 20 + 3, 0, 8 + 3)
    assert box_through([*stem, Windows(7)], (64, 64), 15, 15) == (56 - 3, 63, 56 - 3, 63)  # the window is mostly padding
    assert box_through([*stem, Windows(7)], (96, 64), 8, 2) == (28 - 3, 52 + 3, 0, 24 + 3)


def test_a_field_by_hand():
    """One 1x1 convolution: the field is |weights| at the token, averaged over output channels, summed over colours."""
    conv = randomised(Conv2d(3, 4, 1)).astype("float64")
    field = effective_field(Stack(conv), normal((2, 3, 5, 5), 1), 2, 3)
    assert np.argwhere(field).tolist() == [[2, 3]]
    assert_close(field[2, 3], np.abs(conv.weight.data).sum(axis=1).mean())
    some = effective_field(Stack(conv), normal((2, 3, 5, 5), 1), 2, 3, channels=[1, 3])
    assert_close(some[2, 3], np.abs(conv.weight.data)[[1, 3]].sum(axis=1).mean())


def test_the_mean_over_images_and_channels():
    model = tiny(dtype="float64")
    images, below = normal((2, 3, 70, 70), 5), BelowStage(model, 2)
    both = effective_field(below, images, 2, 2)
    single = [effective_field(below, images[i : i + 1], 2, 2, [k]) for i in (0, 1) for k in range(16)]
    assert_close(both, np.mean(single, axis=0), terms=DEEP)
    assert not np.allclose(single[0], single[16])


@pytest.mark.parametrize("token", [(4, 4), (0, 0), (8, 1)])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_whole_models_field_fills_its_box(stage, token):
    """With attention in the windows. ReLU blocks some ways for one image, so the box is reached by several together."""
    model, size = tiny(dtype="float64", in_dim=6, window_size=(8, 8, 3, 2)), (150, 134)
    field = effective_field(BelowStage(model, stage), normal((4, 3, *size), 2), *token, channels=range(4))
    top, bottom, left, right = box_through(family_of(model).steps(model, stage), size, *token)
    seen = np.argwhere(field)
    assert (*seen.min(axis=0), *seen.max(axis=0)) == (top, left, bottom, right)
    assert (bottom - top, right - left) != (size[0] - 1, size[1] - 1)


def test_steps_are_the_models_convolutions_and_windows():
    model = tiny(depths=(2, 1, 2, 2))
    kinds = ["w" if isinstance(step, Windows) else f"s{step.stride[0]}" for step in family_of(model).steps(model, 3)]
    assert kinds == ["s2", "s2", *["s1"] * 4, "s2", *["s1"] * 2, "s2", "w", "s2", "w"]
    assert family_of(model).steps(model, 3)[-3] == Windows(2)
    assert len(family_of(model).steps(model, 0)) == 6


def test_pixels_for_share():
    field = np.array([[4.0, 1.0], [3.0, 2.0]])
    assert [pixels_for_share(field, share) for share in (0.3, 0.4, 0.41, 0.7, 0.9, 1.0)] == [1, 1, 2, 2, 3, 4]


def test_spread_channels():
    assert spread_channels(8, None) == spread_channels(8, 20) == list(range(8))
    assert spread_channels(64, 4) == [0, 16, 32, 48]


def test_on_cupy(strict_cupy):
    field = effective_field(BelowStage(tiny(), 1), from_numpy(image().astype(np.float32)), 4, 4, [0, 3])
    assert type(field) is np.ndarray
    assert field.max() > 0


def test_a_token_off_the_map():
    with pytest.raises(InputError, match=r"token \(5, 0\) is not on the map of 5x5 tokens"):
        effective_field(BelowStage(tiny(), 2), image().astype(np.float32), 5, 0)
