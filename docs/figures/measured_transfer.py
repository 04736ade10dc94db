"""Fine-tuning against training from scratch."""

import json
from pathlib import Path

import transfer
from matplotlib.figure import Figure

MEASURED = Path(__file__).parent.parent / "measured" / "transfer.json"


def draw(narrow: bool = False) -> Figure:
    return transfer.draw(json.loads(MEASURED.read_text(encoding="utf-8"))["runs"], narrow)
