"""How pictures are prepared for a model whose weights were read from a file."""

from __future__ import annotations

from dataclasses import replace

from ..checkpoint import Pretrained
from ..data import ImageTransform
from ..data.picture import ValueRange
from ..errors import CheckpointError, InputError, refusing

# The means over ImageNet's three channels, for grey models that say nothing of theirs.
GREY_MEAN, GREY_STD = (0.449,), (0.226,)


@refusing
def transform_of(
    pretrained: Pretrained, size: int | tuple[int, int] | None = None, value_range: ValueRange = None
) -> ImageTransform:
    """The transform that the weights were trained or released with; at `size`, with `value_range`, where these are given.

    Where they do not say (`pretrained.images` is None): 224 x 224, the middle, and the statistics of ImageNet. Raises
    InputError where they do not say, and the model takes neither colour nor grey; CheckpointError where what the file says
    makes no sense.
    """
    channels = pretrained.model.in_chans
    if pretrained.images is not None:
        try:
            transform = ImageTransform(**pretrained.images)
        except (TypeError, InputError) as error:
            raise CheckpointError(f"what these weights say of their images cannot be used: {error}") from error
        if transform.channels != channels:
            raise CheckpointError(
                f"the model takes {channels} channels, but these weights say that images have {transform.channels}"
            )
    elif channels not in (1, 3):
        raise InputError(
            f"the model takes pictures of {channels} bands, and these weights do not say what their means and deviations are;"
            f" weights that mvnp train writes do. In Python: ImageTransform(mean=(…), std=(…), channels={channels})"
        )
    elif channels == 3:
        transform = ImageTransform()
    else:
        transform = ImageTransform(mean=GREY_MEAN, std=GREY_STD, channels=1)
    given = {"size": size, "value_range": value_range}
    return replace(transform, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
