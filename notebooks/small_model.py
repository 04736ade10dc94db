"""The small model of notebooks 4 and 5: made, trained for about half a minute, and kept beside the notebooks.

MVNP_NOTEBOOKS=quick trains for moments only: for the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from mvnp import MambaVision, load_pretrained
from mvnp.checkpoint import save_pretrained
from mvnp.data import BatchLoader, Dataset, ImageTransform, load_dataset
from mvnp.training import AdamW, StepResult, learning_rate, make_loaders, make_model, train_step
from mvnp.training.presets import PRESETS

QUICK = os.environ.get("MVNP_NOTEBOOKS") == "quick"
EPOCHS, BATCH = (1, 20) if QUICK else (4, 50)
KEPT = Path("small_model.safetensors")


def make() -> tuple[MambaVision, BatchLoader, BatchLoader]:
    """A fresh model of the preset "demo", with the shipped part of Fashion-MNIST for training and for testing."""
    config = PRESETS["demo"].config(epochs=EPOCHS, batch_size=BATCH)
    parts = load_dataset(config.dataset)
    train_set, test_set = (_first(part, 100) if QUICK else part for part in parts)
    train_loader, test_loader = make_loaders(config, train_set, test_set)
    return make_model(config, train_set), train_loader, test_loader


def train(model: MambaVision, loader: BatchLoader) -> Iterator[StepResult]:
    """Train step by step; each step's loss and gradient norm, as it is done."""
    optimizer = AdamW(model.named_parameters(), weight_decay=0.05)
    total = EPOCHS * len(loader)
    for step in range(total):
        images, labels = loader.batch(*divmod(step, len(loader)))
        rate = learning_rate(step, total, warmup_steps=total // 16, lr=4e-3, min_lr=1e-5, warmup_lr=1e-6)
        yield train_step(model, optimizer, images, labels, lr=rate, seed=[0, step], label_smoothing=0.05)


def keep(model: MambaVision, loader: BatchLoader) -> None:
    """Write the model where `trained` looks for it."""
    if not QUICK:
        images = asdict(ImageTransform.of_loader(loader))
        save_pretrained(KEPT, model, classes=loader.dataset.classes, images=images)


def trained() -> tuple[MambaVision, BatchLoader]:
    """The trained model, and the test images: kept by an earlier call or by notebook 4, or trained now."""
    model, train_loader, test_loader = make()
    if KEPT.is_file() and not QUICK:
        return load_pretrained(KEPT), test_loader
    for _ in train(model, train_loader):
        pass
    keep(model, test_loader)
    return model, test_loader


def pictures(loader: BatchLoader, count: int) -> np.ndarray:
    """The first test images (count, 1, 64, 64), prepared as for the model."""
    return loader.prepare(loader.dataset.images[:count])


def _first(part: Dataset, count: int) -> Dataset:
    return replace(part, images=part.images[:count], labels=part.labels[:count])
