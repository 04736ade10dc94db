"""A whole run from its settings: data, model, loop.

train(config, "runs/first")                  # a new run
train(config, "runs/first", resume=True)     # goes on where it was stopped, killed or cut off
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data import BatchLoader, DataParts, Dataset, load_parts
from ..data.dataset import in_channels
from ..errors import InputError, TrainingError
from ..models.mambavision import MambaVision
from .config import TrainingConfig
from .distributed import Ranks
from .run_folder import RunFolder, TrainingResult, open_run
from .trainer import Trainer


def train(
    config: TrainingConfig | None,
    out: str | Path,
    *,
    resume: bool = False,
    quiet: bool = False,
    ranks: Ranks | None = None,
) -> TrainingResult:
    """Train a MambaVision as `config` says, into the folder `out`.

    config    None, with `resume`: that of the run in `out`
    quiet     nothing on standard error
    ranks     from `join`: the processes that mpiexec has started, which train together; None: this one by itself

    Raises TrainingInterrupted after Ctrl-C or SIGTERM, once all is saved; TrainingError for a folder that cannot be used and
    for a loss that is not finite; DataError, InputError and CheckpointError for what their names say.
    """
    ranks = ranks or Ranks()
    with ranks.together():
        return _train(config, out, resume, quiet, ranks)


def _train(config: TrainingConfig | None, out: str | Path, resume: bool, quiet: bool, ranks: Ranks) -> TrainingResult:
    folder = ranks.from_first(lambda: open_run(out, config, resume))
    with folder:
        return _train_in(folder, out, resume, quiet, ranks)


def _train_in(folder: RunFolder, out: str | Path, resume: bool, quiet: bool, ranks: Ranks) -> TrainingResult:
    config = folder.config
    if config.weights is not None:
        how = f"go on with mvnp finetune --resume --out {out}" if resume else "use finetune, which begins from weights"
        raise TrainingError(f"these settings are those of a fine-tuning from {config.weights}; {how}")
    parts = in_channels_asked(load_parts(config.dataset, **config.dataset_options), config.dataset_options.get("channels"))
    train_loader, test_loader, final_loader = loaders_of(config, parts)
    model = make_model(config, parts.train)
    return Trainer(
        model,
        train_loader,
        test_loader,
        folder,
        final_loader=final_loader,
        notes=parts.notes,
        quiet=quiet,
        ranks=ranks,
    ).run()


def in_channels_asked(parts: DataParts, channels: int | None) -> DataParts:
    """Grey sets repeated in as many channels as are asked for. Raises InputError for others that have not so many."""
    fitting: dict[str, Any] = {part.part: part if channels is None else in_channels(part, channels) for part in parts}
    return replace(parts, **fitting)


def loaders_of(config: TrainingConfig, parts: DataParts) -> tuple[BatchLoader, BatchLoader | None, BatchLoader | None]:
    """Batches to train on, to choose the best epoch by, and for a last word, as far as there are images for these."""
    train_loader, test_loader = make_loaders(config, parts.train, parts.chooser or parts.train)
    _, final_loader = make_loaders(config, parts.train, parts.test or parts.train)
    return (
        train_loader,
        None if parts.chooser is None else test_loader,
        None if parts.val is None or parts.test is None else final_loader,
    )


def make_loaders(config: TrainingConfig, train_set: Dataset, test_set: Dataset) -> tuple[BatchLoader, BatchLoader]:
    """The training and the test batches of a run."""

    def loader(part: Dataset, train: bool) -> BatchLoader:
        return BatchLoader(part, config.batch_size, train=train, seed=config.seed, **config.loader_options)

    return loader(train_set, True), loader(test_set, False)


def make_model(config: TrainingConfig, data: Dataset) -> MambaVision:
    """The model of a run, with its initial weights. Raises InputError where it does not fit the data."""
    fitting: dict[str, Any] = {"in_chans": data.channels, "num_classes": len(data.classes), "seed": config.seed}
    try:
        model = MambaVision(**{**fitting, **config.model})
    except (TypeError, OverflowError) as error:  # an argument that there is not, or one too few: as a checkpoint may have it
        raise InputError(f"the model's settings cannot be used: {error}") from error
    if model.in_chans != data.channels or model.num_classes < len(data.classes):
        raise InputError(
            f"the model has in_chans={model.in_chans} and num_classes={model.num_classes}, but {data.name} has"
            f" {data.channels} channels and {len(data.classes)} classes; leave both out and they follow the data"
        )
    return model
