"""RandAugment: a few operations at random, all at one strength.

    magnitude M in 0 … 10    f = M/10    n operations of a list, drawn with replacement, each used with probability p

    AutoContrast, Equalize, Invert                        no argument
    Rotate                                                ± 30 f degrees
    ShearX, ShearY, TranslateXRel, TranslateYRel          ± 0.3 f, ± 0.45 f of the side
    SolarizeAdd                                           ⌊110 f⌋
    Posterize, Solarize                                   ⌊4 f⌋ bits, threshold ⌊256 f⌋
    Color, Contrast, Brightness, Sharpness                factor 0.1 + 1.8 f
    PosterizeIncreasing, SolarizeIncreasing               4 − ⌊4 f⌋ bits, threshold 256 − ⌊256 f⌋
    ColorIncreasing, … SharpnessIncreasing                factor max(0.1, 1 ± 0.9 f)

The increasing forms do more the larger M is; of the plain ones 0 is the strongest for some. A policy is named by its settings:
`rand-m9-mstd0.5-inc1` has magnitudes N(9, 0.5), cut to 0 … 10, and the increasing forms.

    m  magnitude    mstd  its deviation; above 100: uniform in 0 … m    mmax  upper limit    n  operations    p  probability
    inc  1: increasing forms

Cubuk et al.: RandAugment, arXiv:1909.13719; the list, the forms and the names of the settings as in timm, which MambaVision is
trained with. What an operation does is in colour.py and warp.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import InputError, check_choice, is_number, refusing, shown
from .checks import check_picture, checked_fill
from .colour import (
    auto_contrast,
    brightness,
    color,
    contrast,
    equalize,
    invert,
    posterize,
    sharpness,
    solarize,
    solarize_add,
)
from .warp import INTERPOLATIONS, rotate, shear_x, shear_y, translate_x, translate_y

MEAN_COLOUR = (124.0, 116.0, 104.0)  # of ImageNet, in 255ths


@dataclass(frozen=True)
class Operation:
    """One operation: what it does to a picture, and its argument for a strength f and a sign.

    argument    None: it has none
    moves       it moves pixels, and takes fill and interpolation
    levels      it counts grey levels, so the picture has to be uint8
    colours     it needs 1 or 3 bands
    """

    apply: Callable[..., np.ndarray]
    argument: Callable[[float, int], float] | None = None
    moves: bool = False
    levels: bool = False
    colours: bool = False

    def suits(self, image: np.ndarray) -> bool:
        """Whether it makes sense for a picture of this dtype and number of bands."""
        return (image.dtype == np.uint8 or not self.levels) and (image.shape[2] in (1, 3) or not self.colours)


def _moving(apply: Callable[..., np.ndarray], most: float) -> Operation:
    return Operation(apply, lambda f, sign: sign * (f * most), moves=True)


def _enhancing(apply: Callable[..., np.ndarray], colours: bool = False) -> tuple[Operation, Operation]:
    """The plain form and the increasing one."""
    return (
        Operation(apply, lambda f, sign: f * 1.8 + 0.1, colours=colours),
        Operation(apply, lambda f, sign: max(0.1, 1.0 + sign * (f * 0.9)), colours=colours),
    )


_FORMS: dict[str, tuple[Operation, Operation]] = {
    "Posterize": (
        Operation(posterize, lambda f, sign: int(f * 4), levels=True),
        Operation(posterize, lambda f, sign: 4 - int(f * 4), levels=True),
    ),
    "Solarize": (
        Operation(solarize, lambda f, sign: int(f * 256)),
        Operation(solarize, lambda f, sign: 256 - int(f * 256)),
    ),
    "Color": _enhancing(color, colours=True),
    "Contrast": _enhancing(contrast),
    "Brightness": _enhancing(brightness),
    "Sharpness": _enhancing(sharpness),
}
_SINGLE: dict[str, Operation] = {
    "AutoContrast": Operation(auto_contrast),
    "Equalize": Operation(equalize, levels=True),
    "Invert": Operation(invert),
    "Rotate": _moving(rotate, 30.0),
    "SolarizeAdd": Operation(solarize_add, lambda f, sign: int(f * 110)),
    "ShearX": _moving(shear_x, 0.3),
    "ShearY": _moving(shear_y, 0.3),
    "TranslateXRel": _moving(translate_x, 0.45),
    "TranslateYRel": _moving(translate_y, 0.45),
}
OPERATIONS: dict[str, Operation] = {
    **_SINGLE,
    **{name: plain for name, (plain, _) in _FORMS.items()},
    **{f"{name}Increasing": increasing for name, (_, increasing) in _FORMS.items()},
}


@dataclass(frozen=True)
class Use:
    """One use of an operation: `argument` as its name says, None where it has none; `interpolation` where it moves pixels."""

    name: str
    argument: float | None = None
    interpolation: str | None = None

    def __call__(self, image: np.ndarray, fill: Sequence[float]) -> np.ndarray:
        """The picture (H, W, C) after it. Raises InputError for an unknown name, with the nearest."""
        check_choice("operation", self.name, OPERATIONS)
        check_picture(self.name, image)
        operation = OPERATIONS[self.name]
        if self.argument is not None and operation.argument is None:
            raise InputError(f"{self.name} takes no argument, and {shown(self.argument)} was given; leave it out")
        if operation.argument is not None and not is_number(self.argument):
            raise InputError(f"{self.name}: its argument is {shown(self.argument)}, expected a number")
        arguments = [] if self.argument is None else [self.argument]
        if operation.moves:
            return operation.apply(image, *arguments, fill, self.interpolation or "bilinear")
        return operation.apply(image, *arguments)


class RandAugment:
    """A policy by its name.

    fill             what comes in where a picture was moved: a number for each band, or one for all, from 0 to 255, or to 1
                     of floating pictures; None: the mean colour of ImageNet, of other than three bands its mean
    interpolation    "bilinear", "bicubic", or "random": one of both for each use

    Raises InputError for a policy that does not exist, with the setting that is wrong.
    """

    @refusing
    def __init__(
        self, policy: str = "rand-m9-mstd0.5-inc1", fill: Sequence[float] | None = None, interpolation: str = "random"
    ) -> None:
        check_choice("interpolation", interpolation, (*INTERPOLATIONS, "random"))
        settings = parse_policy(policy)
        self.policy, self.fill, self.interpolation = policy, None if fill is None else tuple(fill), interpolation
        self.magnitude, self.deviation, self.most = settings["m"], settings["mstd"], settings["mmax"]
        self.count, self.probability, self.increasing = int(settings["n"]), settings["p"], bool(settings["inc"])

    @property
    def names(self) -> list[str]:
        """The fifteen operations of the policy."""
        return [*_SINGLE, *(f"{name}Increasing" if self.increasing else name for name in _FORMS)]

    @refusing
    def draw(self, image: np.ndarray, rng: np.random.Generator) -> list[Use]:
        """What to do to a picture: among operations that suit its dtype and bands."""
        check_picture("RandAugment", image)
        names = [name for name in self.names if OPERATIONS[name].suits(image)]
        uses = []
        for index in rng.integers(len(names), size=self.count):
            skipped, negative, bicubic = rng.random(3)
            magnitude = self._magnitude(rng)
            if skipped < self.probability:
                way = INTERPOLATIONS[int(bicubic > 0.5)] if self.interpolation == "random" else self.interpolation
                uses.append(use(names[index], magnitude, negative > 0.5, way))
        return uses

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A picture (H, W, C) after what is drawn for it."""
        uses = self.draw(image, rng)
        fill = checked_fill("RandAugment", mean_colour(image) if self.fill is None else self.fill, image)
        for each in uses:
            image = each(image, fill)
        return image

    def _magnitude(self, rng: np.random.Generator) -> float:
        normal, uniform = rng.standard_normal(), rng.random()
        drawn = uniform * self.magnitude if self.deviation > 100 else self.magnitude + self.deviation * normal
        return float(min(max(drawn, 0.0), self.most))


