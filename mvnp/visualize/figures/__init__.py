"""What is drawn: each figure is a function that returns a matplotlib Figure, and its docstring says how to read it.

A figure draws what the file of the same name in `arrays` computes. style.py, overlay.py, panels.py, matrix_panels.py,
scan_panels.py and pixel_maps.py have what several figures share.
"""

from .attention_entropy import attention_entropy
from .augmented import augmented_pictures
from .class_evidence import grad_cam, gradient_times_input, mamba_lrp
from .feature_maps import feature_maps
from .first_filters import first_filters
from .gradient_flow import gradient_flow
from .hidden_attention import hidden_attention_groups, hidden_attention_map, hidden_attention_matrix
from .rate_search import rate_search
from .receptive_field import receptive_field
from .run_curves import gradient_depths, run_curves
from .sample_predictions import sample_predictions
from .scan_state import scan_path, scan_state, state_heat_map, state_map, step_map
from .state_animation import state_animation
from .style import png
from .timescales import timescales
from .token_to_token import attention_rollout, token_to_token
from .training_curves import training_curves
from .window_attention import window_attention
from .window_grid import window_grid

__all__ = [
    "attention_entropy",
    "attention_rollout",
    "augmented_pictures",
    "feature_maps",
    "first_filters",
    "grad_cam",
    "gradient_depths",
    "gradient_flow",
    "gradient_times_input",
    "hidden_attention_groups",
    "hidden_attention_map",
    "hidden_attention_matrix",
    "mamba_lrp",
    "png",
    "rate_search",
    "receptive_field",
    "run_curves",
    "sample_predictions",
    "scan_path",
    "scan_state",
    "state_animation",
    "state_heat_map",
    "state_map",
    "step_map",
    "timescales",
    "token_to_token",
    "training_curves",
    "window_attention",
    "window_grid",
]
