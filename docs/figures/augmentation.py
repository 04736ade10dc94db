"""A photograph under the operations of RandAugment, each at three strengths."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mvnp.data.augment.randaugment import use
from mvnp.visualize.figures.style import new_figure

PHOTO = Path(__file__).parents[2] / "tests" / "data" / "photos" / "cat.jpg"
NAMES = (
    "Rotate", "ShearX", "TranslateXRel", "PosterizeIncreasing", "SolarizeIncreasing", "SolarizeAdd",
    "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing",
)  # fmt: skip
STRENGTHS = (3, 6, 9)


def draw() -> Figure:
    with Image.open(PHOTO) as opened:
        side = min(opened.size)
        image = np.asarray(opened.convert("RGB").crop((0, 0, side, side)).resize((60, 60)))
    figure = new_figure(6.4, 8.6, "Strength 3, 6 and 9 of 10, both signs where there are two")
    panels = figure.subplots(len(NAMES), 1 + 2 * len(STRENGTHS))
    for row, name in zip(panels, NAMES, strict=True):
        pictures = [image] + [
            use(name, m, minus, "bilinear")(image, (124, 116, 104)) for minus in (False, True) for m in STRENGTHS
        ]
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture, interpolation="none")
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(name.removesuffix("Increasing"), rotation=0, ha="right", va="center", fontsize=8)
    return figure
