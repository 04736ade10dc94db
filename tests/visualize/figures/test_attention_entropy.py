"""The figure of entropy: mvnp/visualize/figures/attention_entropy.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.visualize.arrays.attention_entropy import query_spread
from mvnp.visualize.arrays.internals import record_attention
from mvnp.visualize.figures.attention_entropy import attention_entropy
from mvnp.visualize.figures.style import png
from support.figures import image, marks
from support.tiny import tiny
from support.tolerance import assert_close


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_was_recorded(narrow):
    model, x = tiny(dtype="float64"), image()
    spread = query_spread(record_attention(model, x))
    figure = attention_entropy(model, x, narrow=narrow)
    order = np.argsort(np.nanmean(spread, axis=(1, 2)))
    for axes, head in zip(figure.axes[:2], order, strict=True):
        _, drawn = marks(axes)
        assert_close(drawn, spread[head, :5, :5].ravel())
        assert axes.get_title(loc="left") == f"Head {head + 1}: {drawn.mean():.1f} of 4"
    assert png(figure).startswith(b"\x89PNG")


def test_windows_of_one_token_and_devices(strict_cupy):
    png(attention_entropy(tiny(window_size=(8, 8, 1, 1)), from_numpy(image().astype(np.float32))))
