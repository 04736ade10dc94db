"""Commands in this process, small models for them to load, and pictures for these to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mvnp import MambaVision
from mvnp.checkpoint import save_pretrained
from mvnp.cli import main
from mvnp.data import ImageTransform, open_image

from .randomise import randomised

SMALL: dict[str, Any] = {
    "dim": 4,
    "in_dim": 3,
    "depths": (1, 1, 2, 2),
    "num_heads": (1, 1, 2, 2),
    "window_size": (8, 8, 2, 2),
    "mlp_ratio": 2,
    "d_state": 2,
}
IMAGES: dict[str, Any] = {"size": 32, "crop_pct": 0.9, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.25)}
NAMES = ("cat", "cup of coffee", "dog", "house", "moon", "rocket", "sea", "tree")

Call = Callable[..., tuple[int, str, str]]


def runner(capsys: Any) -> Call:
    """Runs a command line in this process and gives its status, standard output and standard error."""

    def call(*arguments: Any) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return status, written.out, written.err

    return call


def assert_refused(result: tuple[int, str, str], *parts: Any) -> None:
    """Status 2, nothing on standard output, and a message of at most two lines that holds all `parts`."""
    status, out, err = result
    assert status == 2, err
    assert out == ""
    assert err.startswith("mvnp: error: ")
    assert err.count("\n") <= 2
    assert "Traceback" not in err
    for part in parts:
        assert str(part) in err


def save_small(
    path: Path, seed: int = 1, num_classes: int = 8, classes: Any = NAMES, images: Any = IMAGES, **arguments: Any
) -> MambaVision:
    """A small model with random weights that tell pictures apart, written to `path`."""
    model = randomised(MambaVision(**{**SMALL, "num_classes": num_classes, **arguments}), seed=seed)
    assert isinstance(model, MambaVision)
    save_pretrained(path, model, classes=classes, images=images)
    return model


def save_picture(path: Path, seed: int) -> Path:
    """Blobs of colour, different for each seed, 40 x 48 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC).save(path)
    return path


def logits_of(model: MambaVision, file: Path, **changed: Any) -> np.ndarray:
    """(num_classes,), of one picture alone."""
    transform = ImageTransform(**{**IMAGES, **changed})
    return model(transform(open_image(file))[None])[0].astype(np.float64)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
