"""BatchNorm folded into a convolution: mvnp/models/folding.py."""

import numpy as np
import pytest

from mvnp import Tape
from mvnp.core import Initializer
from mvnp.errors import BackendError
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.conv2d import Conv2d
from mvnp.models.folding import conv_norm
from support.checks import normal, relative
from support.randomise import randomised
from support.tolerance import assert_close


def layers(bias: bool, dtype: str = "float64", channels: int = 4):
    init = Initializer(1, dtype)
    conv = randomised(Conv2d(3, channels, 3, padding=1, bias=bias, init=init))
    return conv, randomised(BatchNorm(channels, eps=0.1, init=init))


@pytest.mark.parametrize("bias", [True, False])
def test_folded_is_one_after_the_other(bias):
    (conv, norm), x = layers(bias), normal((2, 5, 6, 3), seed=1)
    expected = norm(conv(x))
    assert_close(conv_norm(conv, norm, x, None), expected)
    np.testing.assert_array_equal(conv_norm(conv, norm, x, Tape(training=False)), expected)


def test_float32():
    (conv, norm), x = layers(True, "float32", channels=40), normal((2, 9, 9, 3), seed=1).astype(np.float32)
    assert_close(conv_norm(conv, norm, x, None), norm(conv(x)))


def test_nothing_is_changed_and_training_is_not_folded():
    (conv, norm), x, tape = layers(True), normal((2, 5, 6, 3), seed=1), Tape(training=True)
    before = {**conv.state_dict(), **norm.state_dict()}
    conv_norm(conv, norm, x, None)
    for key, value in {**conv.state_dict(), **norm.state_dict()}.items():
        np.testing.assert_array_equal(value, before[key])
    y = conv_norm(conv, norm, x, tape)
    assert [layer for layer, _ in tape.entries] == [conv, norm]
    assert relative(y, norm(conv(x))) > 0.01, "the statistics of the batch count"


def test_arrays_of_two_libraries_are_refused(strict_cupy):
    conv, norm = layers(True)
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        conv_norm(conv, norm, normal((2, 5, 6, 3), seed=1), None)
