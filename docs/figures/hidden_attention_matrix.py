"""What every token of a bag takes from every other in the first scan of the demo's model."""

from demo_model import first_of, model
from matplotlib.figure import Figure

from mvnp.visualize import hidden_attention_matrix


def draw() -> Figure:
    figure = hidden_attention_matrix(model(), first_of("Bag"))
    figure.set_size_inches(5.8, 2.6)
    return figure
