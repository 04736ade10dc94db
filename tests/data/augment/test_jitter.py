"""Colour jitter: mvnp/data/augment/jitter.py."""

import numpy as np
import pytest

from mvnp.data.augment import ColourJitter
from mvnp.data.augment.jitter import jittered
from mvnp.errors import InputError
from support.recipe_cases import recipe_case

SETTINGS, ARRAYS = recipe_case("jitter")


def test_against_the_reference():
    for row in SETTINGS["rows"]:
        got = jittered(ARRAYS[f"{row['image']}.in"], [(name, row[name]) for name in row["order"]])
        np.testing.assert_array_equal(got, ARRAYS[row["key"]], err_msg=row["key"])


def test_draws():
    drawn = [ColourJitter(0.4).draw(np.random.default_rng(seed)) for seed in range(600)]
    assert len({tuple(name for name, _ in factors) for factors in drawn}) == 6
    values = np.array([value for factors in drawn for _, value in factors])
    assert 0.6 <= values.min() < 0.62
    assert 1.38 < values.max() <= 1.4
    assert min(value for seed in range(200) for _, value in ColourJitter(3).draw(np.random.default_rng(seed))) >= 0


@pytest.mark.parametrize("bands", [1, 3, 4, 2])
def test_pictures_of_every_kind(bands):
    image = np.random.default_rng(0).integers(0, 256, (6, 7, bands)).astype(np.uint8)
    got = ColourJitter()(image, np.random.default_rng(1))
    assert (got.shape, got.dtype) == (image.shape, np.uint8)
    assert (got != image).any()
    assert ColourJitter().strength == 0.4
    np.testing.assert_array_equal(ColourJitter(0)(image, np.random.default_rng(1)), image)


def test_a_strength_that_cannot_be():
    with pytest.raises(InputError, match=r"ColourJitter: strength is -0.1, expected at least 0"):
        ColourJitter(-0.1)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3), int), None])
def test_what_is_no_picture(image):
    with pytest.raises(InputError, match="ColourJitter: the picture "):
        ColourJitter(0.4)(image, np.random.default_rng(0))
