"""Looking inside: what scans and attention layers do with an image, as arrays, figures and a page.

Every figure is a function that returns a matplotlib Figure, and whose docstring says how to read it.
"""

from .attention_entropy import attention_entropy
from .class_evidence import grad_cam, gradient_times_input, mamba_lrp
from .demo import run_demo
from .explorer import Subject, write_explorer
from .feature_maps import feature_maps
from .first_filters import first_filters
from .geometry import WindowGeometry
from .gradient_flow import gradient_flow
from .hidden_attention import channel_groups, hidden_attention, hidden_attention_of, mean_hidden_attention
from .hidden_attention_figures import hidden_attention_groups, hidden_attention_map, hidden_attention_matrix
from .internals import AttentionRecord, Internals, ScanRecord, internals
from .lrp import Relevance, relevance
from .page import Page, Picture, Section, write_page
from .receptive_field import receptive_field
from .sample_predictions import sample_predictions
from .scan_state import scan_path, scan_state, state_heat_map, state_map, step_map
from .state_animation import state_animation
from .style import png
from .timescales import timescales
from .token_matrices import block_diagonal, entropy, level_matrices, rollout, token_matrix
from .token_to_token import attention_rollout, token_to_token
from .training_curves import training_curves
from .window_attention import window_attention
from .window_grid import window_grid

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
    "attention_entropy",
    "attention_rollout",
    "block_diagonal",
    "channel_groups",
    "entropy",
    "feature_maps",
    "first_filters",
    "grad_cam",
    "gradient_flow",
    "gradient_times_input",
    "hidden_attention",
    "hidden_attention_groups",
    "hidden_attention_map",
    "hidden_attention_matrix",
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
    "scan_path",
    "scan_state",
    "state_animation",
    "state_heat_map",
    "state_map",
    "step_map",
    "timescales",
    "token_matrix",
    "token_to_token",
    "training_curves",
    "window_attention",
    "window_grid",
    "write_explorer",
    "write_page",
]
