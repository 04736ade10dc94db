"""Random resized crop: mvnp/data/augment/crop.py."""

import numpy as np
import PIL
import pytest

from mvnp.data.augment import RandomResizedCrop, resized
from mvnp.data.augment.crop import TRIES, crop_size, whole_crop
from mvnp.errors import InputError
from support.recipe_cases import recipe_case

SETTINGS, ARRAYS = recipe_case("crop")
# From Pillow 13 on it resizes in another order, and its results differ by so many grey levels.
OTHER_ORDER = int(PIL.__version__.split(".")[0]) >= 13
APART = {"bilinear": 1 * OTHER_ORDER, "bicubic": 3 * OTHER_ORDER}


def test_cuts_against_the_reference():
    for row in SETTINGS["rows"]:
        limits = row["scale"], row["ratio"]
        tries = [crop_size(row["H"], row["W"], *draws, *limits) for draws in row["u_scale_u_ratio"]]
        fits = [h <= row["H"] and w <= row["W"] for h, w in tries]
        assert fits == [False] * (len(tries) - 1) + [not row["whole"]]
        if row["whole"]:
            assert whole_crop(row["H"], row["W"], row["ratio"]) == (row["top"], row["left"], row["h"], row["w"])
        else:
            assert tries[-1] == (row["h"], row["w"])


@pytest.mark.parametrize("row", SETTINGS["pixels"], ids=lambda row: row["key"])
def test_pixels_against_the_reference(row):
    image = ARRAYS[f"{row['image']}.in"]
    image = image[..., None] if image.ndim == 2 else image
    part = image[row["top"] : row["top"] + row["h"], row["left"] : row["left"] + row["w"]]
    want = ARRAYS[row["key"]]
    got = resized(part, row["size"], row["interpolation"])
    apart = np.abs(got.astype(int) - (want[..., None] if want.ndim == 2 else want)).max()
    assert apart <= APART[row["interpolation"]]


@pytest.mark.parametrize("row", SETTINGS["spread"])
def test_spread_of_the_cuts(row):
    crop, rng, count = RandomResizedCrop((8, 8)), np.random.default_rng(0), 4000
    boxes = np.array([crop.draw(row["H"], row["W"], rng)[0] for _ in range(count)])
    top, left, h, w = boxes.T
    area, log_ratio = h * w / (row["H"] * row["W"]), np.log(w / h)
    error = 5 / np.sqrt(count)  # five deviations of a mean, in deviations of one draw
    assert abs(area.mean() - row["mean_area"]) < error * area.std()
    assert abs(log_ratio.mean() - row["mean_log_ratio_w_over_h"]) < error * log_ratio.std()
    assert abs(log_ratio.std() / row["std_log_ratio"] - 1) < error
    for quantile, share in zip(row["quantiles_of_area_10_50_90"], (0.1, 0.5, 0.9), strict=True):
        assert abs((area <= quantile).mean() - share) < error / 2
    for place, room in ((top, row["H"] - h), (left, row["W"] - w)):
        assert place.min() >= 0
        assert (place <= room).all()
        free = room > 0
        assert abs((place[free] / room[free]).mean() - 0.5) < error / 2


