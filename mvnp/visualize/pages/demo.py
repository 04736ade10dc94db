"""The demo: train a small model on the shipped images, and write a page that shows what it does."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from ...backend import from_numpy
from ...data import Dataset, load_dataset
from ...errors import TrainingError, refusing
from ...models.mambavision import MambaVision
from ...training import (
    RunFolder,
    Trainer,
    TrainingConfig,
    TrainingInterrupted,
    describe,
    make_loaders,
    make_model,
    open_run,
    read_log,
)
from ...training.presets import PRESETS
from ...training.progress import Progress
from .demo_page import Trained, demo_page
from .report import write_page

DEMO = "demo"  # where a checkpoint notes the options that its demo was called with
SAMPLES = 24  # test images on the page

# What differs from the preset, which has to suit smaller sets as well: 6,000 pictures give enough steps in batches of 100, and
# these train a quarter more pictures a second. Chosen on training images that the demo does not see.
SETTINGS = {"epochs": 8, "batch_size": 100, "lr": 8e-3, "warmup_epochs": 1.0}

# A run to see that everything works: it takes seconds, and learns next to nothing.
QUICK_SETTINGS = {"epochs": 2, "batch_size": 16, "warmup_epochs": 0.5}
QUICK_IMAGE_SIZE, QUICK_IMAGES = 80, 32


@refusing
def run_demo(out: str | Path, *, quick: bool = False, seed: int = 0, quiet: bool = False) -> Path:
    """Train the preset "demo" on the shipped part of Fashion-MNIST, and write a page about it; its path.

    out      folder for the run (checkpoints, log) and the page (index.html, pictures/), made where it is missing
    quick    a few steps on a few images, to try everything out in seconds
    quiet    nothing on standard error

    A run that was interrupted goes on where it was. A finished one is not trained again: its page is written anew.
    Raises TrainingError, before any training, where `out` cannot be written to or holds a run with other options;
    TrainingInterrupted after Ctrl-C, once all is saved.
    """
    out = Path(out)
    options = f"{' --quick' * quick}{f' --seed {seed}' * bool(seed)}"
    folder = _open(out, demo_config(quick, seed), options)
    parts = load_dataset(folder.config.dataset, **folder.config.dataset_options)
    train_set, test_set = (_few(part) if quick else part for part in parts)
    train_loader, test_loader = make_loaders(folder.config, train_set, test_set)
    model = make_model(folder.config, train_set)
    assert isinstance(model, MambaVision)  # as the demo's preset says
    about = {**describe(model, train_loader), DEMO: options}
    try:
        result = Trainer(model, train_loader, test_loader, folder, quiet=quiet, about=about).run()
    except TrainingInterrupted as stopped:
        again = _command(out, options)
        raise TrainingInterrupted(f"stopped; everything is saved in {out}. To go on: {again}", stopped.signal) from stopped

    progress = Progress(quiet)
    progress.say(f"test accuracy {result.accuracy:.1%} on {len(test_set)} images; checkpoint: {result.checkpoint}")
    progress.say("drawing the pictures")
    images = test_loader.prepare(test_set.images[:SAMPLES])
    return write_page(
        out,
        demo_page(
            Trained(
                model=model,
                config=folder.config,
                result=result,
                log=read_log(result.log),
                train_set=train_set,
                test_set=test_set,
                images=from_numpy(images),
                labels=test_set.labels[:SAMPLES],
            )
        ),
    )


def _open(out: Path, config: TrainingConfig, options: str) -> RunFolder:
    """The folder of a new run, or of an earlier one with the same options, which goes on with the settings that it has."""
    if not RunFolder(out, config).checkpoint.is_file():
        return open_run(out, config)
    folder = open_run(out, resume=True)
    assert folder.resumed is not None
    found = folder.resumed.about.get(DEMO)
    if found is None:
        raise TrainingError(f"{out} holds a training that is no demo; choose another folder")
    if found != options:
        raise TrainingError(
            f"{out} holds a demo with other options; to go on with it or draw it again: {_command(out, found)}."
            " For a new one choose another folder"
        )
    return folder


def _command(out: Path, options: str) -> str:
    return f"mvnp demo --out {shlex.quote(str(out))}{options}"


def demo_config(quick: bool, seed: int) -> TrainingConfig:
    """The settings of the demo's run."""
    preset = PRESETS["demo"]
    if not quick:
        return preset.config(seed=seed, **SETTINGS)
    return dataclasses.replace(preset, image_size=QUICK_IMAGE_SIZE).config(seed=seed, **QUICK_SETTINGS)


def _few(part: Dataset) -> Dataset:
    return dataclasses.replace(part, images=part.images[:QUICK_IMAGES], labels=part.labels[:QUICK_IMAGES])
