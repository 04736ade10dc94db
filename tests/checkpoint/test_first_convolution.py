"""Weights of images with another number of channels: mvnp/checkpoint/first_convolution.py."""

import numpy as np
import pytest

import mvnp
from mvnp.checkpoint import load_pretrained, read_pretrained, save_pretrained
from mvnp.checkpoint.first_convolution import adapted, adapted_images
from mvnp.errors import CheckpointError, InputError
from support.tolerance import assert_close

IMAGES = {"size": 32, "crop_pct": 0.9, "crop_mode": "center", "mean": (0.5, 0.4, 0.3), "std": (0.3, 0.2, 0.1), "channels": 3}


def weight():
    return np.random.default_rng(3).standard_normal((2, 3, 3, 3))


def test_by_hand():
    kernel = np.array([[[[1.0]], [[2.0]], [[4.0]]]])
    assert adapted(kernel, 1).ravel().tolist() == [7]
    assert adapted(kernel, 3).ravel().tolist() == [1, 2, 4]
    assert adapted(kernel, 2).ravel().tolist() == [1.5, 3]
    assert adapted(kernel, 5).ravel().tolist() == [0.6, 1.2, 2.4, 0.6, 1.2]
    grey = np.array([[[[6.0]]]])
    assert adapted(grey, 3).ravel().tolist() == [2, 2, 2]


def test_against_timms_table():
    """The values that timm 1.0 gives: `adapt_input_conv` on the same weight."""
    kernel = weight().astype(np.float32)
    for channels in (1, 2, 4, 6, 13):
        got = adapted(kernel, channels)
        assert (got.dtype, got.shape) == (np.float32, (2, channels, 3, 3))
        if channels == 1:
            want = kernel.astype(float).sum(1, keepdims=True)
        else:
            want = np.tile(kernel.astype(float), (1, -(-channels // 3), 1, 1))[:, :channels] * 3 / channels
        assert_close(got, want, terms=30, dtype="float32")


def model(**changes):
    cut = {"num_heads": (1, 1, 2, 4), "window_size": (2, 2, 2, 2)}
    return mvnp.MambaVision(**{"dim": 4, "in_dim": 2, "depths": (1, 1, 2, 1), "num_classes": 3, **cut, **changes})


@pytest.fixture
def path(tmp_path):
    save_pretrained(tmp_path / "a.safetensors", model(), images=IMAGES)
    return tmp_path / "a.safetensors"


def test_grey(path):
    """An image whose channels are all the same gives what one of them gives."""
    got = read_pretrained(path, in_chans=1, dtype="float64")
    assert (got.model.in_chans, got.model.config["in_chans"]) == (1, 1)
    grey = np.random.default_rng(1).standard_normal((2, 1, 32, 32))
    colour = load_pretrained(path, dtype="float64")
    assert_close(got.model(grey), colour(np.repeat(grey, 3, axis=1)), terms=30, dtype="float32")
    assert got.notes == ("the weights are of images with 3 channels: the first convolution was summed over them, for one",)
    assert got.images == {**IMAGES, "channels": 1, "mean": (0.4,), "std": (0.2,)}


def test_more_bands(path):
    """An image of one value in all bands gives what it gives in colour."""
    six = load_pretrained(path, in_chans=6, dtype="float64")
    value = np.full((1, 6, 32, 32), 0.7)
    assert_close(six(value), load_pretrained(path, dtype="float64")(value[:, :3]), terms=30, dtype="float32")
    got = read_pretrained(path, in_chans=13)
    assert got.notes == ("the weights are of images with 3 channels: the first convolution was repeated to 13, times 3/13",)
    assert got.images["mean"] == (0.5, 0.4, 0.3) * 4 + (0.5,)


def test_it_is_logged_in_one_line(path, caplog):
    load_pretrained(path, in_chans=1)
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "summed over them, for one" in caplog.text
    caplog.clear()
    load_pretrained(path, in_chans=3)
    load_pretrained(path)
    assert caplog.records == []


def test_round_trip_as_another(path, tmp_path):
    got = read_pretrained(path, in_chans=4, num_classes=7)
    save_pretrained(tmp_path / "b.pth", got.model, images=got.images)
    again = read_pretrained(tmp_path / "b.pth")
    assert (again.model.config, again.images, again.notes) == (got.model.config, got.images, ())


def test_refused(path):
    for value in (0, -1, 1.5, "3", True):
        with pytest.raises(InputError, match=r"in_chans is .* expected an integer of at least 1"):
            load_pretrained(path, in_chans=value)
    with pytest.raises(CheckpointError, match="first convolution of int64, which cannot be adapted"):
        adapted(np.ones((1, 3, 1, 1), np.int64), 1)


def test_images_that_do_not_say():
    assert adapted_images({"size": 8}, 2) == {"size": 8, "channels": 2}
