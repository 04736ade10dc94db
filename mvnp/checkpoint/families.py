"""The families of models that weights can be of. Each tells its own by its keys, and reads its arguments from the shapes.

A further family is one more module like recognise.py, and a line in FAMILIES.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import check_choice
from ..models.mambavision import MambaVision
from ..models.variants import VARIANTS, Variant
from . import recognise
from .recognise import Shape


@dataclass(frozen=True)
class Family:
    """What is asked of a family to make one of its models from a file.

    model              the class; `model(**arguments, allocate=False)` builds it
    variants           its released models by name
    first_convolution  key of the weight (out, in_chans, …) that sees the images' channels
    head               what the keys of the classifier begin with
    in_shapes          arguments that decide shapes, and so cannot be asked for otherwise than the file has them
    untold             arguments that no shape tells
    owns               whether a state dict with these keys is of this family
    tidied             the weights under the keys of today, for what older releases called otherwise
    arguments_of       the arguments that the shapes tell; raises CheckpointError where they are of no such model
    variants_like      the released models that have these arguments
    chosen_variant     the one of them that is meant, by names of files and by `untold`; raises CheckpointError
    described          arguments in a few words
    """

    model: type[MambaVision]
    variants: Mapping[str, Variant]
    first_convolution: str
    head: str
    in_shapes: tuple[str, ...]
    untold: tuple[str, ...]
    owns: Callable[[Collection[str]], bool]
    arguments_of: Callable[[Mapping[str, Shape]], dict[str, Any]]
    variants_like: Callable[[Mapping[str, Any]], list[Variant]]
    chosen_variant: Callable[..., Variant | None]
    described: Callable[[Mapping[str, Any]], str]
    tidied: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = lambda weights: weights

    @property
    def name(self) -> str:
        return self.model.__name__


MAMBAVISION = Family(
    model=MambaVision,
    variants=VARIANTS,
    first_convolution="patch_embed.conv_down.0.weight",
    head="head.",
    in_shapes=(
        "dim",
        "in_dim",
        "depths",
        "mlp_ratio",
        "d_state",
        "d_conv",
        "head_norm",
        "qkv_bias",
        "qk_scale",
    ),
    untold=("num_heads", "window_size"),
    owns=recognise.owns,
    arguments_of=recognise.arguments_of,
    variants_like=recognise.variants_like,
    chosen_variant=recognise.chosen_variant,
    described=recognise.described,
)

FAMILIES = (MAMBAVISION,)


def family_of(keys: Collection[str]) -> Family | None:
    """The family that knows these keys as its own."""
    return next((family for family in FAMILIES if family.owns(keys)), None)


def variant_named(name: str) -> tuple[Family, Variant]:
    """A released model of any family. Raises InputError for an unknown name, with the nearest that is known."""
    check_choice("variant", name, [known for family in FAMILIES for known in family.variants])
    return next((family, family.variants[name]) for family in FAMILIES if name in family.variants)
