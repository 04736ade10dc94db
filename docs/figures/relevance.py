"""MambaLRP, for the T-shirt of gradient_times_input.py."""

from demo_model import demo, first_of, model
from matplotlib.figure import Figure

from mvnp.visualize import mamba_lrp


def draw() -> Figure:
    figure = mamba_lrp(model(), first_of("T-shirt/top"), classes=demo().classes)
    figure.set_size_inches(5.8, 2.3)
    return figure
