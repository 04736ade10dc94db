"""The ingredients together, as batches: mvnp/data/augment/augmentation.py and mvnp/data/loader.py."""

import numpy as np
import pytest
from PIL import Image

from mvnp.data import BatchLoader, Dataset, load_parts, prepare
from mvnp.data.augment import Augmentation, RandAugment, RandomErasing, RandomResizedCrop
from mvnp.data.augment.mixing import Mixing, mixed, mixed_targets
from mvnp.data.loader import _AUGMENT, _ERASE, _MIX, _PICTURE
from mvnp.errors import InputError
from support.photos import two_classes
from support.tolerance import assert_close

OFFICIAL = {
    "crop_scale": (0.3, 1.0),
    "randaugment": "rand-m9-mstd0.5-inc1",
    "mixup": 0.8,
    "cutmix": 1.0,
    "erasing": 0.5,
}


def pictures(count=8, side=12, channels=3):
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    return Dataset("noise", "train", images, np.arange(count) % 3, ("a", "b", "c"), (0.5,) * channels, (0.25,) * channels)


def loader(count=8, batch=4, **changes):
    options = {"crop_padding": 0, "seed": 5, "augmentation": OFFICIAL, "image_size": 10, **changes}
    return BatchLoader(pictures(count), batch, train=True, **options)


def test_the_order_of_the_ingredients():
    """The same from the parts, each with its own draws."""
    made = loader()
    images, targets = made.batch(1, 0)
    chosen = made.order(1)[:4]
    rng = np.random.default_rng([5, _AUGMENT, 1, 0])
    mirrored = rng.random(4) < 0.5
    crop, change = RandomResizedCrop((10, 10), (0.3, 1.0)), RandAugment("rand-m9-mstd0.5-inc1", (128, 128, 128))
    stored = []
    for row, position in enumerate(chosen):
        own = np.random.default_rng([5, _PICTURE, 1, 0, row])
        picture = crop(made.dataset.images[position], own)
        stored.append(change(picture[:, ::-1] if mirrored[row] else picture, own))
    mixes = Mixing(0.8, 1.0).draw(4, 10, 10, np.random.default_rng([5, _MIX, 1, 0]))
    x = prepare(mixed(np.stack(stored), mixes), 10, (0.5,) * 3, (0.25,) * 3)
    for row in range(4):
        x[row : row + 1] = RandomErasing(0.5)(x[row : row + 1], np.random.default_rng([5, _ERASE, 1, 0, row]))
    np.testing.assert_array_equal(images, x)
    np.testing.assert_array_equal(targets, mixed_targets(made.dataset.labels[chosen], mixes, 3))
    assert mirrored.any()
    assert images.dtype == targets.dtype == np.float32


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_parts_of_a_batch_are_what_the_whole_has(mode):
    made = loader(augmentation={**OFFICIAL, "mix_mode": mode}, count=12, batch=6)
    whole, targets = made.batch(0, 1)
    for part in (slice(0, 3), slice(3, 6), slice(1, 2), slice(2, 6)):
        images, own = made.batch(0, 1, part)
        np.testing.assert_array_equal(images, whole[part])
        np.testing.assert_array_equal(own, targets[part])


def test_batches_differ_and_come_again():
    made = loader()
    batches = [made.batch(epoch, index)[0].tobytes() for epoch in range(3) for index in range(2)]
    assert len(set(batches)) == 6
    assert [loader().batch(epoch, index)[0].tobytes() for epoch in range(3) for index in range(2)] == batches


def test_without_ingredients_it_is_what_it_was():
    plain, settings = loader(augmentation=None), loader(augmentation=Augmentation())
    np.testing.assert_array_equal(plain.batch(0, 0)[0], settings.batch(0, 0)[0])
    assert plain.batch(0, 0)[1].dtype == np.int64


def test_shares_of_the_classes():
    _, targets = loader().batch(0, 0)
    assert targets.shape == (4, 3)
    assert_close(targets.sum(axis=1), np.ones(4), dtype=np.float32)


def test_mixing_ends_where_it_is_told_to():
    made = loader(augmentation={"mixup": 0.8, "mix_epochs": 2})
    assert [made.batch(epoch, 0)[1].ndim for epoch in range(4)] == [2, 2, 1, 1]


def test_repeats():
    made = loader(augmentation={"repeats": 2, "randaugment": "rand-m9"}, batch=8)
    order = made.order(0)
    assert len(made) == 1
    np.testing.assert_array_equal(order[0::2], order[1::2])
    images = made.batch(0, 0)[0]
    assert any(not np.array_equal(images[k], images[k + 1]) for k in range(0, 8, 2))  # copies are augmented each by itself


