"""The figure of windows: mvnp/visualize/figures/window_grid.py."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from mvnp.errors import InputError
from mvnp.visualize.arrays.geometry import WindowGeometry
from mvnp.visualize.figures.style import INK, ORANGE, png
from mvnp.visualize.figures.window_grid import describe, window_grid
from support.figures import image
from support.tiny import tiny


def boxes(axes, chosen):
    return sorted(
        (*patch.get_xy(), patch.get_width()) for patch in axes.patches if isinstance(patch, Rectangle) and chosen(patch)
    )


@pytest.mark.parametrize("narrow", [False, True])
def test_windows_padding_and_the_querys_window(narrow):
    # Level 2: 5x5 tokens of 16 pixels in windows of 3, so 6x6. Level 3: 3x3 of 32 in windows of 2, so 4x4.
    figure = window_grid(tiny(window_size=(8, 8, 3, 2)), image(), query=(4, 1), narrow=narrow)
    first, second = figure.axes
    assert first.get_title(loc="left") == "levels.2: 5x5 tokens\n4 windows of 3x3\n31% padding"
    assert second.get_title(loc="left") == "levels.3: 3x3 tokens\n4 windows of 2x2\n44% padding"
    hatched = boxes(first, lambda patch: patch.get_hatch())
    assert hatched == sorted(
        (16 * column - 8, 16 * row - 8, 16) for row in range(6) for column in range(6) if 5 in (row, column)
    )
    assert boxes(first, lambda patch: patch.get_edgecolor() == to_rgba(ORANGE)) == [(-8, 40, 48)]
    # The query, row 4 and column 1 of 5, becomes part of row 2 and column 0 of 3.
    assert set(boxes(first, lambda patch: patch.get_edgecolor() == to_rgba(INK) and not patch.get_fill())) >= {(8, 56, 16)}
    assert set(boxes(second, lambda patch: patch.get_edgecolor() == to_rgba(INK))) >= {(-16, 48, 32)}
    assert boxes(second, lambda patch: patch.get_edgecolor() == to_rgba(ORANGE)) == [(-16, 48, 64)]
    assert [text.get_text() for text in first.texts] == ["0", "1", "2", "3"]
    assert png(figure).startswith(b"\x89PNG")


def test_one_level_alone():
    figure = window_grid(tiny(), image(), block="levels.3.blocks.1")
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == ["levels.3"]
    with pytest.raises(InputError, match=r"unknown level 'levels.1' .*choose one of levels.2, levels.3"):
        window_grid(tiny(), image(), block="levels.1.blocks.0")
    with pytest.raises(InputError, match=r"token \(9, 9\) is not on the map"):
        window_grid(tiny(), image(), query=(9, 9))


def test_words():
    assert describe(WindowGeometry(4, 4, 4, 16)) == "4x4 tokens\none window of 4x4\nno padding"
    assert np.isclose(1 - WindowGeometry(5, 5, 3, 16).real.mean(), 11 / 36)
