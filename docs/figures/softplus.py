"""log(1 + e^x) and its slope; behind them the inputs that gave a trained scan its steps Δ."""

import numpy as np
from curves import curves
from demo_model import image, model
from matplotlib.figure import Figure

from mvnp.layers.softplus import softplus_backward, softplus_forward
from mvnp.visualize import internals


def draw() -> Figure:
    steps = np.concatenate(
        [scan.delta.ravel() for number in range(4) for scan in internals(model(), image(number)).scans.values()]
    )
    return curves("Softplus", {"": (softplus_forward, softplus_backward)}, np.log(np.expm1(steps)))
