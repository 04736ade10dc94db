"""Random erasing: mvnp/data/augment/erasing.py."""

import numpy as np
import pytest

from mvnp.data.augment import RandomErasing
from mvnp.data.augment.erasing import box_size, erase
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
