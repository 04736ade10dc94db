"""What every family of networks has: mvnp/models/classifier.py."""

import numpy as np
import pytest

from mvnp import Tape
from mvnp.errors import InputError
from mvnp.models.classifier import channel_first, channel_last
from support.checks import normal
from support.tiny import tiny
from support.tiny_vim import tiny_vim


def image(*shape, seed=1):
    return normal(shape, seed=seed).astype(np.float32)


def test_axes():
    x = normal((2, 3, 4, 5), 1)
    assert channel_last(x)[1, 3, 4, 2] == x[1, 2, 3, 4]
    assert channel_last(x).flags.c_contiguous
    np.testing.assert_array_equal(channel_first(channel_last(x)), x)


def test_what_the_head_takes():
    """Vectors, but where it looks at each token by itself."""
    assert tiny().head_takes_pooled
    assert tiny_vim().head_takes_pooled
    assert not tiny_vim(class_token=None, pool="max").head_takes_pooled


def test_maps_and_vectors_of_the_same_images():
    model, x = tiny_vim(), image(2, 2, 12, 10)
    features, pooled = model.features_and_pooled(x)
    np.testing.assert_array_equal(pooled, model.pooled(x))
    for got, want in zip(features, model.features(x), strict=True):
        np.testing.assert_array_equal(got, want)


def test_images_of_another_size():
    model = tiny_vim()
    for face in (model, model.pooled, model.features):
        with pytest.raises(InputError, match=r"Vim: images of 10x12, expected 12x10"):
            face(image(2, 2, 10, 12))


def test_gradients_without_a_head_are_those_of_vectors():
    model, tape = tiny(num_classes=0), Tape()
    pooled = model(image(2, 3, 16, 16), tape)
    with pytest.raises(InputError, match=r"MambaVision: dpooled has shape \(2, 3\), expected \(B, 32\)"):
        model.backward(image(2, 3), tape)
    assert model.backward(pooled, tape).shape == (2, 3, 16, 16)


def test_a_stage_that_nothing_depends_on():
    """Its gradient may be left out, or be zeros."""
    model, x = tiny().astype("float64"), normal((2, 3, 16, 16), 1)
    found = []
    for zeros in (False, True):
        tape = Tape(training=False)
        dfeatures = [normal(feature.shape, seed) for seed, feature in enumerate(model.features(x, tape))]
        dfeatures[1] = np.zeros_like(dfeatures[1]) if zeros else None
        found.append(model.features_backward(dfeatures, tape))
    np.testing.assert_array_equal(*found)
    assert found[0].any()


def test_wrong_gradients():
    model, x = tiny(), image(2, 3, 16, 16)
    for dlogits, message in [
        (image(2, 4), r"dlogits has shape \(2, 4\), expected \(B, 3\)"),
        (np.ones((2, 3), np.int64), "dlogits has dtype int64"),
    ]:
        tape = Tape()
        model(x, tape)
        with pytest.raises(InputError, match=message):
            model.backward(dlogits, tape)
    tape = Tape()
    features = model.features(x, tape)
    with pytest.raises(InputError, match="expected four gradients, the last of them an array"):
        model.features_backward([None] * 4, tape)
    with pytest.raises(InputError, match="expected four gradients, the last of them an array"):
        model.features_backward([*features[:3], None], tape)
    with pytest.raises(InputError, match="expected four gradients"):
        model.features_backward(features[:3], tape)
    channel_last = [feature.transpose(0, 2, 3, 1) for feature in features]
    with pytest.raises(InputError, match=r"dfeatures\[1\] has shape \(2, 2, 2, 8\), expected \(B, 8, H, W\)"):
        model.features_backward([None, *channel_last[1:]], tape)


def test_another_precision_is_said():
    built = tiny()
    assert built.config["dtype"] == "float32"
    assert built.astype("float64").config["dtype"] == "float64"
    assert built.config["dtype"] == "float32"
    x = normal((1, 3, 32, 32), 1)
    assert built.images(x).dtype == "float32"
    with pytest.raises(InputError, match=r"MambaVision: x has shape \(3, 32, 32\), expected \(B, 3, H, W\)"):
        built.images(x[0])


def test_a_new_head():
    model = tiny()
    x = np.zeros((1, 3, 32, 32), np.float32)
    pooled, before = model.pooled(x), model.state_dict()
    model.reset_head(7, seed=2)
    assert model(x).shape == (1, 7)
    assert model.num_classes == model.config["num_classes"] == 7
    np.testing.assert_array_equal(model.pooled(x), pooled)
    assert list(model.state_dict()) == list(before)
    assert model.head.path == "head"
    weight = model.state_dict()["head.weight"]
    model.reset_head(7, seed=2)
    np.testing.assert_array_equal(model.state_dict()["head.weight"], weight)
    model.reset_head(0)
    np.testing.assert_array_equal(model(x), pooled)
    with pytest.raises(InputError, match="reset_head: num_classes is -1, expected an integer of at least 0"):
        model.reset_head(-1)


def test_a_new_head_is_drawn_from_seed_0_unless_another_is_given():
    heads = [tiny() for _ in range(2)]
    heads[0].reset_head(7)
    heads[1].reset_head(7, seed=0)
    np.testing.assert_array_equal(*(model.head.weight.data for model in heads))


def test_a_new_head_has_other_classes_and_the_same_pictures():
    model = tiny()
    model.know(classes=["a", "b", "c"], preparation=np.asarray)
    model.reset_head(2)
    assert (model.classes, model.preparation) == (None, np.asarray)
