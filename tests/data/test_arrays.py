"""Arrays of one's own as a data set: mvnp/data/arrays.py; and `train(images, labels)`: mvnp/training/run.py."""

import numpy as np
import pytest

import mvnp
from mvnp.data.arrays import of_arrays
from mvnp.errors import DataError, InputError, MvnpError, TrainingError
from mvnp.training import TrainingConfig, train
from support.tolerance import assert_close

RNG = np.random.default_rng(0)
LABELS = np.arange(40) % 2
IMAGES = (RNG.integers(0, 60, (40, 8, 6)) + 150 * LABELS[:, None, None]).astype(np.uint8)


def test_a_share_of_each_class_is_held_out():
    train_set, test_set = of_arrays(IMAGES, LABELS, held_out=0.25)
    assert (len(train_set), len(test_set)) == (30, 10)
    assert np.bincount(test_set.labels).tolist() == [5, 5]
    both = np.concatenate([train_set.images, test_set.images])[..., 0]
    assert sorted(map(bytes, both)) == sorted(map(bytes, IMAGES)), "each picture is in one of them"
    share = train_set.images / 255
    assert_close([*train_set.mean, *train_set.std], [share.mean(), share.std()], terms=len(train_set.images))
    again, _ = of_arrays(IMAGES, LABELS, held_out=0.25)
    np.testing.assert_array_equal(again.images, train_set.images)
    other, _ = of_arrays(IMAGES, LABELS, held_out=0.25, seed=1)
    assert (other.images != train_set.images).any()


def test_a_class_of_one_picture_stays_in_training():
    _, test_set = of_arrays(IMAGES[:11], [0] * 10 + [1])
    assert test_set.labels.tolist() == [0, 0]
    with pytest.raises(DataError, match=r"each class has a single picture: none can be held out; give test=\(images, labels\)"):
        of_arrays(IMAGES[:2], LABELS[:2])


def test_a_test_part_and_names():
    names = np.where(LABELS == 1, "bright", "dark")
    train_set, test_set = of_arrays(IMAGES, names, test=(IMAGES[:3], ["dark", "bright", "dark"]))
    assert (len(train_set), test_set.labels.tolist()) == (40, [1, 0, 1])
    assert train_set.classes == ("bright", "dark")
    assert of_arrays(IMAGES, LABELS, classes=["off", "on"])[0].classes == ("off", "on")
    assert of_arrays(IMAGES, 2 * LABELS)[0].classes == ("0", "1", "2")


@pytest.mark.parametrize("shape", [(40, 8, 6), (40, 8, 6, 1), (40, 8, 6, 3), (40, 3, 8, 6)])
def test_shapes(shape):
    images = RNG.integers(0, 256, shape).astype(np.uint8)
    train_set, _ = of_arrays(images, LABELS, test=(images, LABELS))
    assert train_set.images.shape == (40, 8, 6, 3 if 3 in shape else 1)


