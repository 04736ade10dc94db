"""The rate finder: a short run whose learning rate grows from tiny to too large, and how the loss answers.

    η_k = η₀ (η₁/η₀)^(k/(n − 1))        k = 0 … n − 1 steps                      (1)
    ℓ̄_k = (1 − β) Σ_j β^j ℓ_(k−j) / (1 − β^(k+1))        β = 0.9                (2)

Too small a rate leaves the smoothed loss ℓ̄ where it was, one that suits lets it fall, one that is too large drives it up. What
is suggested is where it falls fastest, as a function of log η: below the rate of the lowest loss, which is too close to the
edge. The weights are thrown away.

Smith: Cyclical learning rates for training neural networks, arXiv:1506.01186, section 3.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..data import load_parts
from ..errors import InputError, refusing
from .class_weights import class_weights
from .config import TrainingConfig
from .ingredients import make_optimizer
from .layer_decay import learning_rate_scales
from .run import dataset_options, in_channels_asked, make_loaders, make_model
from .step import NonFiniteError, train_step

BETA, TOO_FAR = 0.9, 2.0  # of (2); and how many times the least loss ends the search


@dataclass(frozen=True)
class RateSearch:
    """Rates, losses and smoothed losses (n,) of the steps that were taken, and the rate that they suggest."""

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float


@refusing
def find_lr(config: TrainingConfig, steps: int = 100, least: float = 1e-6, most: float = 1.0) -> RateSearch:
    """(1) with the model, data, optimiser and augmentation of `config`. Raises InputError where no rate lets the loss fall."""
    parts = in_channels_asked(load_parts(config.dataset, **dataset_options(config)), config.dataset_options.get("channels"))
    loader, _ = make_loaders(config, parts.train, parts.train)
    model = make_model(config, parts.train)
    scales = learning_rate_scales(model, config.layer_decay) if config.layer_decay != 1 else None
    optimizer = make_optimizer(config, model, scales)
    weights = class_weights(config, parts.train)
    rates, losses = [], []
    for number in range(steps):
        rate = least * (most / least) ** (number / (steps - 1))  # (1)
        images, labels = loader.batch(number // len(loader), number % len(loader))
        options = {"clip_norm": config.clip_norm, "loss": config.loss, "bce_threshold": config.bce_threshold}
        try:
            result = train_step(
                model, optimizer, images, labels, lr=rate, seed=[config.seed, number], class_weights=weights,
                label_smoothing=config.label_smoothing, micro_batch=config.micro_batch, **options,  # type: ignore[arg-type]
            )  # fmt: skip
        except NonFiniteError:
            break
        rates.append(rate)
        losses.append(result.loss)
        if smoothed(losses)[-1] > TOO_FAR * smoothed(losses).min():
            break
    return searched(np.array(rates), np.array(losses))


def smoothed(losses: list[float] | np.ndarray) -> np.ndarray:
    """(2)."""
    total, found = 0.0, []
    for number, loss in enumerate(losses):
        total = BETA * total + (1 - BETA) * loss
        found.append(total / (1 - BETA ** (number + 1)))
    return np.array(found)


def searched(rates: np.ndarray, losses: np.ndarray) -> RateSearch:
    """What the losses at these rates suggest."""
    curve = smoothed(losses)
    lowest = int(curve.argmin()) if len(curve) else 0
    if lowest < 2:
        raise InputError("the rate finder: the loss falls at no rate; look at data and model, or begin with a smaller one")
    slope = np.gradient(curve[: lowest + 1], np.log(rates[: lowest + 1]))
    return RateSearch(rates, losses, curve, float(rates[slope.argmin()]))


def in_words(search: RateSearch) -> str:
    """One line: what to do with it."""
    digits = 10 ** math.floor(math.log10(search.suggestion))
    rounded = round(search.suggestion / digits) * digits
    lowest = search.rates[search.smoothed.argmin()]
    return f"the loss falls fastest at a learning rate of {rounded:.0e}, and is lowest at {lowest:.0e}: try --lr {rounded:.0e}"