@pytest.mark.parametrize("shape", [(20, 31, 1), (20, 31, 5), (1, 1, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pictures_of_every_kind(shape, dtype):
    image = (np.random.default_rng(1).random(shape) * (255 if dtype == np.uint8 else 1)).astype(dtype)
    got = RandomResizedCrop((6, 9))(image, np.random.default_rng(2))
    assert (got.shape, got.dtype) == ((6, 9, shape[2]), dtype)
    np.testing.assert_array_equal(got, RandomResizedCrop((6, 9))(image, np.random.default_rng(2)))


def test_limits_that_cannot_be():
    with pytest.raises(InputError, match=r"RandomResizedCrop: scale is \(0.5, 0.1\), expected two numbers above 0 in order"):
        RandomResizedCrop((8, 8), scale=(0.5, 0.1))
    with pytest.raises(InputError, match="unknown interpolation 'nearest'"):
        RandomResizedCrop((8, 8), interpolation="nearest")


def test_what_is_cut_is_what_was_drawn():
    """Of a picture that is not square: the part, at the size that was asked for."""
    image = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)
    crop, ways = RandomResizedCrop((7, 9)), set()
    for seed in range(30):
        (top, left, h, w), way = crop.draw(20, 33, np.random.default_rng(seed))
        ways.add(way)
        want = resized(image[top : top + h, left : left + w], (7, 9), way)
        np.testing.assert_array_equal(crop(image, np.random.default_rng(seed)), want)
    assert ways == {"bilinear", "bicubic"}
    assert TRIES == 10


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (40, 12, (12, 0, 16, 12)),  # too high: 12 / (3/4)
        (12, 40, (0, 12, 12, 16)),  # too wide: 12 · 4/3
        (12, 13, (0, 0, 12, 13)),
        (1200, 1300, (0, 0, 1200, 1300)),
    ],
)
def test_the_whole_of_a_picture_by_hand(height, width, box):
    assert whole_crop(height, width, (3 / 4, 4 / 3)) == box


def test_unknown_ways_and_limits():
    with pytest.raises(InputError, match="unknown interpolation 'cubic'"):
        resized(np.zeros((4, 4, 3), np.uint8), (2, 2), "cubic")
    for scale in ((0.0, 1.0), (0.5, float("inf"))):
        with pytest.raises(InputError, match="RandomResizedCrop: scale is"):
            RandomResizedCrop((4, 4), scale)
    assert RandomResizedCrop((4, 4), (0.5, 0.5)).scale == (0.5, 0.5)


class Always:
    """A generator that draws the same number every time."""

    def __init__(self, value):
        self.value = value

    def random(self, shape):
        return np.full(shape, self.value)


def test_a_draw_of_a_half_is_bilinear():
    assert RandomResizedCrop((4, 4)).draw(20, 20, Always(0.5))[1] == "bilinear"


def test_places_from_edge_to_edge():
    """Half of 400 pixels at 4 to 3 is 16 by 12: 14.14 · √(4/3) and its inverse."""
    crop = RandomResizedCrop((4, 4), scale=(0.5, 0.5), ratio=(4 / 3, 4 / 3))
    assert crop.draw(20, 20, Always(0.0))[0] == (0, 0, 12, 16)
    assert crop.draw(20, 20, Always(1 - 2.0**-53))[0] == (8, 4, 12, 16)


def test_a_fourth_band_is_no_transparency():
    """Where it is 0 the others stay what they are."""
    picture = np.random.default_rng(0).integers(0, 256, (12, 9, 4), dtype=np.uint8)
    picture[:, :, 3] = 0
    got = resized(picture, (7, 5), "bicubic")
    np.testing.assert_array_equal(got[:, :, :3], resized(picture[:, :, :3], (7, 5), "bicubic"))
    assert not got[:, :, 3].any()


@pytest.mark.parametrize("size", [4, (4,), (4, 4, 4), (0, 4), (4.5, 4), "ab", (100_000, 4), None])
def test_sizes_that_cannot_be(size):
    with pytest.raises(InputError, match=r"RandomResizedCrop: size is .*, expected \(height, width\), integers from 1"):
        RandomResizedCrop(size)
    with pytest.raises(InputError, match=r"resized: size is .*, expected \(height, width\), integers from 1"):
        resized(np.zeros((4, 4, 3), np.uint8), size)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 0), np.uint8), np.zeros((4, 4, 3), int), None])
def test_what_is_no_picture(image):
    with pytest.raises(InputError, match="RandomResizedCrop: the picture "):
        RandomResizedCrop((4, 4))(image, np.random.default_rng(0))
    with pytest.raises(InputError, match="resized: the picture "):
        resized(image, (4, 4))


def test_no_generator():
    with pytest.raises(InputError, match="RandomResizedCrop: rng is None, expected a generator such as"):
        RandomResizedCrop((4, 4))(np.zeros((4, 4, 3), np.uint8), None)
