"""Layer-wise learning-rate decay: the nearer to the image, the smaller the steps.

    n blocks in all    d = 0 stem, 1 … n blocks, n + 1 final norm and head    decay γ in (0, 1]

    η_d = η γ^(n + 1 − d)

What the first layers of a trained model know, edges and textures, serves the new task as it is; the last blocks and the new
head have to change most. The weight decay of AdamW is multiplied by the learning rate and so shrinks with it.

Clark et al.: ELECTRA, arXiv:2003.10555, section 3.1 and appendix B; Bao et al.: BEiT, arXiv:2106.08254, section 3.
A downsampling belongs to the block after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..models.trunk import Trunk


def layer_depth(key: str, depths: Sequence[int]) -> int:
    """d of a parameter, by its key, in a model of four levels with `depths` blocks; what is not in the trunk has n + 1."""
    before = [0, *itertools.accumulate(depths)]  # blocks in front of each level
    parts = key.split(".")
    if parts[0] == "patch_embed":
        return 0
    if parts[0] != "levels":
        return before[-1] + 1
    level = int(parts[1])
    if parts[2] == "downsample":
        return before[level + 1] + 1
    return before[level] + int(parts[3]) + 1


def learning_rate_scales(model: Trunk, decay: float) -> dict[str, float]:
    """γ^(n + 1 − d) of every parameter, by its key: 1 for the head, γ^(n + 1) for the stem."""
    depths = model.config["depths"]
    top = sum(depths) + 1
    return {key: decay ** (top - layer_depth(key, depths)) for key, _ in model.named_parameters()}