def mean_colour(image: np.ndarray) -> tuple[float, ...]:
    """That of ImageNet, as a picture like this one has it; where there are not three bands, the mean of it for all."""
    colour = MEAN_COLOUR if image.shape[2] == 3 else (round(sum(MEAN_COLOUR) / 3),)
    return colour if image.dtype == np.uint8 else tuple(value / 255 for value in colour)


def use(name: str, magnitude: float, negative: bool = False, interpolation: str | None = None) -> Use:
    """The use of an operation at a magnitude 0 … 10, with its sign where it has one."""
    check_choice("operation", name, OPERATIONS)
    operation = OPERATIONS[name]
    argument = None if operation.argument is None else operation.argument(magnitude / 10, -1 if negative else 1)
    return Use(name, argument, interpolation if operation.moves else None)


def parse_policy(policy: str) -> dict[str, float]:
    """The settings of a policy's name. Raises InputError that names the piece that is wrong."""
    settings = {"m": 10.0, "mstd": 0.0, "mmax": 10.0, "n": 2.0, "p": 0.5, "inc": 0.0}
    first, *pieces = policy.split("-")
    if first != "rand":
        raise InputError(f"unknown policy {policy!r}; expected one of RandAugment's, such as rand-m9-mstd0.5-inc1")
    for piece in pieces:
        name = piece.rstrip("0123456789.")
        if name not in settings:
            raise InputError(
                f"policy {policy!r}: {piece!r} is no setting; there are {', '.join(settings)}, each with its number"
            )
        try:
            settings[name] = float(piece.removeprefix(name))
        except ValueError:
            raise InputError(f"policy {policy!r}: {piece!r} has no number, expected one as in {name}1") from None
    limits = {"m": 10, "mmax": 10, "p": 1, "n": 100, "inc": 1}
    for name, most in limits.items():
        whole = name in ("n", "inc")
        if settings[name] > most or (whole and settings[name] % 1):
            kind = "a whole number" if whole else "a number"
            raise InputError(f"policy {policy!r}: {name} is {settings[name]:g}, expected {kind} from 0 to {most}")
    return settings
