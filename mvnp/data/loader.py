"""Batches, in an order and with an augmentation that depend on nothing but the seed and the position.

The order of epoch e is drawn from a generator keyed by (seed, e), the flips and shifts of batch b from one keyed by
(seed, e, b), and the other augmentation from generators of that kind (augment/augmentation.py). So batch (e, b) is the same
whenever and however often it is asked for, and whoever makes it: a resumed run sees what an uninterrupted one would have seen,
and there is no state to save.

    loader = BatchLoader(train_set, 64, train=True, seed=0, image_size=64)
    for epoch in range(10):
        for images, labels in loader.epoch(epoch): ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, are_numbers, check_choice, check_flags, refusing, shown
from .augment import Augmentation, repeated
from .augment.mixing import mixed, mixed_targets
from .dataset import Dataset
from .folder import ImageFiles, Size, sides_of
from .transforms import CROP_FILLS, crop, flip, prepare, resize_matrix

MOST, MOST_PIXELS = 2**32, 2**28  # of any count, and of an image

# Keys carry what they are for. Without it the key (seed, e) would be the key (seed, e, 0): NumPy pads keys with zeros.
# 3 is the training step's.
_ORDER, _AUGMENT, _PICTURE, _MIX, _ERASE = 1, 2, 4, 5, 6

SAMPLERS = ("shuffled", "balanced")


class StoredBatch(NamedTuple):
    """Images (B, H, W, C) as they are stored, int64 labels (B,), which images are to be mirrored, bool (B,), and where each is
    to be cut, integers (B,)."""

    images: np.ndarray
    labels: np.ndarray
    mirrored: np.ndarray
    top: np.ndarray
    left: np.ndarray


class BatchLoader:
    """Cuts a data set into batches: float32 (B, C, H, W), standardised, and int64 labels (B,), or where pictures are mixed
    float32 shares (B, classes).

    dataset         a Dataset
    batch_size      images in a batch; never more than the data set has
    train           True: shuffled in every epoch and augmented; False: in stored order and as they are
    seed            of order and augmentation, 0 ≤ seed < 2³²
    image_size      side, or (H, W), that the images are resized to; None: left as they are
    mean, std       of each channel, as fractions of full brightness; None: those of the data set
    flip            mirror every other image, by chance. Turn it off where left and right differ in meaning, as in digits.
    crop_padding    shift each image by up to this many stored pixels in each direction; 0: not at all
    crop_fill       what comes in at the edge: "zero" (black) or "reflect" (the image, mirrored)
    sampler         "shuffled": each image once in an epoch; "balanced": each class equally often, images of rare classes
                    several times and of frequent ones not all, as many in an epoch as there are
    augmentation    what else is done to training pictures: an Augmentation, or its settings in a dict
    drop_last       leave out a last batch that is not full; None: in training, where batch statistics need images

    Raises InputError for an option that cannot be. All is NumPy on the host, whatever the backend.
    """

    @refusing
    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        train: bool,
        seed: int = 0,
        image_size: Size | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        flip: bool = True,
        crop_padding: int = 2,
        crop_fill: str = "zero",
        sampler: str = "shuffled",
        augmentation: Augmentation | Mapping[str, Any] | None = None,
        drop_last: bool | None = None,
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise InputError(f"BatchLoader: the data set is a {type(dataset).__name__}, expected an mvnp.data.Dataset")
        _check_at_least("batch_size", batch_size, 1)
        _check_at_least("crop_padding", crop_padding, 0)
        _check_at_least("seed", seed, 0)
        if seed >= 2**32:
            raise InputError(f"BatchLoader: seed is {seed}, expected less than 2**32")
        height, width = dataset.images.shape[1:3]
        if image_size is None:
            if height != width:
                raise InputError(f"BatchLoader: the images of {dataset.name} are {height}x{width}; give an image_size")
            image_size = height
        if not isinstance(image_size, int | np.integer) and not (isinstance(image_size, list | tuple) and len(image_size) == 2):
            raise InputError(f"BatchLoader: image_size is {shown(image_size)}, expected an integer, or two (H, W)")
        if isinstance(image_size, list | tuple):
            image_size = (image_size[0], image_size[1]) if image_size[0] != image_size[1] else image_size[0]
        for side in sides_of(image_size):
            _check_at_least("image_size", side, 1)
        if math.prod(sides_of(image_size)) > MOST_PIXELS:
            raise InputError(f"BatchLoader: image_size is {image_size}, expected at most {MOST_PIXELS} pixels")
        if crop_padding > max(height, width):
            raise InputError(f"BatchLoader: crop_padding is {crop_padding}, more than the sides of images of {height}x{width}")
        check_flags("BatchLoader", flip=flip)
        check_choice("crop_fill", crop_fill, CROP_FILLS)
        check_choice("sampler", sampler, SAMPLERS)
        if crop_fill == "reflect" and train and crop_padding >= min(height, width):
            raise InputError(f"BatchLoader: crop_padding {crop_padding} cannot be reflected in {height}x{width} images")
        self.dataset = dataset
        self.batch_size = min(batch_size, len(dataset))
        self.train = train
        self.seed = seed
        self.image_size = image_size
        self.mean = _per_channel("mean", dataset.mean if mean is None else mean, dataset)
        self.std = _per_channel("std", dataset.std if std is None else std, dataset)
        if min(self.std) <= 0:
            raise InputError(f"BatchLoader: std is {self.std}, expected numbers above 0")
        self.flip = flip
        self.crop_padding = crop_padding
        self.crop_fill = crop_fill
        self.sampler = sampler
        self.drop_last = train if drop_last is None else drop_last
        self.augmentation = Augmentation.of(augmentation)
        if train:
            self._check_augmentation()
        self._make = self.augmentation.maker(self.sides, self.mean, dataset.images.dtype)
        self._order: tuple[int, np.ndarray] = (-1, np.arange(len(dataset)))  # of the epoch asked for last

    resize_matrix = staticmethod(resize_matrix)  # for who resizes elsewhere

    @property
    def sides(self) -> tuple[int, int]:
        """(H, W) of what the model is given."""
        return sides_of(self.image_size)

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def order(self, epoch: int) -> np.ndarray:
        """The positions in the data set, int64 (n,), in the order in which `epoch` goes through them."""
        if not self.train:
            return self._order[1]
        if self._order[0] != epoch:
            rng = np.random.default_rng([self.seed, _ORDER, epoch])
            order = rng.permutation(len(self.dataset))
            order = order if self.sampler == "shuffled" else balanced(order, self.dataset.labels, rng)
            self._order = (epoch, order if self.augmentation.repeats == 1 else repeated(order, self.augmentation.repeats))
        return self._order[1]

    def batch(self, epoch: int, index: int, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index` of `epoch`, both counted from 0, or `part` of it. Evaluation is the same in every epoch."""
        if not self.plain:
            chosen = self._positions(epoch, index)
            return self._augmented(chosen, np.arange(len(chosen))[part], epoch, index)
        stored = self.stored(epoch, index, part)
        return self.prepare(self.augmented(stored)), stored.labels

    def stored(self, epoch: int, index: int, part: slice = slice(None)) -> StoredBatch:
        """The same as it is stored, with what has been drawn for its augmentation, before that is done."""
        chosen = self._positions(epoch, index)
        images, labels, total = self.dataset.images[chosen[part]], self.dataset.labels[chosen[part]], len(chosen)
        mirrored, moves = np.zeros(len(labels), bool), np.zeros((2, len(labels)), np.int64)
        if self.train:  # drawn for all of the batch
            rng = np.random.default_rng([self.seed, _AUGMENT, epoch, index])
            drawn = rng.random(total)[part] < 0.5
            mirrored = drawn & self.flip
            moves = rng.integers(0, 2 * self.crop_padding + 1, size=(2, total))[:, part]
        return StoredBatch(images, labels, mirrored, *moves)

    @property
    def plain(self) -> bool:
        """Whether all that is done to training pictures is to mirror and to shift them, which `augmented` does."""
        made = self._make
        return not self.train or (made.crop is None and made.change is None and made.mixing is None and made.erasing is None)

    def _positions(self, epoch: int, index: int) -> np.ndarray:
        """Those of a batch in the data set."""
        _check_at_least("epoch", epoch, 0)
        if not 0 <= index < len(self):
            raise InputError(f"BatchLoader: batch {index} of {len(self)}; expected 0 to {len(self) - 1}")
        return self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]

    def batch_length(self, index: int) -> int:
        """Images in batch `index`: fewer than `batch_size` in a last one that is not full."""
        return min(self.batch_size, len(self.dataset) - index * self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of an epoch, from batch `start` on."""
        return (self.batch(epoch, index) for index in range(start, len(self)))

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Pictures, uint8 (B, H, W, C) or float32 fractions, as this loader gives them when it does not augment."""
        return prepare(images, self.image_size, self.mean, self.std)

    def augmented(self, batch: StoredBatch) -> np.ndarray:
        """The images of a batch, mirrored and cut as was drawn."""
        images = batch.images
        if self.train and self.flip:
            images = flip(images, batch.mirrored)
        if self.train and self.crop_padding:
            images = crop(images, batch.top, batch.left, self.crop_padding, self.crop_fill)
        return images

    def picture(self, position: int) -> np.ndarray:
        """A picture as training takes it: from the disk the whole of it, where a part is cut out then."""
        images = self.dataset.images
        if isinstance(images, ImageFiles) and self._make.crop is not None:
            return images.whole(position, self.sides)
        return images[position]

    def _augmented(self, chosen: np.ndarray, rows: np.ndarray, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Some rows of a batch of the pictures `chosen`, for all of which is drawn."""
        count, place = len(chosen), (epoch, index)
        sides = self.sides if self._make.crop is not None else self.dataset.images.shape[1:3]
        mixes = None if self._make.mixing is None else self._make.mixes(count, sides, epoch, self._rng(_MIX, *place))
        # A mixed picture needs its partner. This set is closed under b → B − 1 − b, so it mixes among itself as the batch does.
        made = rows if mixes is None else np.unique([rows, count - 1 - rows])
        images, targets = self._pictures(chosen, made, place), self.dataset.labels[chosen[made]]
        if mixes is not None:
            own = [mixes[row] for row in made]
            kept = np.searchsorted(made, rows)
            images = mixed(images, own)[kept]
            targets = mixed_targets(targets, own, len(self.dataset.classes))[kept]
        x = self.prepare(images)
        if self._make.erasing is not None:
            for at, row in enumerate(rows):
                x[at : at + 1] = self._make.erasing(x[at : at + 1], self._rng(_ERASE, *place, int(row)))
        return x, targets

    def _pictures(self, chosen: np.ndarray, rows: np.ndarray, place: tuple[int, int]) -> np.ndarray:
        """Some rows of a batch before they are mixed: (n, H, W, C)."""
        rng, total = self._rng(_AUGMENT, *place), len(chosen)
        mirrored = (rng.random(total) < 0.5)[rows] & self.flip
        top, left = rng.integers(0, 2 * self.crop_padding + 1, size=(2, total))[:, rows]
        if self._make.crop is None:  # all have one size: flip and shift them together
            images = flip(self.dataset.images[chosen[rows]], mirrored)
            if self.crop_padding:
                images = crop(images, top, left, self.crop_padding, self.crop_fill)
            if self._make.change is None:
                return images
            mirrored, stored = np.zeros(len(rows), bool), list(images)
        else:
            stored = [self.picture(position) for position in chosen[rows]]
        return np.stack(
            [
                self._make.picture(image, bool(mirror), self._rng(_PICTURE, *place, int(row)))
                for image, mirror, row in zip(stored, mirrored, rows, strict=True)
            ]
        )

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])

    def _check_augmentation(self) -> None:
        if self.augmentation.crop_scale is not None and self.crop_padding:
            raise InputError(
                f"BatchLoader: crop_padding is {self.crop_padding} and crop_scale {self.augmentation.crop_scale}: the one"
                " shifts pictures, the other cuts parts out; give one of them (crop_padding=0)"
            )
        last = self.batch_length(len(self) - 1) if len(self) else 0
        if self.augmentation.mixes and (self.batch_size % 2 or last % 2):
            odd = self.batch_size if self.batch_size % 2 else last
            raise InputError(
                f"BatchLoader: a batch of {odd} pictures cannot be mixed in pairs; use an even batch_size (--batch-size), or"
                " neither mixup nor cutmix"
            )


def balanced(order: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many positions as `order` (n,) has, each class equally often or once more, in turn within each round of the classes.

    Images of a class come in the order that `order` has them in, over and over.
    """
    by_class = [order[labels[order] == label] for label in np.unique(labels)]
    rounds = -(-len(order) // len(by_class))
    turns = np.stack([np.resize(positions, rounds) for positions in by_class], axis=1)
    return rng.permuted(turns, axis=1).ravel()[: len(order)]


def _check_at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= MOST:
        most = f", at most {MOST}" if isinstance(value, int | np.integer) and value > MOST else ""
        raise InputError(f"BatchLoader: {name} is {shown(value)}, expected an integer of at least {least}{most}")


def _per_channel(name: str, values: Sequence[float], dataset: Dataset) -> tuple[float, ...]:
    if not are_numbers(values):
        raise InputError(f"BatchLoader: {name} is {shown(values)}, expected a number for each channel, such as (0.5,) for grey")
    numbers = tuple(float(value) for value in values)
    if len(numbers) != dataset.channels:
        raise InputError(f"BatchLoader: {name} has {len(numbers)} numbers, but {dataset.name} has {dataset.channels} channels")
    return numbers
