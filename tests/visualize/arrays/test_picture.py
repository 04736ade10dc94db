"""What a figure shows of a picture: mvnp/visualize/arrays/picture.py."""

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.visualize.arrays.picture import as_picture, showing

IMAGE = np.random.default_rng(0).standard_normal((1, 13, 6, 5))


def between(pixels):
    return (pixels - pixels.min()) / (pixels.max() - pixels.min())


def test_three_bands_are_colours_and_others_are_averaged():
    np.testing.assert_allclose(as_picture(IMAGE[:, :3]), between(IMAGE[0, :3].transpose(1, 2, 0)))
    np.testing.assert_allclose(as_picture(IMAGE), between(IMAGE[0].mean(axis=0)))


def test_chosen_bands():
    with showing((4, 3, 2)):
        np.testing.assert_allclose(as_picture(IMAGE), between(IMAGE[0, [3, 2, 1]].transpose(1, 2, 0)))
        with showing((13,)):
            np.testing.assert_allclose(as_picture(IMAGE), between(IMAGE[0, 12]))
        assert as_picture(IMAGE).shape == (6, 5, 3)
        with pytest.raises(
            InputError, match=r"bands to be shown are 4, 3, 2, and the image has 3; expected numbers from 1 to 3"
        ):
            as_picture(IMAGE[:, :3])
    assert as_picture(IMAGE).shape == (6, 5)


@pytest.mark.parametrize("wrong", [(1, 2), (0,), (1, 2, 2.5), ()])
def test_bands_that_cannot_be(wrong):
    with pytest.raises(InputError, match="expected three numbers, or one, from 1, or None"), showing(wrong):
        pass
