"""Flip, crop, standardise, resize: mvnp/data/transforms.py."""

import numpy as np
import pytest
from PIL import Image

from mvnp.data.transforms import crop, flip, prepare, resize, resize_matrix
from mvnp.errors import InputError
from support.tolerance import assert_close


def test_resize_by_hand():
    # Two pixels become four: their centres lie at −¼, ¼, ¾, 1¼ of the old ones, and the edge repeats.
    assert_close(resize_matrix(2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    # Four become two: s = 2, and pixel 0 weighs 1 − |j − ½|/2 = ¾, ¾, ¼ over their sum, 7/4.
    assert_close(resize_matrix(4, 2), np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7)
    np.testing.assert_array_equal(resize_matrix(5, 5), np.eye(5))


@pytest.mark.parametrize(
    ("height", "width", "size"), [(28, 28, 64), (28, 28, 56), (28, 28, 13), (9, 20, 15), (1, 1, 4), (50, 3, 7)]
)
def test_resize_is_pillows_bilinear(height, width, size):
    x = np.random.default_rng(0).standard_normal((2, 3, height, width)).astype(np.float32)
    got = resize(x, size)
    assert got.dtype == np.float32
    for image, channel in np.ndindex(2, 3):
        want = Image.fromarray(x[image, channel]).resize((size, size), Image.Resampling.BILINEAR)
        assert_close(got[image, channel], np.asarray(want))


def test_prepare():
    images = np.random.default_rng(1).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    got = prepare(images, 12, mean, std)
    assert got.shape == (4, 3, 12, 12)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    # The other way round: enlarged first, standardised then, in float64.
    enlarged = np.einsum(
        "ih,bhwc,jw->bcij", resize_matrix(6, 12).astype(float), images / 255.0, resize_matrix(5, 12).astype(float)
    )
    assert_close(got, (enlarged - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)))


def test_flip():
    images = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3, 1)
    got = flip(images, np.array([False, True]))
    np.testing.assert_array_equal(got[0], images[0])
    np.testing.assert_array_equal(got[1, :, :, 0], [[8, 7, 6], [11, 10, 9]])


def test_crop():
    image = np.array([[1, 2], [3, 4]], np.uint8).reshape(1, 2, 2, 1)

    def at(top, left, fill="zero"):
        return crop(image, np.array([top]), np.array([left]), 1, fill)[0, :, :, 0].tolist()

    assert at(1, 1) == [[1, 2], [3, 4]]
    assert at(0, 0) == [[0, 0], [0, 1]]  # the window moves up and left, so the picture moves down and right
    assert at(2, 1) == [[3, 4], [0, 0]]
    assert at(1, 2) == [[2, 0], [4, 0]]
    assert at(0, 0, "reflect") == [[4, 3], [2, 1]]


def test_crop_is_for_each_image_its_own():
    images = np.random.default_rng(2).integers(0, 256, (5, 7, 6, 3), dtype=np.uint8)
    top, left = np.array([0, 4, 2, 3, 1]), np.array([2, 0, 4, 1, 3])
    got = crop(images, top, left, 2)
    for index in range(5):
        padded = np.zeros((11, 10, 3), np.uint8)
        padded[2:9, 2:8] = images[index]
        np.testing.assert_array_equal(got[index], padded[top[index] : top[index] + 7, left[index] : left[index] + 6])


def test_nothing_to_reflect():
    with pytest.raises(InputError, match="padding of 4 cannot be reflected in a 4x9 image"):
        crop(np.zeros((1, 4, 9, 1), np.uint8), np.array([0]), np.array([0]), 4, "reflect")
