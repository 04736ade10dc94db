"""The linear recurrence in four ways: error, memory, time."""

import json
from pathlib import Path

import scan_study
from matplotlib.figure import Figure

MEASURED = Path(__file__).parent.parent / "measured" / "scan.json"


def draw() -> Figure:
    return scan_study.draw(json.loads(MEASURED.read_text(encoding="utf-8"))["recurrence"])
