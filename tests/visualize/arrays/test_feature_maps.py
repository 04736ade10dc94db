"""The arrays behind the figure: mvnp/visualize/arrays/feature_maps.py."""

import numpy as np

from mvnp.visualize.arrays.feature_maps import strongest_channels


def test_the_strongest_vary_most():
    flat, weak, strong = np.full((3, 3), 100.0), np.eye(3), 5 * np.eye(3)
    assert strongest_channels(np.stack([flat, weak, strong]), 2) == [2, 1]
