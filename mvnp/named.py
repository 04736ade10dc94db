"""A model by its name: new, or with the released weights. What `mvnp.create_model` and `mvnp.classify` are.

model = mvnp.create_model("mamba_vision_T", num_classes=10)           # freshly drawn
model = mvnp.create_model("mamba_vision_T", pretrained=True)          # as mvnp.load_pretrained("mamba_vision_T")
model = mvnp.create_model("demo", in_chans=1, num_classes=10)         # a small one, as `mvnp train` makes it
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack, overload

from .checkpoint import load_pretrained
from .errors import InputError, check_flags, refusing
from .models.classifier import Classifier
from .models.options import ModelOptions
from .models.variants import VARIANTS, check_name, check_options
from .models.variants import create_model as create_variant

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Picture = str | os.PathLike[str] | Image.Image | np.ndarray


class Answer(NamedTuple):
    """One of the classes that a model finds in a picture: its name (None: not known), its number, its probability."""

    name: str | None
    number: int
    probability: float


@refusing
def create_model(name: str, *, pretrained: bool = False, **options: Unpack[ModelOptions]) -> Classifier:
    """A model by its name: a released variant (`list_models` has them) or a preset for training ("demo", "vim_demo").

    pretrained    True: with the released weights, from the hub or its cache, as `load_pretrained(name, …)`; False: drawn anew
    options       arguments of its class in place of the variant's own: `num_classes`, `in_chans`, `drop_path_rate`, `seed`, …

    A variant knows how its pictures are prepared (`model.transform`). Raises InputError for an unknown name or argument, with
    the nearest known one.
    """
    from .training.presets import PRESETS

    check_name(name, [*VARIANTS, *PRESETS])
    check_flags("create_model", pretrained=pretrained)
    if name in VARIANTS:
        if pretrained:
            return load_pretrained(name, **options)
        model = create_variant(name, **options)
        if model.in_chans == 3:
            from .data import ImageTransform

            model.know(preparation=ImageTransform.of_variant(name))
        return model
    if pretrained:
        raise InputError(f"{name} is a model to be trained, and has no released weights; leave pretrained out")
    preset = PRESETS[name]
    check_options(preset.family, options, f" of {name}")
    return preset.make(channels=3, classes=1000, **options)


@overload
def classify(pictures: Picture, model: Classifier, top: int = 5, batch_size: int = 16) -> list[Answer]: ...


@overload
def classify(
    pictures: list[Any] | tuple[Any, ...], model: Classifier, top: int = 5, batch_size: int = 16
) -> list[list[Answer]]: ...


@refusing
def classify(
    pictures: Picture | Iterable[Picture], model: Classifier, top: int = 5, batch_size: int = 16
) -> list[Answer] | list[list[Answer]]:
    """What a picture shows: its likeliest classes, most likely first, by name. Of several pictures, a list for each.

    pictures      a file's name, a Pillow image, or an array (H, W), (H, W, 1) or (H, W, 3) as `mvnp.data.ImageTransform` takes
                  it; or a list of them
    model         from `load_pretrained`, or any other that knows how pictures are prepared (`model.know`)
    top           how many classes; all of them where the model has fewer

    Raises InputError for a model without a head, or that does not know how pictures are prepared; DataError for a file that
    is no picture. `mvnp.inference.classify` goes on where a file cannot be read.
    """
    from .inference.classify import likeliest

    given: Any = pictures
    one = _is_picture(given)
    answers = likeliest(model, [given] if one else list(given), top, batch_size)
    named: list[list[Answer]] = [[Answer(*each) for each in answer] for answer in answers]
    return named[0] if one else named


def _is_picture(pictures: Any) -> bool:
    return isinstance(pictures, str | os.PathLike) or hasattr(pictures, "shape") or not isinstance(pictures, Iterable)
