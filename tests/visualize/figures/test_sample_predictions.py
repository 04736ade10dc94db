"""The figure of sample predictions: mvnp/visualize/figures/sample_predictions.py."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.sample_predictions import predict
from mvnp.visualize.figures.sample_predictions import sample_predictions
from mvnp.visualize.figures.style import png
from support.tiny import tiny

CLASSES = ("cat", "$dog$", "a bird with a long name")


def images(count=10, channels=3):
    return np.random.default_rng(0).standard_normal((count, channels, 32, 32))


@pytest.mark.parametrize("narrow", [False, True])
def test_texts_say_what_the_model_says(narrow):
    model, x = tiny(dtype="float64"), images()
    probabilities = predict(model, x)
    said = probabilities.argmax(axis=1)
    labels, wrong = said.copy(), (int(np.argmin(said)), int(np.argmax(said)))
    labels[list(wrong)] = (said.max(), said.min())  # one mistake in each direction
    assert said.min() < said.max()
    figure = sample_predictions(model, x, labels, CLASSES, narrow=narrow)
    (panel,) = figure.axes
    names = ("cat", "$dog$", "a bird with…")
    for index, text in enumerate(panel.texts):
        mark, confidence, *words = text.get_text().split(maxsplit=2)
        assert (mark, confidence) == ("✗" if index in wrong else "✓", f"{probabilities[index, said[index]]:.0%}")
        expected = names[said[index]] + (f"\nis {names[labels[index]]}" if index in wrong else "")
        assert words == [expected]
        assert not text.get_parse_math()
    np.testing.assert_array_equal(panel.images[7].get_array(), as_picture(x[7:8]))
    framed = [patch.get_xy() for patch in panel.patches if isinstance(patch, Rectangle)]
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in panel.images]
    assert framed == [corners[index] for index in sorted(wrong)]
    assert figure.get_suptitle() == "8 of 10 images classified correctly"
    assert png(figure).startswith(b"\x89PNG")


def test_on_cupy(strict_cupy):
    x = from_numpy(images(3, channels=1).astype(np.float32))
    figure = sample_predictions(tiny(in_chans=1), x, np.array([0, 1, 2]), CLASSES)
    assert len(figure.axes[0].images) == 3


def test_as_many_labels_as_images():
    with pytest.raises(InputError, match="10 images and 9 labels"):
        sample_predictions(tiny(), images(), np.zeros(9, int), CLASSES)
