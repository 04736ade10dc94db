"""mvnp's time over PyTorch's for each layer."""

from pathlib import Path

from figures import layers
from matplotlib.figure import Figure
from results import by_processor

MEASURED = Path(__file__).parent.parent / "measured" / "layers.json"


def draw(narrow: bool = False) -> Figure:
    return layers({processor: result["rows"] for processor, result in by_processor(MEASURED).items()}, narrow)
