"""The arrays behind the figure: mvnp/visualize/arrays/sample_predictions.py."""

import numpy as np

from mvnp.visualize.arrays.sample_predictions import predict
from support.tiny import tiny
from support.tolerance import assert_close


def images(count=10, channels=3):
    return np.random.default_rng(0).standard_normal((count, channels, 32, 32))


def test_probabilities():
    model = tiny(dtype="float64")
    exponentials = np.exp(model(images()))
    assert_close(predict(model, images()), exponentials / exponentials.sum(axis=1, keepdims=True))
