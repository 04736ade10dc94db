"""Looking inside: what scans and attention layers do with an image, as arrays, figures and a page.

Every figure is a function that returns a matplotlib Figure, and whose docstring says how to read it.
"""

from .demo import run_demo
from .geometry import WindowGeometry
from .internals import AttentionRecord, Internals, ScanRecord, internals
from .page import Page, Picture, Section, write_page
from .sample_predictions import sample_predictions
from .scan_state import scan_state
from .style import png
from .training_curves import training_curves
from .window_attention import window_attention

__all__ = [
    "AttentionRecord",
    "Internals",
    "Page",
    "Picture",
    "ScanRecord",
    "Section",
    "WindowGeometry",
    "internals",
    "png",
    "run_demo",
    "sample_predictions",
    "scan_state",
    "training_curves",
    "window_attention",
    "write_page",
]
