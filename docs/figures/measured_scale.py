"""Time for one image as the batch grows, and as the image does."""

from pathlib import Path

from figures import model_rows, scale
from matplotlib.figure import Figure

MEASURED = Path(__file__).parent.parent / "measured"


def draw(narrow: bool = False) -> Figure:
    return scale(model_rows(MEASURED), narrow)
