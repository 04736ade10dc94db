"""Batches: mvnp/data/loader.py."""

import dataclasses

import numpy as np
import pytest

from mvnp.data import BatchLoader, Dataset, ImageFiles, prepare
from mvnp.errors import InputError
from support.tolerance import assert_close


def dataset(count=50, height=6, width=6, channels=1, **changes):
    """Image i has label i mod 5, and i is readable in its darkest pixel: no flip and no crop without fill changes that."""
    images = np.random.default_rng(0).integers(count, 256, (count, height, width, channels), dtype=np.uint8)
    images[:, height // 2, width // 2] = np.arange(count)[:, None]
    toy = Dataset("toy", "train", images, np.arange(count) % 5, tuple("abcde"), (0.5,) * channels, (0.25,) * channels)
    return dataclasses.replace(toy, **changes)


def loader(batch_size=8, train=True, toy=None, **options):
    return BatchLoader(toy or dataset(), batch_size, train=train, **options)


def pixels(images):
    """Back from standardised to uint8."""
    return np.rint((images * 0.25 + 0.5) * 255).astype(np.uint8)


def test_evaluation_is_in_stored_order_and_as_it_is():
    toy = dataset()
    batches = list(loader(train=False, toy=toy).epoch(3))
    assert [len(labels) for _, labels in batches] == [8] * 6 + [2]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(labels, toy.labels)
    np.testing.assert_array_equal(images, prepare(toy.images, 6, (0.5,), (0.25,)))
    np.testing.assert_array_equal(pixels(images)[:, 0], toy.images[..., 0])


def test_shapes_and_types():
    images, labels = loader(toy=dataset(channels=3), image_size=13).batch(0, 0)
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == ((8, 3, 13, 13), np.float32, (8,), np.int64)
    assert images.flags.c_contiguous


@pytest.mark.parametrize("options", [{}, {"flip": False}, {"crop_padding": 0}, {"crop_fill": "reflect"}])
def test_labels_stay_with_their_images(options):
    batches = loader(**{"crop_fill": "reflect", **options}, drop_last=False).epoch(0)
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    identity = pixels(images).min(axis=(1, 2, 3))
    np.testing.assert_array_equal(identity % 5, labels)
    np.testing.assert_array_equal(np.sort(identity), np.arange(50))  # each image once


def test_every_image_is_one_of_its_flips_and_crops():
    toy = dataset()
    seen = set()
    for epoch in range(20):
        images, _ = (made := loader(toy=toy, crop_padding=1)).batch(epoch, 0)
        for index, got in zip(made.order(epoch), pixels(images)[:, 0], strict=False):
            image = np.pad(toy.images[index, ..., 0], 1)
            mirrored = np.pad(toy.images[index, :, ::-1, 0], 1)
            matches = [
                (flipped, top, left)
                for flipped, padded in ((False, image), (True, mirrored))
                for top in range(3)
                for left in range(3)
                if np.array_equal(padded[top : top + 6, left : left + 6], got)
            ]
            assert len(matches) == 1
            seen.update(matches)
    assert len(seen) == 18  # all of them occur


def test_no_augmentation_but_shuffled():
    toy = dataset()
    made = loader(toy=toy, flip=False, crop_padding=0)
    for index, (images, labels) in enumerate(made.epoch(2)):
        chosen = made.order(2)[8 * index : 8 * index + 8]
        np.testing.assert_array_equal(pixels(images)[:, 0], toy.images[chosen, ..., 0])
        np.testing.assert_array_equal(labels, toy.labels[chosen])


# The position alone decides


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    uninterrupted = [(epoch, index, *batch) for epoch in range(3) for index, batch in enumerate(loader(seed=7).epoch(epoch))]
    for epoch, index, images, labels in reversed(uninterrupted):
        again, labels_again = loader(seed=7).batch(epoch, index)
        np.testing.assert_array_equal(again, images)
        np.testing.assert_array_equal(labels_again, labels)
    one = loader(seed=7)  # one loader that jumps about, too
    for epoch, index, images, _ in uninterrupted[::5] + uninterrupted[1::3]:
        np.testing.assert_array_equal(one.batch(epoch, index)[0], images)


def test_start_in_the_middle():
    whole = list(loader().epoch(4))
    for start in (0, 2, len(whole)):
        rest = list(loader().epoch(4, start=start))
        assert len(rest) == len(whole) - start
        for (images, labels), (want, want_labels) in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(images, want)
            np.testing.assert_array_equal(labels, want_labels)


def test_epochs_and_seeds_differ():
    orders = [loader(seed=seed).order(epoch).tolist() for seed in range(3) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 9


def test_no_two_draws_share_a_generator(monkeypatch):
    """NumPy pads a key with zeros, so that (seed, e) and (seed, e, 0) would be one generator."""
    states = []
    make = np.random.default_rng

    def noted(key):
        states.append(make(key).bit_generator.state["state"]["state"])
        return make(key)

    made = loader()
    monkeypatch.setattr("numpy.random.default_rng", noted)
    for epoch in range(4):
        list(made.epoch(epoch))
    assert len(states) == 4 * (1 + len(made))
    assert len(set(states)) == len(states)


def test_the_last_batch_does_not_depend_on_whether_it_is_dropped():
    kept, dropped = loader(drop_last=False), loader(drop_last=True)
    for index in range(len(dropped)):
        np.testing.assert_array_equal(kept.batch(1, index)[0], dropped.batch(1, index)[0])


# How many


@pytest.mark.parametrize(
    ("batch_size", "train", "drop_last", "sizes"),
    [
        (8, True, None, [8] * 6),
        (8, True, False, [8] * 6 + [2]),
        (8, False, None, [8] * 6 + [2]),
        (8, False, True, [8] * 6),
        (25, True, None, [25, 25]),
        (25, False, None, [25, 25]),
        (50, True, None, [50]),
        (64, True, None, [50]),  # never more than there are, and never an epoch without a batch
        (64, False, None, [50]),
        (1, True, None, [1] * 50),
    ],
)
def test_batches_in_an_epoch(batch_size, train, drop_last, sizes):
    made = loader(batch_size, train, drop_last=drop_last)
    assert len(made) == len(sizes)
    assert [len(labels) for _, labels in made.epoch(0)] == sizes


# The rest


def test_pictures_on_the_disk(tmp_path):
    from PIL import Image

    toy = dataset(12)
    for index, image in enumerate(toy.images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{index}.png")
    files = ImageFiles(tuple(tmp_path / f"{index}.png" for index in range(12)), 6, 1)
    on_disk = loader(4, toy=dataclasses.replace(toy, images=files))
    for index, (images, labels) in enumerate(loader(4, toy=toy).epoch(0)):
        np.testing.assert_array_equal(on_disk.batch(0, index)[0], images)
        np.testing.assert_array_equal(on_disk.batch(0, index)[1], labels)


def test_own_mean_and_deviation():
    toy = dataset()
    images, _ = loader(train=False, toy=toy, mean=[0.1], std=[0.7]).batch(0, 0)
    assert_close(images[:, 0], (toy.images[:8, ..., 0] / 255 - 0.1) / 0.7)


def test_the_data_set_is_not_changed():
    toy = dataset()
    before = toy.images.copy()
    list(loader(toy=toy, image_size=9).epoch(0))
    np.testing.assert_array_equal(toy.images, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, expected an integer of at least 1"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5"),
        ({"seed": -1}, "seed is -1, expected an integer of at least 0"),
        ({"seed": 2**32}, r"seed is 4294967296, expected less than 2\*\*32"),
        ({"image_size": 0}, "image_size is 0"),
        ({"crop_padding": -1}, "crop_padding is -1"),
        ({"flip": 3}, "flip is 3, expected True or False"),
        ({"crop_padding": 6, "crop_fill": "reflect"}, "crop_padding 6 cannot be reflected in 6x6 images"),
        ({"crop_fill": "reflct"}, r"unknown crop_fill 'reflct' \(did you mean 'reflect'\?\); choose one of zero, reflect"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean has 3 numbers, but toy has 1 channels"),
        ({"std": (0.0,)}, r"std is \(0\.0,\), expected numbers above 0"),
        ({"toy": dataset(width=9)}, "the images of toy are 6x9; give an image_size"),
    ],
)
def test_refused(options, message):
    with pytest.raises(InputError, match=message):
        loader(**options)


def test_no_such_batch():
    for index in (6, -1):
        with pytest.raises(InputError, match=rf"batch {index} of 6; expected 0 to 5"):
            loader().batch(0, index)
    with pytest.raises(InputError, match="epoch is -1"):
        loader().batch(-1, 0)


def test_a_part_of_a_batch():
    """What ranks that train together load: the rows of the batch, with the same augmentation."""
    images, labels = loader().batch(1, 2)
    some, of_some = loader().batch(1, 2, slice(2, 6))
    np.testing.assert_array_equal(some, images[2:6])
    np.testing.assert_array_equal(of_some, labels[2:6])


def test_the_length_of_a_batch():
    batches = loader(train=False)
    assert [batches.batch_length(i) for i in range(len(batches))] == [len(labels) for _, labels in batches.epoch(0)]


@pytest.mark.parametrize("size", [{}, [], "64", (1, 2, 3), 1.5])
def test_sizes_of_another_kind(size):
    with pytest.raises(InputError, match=r"BatchLoader: image_size is .*, expected an integer, or two \(H, W\)"):
        BatchLoader(dataset(), 8, train=True, image_size=size)
