"""What speaks for a class: gradient times input, and GradCAM.

    x image (C, H, W)    z_c logit of class c    S (K, H', W') a stage's map of K channels

    gradient x input     r_hw = Σ_colour x ∂z_c/∂x                                                (1)
    GradCAM              α_k = 1/(H'W') Σ_ij ∂z_c/∂S_kij        m_ij = max(0, Σ_k α_k S_kij)       (2)

(1) is the first-order share of each pixel in the logit, measured from an image of zeros. (2) asks which places of a stage hold
the channels that speak for the class. From MambaVision's last stage to the logit there is only an affine map and a mean, so
there ∂z_c/∂S_kij is the same at all places, and (2) is CAM: the head's weights laid on the map. A Vim with a class token reads
its logits off that token, and so the patches of its last stage have no part in them: there the gradient is 0.

Shrikumar et al.: Not Just a Black Box, arXiv:1605.01713. Selvaraju et al.: Grad-CAM, arXiv:1610.02391, eqs 1 and 2. Zhou et
al.: Learning Deep Features for Discriminative Localization, arXiv:1512.04150, for CAM.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...backend import Array, array_module, moved_to, to_numpy
from ...core import Tape
from ...errors import InputError, check_array
from ...models.classifier import Classifier
from .cut import check_stage, stage_evidence


def check_image(owner: str, model: Classifier, image: Array) -> None:
    """Raise InputError for anything but one floating image (1, C, H, W) with the model's channels and finite values."""
    check_array(owner, "image", image, (1, model.in_chans, "H", "W"))
    check_finite(owner, image)


def check_finite(owner: str, image: Array) -> None:
    """Raise InputError for an image that holds NaN or infinity: every map of it would be empty. Waits for a GPU."""
    if not bool(to_numpy(array_module(image).isfinite(image).all())):
        raise InputError(f"{owner}: image has values that are not finite (NaN or infinity); there is nothing to explain")


def choose_target(model: Classifier, logits: np.ndarray, target: int | None) -> int:
    """The class asked for; None: the one with the largest logit. Raises InputError for a class that the model does not have."""
    if model.head is None:
        raise InputError("this model has no head, and so no classes to explain; make one with num_classes above 0")
    if target is None:
        return int(logits.argmax())
    if isinstance(target, bool) or not isinstance(target, int | np.integer) or not 0 <= target < model.num_classes:
        raise InputError(f"target is {target!r}, expected a class between 0 and {model.num_classes - 1}, or None")
    return int(target)


def class_label(model: Classifier, target: int, classes: Sequence[str] | None) -> str:
    """How a title names a class. Raises InputError where `classes` are not as many as the model's."""
    if classes is None:
        return f"class {target}"
    if len(classes) != model.num_classes:
        raise InputError(f"`classes` names {len(classes)} classes, but the model has {model.num_classes}")
    return str(classes[target])


def logit_gradient(model: Classifier, image: Array, target: int | None, tape: Tape | None = None) -> tuple[int, float, Array]:
    """The class, its logit z, and ∂z/∂image (1, C, H, W), by `model.backward`. `tape` takes the parameters' gradients."""
    tape = tape or Tape(training=False)
    logits = model(image, tape)
    host = to_numpy(logits)[0]
    chosen = choose_target(model, host, target)
    return chosen, float(host[chosen]), model.backward(_one_hot(logits, chosen), tape)


def gradient_times_input_map(model: Classifier, image: Array, target: int | None = None) -> np.ndarray:
    """r of (1), (H, W), for an image (1, C, H, W)."""
    check_image("gradient_times_input", model, image)
    _, _, gradient = logit_gradient(model, image, target)
    return to_numpy((gradient * image)[0].sum(axis=0))


def grad_cam_map(model: Classifier, image: Array, target: int | None = None, stage: int | None = None) -> np.ndarray:
    """m of (2), (H', W'), for an image (1, C, H, W) and a stage; None: the last."""
    return grad_cam_of(model, image, target, len(model.channels) - 1 if stage is None else stage)[0]


def grad_cam_of(model: Classifier, image: Array, target: int | None, stage: int) -> tuple[np.ndarray, bool]:
    """m of (2), and whether the logit depends on the stage at all."""
    check_image("grad_cam", model, image)
    check_stage(model, stage)
    logits = model(image)
    dlogits = _one_hot(logits, choose_target(model, to_numpy(logits)[0], target))
    S, dS = stage_evidence(model, image, dlogits, stage)
    weights = dS.mean(axis=(2, 3), keepdims=True)
    evidence = (weights * S)[0].sum(axis=0)
    return to_numpy(array_module(S).maximum(evidence, 0.0)), bool(to_numpy((dS != 0).any()))


def _one_hot(logits: Array, target: int) -> Array:
    """(1, num_classes), 1 at the target: the gradient of its logit."""
    host = np.zeros(logits.shape, logits.dtype)
    host[0, target] = 1.0
    return moved_to(logits, host)
