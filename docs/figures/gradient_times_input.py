"""Gradient times input, for a T-shirt and the class that the demo's model sees in it."""

from demo_model import demo, first_of, model
from matplotlib.figure import Figure

from mvnp.visualize import gradient_times_input


def draw() -> Figure:
    figure = gradient_times_input(model(), first_of("T-shirt/top"), classes=demo().classes)
    figure.set_size_inches(5.8, 2.3)
    return figure
