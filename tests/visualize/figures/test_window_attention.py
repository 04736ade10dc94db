"""The figure of attention inside its windows: mvnp/visualize/figures/window_attention.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.internals import internals
from mvnp.visualize.figures.style import png
from mvnp.visualize.figures.window_attention import window_attention
from support.figures import image, marks
from support.tiny import tiny
from support.tolerance import DEEP, assert_close

BLOCK = "levels.2.blocks.1.mixer"


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_was_recorded(narrow):
    model, x = tiny(dtype="float64"), image()
    record = internals(model, x).attentions[BLOCK]
    figure = window_attention(model, x, block=BLOCK, query=(3, 2), narrow=narrow)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    for head in (0, 1):
        centres, drawn = marks(panels[f"Head {head + 1}"])
        assert_close(drawn, record.weights[4, head, 2])
        assert_close(centres / 16, [(2, 2), (3, 2), (2, 3), (3, 3)], terms=DEEP)
    assert "Query" in panels
    assert png(figure).startswith(b"\x89PNG")


def test_areas_are_in_proportion_to_weights():
    figure = window_attention(tiny(dtype="float64"), image(), block=BLOCK)
    squares, weights = [], []
    for axes in figure.axes[1:3]:
        collection = axes.collections[0]
        squares += [path.get_extents().width ** 2 for path in collection.get_paths()]
        weights += collection.get_array().tolist()
    assert_close(np.array(squares) / max(squares), np.array(weights) / max(weights))


def test_the_query_is_the_middle_one_unless_given():
    model, x = tiny(dtype="float64"), image()
    record = internals(model, x).attentions[BLOCK]
    _, drawn = marks(window_attention(model, x).axes[1])
    assert_close(drawn, record.weights[record.windows.find(2, 2)[0], 0, 0])


def test_many_heads(strict_cupy):
    figure = window_attention(tiny(num_heads=(1, 1, 8, 2)), from_numpy(image().astype(np.float32)))
    assert [axes.get_title(loc="left") for axes in figure.axes[1:9]] == [f"Head {head}" for head in range(1, 9)]


def test_a_query_off_the_map():
    with pytest.raises(InputError, match=r"token \(5, 0\) is not on the map of 5x5 tokens"):
        window_attention(tiny(), image(), query=(5, 0))
