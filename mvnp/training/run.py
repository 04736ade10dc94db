"""A whole run from its settings: data, model, loop.

train(config, "runs/first")                  # a new run
train(config, "runs/first", resume=True)     # goes on where it was stopped, killed or cut off
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..data import BatchLoader, Dataset, ImageTransform, load_dataset
from ..errors import InputError, TrainingError
from ..models.classifier import Classifier
from ..models.variants import FAMILIES, check_options
from .config import TrainingConfig
from .distributed import Ranks
from .run_folder import open_run
from .trainer import Trainer, TrainingResult


def train(
    config: TrainingConfig | None,
    out: str | Path,
    *,
    resume: bool = False,
    quiet: bool = False,
    ranks: Ranks | None = None,
) -> TrainingResult:
    """Train a model as `config` says, into the folder `out`.

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
    config = folder.config
    if config.weights is not None:
        how = f"go on with mvnp finetune --resume --out {out}" if resume else "use finetune, which begins from weights"
        raise TrainingError(f"these settings are those of a fine-tuning from {config.weights}; {how}")
    train_set, test_set = load_dataset(config.dataset, **config.dataset_options)
    train_loader, test_loader = make_loaders(config, train_set, test_set)
    model = make_model(config, train_set)
    about = describe(model, train_loader)
    return Trainer(model, train_loader, test_loader, folder, quiet=quiet, about=about, ranks=ranks).run()


def describe(model: Classifier, loader: BatchLoader) -> dict[str, Any]:
    """What it takes to use the weights later: the model's arguments, the classes, and how images are prepared."""
    return {
        "family": type(model).__name__,
        "model": model.config,
        "classes": list(loader.dataset.classes),
        "image_size": loader.image_size,
        "mean": list(loader.mean),
        "std": list(loader.std),
        "images": asdict(ImageTransform.of_loader(loader)),
    }


def make_loaders(config: TrainingConfig, train_set: Dataset, test_set: Dataset) -> tuple[BatchLoader, BatchLoader]:
    """The training and the test batches of a run."""

    def loader(part: Dataset, train: bool) -> BatchLoader:
        return BatchLoader(part, config.batch_size, train=train, seed=config.seed, **config.loader_options)

    return loader(train_set, True), loader(test_set, False)


def make_model(config: TrainingConfig, data: Dataset) -> Classifier:
    """The model of a run, with its initial weights. Raises InputError where it does not fit the data."""
    family = FAMILIES[config.family]
    image_size = config.loader_options.get("image_size", 0)
    fitting = family.fitting(image_size, data.channels, len(data.classes), config.seed)
    check_options(config.family, config.model)
    model = family(**{**fitting, **config.model})
    if model.in_chans != data.channels or model.num_classes < len(data.classes):
        raise InputError(
            f"the model has in_chans={model.in_chans} and num_classes={model.num_classes}, but {data.name} has"
            f" {data.channels} channels and {len(data.classes)} classes; leave both out and they follow the data"
        )
    return model
