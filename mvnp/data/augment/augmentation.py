"""What happens to the pictures of a batch in training, in this order, as far as it is asked for:

    stored → random resized crop → flip → RandAugment or colour jitter → mixup or cutmix → standardised → random erasing

Mixing acts on stored values, so that boxes of another picture look like one; erasing on standardised ones, and after it, so
that noise is not mixed, and changes no label.

What is drawn for a picture comes from a generator of its own, keyed by the seed, the epoch, the batch and its place in it; what
is drawn for a batch, from one without the place. So it does not matter who makes a picture, and when: this process or a worker,
one rank or another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ...errors import InputError, are_numbers, check_choice, is_number, nearest, shown
from .crop import RandomResizedCrop
from .erasing import MODES as ERASING_MODES
from .erasing import RandomErasing
from .jitter import ColourJitter
from .mixing import Mix, Mixing
from .randaugment import RandAugment
from .warp import INTERPOLATIONS

MIX_MODES = ("batch", "pair", "elem")
MOST_REPEATS = 1000


@dataclass(frozen=True)
class Augmentation:
    """The settings. Each ingredient is off unless it is given.

    crop_scale        least and largest share of a picture's area that is cut out of it and resized (crop.py)
    crop_ratio        least and largest ratio of the cut's width to its height
    interpolation     of the crop, and of what RandAugment moves: "bilinear", "bicubic" or "random"
    randaugment       a policy, such as "rand-m9-mstd0.5-inc1" (randaugment.py)
    colour_jitter     strength, in place of RandAugment (jitter.py)
    mixup, cutmix     α; 0: never (mixing.py)
    mix_probability   of a batch to be mixed
    mix_switch        share of cutmix where both may be
    mix_mode          what is drawn once: for a "batch", a "pair", or each picture, "elem"
    mix_epochs        epochs after which nothing is mixed any more; 0: to the end
    erasing           probability of a picture to lose a box (erasing.py)
    erasing_mode      what fills it: "pixel", "rand" or "const"
    erasing_count     boxes
    repeats           how often a picture comes in a row (repeated.py)

    Raises InputError for a setting out of range, and for two that exclude each other.
    """

    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "random"
    randaugment: str | None = None
    colour_jitter: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    mix_switch: float = 0.5
    mix_mode: str = "batch"
    mix_epochs: int = 0
    erasing: float = 0.0
    erasing_mode: str = "pixel"
    erasing_count: int = 1
    repeats: float = 1.0

    def __post_init__(self) -> None:
        for name in ("crop_scale", "crop_ratio"):
            value = getattr(self, name)
            if value is not None:
                if not are_numbers(value, 2):
                    raise InputError(f"augmentation: {name} is {shown(value)}, expected two numbers, such as 0.08 and 1")
                object.__setattr__(self, name, (float(value[0]), float(value[1])))
        for name in ("colour_jitter", "mixup", "cutmix", "mix_probability", "mix_switch", "erasing", "repeats"):
            value = getattr(self, name)
            if not is_number(value) or value < 0:
                raise InputError(f"augmentation: {name} is {shown(value)}, expected a number of at least 0")
        for name, least in (("mix_epochs", 0), ("erasing_count", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InputError(f"augmentation: {name} is {shown(value)}, expected an integer of at least {least}")
        if self.crop_scale is not None and self.crop_scale[1] > 1:
            raise InputError(f"augmentation: crop_scale is {self.crop_scale}, expected shares of the area, of at most 1")
        if not 1 <= self.repeats <= MOST_REPEATS:
            raise InputError(f"augmentation: repeats is {self.repeats:g}, expected a number from 1 to {MOST_REPEATS}")
        if self.randaugment is not None and not isinstance(self.randaugment, str):
            raise InputError(f"augmentation: randaugment is {shown(self.randaugment)}, expected such as rand-m9-mstd0.5-inc1")
        if self.randaugment is not None and self.colour_jitter:
            raise InputError(
                f"augmentation: colour_jitter is {self.colour_jitter:g}, and RandAugment changes colours too; give one of both"
            )
        check_choice("interpolation", self.interpolation, (*INTERPOLATIONS, "random"))
        check_choice("mode of mixing", self.mix_mode, MIX_MODES)
        check_choice("mode of erasing", self.erasing_mode, ERASING_MODES)
        self.maker((1, 1), (0.5,), np.dtype(np.uint8))  # what remains to be found wrong, its parts say

    @classmethod
    def of(cls, settings: Augmentation | Mapping[str, Any] | None) -> Augmentation:
        """From a dict of settings. Raises InputError for one that there is not, with the nearest."""
        if isinstance(settings, Augmentation):
            return settings
        known = [each.name for each in fields(cls)]
        if not isinstance(settings, Mapping | None):
            raise InputError(f"augmentation: {shown(settings)} is no dict of settings; expected such as {{'mixup': 0.2}}")
        for name in settings or {}:
            if name not in known:
                raise InputError(f"augmentation: unknown setting {name!r}{nearest(name, known)}; there are {', '.join(known)}")
        return cls(**(settings or {}))

    @property
    def mixes(self) -> bool:
        """Whether targets are shares of several classes."""
        return bool(self.mixup or self.cutmix)

    def maker(self, sides: tuple[int, int], mean: Sequence[float], dtype: np.dtype) -> Maker:
        """What does all that, for a network that sees (H, W) = sides, and pictures of that mean, as fractions of white."""
        fill = np.clip(mean, 0, 1).tolist()
        fill = [round(255 * value) for value in fill] if dtype == np.uint8 else fill
        return Maker(
            crop=None
            if self.crop_scale is None
            else RandomResizedCrop(sides, self.crop_scale, self.crop_ratio, self.interpolation),
            change=RandAugment(self.randaugment, fill, self.interpolation)
            if self.randaugment
            else ColourJitter(self.colour_jitter)
            if self.colour_jitter
            else None,
            mixing=Mixing(self.mixup, self.cutmix, self.mix_probability, self.mix_switch, self.mix_mode)
            if self.mixes
            else None,
            erasing=RandomErasing(self.erasing, self.erasing_mode, self.erasing_count) if self.erasing else None,
            mix_epochs=self.mix_epochs,
        )


@dataclass(frozen=True)
class Maker:
    """The ingredients, made; None: left out."""

    crop: RandomResizedCrop | None
    change: RandAugment | ColourJitter | None
    mixing: Mixing | None
    erasing: RandomErasing | None
    mix_epochs: int

    def picture(self, image: np.ndarray, mirrored: bool, rng: np.random.Generator) -> np.ndarray:
        """A stored picture (H, W, C) after crop, flip and change."""
        if self.crop is not None:
            image = self.crop(image, rng)
        if mirrored:
            image = image[:, ::-1]
        return image if self.change is None else self.change(np.ascontiguousarray(image), rng)

    def mixes(self, count: int, sides: tuple[int, int], epoch: int, rng: np.random.Generator) -> list[Mix] | None:
        """What to do to each picture of a batch; None: nothing is mixed in this epoch."""
        if self.mixing is None or (self.mix_epochs and epoch >= self.mix_epochs):
            return None
        return self.mixing.draw(count, *sides, rng)