def test_shifts_and_changes_together():
    made = loader(crop_padding=2, augmentation={"colour_jitter": 0.4})
    plain = loader(crop_padding=2, augmentation=None)
    assert not np.array_equal(made.batch(0, 0)[0], plain.batch(0, 0)[0])


@pytest.mark.parametrize(
    ("settings", "options", "told"),
    [
        ({"mixup": 0.8}, {"batch": 5}, "a batch of 5 pictures cannot be mixed in pairs; use an even batch_size"),
        ({"cutmix": 1}, {"drop_last": False, "count": 7}, "a batch of 3 pictures cannot be mixed"),
        ({"crop_scale": (0.5, 1)}, {"crop_padding": 2}, "the one shifts pictures, the other cuts parts out"),
        ({"randaugment": "rand-m9", "colour_jitter": 0.4}, {}, "colour_jitter is 0.4, and RandAugment changes colours too"),
        ({"mixupp": 0.8}, {}, "unknown setting 'mixupp' (did you mean 'mixup'?)"),
        ({"randaugment": "rand-q9"}, {}, "'q9' is no setting"),
        ({"crop_scale": 0.5}, {}, "crop_scale is 0.5, expected two numbers"),
        ({"crop_scale": (0.5, 1.5)}, {}, "expected shares of the area, of at most 1"),
        (
            {"crop_ratio": (2, 1)},
            {"augmentation": {"crop_scale": (0.5, 1), "crop_ratio": (2, 1)}},
            "expected two numbers above 0",
        ),
        ({"mix_mode": "half"}, {}, "unknown mode of mixing 'half'"),
        ({"erasing": 2}, {}, "probability is 2, expected"),
        ({"erasing": 0.2, "erasing_mode": "noise"}, {}, "unknown mode of erasing"),
        ({"mix_epochs": 1.5}, {}, "mix_epochs is 1.5, expected an integer"),
        ({"repeats": 0.5}, {}, "repeats is 0.5, expected a number from 1 to 1000"),
        ({"mixup": "much"}, {}, "mixup is 'much', expected a number"),
        ("official", {}, "augmentation: 'official' is no dict of settings; expected such as {'mixup': 0.2}"),
        ({"randaugment": 9}, {}, "randaugment is 9, expected such as"),
    ],
)
def test_settings_that_cannot_be(settings, options, told):
    with pytest.raises(InputError) as caught:
        loader(**{"augmentation": settings, **options})
    assert told in str(caught.value)


def test_evaluation_is_not_augmented():
    plain = BatchLoader(pictures(), 3, train=False, augmentation={"mixup": 0.8}, crop_padding=2)
    assert plain.batch(0, 0)[1].dtype == np.int64


@pytest.fixture
def photos(tmp_path):
    return two_classes(tmp_path, 5, (40, 60))


def test_crops_are_cut_out_of_whole_pictures(photos):
    cut, whole = (load_parts(photos, image_size=16, whole=whole) for whole in (False, True))
    assert whole.train.images[0].shape == cut.train.images[0].shape == (16, 16, 3)
    assert isinstance(whole.test.images, np.ndarray)
    one = BatchLoader(whole.train, 4, train=True, augmentation={"crop_scale": (0.1, 0.1)}, crop_padding=0, flip=False)
    assert one.picture(0).shape == (40, 60, 3)
    np.testing.assert_array_equal(one.picture(3), np.asarray(Image.open(whole.train.files[3])))
    other = BatchLoader(cut.train, 4, train=True, augmentation={"crop_scale": (0.1, 0.1)}, crop_padding=0)
    assert other.picture(0).shape == (16, 16, 3)
    assert one.batch(0, 0)[0].shape == (4, 3, 16, 16)


def test_whole_pictures_as_fractions(photos):
    files = load_parts(photos, image_size=16, whole=True, value_range=(0, 200)).train.images
    pixels = files.whole(0, (16, 16))
    assert pixels.dtype == np.float32
    assert pixels.shape == (40, 60, 3)
    assert pixels.min() >= 0
    assert pixels.max() == 1


def test_a_large_jpeg_is_decoded_at_a_fraction(tmp_path, photos):
    ramp = np.broadcast_to(np.linspace(0, 255, 1600).astype(np.uint8)[:, None], (1200, 1600, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(photos / "cat" / "large.jpg")
    files = load_parts(photos, image_size=16, whole=True, held_out=0).train
    large = files.images.whole([path.name for path in files.files].index("large.jpg"), (32, 32))
    assert large.shape[:2] == (150, 200)  # an eighth: the next would be below 4 · 32
    assert large[0, -1, 0] > large[0, 0, 0]
