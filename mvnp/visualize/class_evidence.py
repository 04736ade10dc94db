"""Figures of what speaks for a class: gradient times input, MambaLRP, GradCAM. What they show is computed in evidence.py and lrp/."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..backend import Array, to_numpy
from ..errors import InputError
from ..models.mambavision import MambaVision
from .evidence import check_image, choose_target, grad_cam_map, gradient_times_input_map
from .geometry import WindowGeometry
from .lrp import relevance
from .overlay import as_picture, show_marks, show_picture
from .pixel_maps import around_zero, cell_sums, class_label, show_plain, show_signed
from .style import NARROW, WIDE, add_colorbar, new_figure, set_title


def gradient_times_input(
    model: MambaVision,
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

    How to read it. Red pixels raise the logit and blue ones lower it, measured from an image of zeros: the training set's mean
    colour, where images are normalised. It is a first-order share: what the network would do if it were as linear
    everywhere as it is at this image. It is not, so neighbouring pixels often disagree, and the shares do not add up to the
    logit. *Summed over cells*: the same numbers, those of a square of pixels added up, which lets the noise cancel.

    Raises InputError for anything but one image with the model's channels, and for a class that the model does not have.
    """
    check_image("gradient_times_input", model, image)
    chosen, logit = _target(model, image, target)
    values = gradient_times_input_map(model, image, chosen)
    note = f"The pixels' sum is {values.sum():+.2f}, the logit {logit:+.2f}: the gradient leaves a gap of {_gap(values, logit)}."
    return _signed_maps("Gradient × input", image, values, class_label(chosen, classes), note, "share of the logit", narrow)


def mamba_lrp(
    model: MambaVision,
    image: Array,
    *,
    target: int | None = None,
    classes: Sequence[str] | None = None,
    narrow: bool = False,
) -> Figure:
    """The relevance of each pixel for a class's logit, by MambaLRP, for an image (1, C, H, W).

    target     the class; None: the one with the largest logit
    classes    names of the classes, for the title
    narrow     laid out for a phone, the panels below one another

    How to read it. Red pixels have spoken for the class and blue ones against it. The numbers add up: those of all pixels and
    what the biases gave are the logit, which is what the line above the panels says. Each layer passes on to its inputs exactly
    what it was given, with gates, attention weights, step sizes and norms taken as they were for this image. A large
    share of the biases says that much of the logit does not come from this image at all. *Summed over cells*: the same
    numbers, those of a square of pixels added up.

    Raises InputError for anything but one image with the model's channels, and for a class that the model does not have.
    """
    found = relevance(model, image, target)
    pixels, biases = found.map.sum(), sum(found.biases.values())
    note = f"Pixels {pixels:+.2f} and biases {biases:+.2f} make the logit {found.logit:+.2f}."
    return _signed_maps("MambaLRP", image, found.map, class_label(found.target, classes), note, "relevance", narrow)


def grad_cam(
    model: MambaVision,
    image: Array,
    *,
    target: int | None = None,
    stage: int = 3,
    classes: Sequence[str] | None = None,
    narrow: bool = False,
) -> Figure:
    """Where a stage holds the channels that speak for a class: GradCAM, for an image (1, C, H, W).

    target     the class; None: the one with the largest logit
    stage      3, the last, or 2, whose map is twice as fine and further from the decision
    classes    names of the classes, for the title
    narrow     laid out for a phone

    How to read it. One square for each token of the stage: the larger and lighter it is, the more the token speaks for the
    class. Tokens that speak against it have none. GradCAM is coarse, a token of the last stage stands for 32x32
    pixels, and says where and not what; and a token has seen its whole window, so evidence can stand beside what it is
    about.

    Raises InputError for anything but one image with the model's channels, for a class that the model does not have, and for
    a stage that is not 2 or 3.
    """
    check_image("grad_cam", model, image)
    if stage not in (2, 3):
        raise InputError(f"grad_cam: stage is {stage!r}, expected 3 or 2: those whose tokens stand in windows")
    chosen, _ = _target(model, image, target)
    values = grad_cam_map(model, image, chosen, stage)
    windows = WindowGeometry(*values.shape, max(values.shape), stride=4 << stage)
    on_padding = np.full(windows.padded, np.nan)
    on_padding[: windows.H, : windows.W] = values

    title = f"GradCAM on stage {stage}: {class_label(chosen, classes)}"
    figure = new_figure(NARROW if narrow else WIDE * 0.6, 7.2 if narrow else 3.9, title)
    picture, panel = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    show_plain(picture, as_picture(image))
    set_title(picture, "Image")
    most = float(values.max())
    show_picture(panel, as_picture(image), windows)
    marks = show_marks(panel, windows, on_padding, Normalize(0.0, most or 1.0), area=True)
    set_title(panel, f"{windows.H}x{windows.W} tokens" if most else f"{windows.H}x{windows.W} tokens: none speaks for it")
    add_colorbar(figure, marks, panel, "evidence for the class")
    return figure


def _target(model: MambaVision, image: Array, target: int | None) -> tuple[int, float]:
    logits = to_numpy(model(image))[0]
    chosen = choose_target(model, logits, target)
    return chosen, float(logits[chosen])


def _gap(values: np.ndarray, logit: float) -> str:
    return f"{logit - float(values.sum()):+.2f}"


def _signed_maps(
    name: str, image: Array, values: np.ndarray, label: str, note: str, quantity: str, narrow: bool
) -> Figure:
    figure = new_figure(*((NARROW, 10.6) if narrow else (WIDE, 3.7)), f"{name}: {label}\n")
    panels = figure.subplots(3, 1) if narrow else figure.subplots(1, 3)
    picture = as_picture(image)
    size = (picture.shape[0], picture.shape[1])
    show_plain(panels[0], picture)
    set_title(panels[0], note if narrow else "Image")
    sums = cell_sums(values)
    for panel, each, title in ((panels[1], values, "Pixel by pixel"), (panels[2], sums, "Summed over cells")):
        drawn = show_signed(panel, each, size, around_zero(each))
        set_title(panel, title)
        add_colorbar(figure, drawn, panel, quantity, extend="both")
    return figure
