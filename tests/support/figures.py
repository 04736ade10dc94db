"""An image to look at with a model from tiny.py, and what a figure shows of it."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection


def image(size: int = 70, channels: int = 3) -> np.ndarray:
    """Noise (1, channels, size, size). 70 pixels make maps of 5 and 3 tokens, which windows of 2 do not divide."""
    return np.random.default_rng(0).standard_normal((1, channels, size, size))


def marks(axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """The squares on an image: their centres in pixels, (n, 2), and their values, (n,)."""
    found = next(artist for artist in axes.collections if isinstance(artist, PatchCollection))
    centres = [path.get_extents().get_points().mean(axis=0) for path in found.get_paths()]
    return np.array(centres), np.asarray(found.get_array())
