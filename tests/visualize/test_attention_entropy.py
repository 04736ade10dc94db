"""The figure of entropy: mvnp/visualize/attention_entropy.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.visualize.attention_entropy import attention_entropy, query_spread
from mvnp.visualize.internals import AttentionRecord, WindowGeometry, record_attention
from mvnp.visualize.style import png
from support.figures import image, marks
from support.tiny import tiny
from support.tolerance import assert_close


def test_tokens_that_a_query_attends_to():
    one = [1.0, 0, 0, 0]
    weights = np.array([[[one, [0.5, 0.5, 0, 0], [0.25] * 4, [0.25] * 4], [one] * 4]])
    spread = query_spread(AttentionRecord("levels.2.blocks.1.mixer", WindowGeometry(2, 1, 2, 16), weights))
    assert_close(spread, [[[1, np.nan], [4, np.nan]], [[1, np.nan], [1, np.nan]]])


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
