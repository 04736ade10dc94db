"""Small models for training from scratch, with the settings that suit them.

The released variants are in mvnp/models/variants.py; `find_preset` knows both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import check_choice
from ..models.classifier import Classifier
from ..models.variants import FAMILIES, VARIANTS
from .config import TrainingConfig


@dataclass(frozen=True)
class Preset:
    """A model, the size of the images that it sees, and how it is trained.

    model       arguments of the family's class, without those that follow from the data
    image_size, crop_padding    see mvnp.data.BatchLoader
    settings    those of TrainingConfig that differ from its defaults
    family      a name in mvnp.models.FAMILIES
    """

    model: dict[str, Any]
    image_size: int
    crop_padding: int = 2
    settings: dict[str, Any] = field(default_factory=dict)
    family: str = "MambaVision"

    def config(self, **settings: Any) -> TrainingConfig:
        """The settings of a run with this preset; what is given here takes the place of its own."""
        own = {
            "family": self.family,
            "model": self.model,
            "dataset_options": {"image_size": self.image_size},
            "loader_options": {"image_size": self.image_size, "crop_padding": self.crop_padding},
        }
        return TrainingConfig(**{**own, **self.settings, **settings})

    def make(self, channels: int, classes: int, **more: Any) -> Classifier:
        """The model for such data."""
        family = FAMILIES[self.family]
        return family(**{**family.fitting(self.image_size, channels, classes, seed=0), **self.model, **more})


PRESETS = {
    # For pictures as small as Fashion-MNIST's 28x28, enlarged so that level 2 still has 4x4 tokens and level 3 has 2x2: one
    # window each, nothing padded. Garments stand centred in their pictures: shifted crops cost more accuracy than they bring.
    "demo": Preset(
        model={
            "dim": 16,
            "in_dim": 8,
            "depths": (1, 1, 2, 2),
            "num_heads": (1, 2, 4, 8),
            "window_size": (8, 8, 4, 2),
            "drop_path_rate": 0.05,
        },
        image_size=64,
        crop_padding=0,
        settings={"epochs": 10, "batch_size": 50, "lr": 4e-3, "warmup_epochs": 0.5, "label_smoothing": 0.05},
    ),
    # 8x8 patches of pictures enlarged to 32x32. A third of the demo's parameters: with all tokens up to the end, a block costs
    # more than one of the demo's last levels.
    "vim_demo": Preset(
        model={"patch_size": 4, "embed_dim": 64, "depth": 6, "d_state": 8, "drop_path_rate": 0.05},
        image_size=32,
        crop_padding=0,
        settings={"epochs": 10, "batch_size": 50, "lr": 2e-3, "warmup_epochs": 1.0, "label_smoothing": 0.05},
        family="Vim",
    ),
    # As many parameters as that, on the same pictures: maps of 8x8, 4x4 and 2x2.
    "vmamba_demo": Preset(
        model={"dims": (24, 48, 96), "depths": (1, 2, 1), "drop_path_rate": 0.05},
        image_size=32,
        crop_padding=0,
        settings={"epochs": 10, "batch_size": 50, "lr": 4e-3, "warmup_epochs": 0.5, "label_smoothing": 0.05},
        family="VMamba",
    ),
}


def find_preset(name: str) -> Preset:
    """A preset, or a released variant at the size that its weights were made for. Raises InputError for any other name."""
    check_choice("model", name, [*PRESETS, *VARIANTS])
    if name in PRESETS:
        return PRESETS[name]
    variant = VARIANTS[name]
    return Preset(variant.arguments(), variant.input_size, family=variant.family)
