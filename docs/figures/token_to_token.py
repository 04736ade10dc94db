"""A scan, an attention block and their rollout: one level of the demo's model, for a bag."""

from demo_model import first_of, model
from matplotlib.figure import Figure

from mvnp.visualize import token_to_token


def draw() -> Figure:
    figure = token_to_token(model(), first_of("Bag"))
    figure.set_size_inches(5.8, 3.0)
    return figure
