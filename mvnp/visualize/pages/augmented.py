"""A page that shows what a recipe makes of the pictures of a data set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ...data import Dataset
from ...data.augment import Augmentation
from ...errors import refusing
from ..arrays.augmented import augmented
from ..figures.augmented import augmented_pictures
from .report import Page, Picture, Section, write_page


@refusing
def write_augmented(
    folder: Path,
    data: Dataset,
    augmentation: Augmentation,
    image_size: int,
    recipe: str,
    *,
    pictures: int = 6,
    seed: int = 0,
    flip: bool = True,
    crop_padding: int = 0,
) -> Path:
    """Write index.html and its pictures into `folder`; the page's path."""
    options = {"pictures": pictures, "seed": seed, "flip": flip, "crop_padding": crop_padding}
    shown = augmented(data, augmentation, image_size, **options)  # type: ignore[arg-type]
    classes = sorted({data.classes[label] for label in data.labels})
    alt = f"Rows of pictures. Left the stored one, then {len(shown.seen[0])} versions that training makes of it."
    reading = (
        "Left each picture as it is stored, and to the right the same as the network is given it in some epochs. Below stands"
        " what it is told that the picture shows: where two are mixed, both classes with their shares."
    )
    picture = Picture("augmented", augmented_pictures(shown), augmented_pictures(shown, narrow=True), alt, reading)
    settings = [f"{name} = {value}" for name, value in asdict(augmentation).items() if value != getattr(Augmentation, name)]
    page = Page(
        title=f"What the network sees of {data.name}",
        lead=f"Pictures of {data.name} in training, by {recipe}.",
        facts=[(f"{len(data):,}", "training pictures"), (str(len(classes)), "classes"), (f"{image_size}", "pixels a side")],
        sections=[
            Section("The pictures", pictures=[picture]),
            Section("The settings", ["What differs from doing nothing:"], commands=settings or ["nothing"]),
        ],
        footer="Made by mvnp augment.",
    )
    return write_page(folder, page)
