"""The arrays behind the figure: mvnp/visualize/arrays/first_filters.py."""

import numpy as np

from mvnp.visualize.arrays.first_filters import first_layer
from support.figures import image
from support.tiny import tiny
from support.tolerance import DEEP, assert_close


def test_kernels_make_the_answers():
    """Kernel times patch, plus a constant for each filter, cut off at 0: what first_layer gives, place by place."""
    model, x = tiny(dtype="float64", in_dim=5), image(32)
    kernels, answers, words = first_layer(model, x)
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    norm = model.patch_embed.conv_down[1]
    constant = norm.bias.data - norm.running_mean.data * norm.weight.data / np.sqrt(norm.running_var.data + norm.eps)
    for row, column in ((0, 0), (3, 7), (15, 15)):
        patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        expected = np.maximum((kernels * patch).sum(axis=(1, 2, 3)) + constant, 0)
        assert_close(answers[:, row, column], expected, terms=DEEP)
    assert (answers > 0).any()
    assert words == "after BatchNorm and ReLU"
