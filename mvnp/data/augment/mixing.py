"""Mixup and cutmix: two pictures in one, and their labels in the same shares.

    picture b of B has the partner B − 1 − b    h(y) the label y, smoothed    λ the share of b itself

    mixup     x ← λ x_b + (1 − λ) x_{B−1−b}                                      (1)
    cutmix    a box of x_b is replaced by that of the partner                    (2)
    target    t = λ h(y_b) + (1 − λ) h(y_{B−1−b})                                (3)

    box       q = √(1 − λ), h = ⌊q H⌋, w = ⌊q W⌋, about a centre drawn from all pixels, cut at the edges         (4)
              λ ← 1 − its area / (H W)
    h(y)      1 − s + s/K at y, s/K elsewhere, of K classes                      (5)

λ ~ Beta(α, α): small α mix little, α = 1 anything equally. (1) is done on stored pictures; uint8 is summed in float32 and
rounded half to even. Which of the two is drawn, and λ, once for a batch, for each pair of partners, or for each picture; "half"
keeps the first half of the batch, each picture of it mixed with one of the other.

Zhang et al.: mixup, arXiv:1710.09412, eq. 1. Yun et al.: CutMix, arXiv:1905.04899, eqs. 1 and 2. That one of them is drawn, and
how, as in timm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ...errors import InputError, check_choice, check_rate, refusing

MODES = ("batch", "pair", "elem", "half")

Box = tuple[int, int, int, int]  # first and last row, first and last column; the last is outside


@dataclass(frozen=True)
class Mix:
    """What to do to a picture: λ after (4), and the box where it is cutmix."""

    share: float
    box: Box | None = None


class Mixing:
    """Mixup and cutmix for batches.

    mixup, cutmix    their α; 0: never
    probability      of a batch (pair, picture) to be mixed
    switch           share of cutmix where both may be
    mode             "batch", "pair", "elem" or "half"
    correct          False: λ stays as drawn though the box is cut at the edge

    Raises InputError for a setting out of range, and for a batch that cannot be paired.
    """

    @refusing
    def __init__(
        self,
        mixup: float = 0.8,
        cutmix: float = 1.0,
        probability: float = 1.0,
        switch: float = 0.5,
        mode: str = "batch",
        correct: bool = True,
    ) -> None:
        for name, value in (("mixup", mixup), ("cutmix", cutmix)):
            if not 0 <= value < math.inf:
                raise InputError(f"Mixing: {name} is {value!r}, expected a number of at least 0")
        if mixup == cutmix == 0:
            raise InputError("Mixing: mixup and cutmix are both 0: nothing would be mixed; leave it out")
        for name, value in (("probability", probability), ("switch", switch)):
            if not 0 <= value <= 1:
                raise InputError(f"Mixing: {name} is {value!r}, expected a number in [0, 1]")
        check_choice("mode of mixing", mode, MODES)
        self.mixup, self.cutmix, self.probability, self.switch = mixup, cutmix, probability, switch
        self.mode, self.correct = mode, correct

    @refusing
    def draw(self, count: int, height: int, width: int, rng: np.random.Generator) -> list[Mix]:
        """A Mix for each picture of a batch of `count`."""
        if count < 2 or count % 2:
            raise InputError(f"Mixing: a batch of {count} cannot be paired; expected an even number of pictures")
        half = count // 2
        if self.mode == "batch":
            return [self._one(height, width, rng)] * count
        # Shares of single pictures are float32, as timm's array of them is.
        mixes = [in_float32(self._one(height, width, rng)) for _ in range(count if self.mode == "elem" else half)]
        if self.mode == "elem":
            return mixes
        return mixes if self.mode == "half" else mixes + mixes[::-1]

    @refusing
    def __call__(
        self, images: np.ndarray, labels: np.ndarray, classes: int, smoothing: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pictures (B, H, W, C) and labels (B,) as mixed pictures, and targets float32 (B, classes)."""
        mixes = self.draw(len(images), images.shape[1], images.shape[2], rng)
        return mixed(images, mixes), mixed_targets(labels, mixes, classes, smoothing)

    def _one(self, height: int, width: int, rng: np.random.Generator) -> Mix:
        mixed, cut = rng.random(2)
        by_mixup, by_cutmix = (rng.beta(alpha, alpha) if alpha else 1.0 for alpha in (self.mixup, self.cutmix))
        cy, cx = int(rng.integers(height)), int(rng.integers(width))
        if mixed >= self.probability:
            return Mix(1.0)
        if not self.cutmix or (self.mixup and cut >= self.switch):
            return Mix(float(by_mixup))
        return cut_mix(height, width, float(by_cutmix), cy, cx, self.correct)


def in_float32(mix: Mix) -> Mix:
    """With λ rounded to float32."""
    return replace(mix, share=float(np.float32(mix.share)))


def cut_mix(height: int, width: int, share: float, cy: int, cx: int, correct: bool = True) -> Mix:
    """(4), for λ = share and a centre."""
    q = math.sqrt(1 - share)
    h, w = int(height * q), int(width * q)
    y0, y1 = (min(max(cy + side, 0), height) for side in (-(h // 2), h // 2))
    x0, x1 = (min(max(cx + side, 0), width) for side in (-(w // 2), w // 2))
    return Mix(1 - (y1 - y0) * (x1 - x0) / (height * width) if correct else share, (y0, y1, x0, x1))


def mixed(images: np.ndarray, mixes: list[Mix]) -> np.ndarray:
    """(1) or (2) of pictures (B, H, W, C), for the first `len(mixes)` of them."""
    result = images[: len(mixes)].copy()
    for index, mix in enumerate(mixes):
        own, partner = images[index], images[len(images) - 1 - index]
        if mix.box is not None:
            y0, y1, x0, x1 = mix.box
            result[index, y0:y1, x0:x1] = partner[y0:y1, x0:x1]  # (2)
        elif mix.share != 1:
            number = np.float32 if images.dtype == np.uint8 else images.dtype.type
            share, rest = number(mix.share), number(1 - mix.share)
            both = share * own.astype(number) + rest * partner.astype(number)  # (1)
            result[index] = np.rint(both) if images.dtype == np.uint8 else both
    return result


def mixed_targets(labels: np.ndarray, mixes: list[Mix], classes: int, smoothing: float = 0.0) -> np.ndarray:
    """(3), float32 (len(mixes), classes), of integer labels (B,)."""
    check_rate("Mixing", "smoothing", smoothing)
    smoothed = np.full((len(labels), classes), smoothing / classes, np.float32)
    smoothed[np.arange(len(labels)), labels] = 1 - smoothing + smoothing / classes  # (5)
    share = np.array([mix.share for mix in mixes], np.float32)[:, None]
    return share * smoothed[: len(mixes)] + (1 - share) * smoothed[::-1][: len(mixes)]
