"""mvnp's time over PyTorch's for each layer."""

import json
from pathlib import Path

from figures import layers
from matplotlib.figure import Figure

MEASURED = Path(__file__).parent.parent / "measured" / "layers.json"


def draw() -> Figure:
    return layers(json.loads(MEASURED.read_text(encoding="utf-8"))["rows"])
