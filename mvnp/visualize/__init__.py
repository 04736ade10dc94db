"""Looking inside: what scans and attention layers do with an image, as arrays, figures and a page.

Every figure is a function that returns a matplotlib Figure, and whose docstring says how to read it.
"""

from .class_evidence import grad_cam, gradient_times_input, mamba_lrp
from .demo import run_demo
from .explorer import Subject, write_explorer
from .feature_maps import feature_maps
from .first_filters import first_filters
from .geometry import WindowGeometry
from .gradient_flow import gradient_flow
from .hidden_attention import channel_groups, hidden_attention, hidden_attention_of, mean_hidden_attention
from .internals import AttentionRecord, Internals, ScanRecord, internals
from .lrp import Relevance, relevance
from .page import Page, Picture, Section, write_page
from .receptive_field import receptive_field
from .sample_predictions import sample_predictions
from .scan_state import scan_state
from .style import png
from .token_matrices import block_diagonal, entropy, level_matrices, rollout, token_matrix
from .training_curves import training_curves
from .window_attention import window_attention

__all__ = [
    "AttentionRecord",
    "Internals",
    "Page",
    "Picture",
    "Relevance",
    "ScanRecord",
    "Section",
    "Subject",
    "WindowGeometry",
    "block_diagonal",
    "channel_groups",
    "entropy",
    "feature_maps",
    "first_filters",
    "grad_cam",
    "gradient_flow",
    "gradient_times_input",
    "hidden_attention",
    "hidden_attention_of",
    "internals",
    "level_matrices",
    "mamba_lrp",
    "mean_hidden_attention",
    "png",
    "receptive_field",
    "relevance",
    "rollout",
    "run_demo",
    "sample_predictions",
    "scan_state",
    "token_matrix",
    "training_curves",
    "window_attention",
    "write_explorer",
    "write_page",
]
