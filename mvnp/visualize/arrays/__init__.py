"""What is computed: arrays and records of a model and an image, without matplotlib."""

from . import families  # noqa: F401  (its rules)
from .attention_entropy import entropy
from .augmented import Augmented, augmented
from .geometry import PathGeometry, WindowGeometry
from .hidden_attention import channel_groups, hidden_attention, hidden_attention_of, mean_hidden_attention
from .internals import internals
from .lrp import Relevance, relevance
from .mistakes import Predictions, predictions
from .records import AttentionRecord, Internals, ScanRecord
from .run_curves import epoch_table, norms_by_depth
from .scan_paths import ScanPath, scan_paths
from .token_to_token import block_diagonal, level_matrices, rollout, token_matrix

__all__ = [
    "AttentionRecord",
    "Augmented",
    "Internals",
    "PathGeometry",
    "Predictions",
    "Relevance",
    "ScanPath",
    "ScanRecord",
    "WindowGeometry",
    "augmented",
    "block_diagonal",
    "channel_groups",
    "entropy",
    "epoch_table",
    "hidden_attention",
    "hidden_attention_of",
    "internals",
    "level_matrices",
    "mean_hidden_attention",
    "norms_by_depth",
    "predictions",
    "relevance",
    "rollout",
    "scan_paths",
    "token_matrix",
]
