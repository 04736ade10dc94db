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


def run_log(steps: int = 60, per_epoch: int = 20) -> list[dict]:
    """The lines of a run's log: the loss falls as 2.3 / step, and the second epoch was not evaluated."""
    lines = []
    for step in range(1, steps + 1):
        fields = {"step": step, "epoch": (step - 1) // per_epoch + 1}
        lines.append({"event": "step", **fields, "lr": 0.001 * step, "loss": 2.3 / step, "grad_norm": 1.0})
        if step % per_epoch == 0:
            tested = step != 2 * per_epoch
            found = (
                {"test_loss": 1 / step, "test_accuracy": step / 100}
                if tested
                else dict.fromkeys(("test_loss", "test_accuracy"))
            )
            lines.append({"event": "epoch", **fields, "train_loss": 1.0, **found})
    return lines
