"""Augmentation: what makes another picture of a picture, or of two, so that a network sees none twice.

A function takes what was drawn; a class draws it from the generator that it is given, and keeps no state.
"""

from .augmentation import Augmentation
from .crop import RandomResizedCrop, resized
from .erasing import RandomErasing
from .jitter import ColourJitter
from .mixing import Mixing
from .randaugment import OPERATIONS, RandAugment, Use
from .repeated import repeated

__all__ = [
    "OPERATIONS",
    "Augmentation",
    "ColourJitter",
    "Mixing",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Use",
    "repeated",
    "resized",
]
