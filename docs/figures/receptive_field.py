"""What one feature of each stage of the demo's model looks at in a T-shirt."""

from demo_model import first_of, model
from matplotlib.figure import Figure

from mvnp.visualize import receptive_field


def draw() -> Figure:
    return receptive_field(model(), first_of("T-shirt/top"), narrow=True)
