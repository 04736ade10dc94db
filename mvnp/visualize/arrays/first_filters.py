"""The kernels of the first convolution, and what each finds in an image."""

from __future__ import annotations

import numpy as np

from ...backend import Array, array_module, to_numpy
from ...models.mambavision import MambaVision


def first_layer(model: MambaVision, image: Array) -> tuple[np.ndarray, np.ndarray]:
    """The kernels (O, C, 3, 3) with BatchNorm's gain in them, and the answers (O, H', W') after BatchNorm and ReLU."""
    conv, norm, relu = model.patch_embed.conv_down[:3]
    x = array_module(image).ascontiguousarray(image.transpose(0, 2, 3, 1)).astype(conv.weight.dtype, copy=False)
    gain = norm.weight.data / array_module(x).sqrt(norm.running_var.data + norm.eps)
    kernels = conv.weight.data * gain[:, None, None, None]
    return to_numpy(kernels), to_numpy(relu(norm(conv(x)))[0].transpose(2, 0, 1))
