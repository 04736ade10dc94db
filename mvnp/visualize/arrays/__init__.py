"""What is computed: arrays and records of a model and an image, without matplotlib."""

from . import families  # noqa: F401  (its rules)
from .attention_entropy import entropy
from .geometry import PathGeometry, WindowGeometry
from .hidden_attention import channel_groups, hidden_attention, hidden_attention_of, mean_hidden_attention
from .internals import internals
from .lrp import Relevance, relevance
from .records import AttentionRecord, Internals, ScanRecord
from .scan_paths import ScanPath, scan_paths
from .token_to_token import block_diagonal, level_matrices, rollout, token_matrix

__all__ = [
    "AttentionRecord",
    "Internals",
    "PathGeometry",
    "Relevance",
    "ScanPath",
    "ScanRecord",
    "WindowGeometry",
    "block_diagonal",
    "channel_groups",
    "entropy",
    "hidden_attention",
    "hidden_attention_of",
    "internals",
    "level_matrices",
    "mean_hidden_attention",
    "relevance",
    "rollout",
    "scan_paths",
    "token_matrix",
]
