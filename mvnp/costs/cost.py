"""What a model costs: the output shape, parameters and arithmetic of every layer, worked out from shapes alone.

    map (H, W, C)    windows (nW, L, C) of L = P² tokens    for one image

    convolution    H' W' O · I Kh Kw        multiply-accumulates (MACs)        (1)
    conv1d         nW L D · K               MACs                               (2)
    linear         rows · I O               MACs                               (3)
    attention      2 · nW L² C              MACs: q kᵀ, and the weights with v (4)
    scan           9 · nW L D N             FLOPs                              (5)

One MAC is two FLOPs. Windows are counted as they are computed, padding included. Left out is what takes a few operations for
each number it touches: biases, norms, activations, softmax, gains, residual sums, pooling.

What papers call GFLOPs is, in this field, 10⁹ MACs. An image of 224x224 costs mamba_vision_T 4.56 GMACs by (1) to (4), and its
scans add half of their 0.01 GFLOPs; the paper says 4.4. Without (4), the variants come to 4.46, 5.11, 7.48, 14.96, 34.84 and
37.50 where the paper has 4.4, 5.1, 7.5, 15.0, 34.9 and 37.5: it seems to come from a counter that looks at modules, and so sees
neither the products inside attention nor the scan.

(5) is how scans are counted since VMamba, arXiv:2401.10166, whose authors' code it comes from.

layers.py has the rules of single layers, and a file for each family those of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..models.backbone import Backbone
from ..models.classifier import Classifier
from . import backbone, layers, mambavision, vim, vmamba  # noqa: F401  their rules
from .walk import LayerCost, Walk


@dataclass(frozen=True)
class ModelCost:
    """The rows of a model in the order of its forward, and their sums."""

    rows: tuple[LayerCost, ...]

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of (1) to (4), for one image."""
        return sum(row.macs for row in self.rows)

    @property
    def scan_flops(self) -> int:
        """FLOPs of (5), for one image."""
        return sum(row.scan_flops for row in self.rows)

    @property
    def flops(self) -> int:
        """All FLOPs for one image: two for each MAC, and the scans'."""
        return 2 * self.macs + self.scan_flops


def model_cost(model: Classifier | Backbone, height: int, width: int | None = None) -> ModelCost:
    """The cost of one forward of a model, or of a Backbone, of one image, (height, width) or square.

    No array is made and no weight is read, so that a model with `allocate=False` will do. Raises InputError for a size that is
    not a positive integer, or that the model does not take.
    """
    size = (height, height if width is None else width)
    if not all(isinstance(side, int | np.integer) and side >= 1 for side in size):
        raise InputError(f"model_cost: the image size is {size[0]!r}x{size[1]!r}, expected two integers of at least 1")
    model.check_image_size(*size)
    walk = Walk()
    walk.through(model, (int(size[0]), int(size[1]), model.in_chans))
    return ModelCost(tuple(walk.rows))
