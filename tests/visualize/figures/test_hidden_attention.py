"""The figures of the attention inside a scan: mvnp/visualize/figures/hidden_attention.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.hidden_attention import channel_groups, hidden_attention_of
from mvnp.visualize.arrays.internals import record_scan
from mvnp.visualize.figures.hidden_attention import hidden_attention_groups, hidden_attention_map, hidden_attention_matrix
from mvnp.visualize.figures.style import png
from support.figures import image, marks
from support.tiny import tiny
from support.tolerance import DEEP, assert_close

QUERY = (4, 1)  # of a map of 5x5 in windows of 3: token 4 of window 2, whose last row is padding
WINDOW, TOKEN = 2, 4


@pytest.fixture(scope="module")
def model():
    return tiny(dtype="float64", window_size=(8, 8, 3, 2))


@pytest.fixture(scope="module")
def alpha(model):
    return hidden_attention_of(record_scan(model, image()))[WINDOW]  # (D, L, L)


def cells(tokens):
    """Where tokens of the window stand, (x, y) in units of a cell."""
    return np.stack([np.asarray(tokens) % 3, 3 + np.asarray(tokens) // 3], axis=1)


@pytest.mark.parametrize("narrow", [False, True])
def test_the_matrix(model, alpha, narrow):
    figure = hidden_attention_matrix(model, image(), query=QUERY, narrow=narrow)
    for axes, expected in zip(figure.axes, (np.abs(alpha).mean(axis=0), alpha.mean(axis=0)), strict=False):
        drawn = axes.images[0].get_array()
        earlier = np.tril(np.ones(drawn.shape, bool))
        assert_close(drawn[earlier], expected[earlier])
        np.testing.assert_array_equal(np.ma.getmaskarray(drawn) | np.isnan(drawn.filled(np.nan)), ~earlier)
        assert [line.get_ydata()[0] for line in axes.lines] == [TOKEN, TOKEN]
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("narrow", [False, True])
def test_the_map_of_a_query(model, alpha, narrow):
    figure = hidden_attention_map(model, image(), query=QUERY, narrow=narrow)
    _, takes, gives, signed = figure.axes[:4]
    size, sign = np.abs(alpha).mean(axis=0), alpha.mean(axis=0)
    before, after = np.arange(TOKEN), np.arange(TOKEN + 1, 9)
    for axes, tokens, values in (
        (takes, before, size[TOKEN, before]),
        (gives, after, size[after, TOKEN]),
        (signed, before, sign[TOKEN, before]),
    ):
        centres, drawn = marks(axes)
        assert_close(drawn, values)
        assert_close(centres / 16, cells(tokens), terms=DEEP)
    assert takes.get_title(loc="left").endswith(f"itself {size[TOKEN, TOKEN]:.2g}")
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("narrow", [False, True])
def test_groups_of_channels(model, alpha, narrow):
    figure = hidden_attention_groups(model, image(), query=QUERY, groups=2, narrow=narrow)
    groups = channel_groups(record_scan(model, image()), 2)
    for axes, group, name in zip(figure.axes[:2], groups, ("fast half", "slow half"), strict=True):
        row = np.abs(alpha[group]).mean(axis=0)[TOKEN]
        centres, drawn = marks(axes)
        assert_close(drawn, row[:TOKEN] / row.sum())
        assert_close(centres / 16, cells(np.arange(TOKEN)), terms=DEEP)
        assert axes.get_title(loc="left") == f"{name}\nitself {row[TOKEN] / row.sum():.0%}"
    png(figure)


def test_the_first_token_takes_from_none_and_five_groups_have_numbers(model):
    figure = hidden_attention_map(model, image(), query=(0, 0))
    png(figure)
    assert [len(axes.collections[0].get_paths()) for axes in figure.axes[1:4]] == [0, 8, 0]  # takes, gives, signed
    png(hidden_attention_groups(model, image(), query=(0, 0), groups=5))
    titles = [axes.get_title(loc="left") for axes in hidden_attention_groups(model, image(), groups=5).axes[:5]]
    assert [title.split("\n")[0] for title in titles] == [f"group {number}" for number in range(1, 6)]


@pytest.mark.parametrize(("size", "narrow"), [(70, False), (70, True), (280, False)])
def test_the_bars_of_the_map_do_not_overlap(model, size, narrow):
    figure = hidden_attention_map(model, image(size), narrow=narrow)  # 280 pixels: a wide map, two panels in a row
    figure.draw_without_rendering()
    first, second = (axes.get_window_extent() for axes in figure.axes[4:])
    assert not first.overlaps(second)


def test_wrong_queries_blocks_and_groups(model):
    for draw in (hidden_attention_matrix, hidden_attention_map, hidden_attention_groups):
        with pytest.raises(InputError, match=r"token \(5, 0\) is not on the map of 5x5 tokens"):
            draw(model, image(), query=(5, 0))
        with pytest.raises(InputError, match=r"unknown block 'levels.2.blocks.1.mixer'"):
            draw(model, image(), block="levels.2.blocks.1")
    with pytest.raises(InputError, match="count is 0"):
        hidden_attention_groups(model, image(), groups=0)


def test_devices(strict_cupy):
    x = from_numpy(image().astype(np.float32))
    for draw in (hidden_attention_matrix, hidden_attention_map, hidden_attention_groups):
        draw(tiny(), x, block="levels.3.blocks.0")
