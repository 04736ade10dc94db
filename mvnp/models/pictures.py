"""What a model knows of pictures beside its weights: what its classes are called, and how pictures
are prepared for it. Both come with the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, shown


@dataclass(frozen=True)
class Knowledge:
    """classes: names in the order of the logits; preparation: makes (C, H, W) of a picture, an
    `mvnp.data.ImageTransform`; None: not known."""

    classes: tuple[str, ...] | None = None
    preparation: Callable[[Any], np.ndarray] | None = None


class Pictured:
    """A model that may know its classes and how pictures are prepared for it. See `know`."""

    knowledge = Knowledge()

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of the logits; None: not known."""
        return self.knowledge.classes

    @property
    def preparation(self) -> Callable[[Any], np.ndarray] | None:
        """How pictures are prepared, an `mvnp.data.ImageTransform`; None: not known."""
        return self.knowledge.preparation

    def know(
        self,
        classes: Sequence[str] | None = None,
        preparation: Callable[[Any], np.ndarray] | None = None,
    ) -> None:
        """Note both, or None for what is not known. Raises InputError for what is neither names nor
        a transform."""
        listed = isinstance(classes, list | tuple) and all(
            isinstance(name, str) for name in classes
        )
        if classes is not None and not listed:
            raise InputError(f"know: classes is {shown(classes)}, expected a list of names")
        if preparation is not None and not callable(preparation):
            raise InputError(
                f"know: preparation is {shown(preparation)}, expected an mvnp.data.ImageTransform"
            )
        self.knowledge = Knowledge(None if classes is None else tuple(classes), preparation)

    def transform(self, picture: Any) -> np.ndarray:
        """A picture as the model takes it, float32 (in_chans, H, W): x of `model(x[None])`.

        `picture` is a file's name, a Pillow image, or an array as `mvnp.data.ImageTransform` takes
        it. Raises InputError where the model does not know how; DataError for a file that is no
        picture.
        """
        if self.preparation is None:
            raise InputError(
                f"{type(self).__name__}: this model does not know how pictures are prepared for it:"
                " its weights do not say. model.know(preparation=mvnp.data.ImageTransform(size=…,"
                " mean=…, std=…)) tells it, as it was trained"
            )
        return self.preparation(picture)
