"""Random erasing: mvnp/data/augment/erasing.py."""

import numpy as np
import pytest

from mvnp.data.augment import RandomErasing
from mvnp.data.augment.erasing import TRIES, box_size, erase
from mvnp.errors import InputError
from support.recipe_cases import recipe_case

SETTINGS, ARRAYS = recipe_case("erasing")


@pytest.mark.parametrize("case", SETTINGS["cases"])
def test_against_the_reference(case):
    options, images = SETTINGS["cases"][case], ARRAYS["x"].copy()
    for row in options["images"]:
        assert (row["gate_u"] <= options["probability"]) == bool(row["boxes"])
        for box in row["boxes"]:
            sizes = [box_size(30, 36, row["count"], *draws) for draws in box["attempts_u_area_u_ratio"]]
            assert [h < 30 and w < 36 for h, w in sizes] == [False] * (len(sizes) - 1) + [True]
            assert sizes[-1] == (box["h"], box["w"])
            noise = ARRAYS[box["noise"]] if "noise" in box else np.zeros((3, 1, 1), np.float32)
            erase(images[row["image"]], (box["top"], box["left"], box["h"], box["w"]), noise)
    np.testing.assert_array_equal(images, ARRAYS[f"{case}.y"])


def test_sizes_against_the_reference():
    for height, width, count, area, shape, h, w, accepted in SETTINGS["sizes"]:
        assert box_size(height, width, count, area, shape) == (h, w)
        assert (h < height and w < width) == accepted


def test_draws():
    """A quarter of the pictures, boxes within, noise of the mode; the rest of a picture stays."""
    images = np.full((400, 2, 24, 20), 9.0, np.float32)
    rng = np.random.default_rng(0)
    got = RandomErasing()(images, rng)
    changed = (got != 9).any(axis=(1, 2, 3))
    assert abs(changed.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 400)
    noise = got[got != 9]
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05
    areas = (got[changed] != 9).any(axis=1).sum(axis=(1, 2)) / (24 * 20)
    assert 0.015 < areas.min() < areas.max() < 0.36
    assert (images == 9).all()


class Says:
    """A generator that draws what it is told: numbers from 0 to 1 in turn, and of whole numbers the least or the most."""

    def __init__(self, numbers, most=True):
        self.numbers, self.most = iter(numbers), most

    def random(self, shape=()):
        found = np.array([next(self.numbers) for _ in range(int(np.prod(shape)))])
        return found.reshape(shape) if shape else float(found[0])

    def integers(self, low, high):
        return high - 1 if self.most else low

    def standard_normal(self, shape, dtype):
        return np.ones(shape, dtype)


@pytest.mark.parametrize(("down", "right", "corner"), [(0.0, 0.0, (0, 0)), (0.5, 0.999, (6, 27)), (0.999, 0.5, (11, 14))])
def test_boxes_lie_anywhere(down, right, corner):
    """A box of 13 x 13 in a picture of 24 x 40 has 12 places down and 28 across."""
    assert RandomErasing().draw(24, 40, 1, Says([0.5, 0.5] * 10 + [down, right])) == (*corner, 13, 13)


def test_sides_that_are_as_long_as_the_picture_are_refused():
    """The first try of ten that is smaller both ways is taken; a flat box is too wide, and a high one too high."""
    flat, high = box_size(20, 20, 1, 1.0, 0.0), box_size(20, 20, 1, 1.0, 1.0)
    assert flat[1] >= 20 > flat[0]
    assert high[0] >= 20 > high[1]
    tries = [1.0, 0.0, 1.0, 1.0, 0.5, 0.5] + [0.0] * 14
    assert RandomErasing().draw(20, 20, 1, Says([*tries, 0.0, 0.0])) == (0, 0, *box_size(20, 20, 1, 0.5, 0.5))
    assert RandomErasing().draw(20, 20, 1, Says([1.0, 0.0] * 10 + [0.0, 0.0])) is None
    exact = next(
        (height, width)
        for height in range(2, 40)
        for width in range(2, 40)
        if box_size(height, width, 1, 1.0, 0.0)[1] == width and box_size(height, width, 1, 1.0, 0.0)[0] < height
    )
    assert RandomErasing().draw(*exact, 1, Says([1.0, 0.0] * 10 + [0.0, 0.0])) is None
    assert RandomErasing().draw(*exact[::-1], 1, Says([1.0, 1.0] * 10 + [0.0, 0.0])) is None


def test_as_many_boxes_as_are_drawn():
    """From the least to the most; at a gate that equals the probability it is done."""
    images = np.zeros((1, 1, 30, 30), np.float32)
    for most, boxes in ((False, 1), (True, 3)):
        places = [corner for box in range(boxes) for corner in [0.0, 0.5] * 10 + [box / 3, box / 3]]
        got = RandomErasing(0.25, count=(1, 3))(images, Says([0.25, *places], most))
        h, w = box_size(30, 30, boxes, 0.0, 0.5)
        assert got.sum() == boxes * h * w
    assert RandomErasing(0.0).probability == 0.0
    assert TRIES == 10


@pytest.mark.parametrize(("mode", "values"), [("rand", 2), ("const", 1)])
def test_modes(mode, values):
    got = RandomErasing(1.0, mode)(np.full((6, 2, 24, 20), 9.0, np.float32), np.random.default_rng(1))
    for image in got:
        assert len(np.unique(image[image != 9])) == values


def test_the_beginning_of_a_batch_may_stay_clean():
    got = RandomErasing(1.0, clean=0.5)(np.full((7, 1, 9, 9), 9.0, np.float32), np.random.default_rng(1))
    np.testing.assert_array_equal((got != 9).any(axis=(1, 2, 3)), [False] * 3 + [True] * 4)


def test_pictures_too_small_for_a_box_stay():
    images = np.full((3, 1, 1, 1), 9.0, np.float32)
    np.testing.assert_array_equal(RandomErasing(1.0)(images, np.random.default_rng(0)), images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, r"probability is 1.5, expected a number in \[0, 1\]"),
        ({"mode": "pixels"}, "unknown mode of erasing 'pixels' .did you mean 'pixel'"),
        ({"count": (3, 2)}, r"count is \(3, 2\), expected at least 1, or two such numbers in order"),
        ({"clean": 1.0}, "clean is 1.0, expected a share"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        RandomErasing(**options)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 8, 8), np.float32), r"images has shape \(3, 8, 8\), expected \(B, C, H, W\)"),
        (np.zeros((2, 3, 8, 8), np.uint8), "images has dtype uint8, expected a floating one"),
        (None, "images is a NoneType, expected an array"),
    ],
)
def test_what_is_no_batch(images, message):
    with pytest.raises(InputError, match=f"RandomErasing: {message}"):
        RandomErasing(1.0)(images, np.random.default_rng(0))
