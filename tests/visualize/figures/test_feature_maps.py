"""The figure of feature maps: mvnp/visualize/figures/feature_maps.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.figures.feature_maps import feature_maps
from mvnp.visualize.figures.style import png
from support.figures import image
from support.tiny import tiny


@pytest.mark.parametrize("narrow", [False, True])
def test_the_maps_are_the_models(narrow):
    model, x = tiny(dtype="float64"), image()[:, :, :, :50]
    figure = feature_maps(model, x, count=3, narrow=narrow)
    stages = [stage[0] for stage in model.features(x)]
    shown = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert len(shown) == 12
    for place, axes in enumerate(shown):
        channel = int(axes.get_title(loc="left"))
        np.testing.assert_array_equal(axes.images[0].get_array(), stages[place // 3][channel])
        assert axes.images[0].get_extent() == [-0.5, 49.5, 69.5, -0.5]
    # One scale for a row, around zero.
    assert len({axes.images[0].norm.vmax for axes in shown[:3]}) == 1
    assert shown[0].images[0].norm.vmin == -shown[0].images[0].norm.vmax
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert labels == ["stage 0\n18x13", "stage 1\n9x7", "stage 2\n5x4", "stage 3\n3x2"]
    assert png(figure).startswith(b"\x89PNG")


def test_fewer_channels_than_asked_for():
    figure = feature_maps(tiny(dtype="float64"), image(), count=6)  # stage 0 has 4
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert len(titles) == 4 + 6 + 6 + 6


def test_on_cupy(strict_cupy):
    assert png(feature_maps(tiny(), from_numpy(image().astype(np.float32)), count=2)).startswith(b"\x89PNG")


def test_bad_input():
    with pytest.raises(InputError, match="feature_maps: count is 0, expected at least 1"):
        feature_maps(tiny(), image().astype(np.float32), count=0)
    with pytest.raises(InputError, match="feature_maps: image has shape"):
        feature_maps(tiny(), image(channels=1).astype(np.float32))
