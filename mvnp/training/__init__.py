"""Training: the optimiser, the schedule, the loop, and runs that survive an interruption."""

from ..errors import TrainingInterrupted
from .adamw import AdamW
from .clipping import clipped, clipped_by_unit, clipped_by_value, global_norm
from .config import TrainingConfig
from .config_file import read_config, to_toml
from .describe import describe
from .distributed import Ranks, join
from .ema import EMA
from .evaluate import Evaluation, evaluate
from .find_lr import RateSearch, find_lr
from .finetune import completed, finetune
from .frozen import FrozenTrunk
from .lamb import LAMB
from .layer_decay import learning_rate_scales
from .log import read_log
from .objective import Teacher
from .optimizer import Optimizer
from .recipes import recipe_settings
from .run import make_loaders, make_model, train
from .run_checkpoint import Checkpoint, Position, read_checkpoint
from .run_folder import RunFolder, TrainingResult, open_run
from .schedule import cosine_rate, learning_rate, scaled_rate
from .sgd import SGD
from .step import StepResult, train_step
from .trainer import Trainer

__all__ = [
    "EMA",
    "LAMB",
    "SGD",
    "AdamW",
    "Checkpoint",
    "Evaluation",
    "FrozenTrunk",
    "Optimizer",
    "Position",
    "Ranks",
    "RateSearch",
    "RunFolder",
    "StepResult",
    "Teacher",
    "Trainer",
    "TrainingConfig",
    "TrainingInterrupted",
    "TrainingResult",
    "clipped",
    "clipped_by_unit",
    "clipped_by_value",
    "completed",
    "cosine_rate",
    "describe",
    "evaluate",
    "find_lr",
    "finetune",
    "global_norm",
    "join",
    "learning_rate",
    "learning_rate_scales",
    "make_loaders",
    "make_model",
    "open_run",
    "read_checkpoint",
    "read_config",
    "read_log",
    "recipe_settings",
    "scaled_rate",
    "to_toml",
    "train",
    "train_step",
]
