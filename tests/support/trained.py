"""The demo's model after a short training, and test images for it: Δ, B and C that depend on the token as trained ones do."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np

from mvnp import MambaVision
from mvnp.data import load_dataset
from mvnp.training import AdamW, make_loaders, make_model, train_step
from mvnp.visualize.pages.demo import demo_config

STEPS, IMAGES = 36, 192


@cache
def trained_demo() -> tuple[MambaVision, np.ndarray]:
    """The model, in float64, and images (B, 1, 80, 80): maps of 5 and 3 tokens, which its windows do not divide."""
    config = demo_config(quick=True, seed=0)
    parts = load_dataset(config.dataset, **config.dataset_options)
    few = [dataclasses.replace(part, images=part.images[:IMAGES], labels=part.labels[:IMAGES]) for part in parts]
    train_loader, test_loader = make_loaders(config, *few)
    model = make_model(config, few[0])
    optimizer = AdamW(model.named_parameters(), weight_decay=0.05)
    losses = []
    for step in range(STEPS):
        images, labels = train_loader.batch(*divmod(step, len(train_loader)))
        losses.append(train_step(model, optimizer, images, labels, lr=4e-3, seed=step, clip_norm=1.0).loss)
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1, "the model was to learn something"
    return model.astype("float64"), test_loader.batch(0, 0)[0].astype(np.float64)
