"""The figure of the first filters: mvnp/visualize/figures/first_filters.py."""

import numpy as np
import pytest
from matplotlib.colors import Normalize

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.first_filters import first_layer
from mvnp.visualize.figures.first_filters import first_filters, kernel_picture
from mvnp.visualize.figures.style import png
from support.figures import image
from support.tiny import tiny
from support.tolerance import assert_close


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_pairs_of_kernel_and_answer(channels, narrow):
    model, x = tiny(dtype="float64", in_dim=6, in_chans=channels), image(channels=channels)
    figure = first_filters(model, x, count=5, narrow=narrow)
    kernels, answers, _ = first_layer(model, x)
    pictures = {axes.get_title(loc="left"): axes.images[0].get_array() for axes in figure.axes if axes.get_title(loc="left")}
    below = [axes.images[0].get_array() for axes in figure.axes if axes.images and not axes.get_title(loc="left")]
    assert len(pictures) == len(below) == 5
    most = np.abs(kernels).max()
    for name, drawn in pictures.items():
        kernel = kernels[int(name)]
        expected = (kernel.transpose(1, 2, 0) / most + 1) / 2 if channels == 3 else kernel[0]
        assert_close(drawn, expected)
    for drawn in below:
        assert any(np.array_equal(drawn, answer) for answer in answers)
    assert png(figure).startswith(b"\x89PNG")


def test_a_kernel_of_colours_is_grey_at_zero():
    norm = Normalize(-2.0, 2.0)
    np.testing.assert_array_equal(kernel_picture(np.zeros((3, 3, 3)), norm), np.full((3, 3, 3), 0.5))
    red = np.zeros((3, 3, 3))
    red[0, 1, 2] = 2.0
    np.testing.assert_array_equal(kernel_picture(red, norm)[1, 2], [1.0, 0.5, 0.5])


def test_on_cupy(strict_cupy):
    assert png(first_filters(tiny(), from_numpy(image().astype(np.float32)))).startswith(b"\x89PNG")


def test_bad_input():
    with pytest.raises(InputError, match="first_filters: count is 0, expected at least 1"):
        first_filters(tiny(), image().astype(np.float32), count=0)
