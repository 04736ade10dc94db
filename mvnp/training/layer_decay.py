"""Layer-wise learning-rate decay: the nearer to the image, the smaller the steps.

    n blocks in all    d = 0 stem, 1 … n blocks, n + 1 final norm and head    decay γ in (0, 1]

    η_d = η γ^(n + 1 − d)

What the first layers of a trained model know, edges and textures, serves the new task as it is; the last blocks and the new
head have to change most. The weight decay of AdamW is multiplied by the learning rate and so shrinks with it.

Clark et al.: ELECTRA, arXiv:2003.10555, section 3.1 and appendix B; Bao et al.: BEiT, arXiv:2106.08254, section 3.
mvnp/models/classifier.py has d, for each family (`depth_of`).
"""

from __future__ import annotations

from ..errors import InputError, is_number, refusing
from ..models.backbone import Backbone
from ..models.classifier import Classifier


@refusing
def learning_rate_scales(model: Classifier | Backbone, decay: float) -> dict[str, float]:
    """γ^(n + 1 − d) of every parameter, by its key: 1 for the head, γ^(n + 1) for the stem."""
    if is_number(decay) and not 0 < decay <= 1:
        raise InputError(f"learning_rate_scales: decay is {decay!r}, expected a number above 0 and at most 1")
    top = model.depth_of("head.weight")
    return {key: decay ** (top - model.depth_of(key)) for key, _ in model.named_parameters()}
