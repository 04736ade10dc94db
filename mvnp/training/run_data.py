"""The data of a run once more, from its settings: for runs on what has no files of its own, .npz files, IDX, CIFAR."""

from __future__ import annotations

from pathlib import Path

from ..data import Dataset, load_parts
from ..data.arrays import NAME as ARRAYS
from ..data.dataset import in_channels
from ..data.fingerprint import changes, fingerprint
from ..data.held_out import BEST, CHECKPOINT
from ..errors import DataError
from .run import in_channels_asked
from .run_checkpoint import read_checkpoint


def held_out_data(run: Path, channels: int) -> Dataset:
    """What a run has tested on or, where it had no test part, chosen the best epoch by, in so many channels.

    Raises DataError where nothing was held out, or the data are gone or others by now; CheckpointError for a damaged run.
    """
    checkpoint = read_checkpoint(run / CHECKPOINT)
    config = checkpoint.config
    if config.dataset == ARRAYS:
        raise DataError(
            f"the run in {run} was trained on arrays of a program, which it does not keep. In Python, with them:"
            f" mvnp.classify(list(images), mvnp.load_pretrained({str(run / BEST)!r})); or give a folder of pictures"
        )
    trained = checkpoint.about.get("model")
    parts = load_parts(config.dataset, **config.dataset_options)
    parts = in_channels_asked(parts, trained.get("in_chans") if isinstance(trained, dict) else None)
    data = parts.test or parts.val
    if data is None:
        raise DataError(f"the run in {run} has held nothing out; give a folder of pictures and --weights {run / BEST}")
    called = "validation" if data.part == "val" else "test"
    then = checkpoint.about.get("data")
    then = then.get(called) if isinstance(then, dict) else None
    said = changes(called, fingerprint(data), then) if isinstance(then, dict) else []
    if said:
        raise DataError(
            f"{config.dataset} has other data than when the run in {run} held them out: {'; '.join(said)}. Bring them back, or"
            f" give a folder of pictures and --weights {run / BEST}"
        )
    return in_channels(data, channels)
