"""mvnp's time over each peer's, for every case."""

from pathlib import Path

from figures import model_rows, models
from matplotlib.figure import Figure

MEASURED = Path(__file__).parent.parent / "measured"


def draw(narrow: bool = False) -> Figure:
    return models(model_rows(MEASURED), narrow)