@pytest.mark.parametrize("shape", [(40, 8, 6, 5), (40, 5, 8, 6)])
def test_bands_and_fractions(shape):
    """Bands are the last axis or, where it is the shortest, the one before height and width; fractions stay what they are."""
    bytes_, fractions = RNG.integers(0, 256, shape).astype(np.uint8), RNG.random(shape)
    last = shape[3] == 5
    for images, dtype in ((bytes_, np.uint8), (fractions, np.float32)):
        train_set, _ = of_arrays(images, LABELS, test=(images, LABELS))
        np.testing.assert_array_equal(train_set.images, (images if last else images.transpose(0, 2, 3, 1)).astype(dtype))
    np.testing.assert_allclose(train_set.mean, fractions.mean(axis=(0, 1, 2) if last else (0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (
            IMAGES / 1.0,
            LABELS,
            {},
            r"images have values from 0 to 2.., expected 0 to 1, .* bring them there with \(images - low",
        ),
        (IMAGES * np.nan, LABELS, {}, r"images have values from nan to nan, expected 0 to 1"),
        (
            IMAGES.astype(np.uint16),
            LABELS,
            {},
            r"images have dtype uint16, .* or floating, 0 to 1; divide .* for example 65535",
        ),
        (IMAGES[0], LABELS, {}, r"images have shape \(8, 6\), expected \(n, H, W\)"),
        (np.zeros((40, 8, 6, 0), np.uint8), LABELS, {}, r"images have shape \(40, 8, 6, 0\), expected .* with C bands"),
        (IMAGES, LABELS[:5], {}, "there are 40 images and 5 labels, expected as many of each"),
        (IMAGES, LABELS / 2, {}, r"labels are float64 \(40,\), expected integers or names \(n,\)"),
        (
            IMAGES,
            LABELS - 1,
            {},
            r"labels go from -1 to 0, expected the numbers of classes, from 0 to below",
        ),
        (IMAGES, 0 * LABELS, {}, "the classes are 0; expected at least two"),
        (IMAGES, LABELS, {"classes": ["a", "a"]}, "the classes are a, a; expected at least two, each once"),
        (IMAGES, LABELS, {"held_out": 1}, "held_out is 1, expected a share between 0 and 1"),
        (IMAGES, LABELS, {"test": IMAGES}, r"test is a ndarray, expected the pair \(images, labels\)"),
        (IMAGES, LABELS, {"test": (IMAGES[:2], LABELS)}, "there are 2 test images and 40 test labels"),
        (IMAGES, LABELS, {"test": (IMAGES, LABELS + 1)}, "the test labels go from 1 to 2, expected 0 to 1 for 2 classes"),
        (IMAGES, LABELS.astype(str), {"test": (IMAGES[:1], ["x"])}, "a test label is 'x', expected one of the classes 0, 1"),
        (IMAGES, LABELS, {"seed": -1}, "train: seed is -1, expected an integer of at least 0"),
    ],
)
def test_what_does_not_fit(images, labels, options, message):
    with pytest.raises(MvnpError, match=message):
        of_arrays(images, labels, **options)


def test_training_on_arrays(tmp_path):
    out, model = tmp_path / "run", mvnp.create_model("demo").config
    model = {**model, "dim": 4, "in_dim": 2, "num_heads": (1, 1, 2, 2), "depths": (1, 1, 1, 1)}
    own = {name: model[name] for name in ("dim", "in_dim", "num_heads", "depths", "window_size")}
    arguments = {"classes": ["dark", "bright"], "model": own, "image_size": 32, "epochs": 1, "batch_size": 16, "quiet": True}
    result = train(IMAGES, LABELS, out=out, **arguments)
    assert result.epochs == 1
    model = mvnp.load_pretrained(result.best)
    assert model.classes == ("dark", "bright")
    assert mvnp.classify(IMAGES[0], model)[0].name in model.classes
    assert train(IMAGES, LABELS, out=out, resume=True, **arguments).accuracy == result.accuracy
    with pytest.raises(DataError, match=r"was trained on arrays, which it does not keep; go on with them in Python: mvnp"):
        train(None, out, resume=True, quiet=True)
    with pytest.raises(TrainingError, match="already holds a run"):
        train(IMAGES, LABELS, out=out, **arguments)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((IMAGES,), {}, "train: one ndarray was given, expected a TrainingConfig, or images and labels"),
        ((IMAGES, LABELS), {"epohcs": 1}, r"unknown training setting 'epohcs' \(did you mean 'epochs'\?\)"),
        ((IMAGES, LABELS), {"model": "dmeo"}, r"unknown model 'dmeo' \(did you mean 'demo'\?\)"),
        ((TrainingConfig({}), "run"), {"classes": ["a"]}, "train: classes goes with arrays"),
        ((TrainingConfig({}), "run"), {"epochs": 3}, "train: epochs goes with arrays"),
        ((None, None), {}, "train: out is None, expected the folder for checkpoints and log"),
    ],
)
def test_calls_that_cannot_be(arguments, options, message):
    with pytest.raises(InputError, match=message):
        train(*arguments, **options)
