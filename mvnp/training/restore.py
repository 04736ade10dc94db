"""A run is brought back to where its checkpoint left it, or it is said why that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checkpoint.load import AVERAGE
from ..core import Layer
from ..data.fingerprint import changes
from ..errors import CheckpointError, TrainingError, shown
from .ema import EMA
from .optimizer import Optimizer
from .run_checkpoint import Checkpoint
from .run_folder import RunFolder


def restore(
    folder: RunFolder, checkpoint: Checkpoint, about: dict[str, Any], model: Layer, optimizer: Optimizer, average: EMA | None
) -> None:
    """Give model, optimiser and average what the checkpoint has of them.

    about    what is known of data and teacher now

    Raises TrainingError where the data or the teacher are others than the run began with, CheckpointError where the checkpoint
    lacks what the run needs.
    """
    before, now = checkpoint.about.get("batches_per_epoch"), about["batches_per_epoch"]
    if before != now:
        raise TrainingError(
            f"the run in {folder.path} had {before} batches in an epoch, and now there are {now}: the data set has changed"
            " since. Bring it back, or start anew in another folder"
        )
    _check_data(folder, checkpoint.about.get("data"), about["data"])
    model.load_state_dict(checkpoint.part("model."))
    optimizer.load_state_dict(checkpoint.part("optimizer."))
    if average is not None:
        averages = checkpoint.part(AVERAGE)
        if not averages:
            raise CheckpointError(
                f"the run in {folder.path} averages its weights (ema_decay {folder.config.ema_decay}), and {folder.checkpoint}"
                " has no average of them to go on with; put back a whole checkpoint, or start anew in another folder"
            )
        # It takes in every step.
        average.load_state_dict({**averages, "updates": np.array(checkpoint.position.step)})
    if checkpoint.about.get("teacher") != about.get("teacher"):
        raise TrainingError(
            f"the run in {folder.path} learnt from another teacher: {folder.config.teacher} has other weights since. Bring them"
            " back, or start anew in another folder"
        )


def _check_data(folder: RunFolder, before: Any, now: dict[str, dict[str, Any]]) -> None:
    if before is None:  # of a version that noted nothing
        return
    if not isinstance(before, dict) or not all(isinstance(part, dict) for part in before.values()):
        raise CheckpointError(
            f"{folder.checkpoint} is damaged: what it says of the data is {shown(before)}, expected sizes and digests of each"
            " part. Bring the file back from a copy, or start anew in another folder"
        )
    said = [f"there were {part} pictures, and there are none" for part in before if part not in now]
    said += [f"there are {part} pictures, and there were none" for part in now if part not in before]
    said += [each for part in now if part in before for each in changes(part, now[part], before[part])]
    if said:
        raise TrainingError(
            f"the run in {folder.path} was trained on other data: {'; '.join(dict.fromkeys(said))}. Bring back what it was"
            " trained on, or start anew in another folder"
        )
