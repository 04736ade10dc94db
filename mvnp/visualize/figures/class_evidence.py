"""Figures of what speaks for a class: gradient times input, MambaLRP, GradCAM.

What they show is computed in arrays/class_evidence.py and arrays/lrp/.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ...backend import Array, to_numpy
from ...errors import InputError, refusing
from ...models.classifier import Classifier
from ..arrays.class_evidence import check_image, choose_target, class_label, grad_cam_of, gradient_times_input_map
from ..arrays.families.family import family_of, offset_of
from ..arrays.geometry import PathGeometry
from ..arrays.lrp import relevance
from ..arrays.picture import as_picture
from ..arrays.pixel_maps import cell_side, cell_sums
from .overlay import show_marks, show_picture
from .pixel_maps import around_zero, height_of, show_cells, show_plain, show_signed
from .style import MUTED, NARROW, WIDE, add_colorbar, new_figure, plain, set_title


@refusing
def gradient_times_input(
    model: Classifier,
    image: Array,
    *,
    target: int | None = None,
    classes: Sequence[str] | None = None,
    narrow: bool = False,
) -> Figure:
    """Each pixel times the gradient of a class's logit there, for an image (1, C, H, W).

    target     the class; None: the one with the largest logit
    classes    names of the classes, for the title
    narrow     laid out for a phone, the panels below one another

    How to read it. Red pixels raise the logit and blue ones lower it, measured from an image of zeros: the training set's
    mean colour, where images are normalised. It is a first-order share: what the network would do if it were as linear
    everywhere as it is at this image. It is not, so neighbouring pixels often disagree, and the shares do not add up to the
    logit. *Summed over cells*: the same numbers, those of a square of pixels added up, which lets the noise cancel; the area
    of a square says how much, its colour for or against.

    Raises InputError for anything but one image with the model's channels, and for a class that the model does not have.
    """
    check_image("gradient_times_input", model, image)
    chosen, logit = _target(model, image, target)
    values = gradient_times_input_map(model, image, chosen)
    note = f"The pixels' shares add up to {values.sum():+.2f}; the logit is {logit:+.2f}."
    label = plain(class_label(model, chosen, classes))
    return _signed_maps("Gradient × input", image, values, label, note, "share of the logit", narrow)


@refusing
def mamba_lrp(
    model: Classifier,
    image: Array,
    *,
    target: int | None = None,
    gamma: float = 0.25,
    classes: Sequence[str] | None = None,
    narrow: bool = False,
) -> Figure:
    """The relevance of each pixel for a class's logit, by MambaLRP, for an image (1, C, H, W).

    target     the class; None: the one with the largest logit
    gamma      of LRP-γ in the convolutions: the larger, the calmer the map; 0: LRP-0, which is noisy
    classes    names of the classes, for the title
    narrow     laid out for a phone, the panels below one another

    How to read it. Red pixels have spoken for the class and blue ones against it. The numbers add up: those of all pixels and
    what the biases gave are the logit, which is what the line below the panels says. Each layer passes on to its inputs
    exactly what it was given, with gates, attention weights, step sizes and norms taken as they were for this image. A large
    share of the biases says that much of the logit does not come from this image at all. *Summed over cells*: the same
    numbers, those of a square of pixels added up; the area of a square says how much, its colour for or against.

    Raises InputError for anything but one image with the model's channels, and for a class that the model does not have.
    """
    found = relevance(model, image, target, gamma)
    pixels, biases = found.map.sum(), sum(found.biases.values())
    note = f"Pixels {pixels:+.2f} and biases {biases:+.2f} make the logit {found.logit:+.2f}."
    label = plain(class_label(model, found.target, classes))
    return _signed_maps("MambaLRP", image, found.map, label, note, "relevance", narrow)


@refusing
def grad_cam(
    model: Classifier,
    image: Array,
    *,
    target: int | None = None,
    stage: int | None = None,
    classes: Sequence[str] | None = None,
    narrow: bool = False,
) -> Figure:
    """Where a stage holds the channels that speak for a class: GradCAM, for an image (1, C, H, W).

    target     the class; None: the one with the largest logit
    stage      the last, or the one before it, whose map may be finer and is further from the decision; None: the last, but
               where the logit does not depend on that, the one before. A Vim's class token gathers what its patches say, and
               the patches of its last stage say it to nobody any more
    classes    names of the classes, for the title
    narrow     laid out for a phone

    How to read it. One square for each token of the stage: the larger and lighter it is, the more the token speaks for the
    class. Tokens that speak against it have none. GradCAM is coarse, a token of MambaVision's last stage stands for 32x32
    pixels, and says where and not what; and a token has seen its whole window, or the whole map, so evidence can stand beside
    what it is about.

    Raises InputError for anything but one image with the model's channels, for a class that the model does not have, and for
    a stage that is none of the last two.
    """
    check_image("grad_cam", model, image)
    last = len(model.channels) - 1
    choices = (None, last, last - 1) if last else (None, 0)
    if stage not in choices or isinstance(stage, bool):
        expected = " or ".join(map(str, choices[1:]))
        raise InputError(f"grad_cam: stage is {stage!r}, expected {expected}: the last, or the one before")
    chosen, _ = _target(model, image, target)
    values, asked = grad_cam_of(model, image, chosen, last if stage is None else stage)
    if stage is None and not asked and last:
        values, asked = grad_cam_of(model, image, chosen, last - 1)
        last -= 1
    stage = last if stage is None else stage
    # Only where tokens stand matters here, not in which order they are read.
    (H, W), offset = values.shape, offset_of(family_of(model).steps(model, stage))
    tokens = PathGeometry(H, W, model.strides[stage], tuple(range(H * W)), offset)
    title = f"GradCAM on stage {stage}: {plain(class_label(model, chosen, classes))}"
    size = (image.shape[2], image.shape[3])
    width, rows, columns = (NARROW, 2, 1) if narrow else (0.7 * WIDE, 1, 2)
    figure = new_figure(width, 0.4 + height_of(size, width, rows, columns, 0.5, 0.4), title)
    picture, panel = figure.subplots(rows, columns).ravel()
    show_plain(picture, as_picture(image))
    set_title(picture, "Image")
    most = float(values.max())
    show_picture(panel, as_picture(image), tokens, borders=False)
    marks = show_marks(panel, tokens, values, Normalize(0.0, most or 1.0), area=True)
    set_title(panel, f"{tokens.H}x{tokens.W} tokens" + ("" if most else ": none speaks for it"))
    add_colorbar(figure, marks, panel, "evidence for the class")
    return figure


def _target(model: Classifier, image: Array, target: int | None) -> tuple[int, float]:
    logits = to_numpy(model(image))[0]
    chosen = choose_target(model, logits, target)
    return chosen, float(logits[chosen])


def _signed_maps(name: str, image: Array, values: np.ndarray, label: str, note: str, quantity: str, narrow: bool) -> Figure:
    """The picture, a map of its pixels, and the map summed over cells on the picture; `note` stands below."""
    picture = as_picture(image)
    size = (picture.shape[0], picture.shape[1])
    width, rows, columns = (NARROW, 3, 1) if narrow else (WIDE, 1, 3)
    figure = new_figure(width, 0.7 + height_of(size, width, rows, columns, 0.7, 0.35), f"{name}: {label}")
    panels = figure.subplots(rows, columns).ravel()
    show_plain(panels[0], picture)
    drawn = show_signed(panels[1], values, size, around_zero(values))
    add_colorbar(figure, drawn, panels[1], quantity, extend="both")
    side = cell_side(size)
    sums = cell_sums(values, side)
    add_colorbar(figure, show_cells(panels[2], picture, sums, side), panels[2], quantity, extend="both")
    titles = ("Image", "Pixel by pixel", f"Summed over {side}x{side} pixels")
    for panel, title in zip(panels, titles, strict=True):
        set_title(panel, title)
    figure.supxlabel(textwrap.fill(note, 48 if narrow else 120), x=0.01, ha="left", fontsize=9, color=MUTED)
    return figure
